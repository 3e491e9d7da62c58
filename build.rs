//! Compiles `proto/` into the messages of REST and gRPC, and into the descriptors that reflection shows.

use std::{env, error::Error, fs, path::PathBuf};

use prost_build::Config;
use protox::prost::Message as _;

const FILES: [&str; 2] =
    ["spaceone/api/secret/v1/user_secret.proto", "spaceone/api/core/v1/server_info.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    #[expect(clippy::disallowed_methods, reason = "cargo tells it so")]
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    Config::new().enable_type_names().include_file("messages.rs").compile_fds(descriptors)?;
    Ok(())
}
