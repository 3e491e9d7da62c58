//! Floor of the HSM: a key that is wrapped or unwrapped again and again, on one thread.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cryptoki::{
    mechanism::{Mechanism, aead::GcmParams},
    object::{Attribute, ObjectHandle},
    session::UserType,
    types::AuthPin,
};

use hsm_module::{Module, Session};

use crate::{Failure, results::Figures};

const LABEL: &str = "usersecret-bench";
const PIN: &str = "only-for-the-bench";
/// IV ‖ 32 bytes ‖ tag, as the service wraps its keys.
const BLOCK: usize = 32;
const TAG: usize = 16;
/// The same every time: how long it takes does not depend on it.
const IV: [u8; 12] = [9; 12];
const AAD: [u8; 72] = [7; 72];
const CONF: &str = "softhsm2.conf";

/// What is measured.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Call {
    /// `C_EncryptInit` and `C_Encrypt`.
    Encrypt,
    /// `C_DecryptInit` and `C_Decrypt`.
    Decrypt,
}

impl Call {
    const fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        }
    }
}

/// A token that is measured.
#[derive(clap::Args)]
pub(crate) struct Token {
    #[arg(long)]
    module: PathBuf,
    /// A text that the module is initialized with.
    #[arg(long, default_value = "")]
    init_args: String,
    /// The file that holds its PIN; without it is the bench's own token.
    #[arg(long)]
    pin_file: Option<PathBuf>,
}

impl Token {
    /// The one of SoftHSM that is the bench's own.
    pub(crate) fn own(module: &Path) -> Self {
        Self { module: module.to_owned(), init_args: String::new(), pin_file: None }
    }

    /// One that there is.
    pub(crate) fn of(module: &Path, init_args: &str, pin_file: PathBuf) -> Self {
        Self {
            module: module.to_owned(),
            init_args: init_args.to_owned(),
            pin_file: Some(pin_file),
        }
    }
}

/// Measures in a process of its own: SoftHSM reads its environment when it is loaded. The bench's own token is in `dir`.
pub(crate) async fn measure(
    token: &Token,
    call: Call,
    dir: &Path,
    window: Duration,
    env: &[(String, String)],
) -> Result<Figures, Failure> {
    let tokens = dir.join("tokens");
    fs::create_dir_all(&tokens)?;
    let conf = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    fs::write(dir.join(CONF), conf)?;
    let output = tokio::process::Command::new(std::env::current_exe()?)
        .arg("floor-hsm")
        .arg("--module")
        .arg(&token.module)
        .args(["--init-args", &token.init_args])
        .args(token.pin_file.iter().flat_map(|file| ["--pin-file".as_ref(), file.as_os_str()]))
        .args(["--call", call.name(), "--seconds", &window.as_secs().to_string()])
        .envs(env.iter().cloned())
        .env("SOFTHSM2_CONF", dir.join(CONF))
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let per_second = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(Figures { per_second, ..Figures::default() })
}

/// Calls for `window` and prints how many that were in a second.
pub(crate) fn run(token: &Token, call: Call, window: Duration) -> Result<(), Failure> {
    let session = log_in(token)?;
    let key = session.generate_key(
        &Mechanism::AesKeyGen,
        &[
            Attribute::ValueLen(32.into()),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ],
    )?;
    let sealed = seal(&session, key)?;
    let begun = Instant::now();
    let mut count = 0_u32;
    // The clock is read now and then, not every time.
    while begun.elapsed() < window {
        for _ in 0..16 {
            match call {
                Call::Encrypt => seal(&session, key).map(|_| ())?,
                Call::Decrypt => open(&session, key, &sealed)?,
            }
        }
        count = count.saturating_add(16);
    }
    let per_second = f64::from(count) / begun.elapsed().as_secs_f64();
    Ok(writeln!(std::io::stdout(), "{per_second}")?)
}

fn seal(session: &Session, key: ObjectHandle) -> Result<[u8; BLOCK + TAG], Failure> {
    let mut iv = IV;
    let params = GcmParams::new(&mut iv, &AAD, 128.into())?;
    let mut sealed = [0; BLOCK + TAG];
    let length = session.encrypt_into(&Mechanism::AesGcm(params), key, &[1; BLOCK], &mut sealed)?;
    if length == sealed.len() { Ok(sealed) } else { Err("C_Encrypt gave a wrong length".into()) }
}

fn open(session: &Session, key: ObjectHandle, sealed: &[u8]) -> Result<(), Failure> {
    let mut iv = IV;
    let params = GcmParams::new(&mut iv, &AAD, 128.into())?;
    // One call, as the service makes it.
    let mut opened = [0; BLOCK + TAG];
    let length = session.decrypt_into(&Mechanism::AesGcm(params), key, sealed, &mut opened)?;
    if length == BLOCK { Ok(()) } else { Err("C_Decrypt gave a wrong length".into()) }
}

/// A session on the token; the bench's own is made the first time.
fn log_in(token: &Token) -> Result<Session, Failure> {
    let load = || -> Result<Module, Failure> {
        let loaded = Module::load(&token.module)?;
        loaded.initialize(&token.init_args)?;
        Ok(loaded)
    };
    let pin = token.pin_file.as_ref().map_or_else(|| Ok(PIN.to_owned()), fs::read_to_string)?;
    let pin = AuthPin::new(pin.into());
    let mut pkcs11 = load()?;
    if pkcs11.get_slots_with_initialized_token()?.is_empty() {
        let free = pkcs11.get_all_slots()?.pop().ok_or("SoftHSM has no free slot")?;
        pkcs11.init_token(free, &pin, LABEL)?;
        let session = pkcs11.open_rw_session(free)?;
        session.login(UserType::So, Some(&pin))?;
        session.init_pin(&pin)?;
        drop(session);
        // SoftHSM gives a new token its slot at the next C_Initialize.
        pkcs11.finalize()?;
        pkcs11 = load()?;
    }
    let slot = pkcs11.get_slots_with_initialized_token()?.pop().ok_or("the token is missing")?;
    let session = pkcs11.open_rw_session(slot)?;
    session.login(UserType::User, Some(&pin))?;
    Ok(session)
}
