//! For tests: where the library is, what it is told, and what it counted.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Error, ErrorKind},
    path::{Path, PathBuf},
    thread,
};

use crate::{control::BELIEVED, files};

/// The variable that names the real module.
pub const MODULE: &str = "FAULTY_HSM_MODULE";

/// The variable that names the control file.
pub const CONTROL: &str = "FAULTY_HSM_CONTROL";

/// The variable that names the file of counts.
pub const COUNTS: &str = "FAULTY_HSM_COUNTS";

/// The library, built together with the program that asks.
///
/// Cargo puts it beside the tests, and below the programs in `deps`.
pub fn library() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.parent().unwrap_or(Path::new("."));
    [folder.to_owned(), folder.join("deps")]
        .map(|folder| folder.join("libfaulty_hsm.so"))
        .into_iter()
        .find(|library| library.exists())
        .ok_or_else(|| {
            let message = format!("no libfaulty_hsm.so in or below {}", folder.display());
            Error::new(ErrorKind::NotFound, message)
        })
}

/// NSS softokn, where distributions put it.
pub fn softokn() -> io::Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib")?.map(|entry| entry.map(|entry| entry.path()));
    let mut folders = folders.collect::<io::Result<Vec<_>>>()?;
    folders.extend(["/usr/lib64", "/usr/lib"].map(PathBuf::from));
    folders
        .iter()
        .flat_map(|folder| ["libsoftokn3.so", "nss/libsoftokn3.so"].map(|file| folder.join(file)))
        .find(|file| file.exists())
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "no libsoftokn3.so: libnss3 has it"))
}

/// What processes that work through the library are told, and what they tell.
pub struct Faults {
    control: PathBuf,
    counts: PathBuf,
}

impl Faults {
    /// Keeps its files in `folder`. Nothing goes wrong yet.
    pub fn new(folder: &Path) -> Self {
        Self { control: folder.join("faults"), counts: folder.join("calls") }
    }

    /// The environment of such a process, whose calls go on to the module `real`.
    pub fn environment(&self, real: &Path) -> [(&'static str, PathBuf); 3] {
        [(MODULE, real.to_owned()), (CONTROL, self.control.clone()), (COUNTS, self.counts.clone())]
    }

    /// Has go wrong what `lines` say, from the next call on; nothing, when there are none.
    pub fn set(&self, lines: &str) -> io::Result<()> {
        files::replace(&self.control, lines)?;
        thread::sleep(BELIEVED);
        Ok(())
    }

    /// The number of calls of each function that was called, as it was written last.
    pub fn calls(&self) -> io::Result<BTreeMap<String, u64>> {
        let read = |line: &str| {
            let (name, calls) = line.split_once(' ')?;
            Some((name.to_owned(), calls.parse().ok()?))
        };
        let text = fs::read_to_string(&self.counts)?;
        text.lines().map(read).collect::<Option<_>>().ok_or_else(|| {
            Error::new(ErrorKind::InvalidData, format!("{}: no counts", self.counts.display()))
        })
    }
}
