//! Whether a token keeps the promises of the design.

use super::{
    super::{HsmError, SealedBlock},
    Worker,
};

impl Worker {
    /// Proves that this token keeps the promises of the design, the refusals included.
    pub(in crate::hsm) fn self_test(&mut self) -> Result<(), HsmError> {
        let root = self.generation.newest_root().version;
        let kek = self.generate_kek(root, b"self-test".to_vec())?;
        let other = self.generate_kek(root, b"another".to_vec())?;
        let (dek, wrapped) = self.wrap_dek(&kek, b"aad")?;
        if self.unwrap_dek(&kek, b"aad", &wrapped)?.expose() != dek.expose() {
            return Err(HsmError::misbehaved("a DEK changed when it was wrapped"));
        }
        let mut flipped = *wrapped.as_bytes();
        flipped[20] ^= 1;
        let refusals = [
            (self.unwrap_dek(&kek, b"AAD", &wrapped), "a wrong AAD"),
            (self.unwrap_dek(&kek, b"aad", &SealedBlock::from(flipped)), "a flipped bit"),
            (self.unwrap_dek(&other, b"aad", &wrapped), "another key"),
        ];
        for (opened, what) in refusals {
            match opened {
                Err(HsmError::Tampered(_)) => {}
                Err(error) => return Err(error),
                Ok(_) => return Err(HsmError::misbehaved(what)),
            }
        }
        self.generation.evict(&kek);
        self.generation.evict(&other);
        self.generation.signer().prove(&self.session)
    }
}
