//! One SoftHSM token for all tests, and one engine for this process.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use usersecret::hsm::{Hsm, Pin, Profile, Settings, create_root, create_token};

const LABEL: &str = "usersecret-test";
const PIN: &str = "4711-0815";

/// The PKCS#11 module.
pub fn module() -> PathBuf {
    env::var_os("USERSECRET_TEST_MODULE")
        .map_or_else(|| PathBuf::from("/usr/lib/softhsm/libsofthsm2.so"), PathBuf::from)
}

/// The engine; PKCS#11 can be initialized once in a process.
pub fn engine() -> Hsm {
    static ENGINE: OnceLock<Hsm> = OnceLock::new();
    ENGINE
        .get_or_init(|| {
            let conf = env::var_os("SOFTHSM2_CONF").expect(".cargo/config.toml sets SOFTHSM2_CONF");
            let dir = Path::new(&conf).parent().expect("SOFTHSM2_CONF is a file in a directory");
            create_once(dir);
            Hsm::start(settings()).expect("the engine starts on the test token")
        })
        .clone()
}

fn settings() -> Settings {
    Settings {
        module: module(),
        token_label: LABEL.to_owned(),
        pin: Pin::new(PIN.to_owned()),
        profile: Profile::SOFTHSM,
        queue: 1024,
        deadline: Duration::from_secs(60),
        kek_handles: 64,
    }
}

/// Makes the token unless there is one; the lock keeps other test processes out meanwhile.
fn create_once(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let lock = fs::File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let ready = dir.join("ready");
    if ready.exists() {
        return;
    }
    // What a process that was killed left half-done.
    let _ = fs::remove_dir_all(dir.join("tokens"));
    create_token(&module(), dir, LABEL, &Pin::new(PIN.to_owned())).unwrap();
    create_root(&settings(), None).unwrap();
    fs::write(ready, "").unwrap();
}
