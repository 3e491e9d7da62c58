//! Tokens in numbers, and tokens that nobody should believe.

use std::{fs, path::Path};

use jsonwebtoken::{Algorithm, EncodingKey, Header, get_current_timestamp};
use serde_json::{Value, json};

use crate::Failure;

/// The key of the development issuer, which signs whatever it is given.
pub(crate) struct Minter {
    header: Header,
    key: EncodingKey,
    iss: Value,
    aud: Value,
}

impl Minter {
    /// Takes the issuer that `dev` made in `dir`.
    pub(crate) fn read(dir: &Path) -> Result<Self, Failure> {
        let about: Value = serde_json::from_slice(&fs::read(dir.join("issuer.json"))?)?;
        let of = |name: &str| about.get(name).cloned().ok_or(format!("issuer.json has no {name}"));
        let mut header = Header::new(Algorithm::ES256);
        header.kid = of("kid")?.as_str().map(str::to_owned);
        let key = EncodingKey::from_ec_pem(&fs::read(dir.join("private.pem"))?)?;
        Ok(Self { header, key, iss: of("iss")?, aud: of("aud")? })
    }

    /// A token of `user` in `domain`, or of a system; `other` claims take the place of the usual ones.
    pub(crate) fn mint(
        &self,
        domain: &str,
        user: Option<&str>,
        other: &Value,
    ) -> Result<String, Failure> {
        let (now, week) = (get_current_timestamp(), 7 * 24 * 3600);
        let mut claims = json!({
            "iss": self.iss, "aud": self.aud, "iat": now, "exp": now.saturating_add(week),
            "jti": format!("{:032x}", fastrand::u128(..)), "domain_id": domain, "role": "SYSTEM",
        });
        if let Some(claims) = claims.as_object_mut() {
            if let Some(user) = user {
                claims.insert("user_id".to_owned(), user.into());
                claims.insert("role".to_owned(), "USER".into());
            }
            claims.extend(other.as_object().cloned().unwrap_or_default());
        }
        Ok(jsonwebtoken::encode(&self.header, &claims, &self.key)?)
    }
}

/// `token` with the signature of nobody.
pub(crate) fn forged(token: &str) -> String {
    let (said, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let turned = |c: char| match c {
        'A'..='Y' | 'a'..='y' => char::from_u32(u32::from(c).saturating_add(1)).unwrap_or(c),
        other => other,
    };
    // The last character holds bits that must be zero.
    let last = signature.len().saturating_sub(1);
    let signature = signature.char_indices().map(|(at, c)| if at < last { turned(c) } else { c });
    format!("{said}.{}", signature.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_token_says_the_same_and_is_as_long() {
        assert_eq!(forged("head.claims.AbZ0-A"), "head.claims.BcZ0-A");
    }
}
