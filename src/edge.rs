//! What every face does around its call: whose request it is, how long it may
//! take, how much of it is read, and its line in the log.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header},
};
use http_body_util::BodyExt as _;

use crate::{
    audit::{Listener, Origin},
    auth::{Authenticator, Caller},
    error::{Code, Error, Result},
    ids::{UserId, hex},
};

/// The limit of [`Edge::body_bytes`], as the configuration calls it.
pub const BODY_LIMIT: &str = "limits.body_bytes";

/// What the faces share.
pub struct Edge {
    /// Who may call.
    pub authenticator: Authenticator,
    /// The most bytes of a body.
    pub body_bytes: usize,
    /// How long a request may take.
    pub timeout: Duration,
}

/// A request from its arrival to its line in the log.
pub struct Visit {
    started: Instant,
    trace_id: String,
    origin: Origin,
    caller: Option<Caller>,
    retry_after: Option<Duration>,
}

impl Edge {
    /// What `work` comes to, unless it takes too long.
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let outcome = tokio::time::timeout(self.timeout, work).await;
        outcome.map_err(|_| Error::unavailable("the request took too long"))
    }

    /// Reads `body`. One that is too long is read on for a while, so that the
    /// client comes to read the answer, and is not kept.
    pub async fn read(&self, mut body: Body) -> Result<Bytes> {
        let most = self.body_bytes;
        let (mut kept, mut length) = (Vec::new(), 0_usize);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Error::malformed("The body ended early."))?;
            let Ok(chunk) = frame.into_data() else { continue };
            length = length.saturating_add(chunk.len());
            if length <= most {
                kept.extend_from_slice(&chunk);
            } else if length > most.saturating_mul(4) {
                break;
            }
        }
        if length > most {
            let rule = format!("a body may have at most {most} bytes");
            return Err(Error::exhausted(BODY_LIMIT, &rule));
        }
        Ok(kept.into())
    }
}

impl Visit {
    /// The visit that begins with `request` on `listener`.
    pub fn begin<B>(request: &Request<B>, listener: Listener) -> Self {
        let trace_id = trace_id(request.headers());
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let origin = Origin {
            address: peer.map(|ConnectInfo(address)| address.ip()),
            trace_id: Some(trace_id.as_str().into()),
            listener,
        };
        Self { started: Instant::now(), trace_id, origin, caller: None, retry_after: None }
    }

    /// The trace that it belongs to.
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// The caller whom `authorization`, the header of that name, vouches for.
    pub async fn admit(
        &mut self,
        edge: &Edge,
        authorization: Option<&HeaderValue>,
    ) -> Result<Caller> {
        let authorization = authorization.and_then(|value| value.to_str().ok());
        let caller = edge.authenticator.authenticate(authorization, self.origin.clone()).await?;
        self.caller = Some(caller.clone());
        Ok(caller)
    }

    /// The answer says when the caller may try again.
    pub const fn retry_after(&mut self, pause: Option<Duration>) {
        self.retry_after = pause;
    }

    /// One line for the request, and one for each cause of a failure.
    pub fn log(&self, operation: &'static str, failures: &[(Code, String)]) {
        let trace_id = self.trace_id.as_str();
        for (code, cause) in failures.iter().filter(|(_, cause)| !cause.is_empty()) {
            if *code == Code::Unauthenticated {
                tracing::info!(trace_id, code = code.as_str(), cause, "refused");
            } else {
                tracing::warn!(trace_id, code = code.as_str(), cause, "failed");
            }
        }
        let caller = self.caller.as_ref();
        tracing::info!(
            trace_id,
            domain = caller.map(|caller| caller.domain().as_str()),
            user = caller.and_then(Caller::user).map(UserId::as_str),
            role = caller.map_or("NONE", |caller| caller.role().as_str()),
            operation,
            outcome = failures.first().map_or("OK", |(code, _)| code.as_str()),
            elapsed_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }

    /// Gives `response` the headers that every answer has.
    pub fn dress<B>(&self, response: &mut Response<B>) {
        let status = response.status();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(value) = HeaderValue::from_str(&self.trace_id) {
            headers.insert("x-trace-id", value);
        }
        if let Some(pause) = self.retry_after {
            // In seconds (RFC 9110 §10.2.3), and never at once.
            let seconds = pause.as_secs().saturating_add(u64::from(pause.subsec_nanos() > 0));
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
}

/// A media type without its parameters.
pub fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// Whether the body is JSON, as far as its headers say.
pub fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    given.is_some_and(|text| essence(text).eq_ignore_ascii_case("application/json"))
}

/// The domain that the header called `name` names.
///
/// What is not text is kept, to be refused as no domain.
pub fn named_domain(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The trace that the client began (W3C Trace Context §3.2), or a new one.
fn trace_id(headers: &HeaderMap) -> String {
    let given = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let begun = given.and_then(|text| text.split('-').nth(1)).filter(|id| {
        id.len() == 32
            && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && id.bytes().any(|b| b != b'0')
    });
    begun.map_or_else(
        || {
            let mut bits = [0; 16];
            // Without randomness the trace is merely anonymous.
            let _ = aws_lc_rs::rand::fill(&mut bits);
            hex(bits)
        },
        str::to_owned,
    )
}
