//! Fetching key sets, from issuers of the configuration and from those that tenants name.
//!
//! A tenant's address must not lead into the installation's own network: it is
//! https, and whatever its name resolves to is looked at right before the
//! connection. Nobody is redirected, and no proxy stands between.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use reqwest::{
    Certificate, Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use tokio::sync::Semaphore;
use url::Host;

use super::public_address::is_permitted;

/// The most bytes of a key set.
pub(super) const MAX_LEN: usize = 64 * 1024;

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

/// Fetches key sets; clones share connections.
#[derive(Clone)]
pub struct KeyFetcher {
    /// None where nothing is trusted: neither the system nor the operator has certificates.
    client: Option<Client>,
    fence: Option<Fence>,
    pub(super) rhythm: KeyRhythm,
}

/// What keeps tenants out of the installation's network.
#[derive(Clone)]
struct Fence {
    /// The networks that are open to them though they are not public.
    allowed: Arc<[IpNet]>,
    /// A name server that says nothing holds a thread for long, whoever still waits for it.
    look_ups: Arc<Semaphore>,
}

/// The most names of tenants that are looked up at a time.
const LOOK_UPS: usize = 16;

impl KeyFetcher {
    /// For the issuers of the configuration, which may be anywhere.
    ///
    /// `roots` is PEM: certificates to trust beside the system's.
    pub fn trusted(rhythm: KeyRhythm, roots: Option<&[u8]>) -> Result<Self, reqwest::Error> {
        Self::new(rhythm, roots, None)
    }

    /// For issuers that tenants name: on the public internet, or in one of the `allowed` networks.
    pub fn fenced(
        rhythm: KeyRhythm,
        roots: Option<&[u8]>,
        allowed: &[IpNet],
    ) -> Result<Self, reqwest::Error> {
        let look_ups = Arc::new(Semaphore::new(LOOK_UPS));
        Self::new(rhythm, roots, Some(Fence { allowed: allowed.into(), look_ups }))
    }

    fn new(
        rhythm: KeyRhythm,
        roots: Option<&[u8]>,
        fence: Option<Fence>,
    ) -> Result<Self, reqwest::Error> {
        let roots = roots.map(Certificate::from_pem_bundle).transpose()?.unwrap_or_default();
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .tls_certs_merge(roots);
        if let Some(fence) = &fence {
            builder = builder.dns_resolver(Arc::new(fence.clone()));
        }
        Ok(Self { client: builder.build().ok(), fence, rhythm })
    }

    /// The address that `text` writes; the error is the rule that it breaks.
    pub(super) fn address(&self, text: &str) -> Result<Url, &'static str> {
        let url = Url::parse(text).ok();
        match &self.fence {
            None => url.filter(is_trusted).ok_or("must be https, or http on a loopback address"),
            Some(fence) => url
                .filter(|url| fence.lets_through(url))
                .ok_or("must be https, without a user, on the public internet"),
        }
    }

    /// The text of the key set at `url`.
    pub(super) async fn fetch(&self, url: &Url) -> Result<String, String> {
        let plain = |error: reqwest::Error| error.without_url().to_string();
        let client = self.client.as_ref().ok_or("there is no certificate to trust")?;
        let mut answer = client.get(url.clone()).send().await.map_err(plain)?;
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
        String::from_utf8(text).map_err(|_| "no UTF-8".to_owned())
    }
}

fn is_trusted(url: &Url) -> bool {
    let on_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && on_loopback)
}

impl Fence {
    /// Whether `url` may be asked; a name is looked at again when it is resolved.
    fn lets_through(&self, url: &Url) -> bool {
        let address_is_fine = match url.host() {
            Some(Host::Ipv4(address)) => is_permitted(address.into(), &self.allowed),
            Some(Host::Ipv6(address)) => is_permitted(address.into(), &self.allowed),
            Some(Host::Domain(_)) => true,
            None => false,
        };
        let anonymous = url.username().is_empty() && url.password().is_none();
        url.scheme() == "https" && anonymous && address_is_fine
    }
}

impl Resolve for Fence {
    fn resolve(&self, name: Name) -> Resolving {
        let fence = self.clone();
        Box::pin(async move {
            let turn = Arc::clone(&fence.look_ups).acquire_owned().await?;
            // On a task of its own, which keeps its turn for as long as the look-up has its thread.
            let found = tokio::spawn(async move {
                let _turn = turn;
                let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                std::io::Result::Ok(found.collect::<Vec<_>>())
            });
            let found = found.await??.into_iter();
            let permitted: Vec<SocketAddr> =
                found.filter(|address| is_permitted(address.ip(), &fence.allowed)).collect();
            if permitted.is_empty() {
                return Err("the name has no public address".into());
            }
            let addresses: Addrs = Box::new(permitted.into_iter());
            Ok(addresses)
        })
    }
}
