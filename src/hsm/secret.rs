//! Secrets that pass through this process: they do not print, clone or serialize, and are wiped.

use cryptoki::types::AuthPin;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A data-encryption key, AES-256, for one version of one secret.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Dek([u8; Self::LEN]);

impl Dek {
    /// Bytes of an AES-256 key.
    pub const LEN: usize = 32;

    pub(super) const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The key itself.
    pub const fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// The user PIN of a token.
pub struct Pin(AuthPin);

impl Pin {
    /// Takes `pin`, without the line end that a file adds.
    pub fn new(mut pin: String) -> Self {
        let trimmed = pin.trim_end().to_owned();
        pin.zeroize();
        Self(AuthPin::new(trimmed.into()))
    }

    pub(super) const fn expose(&self) -> &AuthPin {
        &self.0
    }
}
