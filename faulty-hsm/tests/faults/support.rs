//! The kit: a test is a closure that runs in a process with a token and a module of its own.

use std::{
    any::type_name_of_val,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::{Mechanism, aead::GcmParams},
    object::{Attribute, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    types::AuthPin,
};
use faulty_hsm::kit::{self, Faults};
use tempfile::TempDir;

const PIN: &str = "1234";
const FOLDER: &str = "FAULTY_HSM_TEST";

/// The real module.
pub fn softhsm() -> PathBuf {
    env::var_os("USERSECRET_HSM__MODULE")
        .map_or_else(|| "/usr/lib/softhsm/libsofthsm2.so".into(), PathBuf::from)
}

/// Runs the test that calls this once more, in a process of its own, where it does `work`: PKCS#11 initializes once.
/// What that process said; `None` there.
pub fn ran_apart(work: impl FnOnce(Hsm), change: impl FnOnce(&mut Command)) -> Option<Output> {
    if let Some(folder) = env::var_os(FOLDER) {
        work(Hsm { faults: Faults::new(Path::new(&folder)) });
        return None;
    }
    // A closure's name is that of the function around it, and more.
    let name = type_name_of_val(&work);
    let test = name.split_once("::").unwrap().1.strip_suffix("::{{closure}}").unwrap();
    let folder = token();
    let mut again = Command::new(env::current_exe().unwrap());
    again
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(FOLDER, folder.path())
        .env("SOFTHSM2_CONF", folder.path().join("softhsm2.conf"))
        .envs(Faults::new(folder.path()).environment(&softhsm()));
    change(&mut again);
    Some(again.output().unwrap())
}

/// Does `work` apart, which must go well.
pub fn apart(work: impl FnOnce(Hsm)) {
    if let Some(output) = ran_apart(work, |_| {}) {
        let said = said(&output);
        assert!(output.status.success() && said.contains("1 passed"), "{}: {said}", output.status);
    }
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn token() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (tokens, conf) = (folder.path().join("tokens"), folder.path().join("softhsm2.conf"));
    fs::create_dir(&tokens).unwrap();
    fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "test", "--pin", PIN, "--so-pin", "5678"])
        .env("SOFTHSM2_CONF", conf)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", said(&made));
    folder
}

/// What a test works on.
pub struct Hsm {
    pub faults: Faults,
}

impl Hsm {
    pub fn load(&self) -> Pkcs11 {
        Pkcs11::new(kit::library().unwrap()).unwrap()
    }

    pub fn start(&self) -> Pkcs11 {
        let pkcs11 = self.load();
        initialize(&pkcs11).unwrap();
        pkcs11
    }

    /// A session of a module that was started.
    pub fn session(&self) -> Session {
        session(&self.start())
    }

    pub fn fail(&self, lines: &str) {
        self.faults.set(lines).unwrap();
    }
}

pub fn initialize(pkcs11: &Pkcs11) -> Result<(), Error> {
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
}

pub fn session(pkcs11: &Pkcs11) -> Session {
    let slot = pkcs11.get_slots_with_initialized_token().unwrap()[0];
    let session = pkcs11.open_rw_session(slot).unwrap();
    match session.login(UserType::User, Some(&AuthPin::new(PIN.into()))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => session,
        Err(error) => panic!("{error}"),
    }
}

/// What the module answered instead of doing what it was asked.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> RvError {
    match result {
        Err(Error::Pkcs11(answer, _)) => answer,
        other => panic!("{other:?}"),
    }
}

/// An AES key that may do everything, and leave.
pub fn generate(session: &Session) -> ObjectHandle {
    let mut template = usable(true);
    template.push(Attribute::ValueLen(32.into()));
    session.generate_key(&Mechanism::AesKeyGen, &template).unwrap()
}

pub fn usable(extractable: bool) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Sensitive(true),
        Attribute::Extractable(extractable),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
    ]
}

/// Encrypts with the same IV each time, so that what comes out can be compared.
pub fn encrypt(session: &Session, key: ObjectHandle) -> Result<Vec<u8>, Error> {
    let mut iv = [7; 12];
    let gcm = GcmParams::new(&mut iv, b"aad", 128.into()).unwrap();
    session.encrypt(&Mechanism::AesGcm(gcm), key, PLAIN)
}

pub fn decrypt(session: &Session, key: ObjectHandle, sealed: &[u8]) -> Result<Vec<u8>, Error> {
    let mut iv = [7; 12];
    let gcm = GcmParams::new(&mut iv, b"aad", 128.into()).unwrap();
    session.decrypt(&Mechanism::AesGcm(gcm), key, sealed)
}

pub const PLAIN: &[u8; 32] = b"what nobody else should read ...";

pub fn random(session: &Session) -> Result<Vec<u8>, Error> {
    session.generate_random_vec(16)
}

/// Does `work` while four threads encrypt, each in a session of its own. What the module ended them with.
pub fn while_busy(pkcs11: &Pkcs11, key: ObjectHandle, work: impl FnOnce()) -> Vec<RvError> {
    let sessions = [(); 4].map(|()| session(pkcs11));
    let all_busy = Barrier::new(sessions.len() + 1);
    thread::scope(|scope| {
        let busy = sessions.map(|session| {
            let all_busy = &all_busy;
            scope.spawn(move || {
                encrypt(&session, key).unwrap();
                all_busy.wait();
                let end = Instant::now() + Duration::from_secs(10);
                while Instant::now() < end {
                    encrypt(&session, key)?;
                }
                Ok::<(), Error>(())
            })
        });
        all_busy.wait();
        work();
        busy.into_iter().map(|thread| refusal(thread.join().unwrap())).collect()
    })
}
