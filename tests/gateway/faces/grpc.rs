//! gRPC as its clients meet it.

use prost_reflect::DynamicMessage;
use serde_json::{Value, json};
use tonic::{Code, metadata::MetadataValue};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};
use usersecret::app::Seams;

use super::kit::{Grpc, Rest, SERVICE, descriptor};
use crate::{
    support::{Client, TestApp},
    tls::kit::Tls,
};

const VERSION: &str = "/spaceone.api.core.v1.ServerInfo/get_version";

fn message(name: &str, json: &Value) -> DynamicMessage {
    DynamicMessage::deserialize(descriptor(name), json).unwrap()
}

#[tokio::test]
async fn a_secret_from_its_creation_to_its_end() {
    let app = TestApp::start().await;
    let (ann, system) = (Grpc::of(&app.user("ann")).await, Grpc::of(&app.system()).await);
    let data = json!({ "key": "s3cret", "n": 1, "o": { "l": [null, true, -2.5] } });
    let made = ann.call("create", &json!({ "name": "aws", "data": data })).await.json;
    let id = made["user_secret_id"].as_str().unwrap();
    let reveal = json!({ "user_secret_id": id, "domain_id": "acme" });
    let told = system.call("get_data", &reveal).await;
    let doubles = json!({ "key": "s3cret", "n": 1.0, "o": { "l": [null, true, -2.5] } });
    assert_eq!(told.json, json!({ "encrypt_options": {}, "data": doubles }));
    // What was whole stays whole for those who can tell.
    let answer = app.system().reveal("acme", id, None).await;
    assert_eq!(answer.at("/data/userSecretData/data").to_string(), data.to_string());
    let changed = ann.call("update", &json!({ "user_secret_id": id, "name": "b" })).await.json;
    assert_eq!((&changed["name"], &changed["tags"]), (&json!("b"), &json!({})));
    let replace = json!({ "user_secret_id": id, "data": { "a": "b" } });
    assert_eq!(ann.call("update_data", &replace).await.json, json!({}));
    assert_eq!(system.call("get_data", &reveal).await.json["data"], json!({ "a": "b" }));
    assert_eq!(ann.call("delete", &json!({ "user_secret_id": id })).await.json, json!({}));
    assert_eq!(ann.call("get", &json!({ "user_secret_id": id })).await.status, Code::NotFound);
    assert_eq!(system.call("get_data", &reveal).await.status, Code::NotFound);
}

#[tokio::test]
async fn tokens_in_the_metadata() {
    let app = TestApp::start().await;
    let token = app.user("ann").token.unwrap();
    let bearer = format!("Bearer {token}");
    let call = async |metadata: &[(&'static str, &str)]| {
        let mut grpc = Grpc::of(&app.with_token(None)).await;
        for (key, value) in metadata {
            grpc.metadata.insert(*key, MetadataValue::try_from(*value).unwrap());
        }
        grpc.call("list", &json!({})).await.status
    };
    assert_eq!(call(&[("token", &token)]).await, Code::Ok);
    assert_eq!(call(&[("authorization", &bearer)]).await, Code::Ok);
    assert_eq!(call(&[]).await, Code::Unauthenticated);
    assert_eq!(call(&[("token", "")]).await, Code::Unauthenticated);
    assert_eq!(call(&[("token", &bearer)]).await, Code::Unauthenticated);
    assert_eq!(call(&[("authorization", &token)]).await, Code::Unauthenticated);
    // One token counts, and the original's clients send it as `token`.
    assert_eq!(call(&[("token", "x"), ("authorization", &bearer)]).await, Code::Unauthenticated);
}

#[tokio::test]
async fn what_is_not_there_is_unimplemented() {
    let app = TestApp::start().await;
    let ann = Grpc::of(&app.user("ann")).await;
    for path in [
        &format!("/{SERVICE}/frob"),
        "/spaceone.api.secret.v1.UserSecret/list",
        "/x.Y/z",
        "/spaceone.api.core.v1.ServerInfo/frob",
    ] {
        let empty = message("google.protobuf.Empty", &json!({}));
        let (_, told) = ann.send(path, empty, descriptor("google.protobuf.Empty")).await;
        assert_eq!(told.status, Code::Unimplemented, "{path}");
    }
}

/// Sends `body` as a call of `method`.
async fn post(
    client: &Client,
    method: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> reqwest::Response {
    let http = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let mut request = http.post(format!("{}/{SERVICE}/{method}", client.url)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.header("token", client.token.as_ref().unwrap()).send().await.unwrap()
}

/// What `body` comes to: the HTTP status and the one of gRPC.
async fn raw(
    client: &Client,
    method: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (u16, String, String) {
    let response = post(client, method, headers, body).await;
    let header = |name| {
        let value = response.headers().get(name).map_or(&b""[..], |value| value.as_bytes());
        percent_encoding::percent_decode(value).decode_utf8().unwrap().into_owned()
    };
    (response.status().as_u16(), header("grpc-status"), header("grpc-message"))
}

/// A message as it lies in a body.
fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag][..], &length, message].concat()
}

#[tokio::test]
async fn what_is_said_beside_the_message() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let list = async |headers: &[(&str, &str)]| raw(&ann, "list", headers, frame(0, b"")).await;
    let kind = ("content-type", "application/grpc");
    for (media_type, http) in [
        ("application/grpc", 200),
        ("application/grpc+proto", 200),
        ("application/grpc; a=b", 200),
        ("Application/GRPC+proto;a=b", 200),
        ("application/grpc+json", 415),
        ("application/grpc-web", 415),
        ("application/grpcx", 415),
        ("application/json", 415),
    ] {
        assert_eq!(list(&[("content-type", media_type)]).await.0, http, "{media_type}");
    }
    // As the compression specification of gRPC has it.
    let zipped = post(&ann, "list", &[kind, ("grpc-encoding", "gzip")], frame(1, b"x")).await;
    assert_eq!(zipped.headers()["grpc-status"], "12");
    assert_eq!(zipped.headers()["grpc-accept-encoding"], "identity");
    for headers in [&[kind][..], &[kind, ("grpc-encoding", "identity")]] {
        assert_eq!(raw(&ann, "list", headers, frame(1, b"x")).await.1, "13");
    }
    // Who waits no longer is told so, and the service works no longer.
    let create = json!({ "name": "x", "data": { "a": 1 } });
    let create = message(&format!("{SERVICE_PACKAGE}.CreateUserSecretRequest"), &create);
    let create = frame(0, &prost::Message::encode_to_vec(&create));
    assert_eq!(raw(&ann, "create", &[kind, ("grpc-timeout", "1n")], create).await.1, "4");
    assert_eq!(list(&[kind, ("grpc-timeout", "1H")]).await.1, "");
    assert_eq!(list(&[kind, ("grpc-timeout", "soon")]).await.1, "");
}

