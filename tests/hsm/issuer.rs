//! Who vouches for callers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::json;

use crate::support::{ISS, new_key};

pub struct Issuer {
    key: EncodingKey,
    jwks: PathBuf,
}

impl Issuer {
    /// Makes one, whose public key lies in `dir`.
    pub fn make(dir: &Path) -> Self {
        let (key, jwks) = (new_key(), dir.join("jwks.json"));
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("k1".to_owned());
        fs::write(&jwks, json!({ "keys": [jwk] }).to_string()).unwrap();
        Self { key, jwks }
    }

    /// What the configuration says of it.
    pub fn toml(&self) -> String {
        format!(
            "[[auth.issuers]]\niss = \"{ISS}\"\njwks_file = {:?}\nalgorithms = [\"ES256\"]\n\
             audiences = [\"usersecret\"]\ndomains = [\"*\"]\nroles = [\"USER\", \"SYSTEM\"]\n",
            self.jwks
        )
    }

    /// A token of a user of `domain`, or of its system.
    pub fn token(&self, domain: &str, user: Option<&str>) -> String {
        let exp = jsonwebtoken::get_current_timestamp() + 600;
        let role = if user.is_some() { "USER" } else { "SYSTEM" };
        let claims = json!({ "iss": ISS, "aud": "usersecret", "exp": exp, "domain_id": domain, "sub": user, "role": role });
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("k1".to_owned());
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}
