//! Files that others read while they are replaced, and stderr.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::Path,
};

/// Replaces the file at once: nobody sees half of it.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside: OsString = path.into();
    beside.push(format!(".{}", std::process::id()));
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

/// Tells whoever looks for the reason.
pub fn say(what: &str) {
    // There is nobody to tell that stderr is closed.
    let _ = writeln!(io::stderr(), "faulty-hsm: {what}");
}
