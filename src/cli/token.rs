//! `usersecret token`, and the development issuer behind it.

use std::{fs, path::Path};

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::json;

use super::{Failure, RoleName, dev::write_private};
use crate::{
    clock::Clock,
    ids::{DomainId, UserId},
};

pub(super) const ISS: &str = "https://usersecret.dev.localhost";
pub(super) const AUD: &str = "usersecret";
const KID: &str = "dev-1";

/// Makes the issuer's key in `dir`, unless it is there.
pub(super) fn create_issuer(dir: &Path) -> Result<(), Failure> {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    if dir.join("issuer.json").exists() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    let random = aws_lc_rs::rand::SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .map_err(|_| "no key could be made for the issuer")?;
    let pem = pem(pkcs8.as_ref());
    let key = EncodingKey::from_ec_pem(pem.as_bytes())?;
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
    jwk.common.key_id = Some(KID.to_owned());
    write_private(&dir.join("private.pem"), &pem)?;
    fs::write(dir.join("jwks.json"), json!({ "keys": [jwk] }).to_string())?;
    let about = json!({ "iss": ISS, "aud": AUD, "alg": "ES256", "kid": KID });
    fs::write(dir.join("issuer.json"), about.to_string())?;
    Ok(())
}

fn pem(der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

/// A token of the development issuer.
pub(super) fn mint(
    data_dir: &Path,
    domain: &str,
    user: Option<&str>,
    role: RoleName,
    ttl: &str,
) -> Result<String, Failure> {
    let domain = DomainId::parse(domain).ok_or("--domain: must be a domain id")?;
    let role = match (role, user) {
        (RoleName::System, None) => "SYSTEM",
        (RoleName::System, Some(_)) => return Err("--user: a system has no user".into()),
        (_, None) => return Err("--user: is needed for this role".into()),
        (RoleName::User, Some(_)) => "USER",
        (RoleName::DomainAdmin, Some(_)) => "DOMAIN_ADMIN",
    };
    if user.is_some_and(|user| UserId::parse(user).is_none()) {
        return Err("--user: must have 1 to 255 characters, no control characters".into());
    }
    let now = Clock::system().now().as_micros() / 1_000_000;
    let mut jti = [0; 16];
    aws_lc_rs::rand::fill(&mut jti).map_err(|_| "no random bytes for a token id")?;
    let mut claims = json!({
        "iss": ISS, "aud": AUD, "iat": now, "exp": now.saturating_add(seconds(ttl)?),
        "jti": crate::ids::hex(jti), "domain_id": domain.as_str(), "role": role,
    });
    if let (Some(user), Some(claims)) = (user, claims.as_object_mut()) {
        claims.insert("user_id".to_owned(), user.into());
    }
    let pem = fs::read(data_dir.join("issuer/private.pem")).map_err(|error| {
        format!("--data-dir: {} holds no development issuer: {error}", data_dir.display())
    })?;
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(KID.to_owned());
    Ok(jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_pem(&pem)?)?)
}

fn seconds(ttl: &str) -> Result<i64, Failure> {
    let refuse = || "--ttl: must be a number and s, m, h or d";
    let unit = match ttl.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(refuse().into()),
    };
    let count: u32 = ttl.get(..ttl.len() - 1).and_then(|n| n.parse().ok()).ok_or_else(refuse)?;
    Ok(i64::from(count).saturating_mul(unit))
}
