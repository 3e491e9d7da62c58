//! The keys of an issuer: at hand, or fetched from where it publishes them.
//!
//! Fetched keys are kept and used while the issuer is away. They are fetched anew
//! when they are old, beside the requests that use them, and when a token names a
//! key that is not among them, which strangers can do: hence the pause between two
//! attempts. Each issuer has a turn of its own, so that a slow one holds up nobody else.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::Algorithm;
use tokio::task::JoinHandle;

use super::{IssuerError, jwks};

/// The most bytes of a key set.
const MAX_LEN: usize = 64 * 1024;

/// How long an issuer may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// When keys are fetched anew.
#[derive(Debug, Clone, Copy)]
pub struct KeyRhythm {
    /// Keys that are older are fetched anew.
    pub fresh: Duration,
    /// The pause between two attempts.
    pub pause: Duration,
}

/// Verification keys; clones share them.
#[derive(Clone)]
pub(super) enum Keys {
    /// From a file, read at the start.
    Fixed(Arc<[jwks::Key]>),
    /// From an address.
    Published(Arc<Published>),
}

/// A key set that its issuer publishes (RFC 7517 §5).
pub(super) struct Published {
    url: reqwest::Url,
    client: reqwest::Client,
    algorithms: Vec<Algorithm>,
    rhythm: KeyRhythm,
    held: RwLock<Held>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Held {
    keys: Arc<[jwks::Key]>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

impl Keys {
    /// Keys that `url` publishes, for these algorithms. Nothing is fetched yet.
    pub(super) fn published(
        url: &str,
        algorithms: Vec<Algorithm>,
        rhythm: KeyRhythm,
    ) -> Result<Self, IssuerError> {
        let rule =
            || IssuerError("jwks_url: must be https, or http on a loopback address".to_owned());
        let url = reqwest::Url::parse(url).map_err(|_| rule())?;
        let on_loopback = match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            _ => false,
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && on_loopback) {
            return Err(rule());
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| IssuerError(format!("jwks_url: {error}")))?;
        let held = Held { keys: Arc::new([]), fetched: None, tried: None };
        Ok(Self::Published(Arc::new(Published {
            url,
            client,
            algorithms,
            rhythm,
            held: RwLock::new(held),
            turn: tokio::sync::Mutex::default(),
        })))
    }

    /// The keys among which that called `kid` is, if the issuer has it; any keys when none is named.
    pub(super) async fn with(&self, kid: Option<&str>) -> Arc<[jwks::Key]> {
        let published = match self {
            Self::Fixed(keys) => return Arc::clone(keys),
            Self::Published(published) => published,
        };
        let held = published.held();
        if held.answers(kid) {
            let old = held.fetched.is_none_or(|at| at.elapsed() >= published.rhythm.fresh);
            if old && published.may_try(&held) && published.turn.try_lock().is_ok() {
                published.refresh(None);
            }
            return held.keys;
        }
        // On a task of its own: who hangs up must not undo the pause, nor what was fetched.
        let _ = published.refresh(Some(kid.map(str::to_owned))).await;
        published.held().keys
    }
}

impl Held {
    fn answers(&self, kid: Option<&str>) -> bool {
        match kid {
            Some(kid) => self.keys.iter().any(|key| key.kid.as_deref() == Some(kid)),
            None => !self.keys.is_empty(),
        }
    }
}

impl Published {
    fn held(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn may_try(&self, held: &Held) -> bool {
        held.tried.is_none_or(|at| at.elapsed() >= self.rhythm.pause)
    }

    /// Fetches the keys, unless somebody has just done so or found what is `wanted`.
    fn refresh(self: &Arc<Self>, wanted: Option<Option<String>>) -> JoinHandle<()> {
        let this = Arc::clone(self);
        tokio::spawn(async move { this.refresh_now(wanted).await })
    }

    async fn refresh_now(&self, wanted: Option<Option<String>>) {
        let _turn = self.turn.lock().await;
        let held = self.held();
        if wanted.is_some_and(|kid| held.answers(kid.as_deref())) || !self.may_try(&held) {
            return;
        }
        let fetched = self.fetch().await;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.tried = Some(Instant::now());
        match fetched {
            Ok(keys) => {
                held.keys = keys;
                held.fetched = held.tried;
            }
            Err(reason) => {
                tracing::warn!(url = %self.url, reason, "an issuer's keys cannot be fetched");
            }
        }
    }

    async fn fetch(&self) -> Result<Arc<[jwks::Key]>, String> {
        let plain = |error: reqwest::Error| error.without_url().to_string();
        let mut answer = self.client.get(self.url.clone()).send().await.map_err(plain)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("status {}", answer.status().as_u16()));
        }
        let mut text = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(plain)? {
            if text.len().saturating_add(part.len()) > MAX_LEN {
                return Err(format!("more than {MAX_LEN} bytes"));
            }
            text.extend_from_slice(&part);
        }
        let text = String::from_utf8(text).map_err(|_| "no UTF-8".to_owned())?;
        jwks::parse(&text, &self.algorithms).map(Into::into).map_err(|IssuerError(reason)| reason)
    }
}
