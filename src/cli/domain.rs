//! `usersecret domain`: the keys of domains, beside a running server or without one.

mod list;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::{Failure, Quiet, Source, failure, job, print, remove_empty, say};
use crate::{
    app::Core,
    config::Config,
    crypto::missing_root,
    database::Database,
    error::Code,
    ids::DomainId,
    service::{Caller, KeyState, Pace, Rewrap, Run, Shredding},
    upkeep,
};

/// How often a rewrap that somebody else does is looked at, and one that failed is tried again.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Subcommand)]
pub(super) enum DomainCommand {
    /// Lists the domains, their state and their keys.
    List(Source),
    /// Makes a domain another key at once; a running server moves to it what older ones sealed.
    Rotate(Named),
    /// Moves what older keys of a domain sealed to the active one, and destroys those: it may be stopped and begun again.
    Rewrap {
        #[command(flatten)]
        named: Named,
        /// The most that is moved in a second; `keys.rewrap_per_second` when nothing is said, 0 as many as it can.
        #[arg(long)]
        per_second: Option<u32>,
    },
    /// Opens every version of every secret of a domain, and shows nothing of it: status 1 when one does not open.
    Verify(Named),
    /// Destroys every key of a domain, for good, and prints a statement about it that the HSM signed.
    Shred {
        #[command(flatten)]
        named: Named,
        /// The domain again: what is shredded cannot be brought back.
        #[arg(long)]
        confirm: String,
        /// Where the statement is written; its signature goes beside it, with `.sig` behind the name.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Prints the statement about a domain that was shredded.
    Statement {
        #[command(flatten)]
        named: Named,
        /// Where it is written, as by `shred`.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// A domain, and where it is.
#[derive(clap::Args)]
pub(super) struct Named {
    #[command(flatten)]
    source: Source,
    /// The domain.
    domain: String,
}

pub(super) fn run(command: DomainCommand) -> Result<(), Failure> {
    match command {
        DomainCommand::List(source) => {
            let config = job::prepare(&source)?;
            job::with(&config, &CancellationToken::new(), async |core| {
                list::print_all(&config, core).await
            })
        }
        DomainCommand::Rotate(named) => with(&named, async |core, caller| {
            core.keys.rotate(&caller, None).await.map_err(failure)?;
            let state = state(core, &caller).await?;
            let newest = state.newest.map_or(0, |kek| kek.version.0);
            print(&format!("version {newest} of the key of {} is active", caller.domain()))
        }),
        DomainCommand::Rewrap { named, per_second } => rewrap(&named, per_second),
        DomainCommand::Verify(named) => {
            let config = job::prepare(&named.source)?;
            run_in(&config, &named, async |core, caller| {
                vouch(&config, core).await;
                verify(core, caller).await
            })
        }
        DomainCommand::Shred { named, confirm, out } => {
            if confirm != named.domain {
                return Err("--confirm: must repeat the domain".into());
            }
            // First, as it may begin the program anew, for which the files would be old ones.
            let config = job::prepare(&named.source)?;
            // Afterwards it would be too late to find that they cannot be written.
            let files = out.as_ref().map(|out| [out.clone(), signature_of(out)]);
            let before = |file: &&PathBuf| !file.exists();
            let new: Vec<_> = files.iter().flatten().filter(before).cloned().collect();
            for file in files.iter().flatten() {
                let opened = fs::OpenOptions::new().create(true).append(true).open(file);
                opened
                    .map_err(|error| format!("{}: {error}; nothing is shredded", file.display()))?;
            }
            // To its end, whoever interrupts it: it cannot be begun again.
            let never = CancellationToken::new();
            let done = as_operator(&config, &named, &never, async |core, caller| {
                let shredding = core.keys.shred(&caller, None, || Ok(())).await.map_err(failure)?;
                hand_over(&shredding, out.as_deref())
            });
            remove_empty(&new);
            done
        }
        DomainCommand::Statement { named, out } => {
            with(&named, async |core, caller| match state(core, &caller).await?.shredding {
                Some(shredding) => hand_over(&shredding, out.as_deref()),
                None => Err(format!("{} was not shredded", caller.domain()).into()),
            })
        }
    }
}

/// Does `work` as the operator of the domain that is named.
fn with(
    named: &Named,
    work: impl AsyncFnOnce(&Core, Caller) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let config = job::prepare(&named.source)?;
    run_in(&config, named, work)
}

fn run_in(
    config: &Config,
    named: &Named,
    work: impl AsyncFnOnce(&Core, Caller) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    as_operator(config, named, &stop, async |core, caller| {
        refuse_unknown(core, &caller).await?;
        let done = stop.run_until_cancelled(work(core, caller)).await;
        done.unwrap_or_else(|| Err("stopped before the end; it may be begun again".into()))
    })
}

fn as_operator(
    config: &Config,
    named: &Named,
    stop: &CancellationToken,
    work: impl AsyncFnOnce(&Core, Caller) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let domain = DomainId::parse(&named.domain).ok_or("the domain must be a domain id")?;
    let run = upkeep::new_run().map_err(failure)?;
    job::with(config, stop, async |core| work(core, Caller::operator(domain, run)).await)
}

/// Refuses a domain in which nothing was ever sealed: its name may be a slip of the pen.
async fn refuse_unknown(core: &Core, caller: &Caller) -> Result<(), Failure> {
    let KeyState { newest, shredding, .. } = state(core, caller).await?;
    if newest.is_some() || shredding.is_some() {
        return Ok(());
    }
    Err(format!(
        "{} has no key: nothing was ever sealed there; `usersecret domain list` shows the domains that have one",
        caller.domain()
    )
    .into())
}

async fn state(core: &Core, caller: &Caller) -> Result<KeyState, Failure> {
    core.keys.state(caller, caller.domain().clone()).await.map_err(failure)
}

fn rewrap(named: &Named, per_second: Option<u32>) -> Result<(), Failure> {
    let config = job::prepare(&named.source)?;
    let pace = per_second.unwrap_or(config.keys.rewrap_per_second);
    let pace = Some(pace).filter(|pace| *pace > 0).map(Pace::new);
    run_in(&config, named, async |core, caller| {
        vouch(&config, core).await;
        let holder = upkeep::new_run().map_err(failure)?;
        core.keys.ask_rewrap(&caller, None).await.map_err(failure)?;
        let bar = bar()?;
        let told = |rewrap: &Rewrap| show(&bar, rewrap);
        let rewrap = loop {
            match core.keys.run_rewrap(&caller, &holder, pace.as_ref(), None, &told).await {
                Ok(Run::Finished | Run::Elsewhere) => {}
                // It comes back, but not a root by itself.
                Err(error)
                    if error.code() == Code::Unavailable && missing_root(&error).is_none() =>
                {
                    bar.set_message(error.to_string());
                }
                Err(error) => return Err(failure(error)),
            }
            match core.keys.rewrap(&caller, caller.domain().clone()).await.map_err(failure)? {
                Some(rewrap) if rewrap.finished_at.is_some() => break rewrap,
                Some(rewrap) => told(&rewrap),
                None => {}
            }
            tokio::time::sleep(LOOK).await;
        };
        bar.finish_and_clear();
        say(&format!("{} are under version {}", figures(&rewrap), rewrap.to.0))?;
        if rewrap.failed > 0 {
            say(&format!(
                "✘ {} do not open, and were left; `domain verify` names them",
                rewrap.failed
            ))?;
            return Err(Box::new(Quiet(1)));
        }
        Ok(())
    })
}

async fn verify(core: &Core, caller: Caller) -> Result<(), Failure> {
    let bar = bar()?;
    bar.set_length(core.keys.count(&caller).await.map_err(failure)?);
    let told = |sound| bar.set_position(sound);
    let verified = core.keys.verify(&caller, &told).await.map_err(failure)?;
    bar.finish_and_clear();
    for (id, version) in &verified.broken {
        say(&format!("✘ {id}, version {version}, does not open"))?;
    }
    say(&format!("{} versions of secrets open", verified.sound))?;
    if verified.broken.is_empty() { Ok(()) } else { Err(Box::new(Quiet(1))) }
}

/// Has a key of any domain open, where the configuration lets one see them: a new process cannot tell a damaged key from an HSM
/// that does not work before.
async fn vouch(config: &Config, core: &Core) {
    let Ok(settings) = config.database.settings() else { return };
    if let Ok(owner) = Database::owner(&settings).await {
        core.keys.vouch(&owner).await;
    }
}

/// Prints the statement, or writes it and its signature into files of their own.
fn hand_over(shredding: &Shredding, out: Option<&Path>) -> Result<(), Failure> {
    let Some(out) = out else { return print(shredding.statement.trim_end()) };
    let signature = signature_of(out);
    let named =
        |path: &Path, error: io::Error| Failure::from(format!("{}: {error}", path.display()));
    fs::write(out, &shredding.statement).map_err(|error| named(out, error))?;
    fs::write(&signature, &shredding.signature).map_err(|error| named(&signature, error))?;
    say(&format!("the statement is in {}, its signature in {}", out.display(), signature.display()))
}

fn signature_of(out: &Path) -> PathBuf {
    out.with_added_extension("sig")
}

/// It shows itself only where standard error is a terminal.
fn bar() -> Result<ProgressBar, Failure> {
    let style =
        ProgressStyle::with_template("{bar:30} {percent}%, {eta} left: {pos} of {len} {msg}")?;
    Ok(ProgressBar::new(0).with_style(style))
}

fn show(bar: &ProgressBar, rewrap: &Rewrap) {
    let count = |count: i64| u64::try_from(count).unwrap_or_default();
    bar.set_length(count(rewrap.total.unwrap_or(rewrap.done)));
    bar.set_position(count(rewrap.done));
}

fn figures(rewrap: &Rewrap) -> String {
    match rewrap.total {
        Some(total) => format!("{} of {total}", rewrap.done),
        None => rewrap.done.to_string(),
    }
}
