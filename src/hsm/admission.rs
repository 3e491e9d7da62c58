//! What the token says to the PIN, which one process tries at a time.

use std::{fs, os::unix::fs::MetadataExt as _, time::SystemTime};

use super::Settings;

/// What the token says to the PIN.
#[derive(Default)]
pub(super) struct Admission {
    /// It refused it.
    pub(super) refused: bool,
    /// It took the one that was in this file.
    pub(super) accepted: Option<PinFile>,
}

/// The PIN's file, as far as those may see it who must not read it: another PIN is another one.
#[derive(PartialEq, Eq)]
pub(super) struct PinFile {
    inode: u64,
    changed: SystemTime,
}

impl PinFile {
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let about = fs::metadata(&settings.pin_file).ok()?;
        Some(Self { inode: about.ino(), changed: about.modified().ok()? })
    }
}
