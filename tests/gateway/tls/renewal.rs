//! Certificates that change while the service runs.

use std::time::Duration;

use super::kit::{Ca, Tls};

#[tokio::test]
async fn a_renewed_certificate_is_found_and_old_connections_go_on() {
    let mut tls = Tls::start("").await;
    let held = tls.client().build().unwrap();
    assert_eq!(tls.certificate(&held).await, tls.shown.der);
    let renewed = tls.ca.server();
    tls.files.exchange(&[("tls.crt", &renewed.cert), ("tls.key", &renewed.key)]);
    // Nobody says so: the service looks by itself.
    let mut seen = Vec::new();
    for _ in 0..600 {
        seen = tls.certificate(&tls.client().build().unwrap()).await;
        if seen == renewed.der {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(seen, renewed.der);
    assert_eq!(tls.certificate(&held).await, tls.shown.der, "the old connection goes on");
}

#[tokio::test]
async fn a_broken_renewal_keeps_the_old_certificate() {
    let mut tls = Tls::start("").await;
    let renewed = tls.ca.server();
    let (cert, key) = (renewed.cert.as_str(), renewed.key.as_str());
    let torn = &cert[..cert.len() / 2];
    for broken in [
        &[("tls.crt", cert), ("tls.key", tls.shown.key.as_str())][..],
        &[("tls.crt", cert), ("tls.key", cert)],
        &[("tls.crt", cert)],
        &[("tls.key", key)],
        &[("tls.crt", torn), ("tls.key", key)],
        &[("tls.crt", ""), ("tls.key", "")],
    ] {
        tls.files.exchange(broken);
        tls.server.reload().await.unwrap();
        let seen = tls.certificate(&tls.client().build().unwrap()).await;
        assert_eq!(seen, tls.shown.der, "{broken:?}");
    }
    tls.files.exchange(&[("tls.crt", cert), ("tls.key", key)]);
    tls.server.reload().await.unwrap();
    assert_eq!(tls.certificate(&tls.client().build().unwrap()).await, renewed.der);
}

#[tokio::test]
async fn a_broken_authority_lets_nobody_else_in() {
    let (ours, others) = (Ca::new("ours"), Ca::new("others'"));
    let mut tls = Tls::with_clients("", "required", &ours).await;
    for broken in ["", "not a certificate"] {
        tls.files.exchange(&[
            ("tls.crt", &tls.shown.cert),
            ("tls.key", &tls.shown.key),
            ("ca.crt", broken),
        ]);
        tls.server.reload().await.unwrap();
        assert!(tls.accepts(tls.client().identity(ours.client(2100).identity())).await);
        assert!(!tls.accepts(tls.client()).await);
        assert!(!tls.accepts(tls.client().identity(others.client(2100).identity())).await);
    }
}
