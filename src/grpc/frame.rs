//! One message in a body: a flag, the length, the bytes (gRPC over HTTP/2, "Length-Prefixed-Message").

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use http_body_util::{BodyExt as _, Full};
use prost::{Message, Name};

use crate::{
    api::Incoming,
    error::{Error, Result},
};

/// The bytes of a message.
pub(super) struct Encoded(Bytes);

/// The only message in `body`.
pub(super) fn open(body: Bytes) -> Result<Encoded> {
    let unreadable = || Error::malformed("The call must carry one message, not compressed.");
    let (&[flag, length @ ..], message) = body.split_first_chunk::<5>().ok_or_else(unreadable)?;
    // So the compression specification of gRPC wants it: an encoding that was named has been refused before.
    if flag == 1 {
        return Err(Error::internal("a message is compressed, and no encoding was named"));
    }
    let whole = usize::try_from(u32::from_be_bytes(length)).is_ok_and(|n| n == message.len());
    if flag == 0 && whole { Ok(Encoded(body.slice(5..))) } else { Err(unreadable()) }
}

impl Incoming for Encoded {
    fn read<M: Message + Name + Default>(self) -> Result<M> {
        let rule = || format!("The message must be a {}.", M::NAME);
        M::decode(self.0).map_err(|_| Error::malformed(rule()))
    }
}

/// The response that carries `message`.
pub(super) fn framed(message: &[u8]) -> Response {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let body = Full::new(Bytes::from([&[0], &length[..], message].concat()));
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = body.with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
