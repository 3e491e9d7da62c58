//! The control file, as it is now.

use std::{
    fs::{self, File, Metadata},
    io::{ErrorKind, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cryptoki_sys::{CK_RV, CKR_GENERAL_ERROR};

use crate::{fault::Plan, files::say, parse};

/// How long what was seen is believed. To look takes longer than all else that is done for a call.
pub const BELIEVED: Duration = Duration::from_millis(1);

/// The file, and what was read when it changed last.
pub struct Control {
    path: PathBuf,
    seen: RwLock<Seen>,
    /// When `seen` was so at last, in nanoseconds after `made`.
    looked: AtomicU64,
    made: Instant,
}

struct Seen {
    /// Kept open: that another took its place shows in its number of names, whatever the clock of the files.
    file: Option<File>,
    stamp: Stamp,
    plan: Result<Option<Arc<Plan>>, CK_RV>,
}

/// What changes when a file does: the number of its names, its size, and its times.
type Stamp = Result<(u64, u64, [i64; 4]), ErrorKind>;

impl Control {
    pub fn new(path: PathBuf) -> Self {
        let made = Instant::now();
        let seen = RwLock::new(Seen::read(&path));
        Self { path, seen, looked: AtomicU64::new(0), made }
    }

    /// What the file says; read and understood only when it has changed. `changed` is done then.
    pub fn look(&self, changed: impl FnOnce()) -> Result<Option<Arc<Plan>>, CK_RV> {
        let now = self.made.elapsed();
        let looked = Duration::from_nanos(self.looked.load(Ordering::Acquire));
        if now.saturating_sub(looked) >= BELIEVED {
            self.refresh(changed);
            // The time before it was looked, so that no change is younger.
            let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
            self.looked.fetch_max(now, Ordering::Release);
        }
        self.seen.read().unwrap_or_else(PoisonError::into_inner).plan.clone()
    }

    fn refresh(&self, changed: impl FnOnce()) {
        if self.seen.read().unwrap_or_else(PoisonError::into_inner).is_current(&self.path) {
            return;
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been faster, and its calls count already.
        if !seen.is_current(&self.path) {
            *seen = Seen::read(&self.path);
            changed();
        }
    }
}

impl Seen {
    fn read(path: &Path) -> Self {
        let (file, stamp, read) =
            match File::open(path).and_then(|file| Ok((file.metadata()?, file))) {
                Ok((metadata, file)) => {
                    let plan = understand(&file, &metadata);
                    (Some(file), Ok(stamp(&metadata)), plan)
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    (None, Err(error.kind()), Ok(None))
                }
                Err(error) => (None, Err(error.kind()), Err(error.to_string())),
            };
        let plan = read.map_err(|why| {
            say(&format!("{}: {why}", path.display()));
            CKR_GENERAL_ERROR
        });
        Self { file, stamp, plan }
    }

    fn is_current(&self, path: &Path) -> bool {
        let now = match &self.file {
            Some(file) => file.metadata(),
            None => fs::metadata(path),
        };
        self.stamp == now.map(|file| stamp(&file)).map_err(|error| error.kind())
    }
}

fn stamp(file: &Metadata) -> (u64, u64, [i64; 4]) {
    let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
    (file.nlink(), file.size(), times)
}

fn understand(mut file: &File, metadata: &Metadata) -> Result<Option<Arc<Plan>>, String> {
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| error.to_string())?;
    // By the file's own clock, so that processes that look at different times agree.
    let age = metadata.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
    let now = Instant::now();
    let faults = parse::faults(&text, now.checked_sub(age).unwrap_or(now))?;
    Ok((!faults.is_empty()).then(|| Arc::new(Plan::new(faults))))
}
