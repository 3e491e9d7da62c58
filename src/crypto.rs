//! Documents are sealed here, and nowhere else.
//!
//! Everything goes through the [`Keyring`], and everything it seals is bound to
//! an [`Aad`], which only a scope can make.

mod aad;
mod document;
mod envelope;
mod keyring;
mod plaintext;

pub use aad::Aad;
pub use document::SealedDocument;
pub use envelope::Envelope;
pub use keyring::{Kek, Keyring, WrappedDek, missing_root};
pub use plaintext::Plaintext;

pub use crate::hsm::SealedBlock;
