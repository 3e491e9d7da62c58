//! A SoftHSM token for development and tests; an operator's token is initialized by the vendor's tool.

use std::{fs, io, path::Path};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use cryptoki::types::AuthPin;

use super::{HsmError, Settings, module::Module};
use crate::ids::hex;

/// `softhsm2.conf`, with `@TOKENS@` where the token directory goes.
const CONF: &str = include_str!("../../softhsm/softhsm2.conf.in");

/// Writes `dir/softhsm2.conf` and `dir/tokens`, and initializes a token there.
///
/// `SOFTHSM2_CONF` must name `dir/softhsm2.conf` already: the module reads it
/// when it is loaded. The module is finalized afterwards, because SoftHSM gives
/// a new token its slot at the next `C_Initialize`.
pub fn create_token(settings: &Settings, dir: &Path) -> Result<(), HsmError> {
    write_conf(dir).map_err(|error| {
        HsmError::Setup(format!("{} cannot be written: {error}", dir.display()))
    })?;
    let module = Module::load(settings)?;
    let Some(free) = module.pkcs11().get_all_slots()?.pop() else {
        return Err(HsmError::Setup("SoftHSM has no free slot".to_owned()));
    };
    module.init_token(free, &random_pin()?, &settings.token_label, &settings.pin()?)?;
    module.finalize()
}

fn write_conf(dir: &Path) -> io::Result<()> {
    let tokens = dir.join("tokens");
    fs::create_dir_all(&tokens)?;
    fs::write(
        dir.join("softhsm2.conf"),
        CONF.replace("@TOKENS@", &tokens.canonicalize()?.display().to_string()),
    )
}

/// The security officer's PIN. Nobody keeps it: a token of ours is thrown away, never reset.
fn random_pin() -> Result<AuthPin, HsmError> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| HsmError::Setup("no random bytes for a PIN".to_owned()))?;
    Ok(AuthPin::new(hex(bytes).into()))
}
