//! Certificates of clients.

use super::kit::{Ca, Tls};

#[tokio::test]
async fn required_means_no_connection_without_one() {
    let (ours, others) = (Ca::new("ours"), Ca::new("others'"));
    let tls = Tls::with_clients("", "required", &ours).await;
    assert!(tls.accepts(tls.client().identity(ours.client(2100).identity())).await);
    assert!(!tls.accepts(tls.client()).await);
    assert!(!tls.accepts(tls.client().identity(others.client(2100).identity())).await);
    assert!(!tls.accepts(tls.client().identity(ours.client(2020).identity())).await, "expired");
    assert!(!tls.accepts(tls.client().identity(ours.server().identity())).await, "a server's");
}

#[tokio::test]
async fn optional_means_none_or_a_good_one() {
    let (ours, others) = (Ca::new("ours"), Ca::new("others'"));
    let tls = Tls::with_clients("", "optional", &ours).await;
    assert!(tls.accepts(tls.client()).await);
    assert!(tls.accepts(tls.client().identity(ours.client(2100).identity())).await);
    assert!(!tls.accepts(tls.client().identity(others.client(2100).identity())).await);
}

#[tokio::test]
async fn an_authority_is_exchanged_like_a_certificate() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let mut tls = Tls::with_clients("", "required", &old).await;
    let of = |ca: &Ca| ca.client(2100).identity();
    let held = tls.client().identity(of(&old)).build().unwrap();
    assert_eq!(tls.certificate(&held).await, tls.shown.der);
    tls.files.exchange(&[
        ("tls.crt", &tls.shown.cert),
        ("tls.key", &tls.shown.key),
        ("ca.crt", &new.pem),
    ]);
    tls.server.reload().await.unwrap();
    assert!(tls.accepts(tls.client().identity(of(&new))).await);
    assert!(!tls.accepts(tls.client().identity(of(&old))).await);
    assert_eq!(tls.certificate(&held).await, tls.shown.der, "what was accepted goes on");
}