#[tokio::test]
async fn a_service_that_ends_says_so() {
    let app = TestApp::start().await;
    let mut health = HealthClient::new(Grpc::of(&app.with_token(None)).await.channel);
    app.retire().await;
    for service in ["", "secret", SERVICE] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 2, "{service}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_our_words() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let grpc = ("content-type", "application/grpc");
    for body in [
        vec![],
        vec![0; 4],
        frame(0, b"canary"),
        frame(2, b"canary"),
        [frame(0, b""), frame(0, b"")].concat(),
        frame(0, &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        frame(0, &[0x0a, 1, 0xff]),
        frame(0, &bottomless()),
    ] {
        let (http, status, words) = raw(&ann, "create", &[grpc], body).await;
        assert_eq!((http, status.as_str()), (200, "3"), "{words}");
        assert!(words.starts_with("ERROR_INVALID_PARAMETER: The "), "{words}");
        assert!(!words.contains("canary"), "{words}");
    }
    let (_, status, words) = raw(&ann, "create", &[grpc], vec![0; 2 << 20]).await;
    assert_eq!(status, "8");
    assert!(words.starts_with("ERROR_RESOURCE_EXHAUSTED: limits.body_bytes: "), "{words}");
    assert_eq!(raw(&ann, "list", &[grpc], frame(0, b"")).await.1, "");
}

/// Data that nests deeper than any decoder should follow.
fn bottomless() -> Vec<u8> {
    let data = (0..5000).fold(Vec::new(), |inner: Vec<u8>, _| {
        // {"": {…}}: an entry of the map, its value, which is a Struct.
        let wrap = |tag: u8, inner: Vec<u8>| {
            let mut bytes = vec![tag];
            prost::encoding::encode_varint(inner.len().try_into().unwrap(), &mut bytes);
            [bytes, inner].concat()
        };
        wrap(0x0a, wrap(0x12, wrap(0x2a, inner)))
    });
    let mut bytes = vec![0x12];
    prost::encoding::encode_varint(data.len().try_into().unwrap(), &mut bytes);
    [bytes, data].concat()
}

#[tokio::test]
async fn structures_hold_what_json_can() {
    let app = TestApp::start().await;
    let ann = Grpc::of(&app.user("ann")).await;
    let nested = |depth| (1..depth).fold(json!({ "a": 1 }), |inner, _| json!({ "a": inner }));
    for (data, code) in [
        (nested(30), "OK"),
        (nested(31), "ERROR_INVALID_PARAMETER"),
        (json!({}), "ERROR_INVALID_PARAMETER"),
    ] {
        let request = json!({ "name": "x", "data": data, "tags": data });
        assert_eq!(ann.call("create", &request).await.code, code);
    }
    for double in [f64::NAN, f64::INFINITY] {
        let mut request =
            message(&format!("{SERVICE_PACKAGE}.CreateUserSecretRequest"), &json!({ "name": "x" }));
        let kind = Some(prost_types::value::Kind::NumberValue(double));
        let fields = [("a".to_owned(), prost_types::Value { kind })].into();
        let mut data = DynamicMessage::new(descriptor("google.protobuf.Struct"));
        data.transcode_from(&prost_types::Struct { fields }).unwrap();
        request.set_field_by_name("data", prost_reflect::Value::Message(data));
        let path = format!("/{SERVICE}/create");
        let (_, told) = ann.send(&path, request, descriptor("google.protobuf.Empty")).await;
        assert_eq!(
            told.message,
            "Parameter is invalid. (key = data, reason = must hold finite numbers only)"
        );
    }
}

const SERVICE_PACKAGE: &str = "spaceone.api.user_secret.v1";

#[tokio::test]
async fn the_trail_and_the_trace_know_the_call() {
    let app = TestApp::start().await;
    let mut ann = Grpc::of(&app.user("ann")).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    ann.metadata.insert("traceparent", parent.parse().unwrap());
    let create = message(
        &format!("{SERVICE_PACKAGE}.CreateUserSecretRequest"),
        &json!({ "name": "x", "data": { "a": 1 } }),
    );
    let output = descriptor(&format!("{SERVICE_PACKAGE}.UserSecretInfo"));
    let (metadata, told) = ann.send(&format!("/{SERVICE}/create"), create, output.clone()).await;
    assert_eq!(
        (told.code.as_str(), metadata.get("x-trace-id").unwrap()),
        ("OK", &trace.parse::<MetadataValue<_>>().unwrap())
    );
    let nothing = message(&format!("{SERVICE_PACKAGE}.UserSecretRequest"), &json!({}));
    let (metadata, told) = ann.send(&format!("/{SERVICE}/get"), nothing, output).await;
    assert_eq!(told.status, Code::InvalidArgument);
    assert_eq!(metadata.get("x-trace-id").unwrap(), trace);
    let query =
        "SELECT address || ' ' || trace_id FROM audit_events WHERE operation = 'UserSecret.create'";
    assert_eq!(app.database.value::<String>(query).await, format!("127.0.0.1 {trace}"));
}

#[tokio::test]
async fn data_is_revealed_on_the_internal_listener_alone() {
    let sections = "[server]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"\"\n[internal]\nlisten = \"127.0.0.1:0\"\n";
    let app = TestApp::with(Seams::default(), sections).await;
    let server = app.listen().await.unwrap();
    let at = |client: &Client, address| Client {
        url: format!("http://{address}"),
        token: client.token.clone(),
    };
    let id = at(&app.user("ann"), server.main).create("one").await;
    let request = json!({ "user_secret_id": id, "domain_id": "acme" });
    let (outside, inside) =
        (at(&app.system(), server.main), at(&app.system(), server.internal.unwrap()));
    let told = Grpc::of(&outside).await.call("get_data", &request).await;
    assert_eq!(told.code, "ERROR_PERMISSION_DENIED");
    let told = Grpc::of(&inside).await.call("get_data", &request).await;
    assert_eq!(told.json["data"], json!({ "key": "data of one" }));
    assert_eq!(Rest::of(&inside).call("get_data", &request).await.status, Code::NotFound);
}

#[tokio::test]
async fn over_tls() {
    let tls = Tls::start("").await;
    let http = tls.client().build().unwrap();
    let url = format!("https://{}{VERSION}", tls.server.main);
    let request = http.post(url).header("content-type", "application/grpc").body(vec![0; 5]);
    let response = request.send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert!(response.bytes().await.unwrap().ends_with(env!("CARGO_PKG_VERSION").as_bytes()));
}

#[tokio::test]
async fn health_version_and_reflection_are_for_everybody() {
    let app = TestApp::start().await;
    let nobody = Grpc::of(&app.with_token(None)).await;
    let empty = message("google.protobuf.Empty", &json!({}));
    let (_, told) =
        nobody.send(VERSION, empty, descriptor("spaceone.api.core.v1.VersionInfo")).await;
    assert_eq!(told.json, json!({ "version": env!("CARGO_PKG_VERSION") }));

    let channel = nobody.channel.clone();
    let mut health = HealthClient::new(channel.clone());
    for (service, status) in [("", Some(1)), ("secret", Some(1)), (SERVICE, Some(1)), ("x", None)] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.ok().map(|answer| answer.into_inner().status);
        assert_eq!(answer, status, "{service}");
    }

    // Both versions of reflection speak the same words.
    macro_rules! reflect {
        ($version:ident, $asked:ident, $value:expr) => {{
            use $version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
            };
            let request = ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::$asked($value)),
            };
            let mut client = ServerReflectionClient::new(channel.clone());
            let request = one(request);
            let mut answers = client.server_reflection_info(request).await.unwrap().into_inner();
            format!("{:?}", answers.message().await.unwrap().unwrap().message_response.unwrap())
        }};
    }
    let all = String::new;
    let symbol = || SERVICE.to_owned();
    for (services, file) in [
        (reflect!(v1, ListServices, all()), reflect!(v1, FileContainingSymbol, symbol())),
        (reflect!(v1alpha, ListServices, all()), reflect!(v1alpha, FileContainingSymbol, symbol())),
    ] {
        for service in [SERVICE, "spaceone.api.core.v1.ServerInfo", "grpc.health.v1.Health"] {
            assert!(services.contains(service), "{services}");
        }
        assert!(file.starts_with("FileDescriptorResponse"), "{file}");
    }
}

/// A stream of one.
fn one<T: Send + 'static>(item: T) -> impl futures_util::Stream<Item = T> + Send {
    futures_util::stream::once(async { item })
}
