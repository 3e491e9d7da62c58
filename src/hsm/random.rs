//! Random bytes of the HSM, fetched in blocks: one call serves many keys and IVs.

use zeroize::Zeroizing;

use super::{HsmError, module::Session};

const BLOCK: usize = 4096;

/// A block of random bytes; each is handed out once, then wiped.
pub(super) struct Random {
    block: Zeroizing<[u8; BLOCK]>,
    used: usize,
}

impl Random {
    pub(super) fn new() -> Self {
        Self { block: Zeroizing::new([0; BLOCK]), used: BLOCK }
    }

    /// `N` fresh bytes, with a call to the HSM when the block is used up.
    pub(super) fn take<const N: usize>(&mut self, session: &Session) -> Result<[u8; N], HsmError> {
        if BLOCK - self.used < N {
            session.generate_random_slice(&mut *self.block)?;
            self.used = 0;
        }
        let mut bytes = [0; N];
        if let Some(fresh) = self.block.get_mut(self.used..self.used + N) {
            bytes.copy_from_slice(fresh);
            fresh.fill(0);
        }
        self.used += N;
        // A stuck generator, or one that wrote nothing, must not key anything.
        if bytes.iter().all(|byte| *byte == 0) {
            self.used = BLOCK;
            return Err(HsmError::misbehaved("C_GenerateRandom gave zeros"));
        }
        Ok(bytes)
    }
}
