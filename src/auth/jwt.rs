//! A bearer token: what must hold before and while its signature is checked.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{TokenData, Validation};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use super::{
    Issuer,
    claims::{Claims, LEEWAY},
    jwks::Key,
};

/// The most bytes that a token may have.
const MAX_LEN: usize = 8 * 1024;

/// The most keys that are tried, when a token names none or when several have the name that it names.
const MAX_TRIED: usize = 4;

/// A claim that may be absent, but is text when it is there: `null` is refused.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// The header parameters that matter (RFC 7515 §4.1). `alg` is not among them:
/// a token has no say in how it is verified.
#[derive(Deserialize)]
struct Header {
    #[serde(default, deserialize_with = "text")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "refused")]
    jku: (),
    #[serde(default, deserialize_with = "refused")]
    jwk: (),
    #[serde(default, deserialize_with = "refused")]
    x5u: (),
    #[serde(default, deserialize_with = "refused")]
    crit: (),
    #[serde(default, deserialize_with = "refused")]
    b64: (),
}

/// Parameters that bring keys along, or ask for extensions that nobody here understands.
fn refused<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(serde::de::Error::custom("the header has a parameter that is refused"))
}

/// A token that has been read and not yet believed.
pub(super) struct Token<'a> {
    text: &'a str,
    kid: Option<String>,
    /// For the choice of the issuer's entry, and for nothing else.
    pub(super) unverified: Claims,
}

impl<'a> Token<'a> {
    /// Reads the compact serialization (RFC 7515 §7.1); the error is a reason for the log.
    pub(super) fn read(text: &'a str) -> Result<Self, &'static str> {
        if text.len() > MAX_LEN {
            return Err("the token is too long");
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("the token has not three parts");
        };
        let Header { kid, jku: (), jwk: (), x5u: (), crit: (), b64: () } =
            decode(header).ok_or("the token's header is not acceptable")?;
        let unverified = decode(claims).ok_or("the token's claims are not acceptable")?;
        Ok(Self { text, kid, unverified })
    }

    /// Verifies the token as one of `issuer`: signature, `exp`, `nbf`, `iss` and `aud`.
    ///
    /// Returns what it claims, and the issuer's keys among which its own was.
    pub(super) async fn verify(&self, issuer: &Issuer) -> Result<(Claims, Arc<[Key]>), String> {
        let keys = issuer.keys.with(self.kid.as_deref()).await;
        let check =
            |key: &Key| jsonwebtoken::decode(self.text, &key.decoding, &self.rules(issuer, key));
        let mut reason = None;
        for key in self.candidates(&keys) {
            match check(key) {
                Ok(token) => return Ok((token.claims, Arc::clone(&keys))),
                Err(error) => reason = Some(error.to_string()),
            }
        }
        if let (None, Some(other)) = (&reason, keys.first()) {
            // For nothing: the time must not tell whose issuer has the key that is named.
            let _: Result<TokenData<Claims>, _> = check(other);
        }
        Err(reason.unwrap_or_else(|| "no key of the issuer has the token's kid".to_owned()))
    }

    fn candidates<'k>(&self, keys: &'k [Key]) -> impl Iterator<Item = &'k Key> {
        let kid = self.kid.clone();
        keys.iter().filter(move |key| kid.is_none() || key.kid == kid).take(MAX_TRIED)
    }

    fn rules(&self, issuer: &Issuer, key: &Key) -> Validation {
        let mut rules = Validation::new(key.algorithm);
        rules.leeway = LEEWAY.into();
        rules.validate_nbf = true;
        rules.set_issuer(&[&issuer.iss]);
        // Without the list of required claims a token that has none of them would pass.
        let mut required = vec!["iss"];
        if !issuer.claims.may_never_end(&self.unverified) {
            required.push("exp");
        }
        if issuer.claims.is_cloudforet() {
            rules.validate_aud = false;
        } else {
            rules.set_audience(&issuer.audiences);
            required.push("aud");
        }
        rules.set_required_spec_claims(&required);
        rules
    }
}

fn decode<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
