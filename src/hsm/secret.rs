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
    /// What a PIN may be. Anything else is never sent: a token counts what it refuses, and a file is empty for a moment while it
    /// is written.
    pub(super) const RULE: &str = "1 to 255 bytes without control characters";

    /// Takes `pin`, without what is blank at the end of a file; none when it cannot be one.
    pub fn new(mut pin: String) -> Option<Self> {
        let text = pin.trim_end();
        let may_be = (1..=255).contains(&text.len()) && !text.contains(char::is_control);
        let taken = may_be.then(|| Self(AuthPin::new(text.into())));
        pin.zeroize();
        taken
    }

    pub(super) const fn expose(&self) -> &AuthPin {
        &self.0
    }
}
