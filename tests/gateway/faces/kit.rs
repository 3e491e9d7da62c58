//! A gRPC client and a REST client that speak the same JSON.
//!
//! Messages are made of JSON by the descriptors, by another hand than the service's.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;
use tonic::{
    Code, Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};
use usersecret::api::DESCRIPTORS;

use super::document::Document;
use crate::support::Client;

pub const SERVICE: &str = "spaceone.api.user_secret.v1.UserSecret";

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap());

/// What either face answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The gRPC status, or on REST the one that the HTTP status stands for.
    pub status: Code,
    /// `ERROR_…`, or `OK`.
    pub code: String,
    pub message: String,
    pub json: Value,
}

/// A message of whatever type, as bytes.
struct Any(MessageDescriptor);

impl Codec for Any {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(self.0.clone())
    }

    fn decoder(&mut self) -> Self {
        Self(self.0.clone())
    }
}

impl Encoder for Any {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::Message::encode(&item, to).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Any {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let read = DynamicMessage::decode(self.0.clone(), from);
        read.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// `client` over gRPC.
pub struct Grpc {
    pub channel: Channel,
    pub metadata: MetadataMap,
}

impl Grpc {
    pub async fn of(client: &Client) -> Self {
        let endpoint = Endpoint::from_shared(client.url.clone()).unwrap();
        let mut grpc =
            Self { channel: endpoint.connect().await.unwrap(), metadata: MetadataMap::new() };
        if let Some(token) = &client.token {
            grpc.metadata.insert("token", token.parse().unwrap());
        }
        grpc
    }

    /// The same, acting in `domain`.
    pub fn in_domain(mut self, domain: &str) -> Self {
        self.metadata.insert("x_domain_id", domain.parse().unwrap());
        self
    }

    pub async fn call(&self, method: &str, request: &Value) -> Told {
        let service = POOL.get_service_by_name(SERVICE).unwrap();
        let method = service.methods().find(|known| known.name() == method).unwrap();
        let message = DynamicMessage::deserialize(method.input(), request).unwrap();
        self.send(&format!("/{SERVICE}/{}", method.name()), message, method.output()).await.1
    }

    /// Sends `message` to `path`, and shows the metadata that comes back as well.
    pub async fn send(
        &self,
        path: &str,
        message: DynamicMessage,
        output: MessageDescriptor,
    ) -> (MetadataMap, Told) {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        match client.unary(request, path.parse().unwrap(), Any(output)).await {
            Ok(response) => {
                let (metadata, message, _) = response.into_parts();
                let options =
                    SerializeOptions::new().use_proto_field_name(true).skip_default_fields(true);
                let json = message.serialize_with_options(serde_json::value::Serializer, &options);
                let code = "OK".to_owned();
                let told =
                    Told { status: Code::Ok, code, message: String::new(), json: json.unwrap() };
                (metadata, told)
            }
            Err(status) => {
                let (code, message) = status.message().split_once(": ").unwrap_or_default();
                let told = Told {
                    status: status.code(),
                    code: code.to_owned(),
                    message: message.to_owned(),
                    json: Value::Null,
                };
                (status.metadata().clone(), told)
            }
        }
    }
}

/// The methods of `service`.
pub fn methods(service: &str) -> Vec<String> {
    let service = POOL.get_service_by_name(service).unwrap();
    service.methods().map(|method| method.name().to_owned()).collect()
}

/// The fields of the message called `name`, if there is one.
pub fn fields(name: &str) -> Option<Vec<String>> {
    let message = POOL.get_message_by_name(name)?;
    Some(message.fields().map(|field| field.name().to_owned()).collect())
}

/// The descriptor of the message called `name`.
pub fn descriptor(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(name).unwrap()
}

/// `client` over REST.
pub struct Rest {
    url: String,
    http: reqwest::Client,
    token: Option<String>,
    domain: Option<String>,
}

impl Rest {
    pub fn of(client: &Client) -> Self {
        let (url, token) = (client.url.clone(), client.token.clone());
        Self { url, http: reqwest::Client::new(), token, domain: None }
    }

    /// The same, acting in `domain`.
    pub fn in_domain(mut self, domain: &str) -> Self {
        self.domain = Some(domain.to_owned());
        self
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(domain) = &self.domain {
            request = request.header("X-Domain-Id", domain);
        }
        request
    }

    /// Calls `method`, by the name that it has over gRPC, and checks that all is as it is described.
    pub async fn call(&self, method: &str, request: &Value) -> Told {
        let path = format!("/secret/v1/user-secret/{}", method.replace('_', "-"));
        let sent = self.request(reqwest::Method::POST, &path).json(request).send().await.unwrap();
        let (status, answer) = read(sent).await;
        // What is not served is not described.
        if method != "get_data" {
            Document::of(&self.url).await.check(&path, request, status, &answer);
        }
        judged(status, answer)
    }
}

pub async fn told(response: reqwest::Response) -> Told {
    let (status, answer) = read(response).await;
    judged(status, answer)
}

async fn read(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

fn judged(status: u16, json: Value) -> Told {
    if status == 200 {
        return Told { status: Code::Ok, code: "OK".to_owned(), message: String::new(), json };
    }
    let text = |name: &str| json["detail"][name].as_str().unwrap_or_default().to_owned();
    let (code, message) = (text("code"), text("message"));
    let status = match (status, code.as_str()) {
        (400, "ERROR_FAILED_PRECONDITION") => Code::FailedPrecondition,
        (400, _) => Code::InvalidArgument,
        (401, _) => Code::Unauthenticated,
        (403, _) => Code::PermissionDenied,
        (404, _) => Code::NotFound,
        (409, "ERROR_VERSION_CONFLICT") => Code::Aborted,
        (409, _) => Code::AlreadyExists,
        (413 | 429, _) => Code::ResourceExhausted,
        (503, _) => Code::Unavailable,
        (500, _) => Code::Internal,
        _ => Code::Unknown,
    };
    Told { status, code, message, json: Value::Null }
}
