//! `usersecret export`.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::Path,
};

use tokio_util::sync::CancellationToken;

use super::{Failure, Source, create_private, failure, job, say};
use crate::{
    app::Core, config::Config, database::Database, ids::DomainId, store::domains_after, transfer,
    upkeep,
};

/// How many ids of domains are read at a time.
const AT_ONCE: u64 = 1_000;

pub(super) fn run(
    source: &Source,
    file: Option<&Path>,
    domain: Option<String>,
) -> Result<(), Failure> {
    let config = job::prepare(source)?;
    let domain = domain
        .map(|text| DomainId::parse(&text).ok_or("--domain: must be a domain id"))
        .transpose()?;
    let stop = CancellationToken::new();
    let into = |out: &mut dyn Write| {
        job::with(&config, &stop, async |core: &Core| {
            let mut out = BufWriter::new(out);
            let export = export(&config, core, domain, &mut out);
            let done = stop.run_until_cancelled(export).await;
            done.unwrap_or_else(|| Err("stopped before the end".into()))
        })
    };
    let (secrets, domains) = match file {
        Some(file) => {
            let mut out = create_private(file)?;
            // Half a file must not pass for a whole one.
            let done = into(&mut out).and_then(|counts| Ok(out.sync_all().map(|()| counts)?));
            done.inspect_err(|_| drop(fs::remove_file(file)))?
        }
        None => into(&mut io::stdout())?,
    };
    say(&format!("{secrets} secrets of {domains} domains"))
}

/// Writes the lines of `domain`, or of every domain; returns how many secrets and domains there were.
async fn export(
    config: &Config,
    core: &Core,
    domain: Option<DomainId>,
    out: &mut impl Write,
) -> Result<(u64, u64), Failure> {
    let run = upkeep::new_run().map_err(failure)?;
    let (mut secrets, mut domains) = (0, 0);
    let mut take = async |domain: DomainId| {
        secrets += transfer::export(&core.secrets, &run, domain, out).await.map_err(failure)?;
        domains += 1;
        Ok::<_, Failure>(())
    };
    match domain {
        Some(domain) => take(domain).await?,
        None => {
            // Which domains there are only the owner of the tables sees.
            let owner = Database::owner(&config.database.settings()?).await.map_err(failure)?;
            let mut last = None;
            loop {
                let some = domains_after(&owner, last.as_ref(), AT_ONCE).await.map_err(failure)?;
                last = match some.last() {
                    Some(domain) => Some(domain.clone()),
                    None => break,
                };
                for domain in some {
                    take(domain).await?;
                }
            }
        }
    }
    out.flush()?;
    Ok((secrets, domains))
}
