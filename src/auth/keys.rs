//! The keys of an issuer: at hand, or fetched from where it publishes them.
//!
//! Fetched keys are kept and used while the issuer is away. They are fetched anew
//! when they are old, beside the requests that use them, and when a token names a
//! key that is not among them, which strangers can do: hence the pause between two
//! attempts. Each issuer has a turn of its own, so that a slow one holds up nobody else.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use jsonwebtoken::Algorithm;
use tokio::task::JoinHandle;

use super::{fetch::KeyFetcher, jwks};

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
    fetcher: KeyFetcher,
    algorithms: Vec<Algorithm>,
    held: RwLock<Held>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Held {
    keys: Arc<[jwks::Key]>,
    /// What the keys were read from.
    text: Arc<str>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

impl Keys {
    /// Keys that `url` publishes, for these algorithms. Nothing is fetched yet.
    ///
    /// The error is the rule that the address breaks.
    pub(super) fn published(
        url: &str,
        algorithms: Vec<Algorithm>,
        fetcher: &KeyFetcher,
    ) -> Result<Self, &'static str> {
        let nothing = Held { keys: Arc::new([]), text: "".into(), fetched: None, tried: None };
        Ok(Self::Published(Arc::new(Published {
            url: fetcher.address(url)?,
            fetcher: fetcher.clone(),
            algorithms,
            held: RwLock::new(nothing),
            turn: tokio::sync::Mutex::default(),
        })))
    }

    /// Whether these are the keys still.
    pub(super) fn are(&self, keys: &Arc<[jwks::Key]>) -> bool {
        match self {
            Self::Fixed(fixed) => Arc::ptr_eq(fixed, keys),
            Self::Published(published) => Arc::ptr_eq(&published.held().keys, keys),
        }
    }

    /// The keys among which that called `kid` is, if the issuer has it; any keys when none is named.
    pub(super) async fn with(&self, kid: Option<&str>) -> Arc<[jwks::Key]> {
        let published = match self {
            Self::Fixed(keys) => return Arc::clone(keys),
            Self::Published(published) => published,
        };
        let held = published.held();
        if held.answers(kid) {
            let old = held.fetched.is_none_or(|at| at.elapsed() >= published.fetcher.rhythm.fresh);
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
        held.tried.is_none_or(|at| at.elapsed() >= self.fetcher.rhythm.pause)
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
        let fetched = self.fetch(&held).await;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.tried = Some(Instant::now());
        match fetched {
            Ok((keys, text)) => {
                (held.keys, held.text, held.fetched) = (keys, text, held.tried);
            }
            Err(reason) => {
                tracing::warn!(
                    host = self.url.host_str(),
                    reason,
                    "an issuer's keys cannot be fetched"
                );
            }
        }
    }

    /// The keys as they are published now; the same ones where nothing has changed.
    async fn fetch(&self, held: &Held) -> Result<(Arc<[jwks::Key]>, Arc<str>), String> {
        let text = self.fetcher.fetch(&self.url).await?;
        if *held.text == *text {
            return Ok((Arc::clone(&held.keys), Arc::clone(&held.text)));
        }
        // An issuer that publishes no key of ours has withdrawn those that it had.
        let keys = jwks::parse(&text, &self.algorithms)?;
        Ok((keys.into(), text.into()))
    }
}
