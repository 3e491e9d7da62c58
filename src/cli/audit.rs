//! `usersecret audit`.

use std::{fs, path::PathBuf};

use serde_json::json;

use super::{AuditCommand, Failure, Quiet, Source, print, runtime, say, with_environment};
use crate::{
    audit::{self, Heads, Report},
    clock::Clock,
    config::Config,
    database::Database,
    hsm::{self, SigningKey},
    ids::DomainId,
};

pub(super) fn run(command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::PublicKey(source) => print(token_key(&load(&source)?)?.to_pem().trim_end()),
        AuditCommand::Verify { source, domain, head, public_key } => {
            match report(&source, domain, head, &public_key) {
                Ok(report) => tell(&report),
                // Not to be taken for tampering, which is 1.
                Err(error) => fail(3, &error),
            }
        }
    }
}

/// Says why the command fails, and with which status.
fn fail(status: u8, why: &impl std::fmt::Display) -> Result<(), Failure> {
    say(&format!("usersecret: {why}"))?;
    Err(Box::new(Quiet(status)))
}

fn report(
    source: &Source,
    domain: Option<String>,
    head: Option<PathBuf>,
    public_key: &[PathBuf],
) -> Result<Report, Failure> {
    // With keys given, neither the token nor its environment is needed.
    let config = if public_key.is_empty() { load(source)? } else { source.load()? };
    let keys = match public_key {
        [] => vec![token_key(&config)?],
        files => files.iter().map(read_key).collect::<Result<_, _>>()?,
    };
    let domain = domain
        .map(|text| DomainId::parse(&text).ok_or("--domain: must be a domain id"))
        .transpose()?;
    let heads = head.map(read_heads).transpose()?.unwrap_or_default();
    verify(&config, &keys, domain.as_ref(), &heads)
}

fn load(source: &Source) -> Result<Config, Failure> {
    let config = source.load()?;
    with_environment(&config)?;
    Ok(config)
}

fn token_key(config: &Config) -> Result<SigningKey, Failure> {
    let settings = config.hsm_settings()?;
    // Without the PIN first: who audits need not have it.
    match hsm::read_signing_key(&settings, None) {
        Ok(key) => Ok(key),
        Err(unseen) => {
            let Ok(pin) = settings.pin() else { return Err(unseen.into()) };
            Ok(hsm::read_signing_key(&settings, Some(&pin))?)
        }
    }
}

fn read_key(file: &PathBuf) -> Result<SigningKey, Failure> {
    SigningKey::from_pem(&fs::read_to_string(file)?).ok_or_else(|| {
        format!("--public-key: {} must hold a P-256 public key in PEM", file.display()).into()
    })
}

fn read_heads(file: PathBuf) -> Result<Heads, Failure> {
    let text = fs::read_to_string(&file)?;
    serde_json::from_str(&text)
        .map_err(|_| format!("--head: {} must hold heads as JSON", file.display()).into())
}

fn verify(
    config: &Config,
    keys: &[SigningKey],
    domain: Option<&DomainId>,
    heads: &Heads,
) -> Result<Report, Failure> {
    let settings = config.database.settings()?;
    let now = Clock::system().now().as_micros();
    runtime()?
        .block_on(async {
            let owner = Database::owner(&settings).await?;
            audit::verify(&owner, keys, domain, heads, now).await
        })
        .map_err(|error| error.causes().into())
}

/// Prints the heads on standard output, to be kept elsewhere, and findings as errors.
fn tell(report: &Report) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut errors = std::io::stderr().lock();
    for finding in &report.findings {
        writeln!(errors, "✘ {finding}")?;
    }
    writeln!(errors, "{} events in {} blocks", report.events, report.blocks)?;
    print(&json!(report.heads).to_string())?;
    if !report.findings.is_empty() {
        return Err(
            format!("{} findings: the trail was tampered with", report.findings.len()).into()
        );
    }
    if report.left > 0 {
        drop(errors);
        return fail(2, &format!("{} events of a dead replica are not sealed yet", report.left));
    }
    Ok(())
}
