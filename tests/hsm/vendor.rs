//! The modules that the service is held to, each with a token of its own in a folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::Duration,
};

use cryptoki::{session::UserType, types::AuthPin};
use usersecret::hsm::{Isolation, Profile, Settings, create_token};

use crate::support::module;

pub const LABEL: &str = "usersecret";
pub const PIN: &str = "12345678";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    SoftHsm,
    Kryoptic,
    Nss,
}

impl Vendor {
    pub fn profile(self) -> Profile {
        match self {
            Self::SoftHsm => Profile::SOFTHSM,
            Self::Kryoptic => Profile::KRYOPTIC,
            Self::Nss => Profile::NSS,
        }
    }

    pub fn name(self) -> &'static str {
        self.profile().name
    }

    /// The shared library. Kryoptic's is built when it is not there.
    pub fn module(self) -> PathBuf {
        static KRYOPTIC: LazyLock<PathBuf> = LazyLock::new(|| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kryoptic.sh");
            let built = Command::new(script).output().unwrap();
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
            String::from_utf8(built.stdout).unwrap().trim().into()
        });
        match self {
            Self::SoftHsm => module(),
            Self::Kryoptic => KRYOPTIC.clone(),
            Self::Nss => faulty_hsm::kit::softokn().unwrap(),
        }
    }
}

/// A token and its PIN, in a folder.
pub struct Token {
    pub vendor: Vendor,
    pub dir: PathBuf,
}

const TASK: &str = "HSM_TEST_TASK";
const DIR: &str = "HSM_TEST_DIR";
const VENDOR: &str = "HSM_TEST_VENDOR";

impl Token {
    /// Makes one, without keys.
    pub fn make(vendor: Vendor, dir: &Path) -> Self {
        let token = Self { vendor, dir: dir.to_owned() };
        fs::create_dir_all(dir.join("token")).unwrap();
        fs::write(dir.join("pin"), PIN).unwrap();
        let file = dir.join("token/token.sql").display().to_string();
        let conf = format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = {file:?}\n");
        fs::write(dir.join("token/kryoptic.conf"), conf).unwrap();
        token.visit("make");
        token
    }

    /// What the module is told by its environment.
    pub fn environment(&self) -> (&'static str, String) {
        let of = |file: &str| self.dir.join("token").join(file).display().to_string();
        match self.vendor {
            Vendor::SoftHsm => ("SOFTHSM2_CONF", of("softhsm2.conf")),
            Vendor::Kryoptic => ("KRYOPTIC_CONF", of("kryoptic.conf")),
            // It is told by a text, and by nothing else.
            Vendor::Nss => ("NSS_SDB_USE_CACHE", "no".to_owned()),
        }
    }

    pub fn init_args(&self) -> String {
        match self.vendor {
            Vendor::SoftHsm | Vendor::Kryoptic => String::new(),
            Vendor::Nss => {
                let dir = self.dir.join("token");
                format!("configdir='sql:{}' dbTokenDescription='{LABEL}'", dir.display())
            }
        }
    }

    /// What the configuration says of it, but for the module.
    pub fn toml(&self) -> String {
        let (variable, value) = self.environment();
        format!(
            "[hsm]\nprofile = {:?}\ninit_args = {:?}\npin_file = {:?}\nenv = {{ {variable} = {value:?} }}\n",
            self.vendor.name(),
            self.init_args(),
            self.dir.join("pin"),
        )
    }

    pub fn settings(&self, isolation: Isolation) -> Settings {
        Settings {
            module: self.vendor.module(),
            token_label: LABEL.to_owned(),
            init_args: self.init_args(),
            pin_file: self.dir.join("pin"),
            profile: self.vendor.profile(),
            isolation,
            sessions: 0,
            queue: 64,
            deadline: Duration::from_secs(20),
            kek_handles: 16,
        }
    }

    /// Does `task` in a process of its own: a module is initialized once in a process, and told of its token before. Returns what it
    /// printed.
    pub fn visit(&self, task: &str) -> String {
        let (name, value) = self.environment();
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "vendor::visitor", "--ignored", "--nocapture"])
            .env(name, value)
            .env(TASK, task)
            .env(DIR, &self.dir)
            .env(VENDOR, self.vendor.name())
            .output()
            .unwrap();
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        assert!(done.status.success() && said.contains("1 passed"), "{task}: {said}");
        said
    }

    /// Makes the token where the module is told of it.
    fn create(&self) {
        let settings = self.settings(Isolation::Thread);
        if self.vendor == Vendor::SoftHsm {
            return create_token(&settings, &self.dir.join("token")).unwrap();
        }
        let module = hsm_module::Module::load(&settings.module).unwrap();
        module.initialize(&settings.init_args).unwrap();
        // NSS has one for what needs no key, and then that of the database.
        let slot = module.get_all_slots().unwrap().pop().unwrap();
        let officer = match self.vendor {
            // Its database has no officer: who sets the first PIN has an empty one.
            Vendor::Nss => AuthPin::new("".into()),
            _ => AuthPin::new("87654321".into()),
        };
        if self.vendor == Vendor::Kryoptic {
            module.init_token(slot, &officer, LABEL).unwrap();
        }
        let session = module.open_rw_session(slot).unwrap();
        session.login(UserType::So, Some(&officer)).unwrap();
        session.init_pin(&AuthPin::new(PIN.into())).unwrap();
        drop(session);
        module.finalize().unwrap();
    }
}

/// Runs in a process of its own, which [`Token::visit`] starts.
#[test]
#[ignore = "a part of other tests"]
fn visitor() {
    let Some(task) = std::env::var_os(TASK) else { return };
    let dir = PathBuf::from(std::env::var_os(DIR).unwrap());
    let name = std::env::var(VENDOR).unwrap();
    let vendors = [Vendor::SoftHsm, Vendor::Kryoptic, Vendor::Nss];
    let vendor = vendors.into_iter().find(|vendor| vendor.name() == name).unwrap();
    let token = Token { vendor, dir };
    match task.to_str().unwrap() {
        "make" => token.create(),
        "threads" => crate::engine::works(&token, Isolation::Thread),
        "processes" => crate::engine::works(&token, crate::engine::processes()),
        "outgrows" => crate::engine::outgrows_the_socket(&token),
        "codes" => crate::codes::provoke(&token),
        other => panic!("{other}"),
    }
}
