//! The file of counts.

use std::{
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::{files, forward::ALL};

/// Replaces the file by what the counts are now.
pub fn write(path: &Path) -> io::Result<()> {
    /// Two threads would write to one file beside it.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = ALL.iter().filter(|function| function.calls() > 0);
    let text: String =
        lines.map(|function| format!("{} {}\n", function.name, function.calls())).collect();
    files::replace(path, &text)
}
