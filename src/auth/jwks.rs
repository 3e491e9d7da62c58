//! The public keys of an issuer (RFC 7517), each pinned to one algorithm.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A verification key. Its algorithm comes from the key or the configuration, never from a token.
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Map<String, Value>>,
}

/// Reads the signature keys of a JWK set that fit one of `algorithms`.
///
/// Keys for other uses, symmetric keys and unknown kinds are passed over, as
/// RFC 7517 §5 asks. A key that fits two algorithms must name its own. The error is
/// the rule that the set breaks.
pub(super) fn parse(text: &str, algorithms: &[Algorithm]) -> Result<Vec<Key>, String> {
    let set: KeySet =
        serde_json::from_str(text).map_err(|_| "must be a JSON Web Key Set".to_owned())?;
    let mut keys = Vec::new();
    for jwk in set.keys {
        keys.extend(key(jwk, algorithms)?);
    }
    Ok(keys)
}

/// Whether a key of the set is more than public (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
pub(super) fn holds_secrets(set: &Value) -> bool {
    let keys = set.get("keys").and_then(Value::as_array);
    keys.into_iter()
        .flatten()
        .any(|key| ["d", "k", "p", "q"].iter().any(|name| key.get(name).is_some()))
}

fn key(mut jwk: Map<String, Value>, algorithms: &[Algorithm]) -> Result<Option<Key>, String> {
    let for_signatures = jwk.get("use").is_none_or(|purpose| purpose == "sig");
    // Taken out before the rest is parsed: one unknown name must not cost the whole key.
    let named = jwk.remove("alg");
    let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
    let Ok(jwk) = serde_json::from_value::<Jwk>(Value::Object(jwk)) else { return Ok(None) };
    let candidates: Vec<Algorithm> = fitting(&jwk.algorithm)
        .iter()
        .copied()
        .filter(|candidate| algorithms.contains(candidate))
        .filter(|candidate| named.as_ref().is_none_or(|named| is_called(*candidate, named)))
        .collect();
    match candidates[..] {
        _ if !for_signatures => Ok(None),
        [] => Ok(None),
        [algorithm] => {
            Ok(DecodingKey::from_jwk(&jwk).ok().map(|decoding| Key { kid, algorithm, decoding }))
        }
        _ => Err("a key that fits several of the algorithms must name its own".to_owned()),
    }
}

/// The algorithms that a key of this type and curve can verify (RFC 7518 §3, RFC 8037 §3.1).
fn fitting(parameters: &AlgorithmParameters) -> &'static [Algorithm] {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match parameters {
        // 2048 bits take 342 digits of base64url.
        AlgorithmParameters::RSA(rsa) if rsa.n.len() >= 342 => {
            &[RS256, RS384, RS512, PS256, PS384, PS512]
        }
        AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
            EllipticCurve::P256 => &[ES256],
            EllipticCurve::P384 => &[ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => &[EdDSA],
        _ => &[],
    }
}

fn is_called(algorithm: Algorithm, name: &Value) -> bool {
    match name.as_str() {
        Some("Ed25519") => algorithm == Algorithm::EdDSA, // RFC 9864's name for it
        Some(name) => name.parse() == Ok(algorithm),
        None => false,
    }
}
