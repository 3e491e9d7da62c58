//! An issuer of tokens that can lie in every way.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The audience of every token.
pub const AUDIENCE: &str = "usersecret";

/// An issuer with a P-256 key of its own.
pub struct TestIssuer {
    pub iss: &'static str,
    pub kid: &'static str,
    key: EcdsaKeyPair,
}

impl TestIssuer {
    pub fn new(iss: &'static str, kid: &'static str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { iss, kid, key }
    }

    /// The uncompressed point: 4 ‖ x ‖ y.
    pub fn public_key(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    /// The public key as a JWK.
    pub fn jwk(&self) -> Value {
        let (x, y) = self.public_key()[1..].split_at(32);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }

    pub fn jwks(&self) -> String {
        json!({ "keys": [self.jwk()] }).to_string()
    }

    pub fn header(&self) -> Value {
        json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid })
    }

    /// The claims that every good token has.
    pub fn claims(&self, domain: &str, user: Option<&str>, role: &str) -> Value {
        let mut claims = json!({
            "iss": self.iss, "aud": AUDIENCE, "exp": now() + 3600, "domain_id": domain, "role": role,
        });
        if let Some(user) = user {
            claims["user_id"] = user.into();
        }
        claims
    }

    /// A good token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_text(&self.header().to_string(), &claims.to_string())
    }

    /// A token of exactly these texts.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = signing_input(header, claims);
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

/// What a signature is made over (RFC 7515 §5.1).
pub fn signing_input(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

/// Seconds since the epoch.
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(elapsed.as_secs()).unwrap()
}
