//! The file in which SoftHSM keeps a token's label and PINs, and a copy of it.
//!
//! SoftHSM 2.6 writes it anew at every login, in place: it cuts it to nothing under its lock, and writes it behind the lock, when it
//! closes it. Who is killed between leaves a token that nobody finds any more, whatever keys it holds. So a copy is kept
//! beside it, made before a login, and put back before the module is initialized.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::fs::{FlockOperation, fcntl_lock};

const FILE: &str = "token.object";
/// SoftHSM takes what ends in `.object` for a key.
const COPY: &str = "token.object.copy";

/// Bytes at its beginning that count how often it was written.
const COUNT: usize = 8;

/// How long a writer may take between lock and write.
const MOMENT: Duration = Duration::from_millis(50);

/// Puts back what a login that was cut short has left empty.
pub(super) fn mend() {
    for folder in folders() {
        match put_back(&folder) {
            Ok(false) => {}
            Ok(true) => tracing::warn!(
                folder = %folder.display(),
                "a login was cut short and left token.object empty: it is what it was before"
            ),
            Err(error) => tracing::warn!(
                folder = %folder.display(), %error,
                "token.object is empty, and its copy cannot be put back"
            ),
        }
    }
}

/// Keeps what the token with this serial number is now.
pub(super) fn keep(serial: &str) {
    // A folder is called by a UUID, of which the serial number is the end.
    let is_its = |folder: &PathBuf| {
        let name = folder.file_name().map(|name| name.to_string_lossy().replace('-', ""));
        name.is_some_and(|name| name.ends_with(serial))
    };
    for folder in folders().into_iter().filter(is_its) {
        if let Err(error) = copy(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "token.object cannot be copied");
        }
    }
}

/// A token whose file is empty.
pub(super) enum Emptied {
    /// While another process logs in, or until it is put back.
    ForNow,
    /// There is no copy of this one.
    Lost(PathBuf),
}

/// One of those, if there is one.
pub(super) fn emptied() -> Option<Emptied> {
    let empty = |folder: &PathBuf| is_empty(&folder.join(FILE));
    let folder = folders().into_iter().find(empty)?;
    thread::sleep(MOMENT);
    let is_lost = empty(&folder) && !folder.join(COPY).exists();
    Some(if is_lost { Emptied::Lost(folder.join(FILE)) } else { Emptied::ForNow })
}

fn is_empty(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.len() == 0)
}

/// Whether it was put back.
fn put_back(folder: &Path) -> io::Result<bool> {
    let (path, copy) = (folder.join(FILE), folder.join(COPY));
    if !is_empty(&path) || !copy.exists() {
        return Ok(false);
    }
    let bytes = fs::read(copy)?;
    let mut file = OpenOptions::new().write(true).open(&path)?;
    if fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        // Whoever holds it is about to write.
        return Ok(false);
    }
    // No other begins now, and one that has let go of the lock writes within a moment.
    thread::sleep(MOMENT);
    if !is_empty(&path) {
        return Ok(false);
    }
    file.write_all(&bytes)?;
    file.sync_all()?;
    Ok(true)
}

/// Copies it, unless the copy is the same but for the count.
fn copy(folder: &Path) -> io::Result<()> {
    let now = fs::read(folder.join(FILE))?;
    let kept = fs::read(folder.join(COPY)).unwrap_or_default();
    if now.is_empty() || now.get(COUNT..) == kept.get(COUNT..) {
        return Ok(());
    }
    // Several may do this at the same time, each with a file of its own.
    let new = folder.join(format!("{COPY}.{}", std::process::id()));
    let written = write(&new, &now).and_then(|()| fs::rename(&new, folder.join(COPY)));
    written.inspect_err(|_| drop(fs::remove_file(&new)))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The folders of all tokens, of which there are none where SoftHSM keeps them in SQLite.
fn folders() -> Vec<PathBuf> {
    let Some(conf) = configuration() else { return Vec::new() };
    let value = |key| {
        let of_line = |line: &str| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        };
        conf.lines().find_map(of_line)
    };
    if value("objectstore.backend").is_some_and(|backend| backend != "file") {
        return Vec::new();
    }
    let tokens = value("directories.tokendir").and_then(|tokens| fs::read_dir(tokens).ok());
    tokens.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// What SoftHSM is configured by: by the file that the environment names, the user's, or the system's.
fn configuration() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "reads what the module reads")]
    let named = std::env::var_os("SOFTHSM2_CONF").map(PathBuf::from);
    let of_user = || {
        let file = std::env::home_dir()?.join(".config/softhsm2/softhsm2.conf");
        file.exists().then_some(file)
    };
    let file = named.or_else(of_user).unwrap_or_else(|| "/etc/softhsm/softhsm2.conf".into());
    fs::read_to_string(file).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(file: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), file).unwrap();
        folder
    }

    fn read(folder: &tempfile::TempDir, name: &str) -> Option<Vec<u8>> {
        fs::read(folder.path().join(name)).ok()
    }

    #[test]
    fn what_is_empty_is_put_back_and_nothing_else() {
        let folder = folder(b"00000001 label, PINs");
        copy(folder.path()).unwrap();
        assert!(!put_back(folder.path()).unwrap());
        fs::write(folder.path().join(FILE), b"").unwrap();
        // An empty one is no news.
        copy(folder.path()).unwrap();
        assert!(put_back(folder.path()).unwrap());
        assert_eq!(read(&folder, FILE).unwrap(), b"00000001 label, PINs");
        let alone = self::folder(b"");
        assert!(!put_back(alone.path()).unwrap());
    }

    #[test]
    fn a_copy_is_made_when_more_than_the_count_has_changed() {
        let folder = folder(b"00000001 label, PINs");
        copy(folder.path()).unwrap();
        fs::write(folder.path().join(FILE), b"00000002 label, PINs").unwrap();
        copy(folder.path()).unwrap();
        assert_eq!(read(&folder, COPY).unwrap(), b"00000001 label, PINs");
        fs::write(folder.path().join(FILE), b"00000003 label, another PIN").unwrap();
        copy(folder.path()).unwrap();
        assert_eq!(read(&folder, COPY).unwrap(), b"00000003 label, another PIN");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
