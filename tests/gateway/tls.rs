//! TLS as clients meet it: real handshakes, with certificates that are made here.

mod clients;
pub mod kit;
mod mistakes;
mod program;
mod renewal;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use reqwest::{Version, tls};
use serde_json::json;

use self::kit::{Tls, VIEWER};

#[tokio::test]
async fn both_protocols_over_both_versions() {
    let tls = Tls::start("").await;
    for version in [tls::Version::TLS_1_2, tls::Version::TLS_1_3] {
        for (http1, expected) in [(true, Version::HTTP_11), (false, Version::HTTP_2)] {
            let client = tls.client().tls_version_min(version).tls_version_max(version);
            let client = if http1 { client.http1_only() } else { client };
            let response = tls.ask(&client.build().unwrap(), VIEWER).await.unwrap();
            assert_eq!((response.status().as_u16(), response.version()), (200, expected));
            let used = response.extensions().get::<tls::TlsInfo>().unwrap().version();
            assert_eq!(used, Some(version));
        }
    }
}

#[tokio::test]
async fn the_audit_trail_knows_the_peer() {
    let tls = Tls::start("").await;
    let create = "mutation { createUserSecret(input: {name: \"a\", data: {k: \"v\"}}) { userSecret { name } } }";
    let response = tls.ask(&tls.client().build().unwrap(), create).await.unwrap();
    assert_eq!(response.status(), 200);
    let query = "SELECT address FROM audit_events WHERE operation = 'UserSecret.create'";
    assert_eq!(tls.app.database.value::<String>(query).await, "127.0.0.1");
}

#[tokio::test]
async fn plain_http_is_refused() {
    let tls = Tls::start("").await;
    let url = format!("http://{}/graphql", tls.server.main);
    let request = reqwest::Client::new().post(url).json(&json!({ "query": VIEWER }));
    assert!(request.send().await.is_err());
    assert!(tls.accepts(tls.client()).await);
}

/// A ClientHello (RFC 5246 §7.4.1.2) for `version` at most, with one cipher suite.
fn client_hello(version: [u8; 2], suite: [u8; 2]) -> Vec<u8> {
    // supported_groups: x25519, secp256r1; signature_algorithms: ecdsa_secp256r1_sha256.
    let extensions =
        [&[0, 10, 0, 6, 0, 4, 0, 29, 0, 23][..], &[0, 13, 0, 4, 0, 2, 4, 3], &[0, 11, 0, 2, 1, 0]]
            .concat();
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let body =
        [&version[..], &[7; 32], &[0, 0, 2], &suite, &[1, 0], &length(&extensions), &extensions]
            .concat();
    let message = [&[1, 0], &length(&body)[..], &body].concat();
    [&[22, 3, 1], &length(&message)[..], &message].concat()
}

/// Type and description of the record that answers `hello`, if it is an alert; else its type alone.
fn answer(address: SocketAddr, hello: &[u8]) -> (u8, u8) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(hello).unwrap();
    let mut record = [0; 7];
    stream.read_exact(&mut record).unwrap();
    (record[0], if record[0] == 21 { record[6] } else { 0 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_protocols_and_weak_suites_are_refused() {
    let tls = Tls::start("").await;
    const PROTOCOL_VERSION: (u8, u8) = (21, 70);
    const HANDSHAKE_FAILURE: (u8, u8) = (21, 40);
    const SERVER_HELLO: (u8, u8) = (22, 0);
    let good = [0xc0, 0x2b];
    for (version, suite, expected) in [
        ([3, 3], good, SERVER_HELLO),
        ([3, 2], good, PROTOCOL_VERSION),
        ([3, 1], good, PROTOCOL_VERSION),
        ([3, 0], good, PROTOCOL_VERSION),
        // CBC, no ephemeral key, RC4, no encryption at all.
        ([3, 3], [0xc0, 0x23], HANDSHAKE_FAILURE),
        ([3, 3], [0x00, 0x9c], HANDSHAKE_FAILURE),
        ([3, 3], [0xc0, 0x07], HANDSHAKE_FAILURE),
        ([3, 3], [0xc0, 0x06], HANDSHAKE_FAILURE),
    ] {
        let hello = client_hello(version, suite);
        assert_eq!(answer(tls.server.main, &hello), expected, "{version:?} {suite:02x?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_recorded_today_stays_closed_to_quantum_computers() {
    let tls = Tls::start("").await;
    let mut client = tls.rustls();
    let mut socket = TcpStream::connect(tls.server.main).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut socket).unwrap();
    }
    let group = client.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);
}

/// Reads until the other side ends the connection. A test that hangs here has failed.
fn read_to_end(stream: &mut impl std::io::Read) {
    let mut bytes = [0; 512];
    while stream.read(&mut bytes).is_ok_and(|n| n > 0) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_cut() {
    let impatient = "[server]\nlisten = \"127.0.0.1:0\"\nheader_timeout_ms = 2000";
    let tls = Tls::start(impatient).await;
    let plain = kit::plain(impatient).await;
    let server = plain.listen().await.unwrap();
    // Before the handshake, within it, after it, and where there is none.
    let mut before = TcpStream::connect(tls.server.main).unwrap();
    let mut without = TcpStream::connect(server.main).unwrap();
    let mut half = TcpStream::connect(tls.server.main).unwrap();
    half.write_all(&client_hello([3, 3], [0xc0, 0x2b])[..40]).unwrap();
    let mut client = tls.rustls();
    let mut socket = TcpStream::connect(tls.server.main).unwrap();
    read_to_end(&mut rustls::Stream::new(&mut client, &mut socket));
    assert!(!client.is_handshaking());
    for stream in [&mut before, &mut half, &mut without] {
        read_to_end(stream);
    }
}

#[tokio::test]
async fn draining_does_not_wait_for_half_a_handshake() {
    let Tls { server, .. } = Tls::start("").await;
    let silent = tokio::net::TcpStream::connect(server.main).await.unwrap();
    server.drain(Duration::from_secs(600)).await.unwrap();
    drop(silent);
}
