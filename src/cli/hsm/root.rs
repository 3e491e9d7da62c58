//! `usersecret hsm rotate-root` and `destroy-root`, beside a running server or without one.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::{
    super::{Failure, Quiet, failure, job, print, say, serve::start_log},
    Exclusive, with_check_value, with_copies,
};
use crate::{
    app::Core,
    config::Config,
    database::Database,
    hsm,
    ids::RootVersion,
    service::{LeftKek, RootRotation},
    upkeep,
};

pub(super) fn rotate(config: &Config, keys: &[PathBuf], outs: &[PathBuf]) -> Result<(), Failure> {
    start_log(&config.log)?;
    let exclusive = Exclusive::take(config)?;
    let settings = config.hsm_settings()?;
    let on_token = hsm::root_versions(&settings)?;
    let (active, left) = with(config, async |core, config| {
        let owner = Database::owner(&config.database.settings()?).await.map_err(failure)?;
        let active = core.keys.active_root().await.map_err(failure)?;
        Ok((active, core.keys.count_keks(&owner, active).await.map_err(failure)?))
    })?;
    // What was begun and not ended goes on; otherwise there is another one.
    if !on_token.contains(&active) && on_token.last().is_none_or(|newest| *newest < active) {
        // Another key must not take its name: what the first has wrapped would be lost.
        return Err(format!(
            "the token has no root key {}, which wraps new keys: `usersecret hsm restore` brings it",
            active.0
        )
        .into());
    }
    let newest = on_token.last().copied().unwrap_or(active);
    exclusive.check()?;
    if newest <= active && left > 0 {
        let rotation = with(config, async |core, config| move_to(config, core, active).await)?;
        if rotation.rewrapped > 0 {
            print(&format!("root key {} was made before: that rotation went on", active.0))?;
            report(&rotation, active)?;
            return match keys {
                [] => Ok(()),
                _ => Err("no copy of it can be made any more: the same again makes another".into()),
            };
        }
        // What is left does not open, and must not keep the root from being replaced.
    }
    let to = if newest > active { newest } else { active.next() };
    let made = with_copies(keys, outs, |copies| Ok(hsm::create_root(&settings, to, copies)?))?;
    match made {
        Some(root) => {
            print(&format!("root key {} is made{}", to.0, with_check_value(root.check_value)))?;
        }
        None if !keys.is_empty() => {
            return Err(format!(
                "root key {} was made before, and no copy of it can be made any more; \
                 without --recovery-public-key the rotation goes on",
                to.0
            )
            .into());
        }
        None => print(&format!("root key {} was made before: the rotation goes on", to.0))?,
    }
    exclusive.check()?;
    let rotation = with(config, async |core, config| move_to(config, core, to).await)?;
    report(&rotation, to)
}

async fn move_to(config: &Config, core: &Core, to: RootVersion) -> Result<RootRotation, Failure> {
    let owner = Database::owner(&config.database.settings()?).await.map_err(failure)?;
    let run = upkeep::new_run().map_err(failure)?;
    let count = core.keys.count_keks(&owner, to).await.map_err(failure)?;
    let style = ProgressStyle::with_template("{bar:30} {percent}%, {eta} left: {pos} of {len}")?;
    let bar = ProgressBar::new(count).with_style(style);
    let told = |done| bar.set_position(done);
    let rotation = core.keys.rotate_root(&owner, &run, to, &told).await.map_err(failure)?;
    bar.finish_and_clear();
    Ok(rotation)
}

fn report(rotation: &RootRotation, to: RootVersion) -> Result<(), Failure> {
    for LeftKek { domain, version, missing } in &rotation.left {
        let why = match missing {
            Some(root) => format!(
                "is under root key {}, which the token does not have, and was left: `usersecret hsm restore` brings that",
                root.0
            ),
            None => "does not open, and was left: its row in a backup may, `usersecret domain shred` gives it up"
                .to_owned(),
        };
        say(&format!("✘ version {} of the key of {domain} {why}", version.0))?;
    }
    print(&format!("{} keys of domains are under root key {}", rotation.rewrapped, to.0))?;
    if !rotation.left.is_empty() {
        return Err(Box::new(Quiet(1)));
    }
    print("older root keys wrap nothing any more: `usersecret hsm destroy-root` destroys one")
}

pub(super) fn destroy(config: &Config, version: RootVersion, confirm: i32) -> Result<(), Failure> {
    if confirm != version.0 {
        return Err("--confirm: must repeat the version".into());
    }
    start_log(&config.log)?;
    let exclusive = Exclusive::take(config)?;
    with(config, async |core, config| {
        let owner = Database::owner(&config.database.settings()?).await.map_err(failure)?;
        let run = upkeep::new_run().map_err(failure)?;
        core.keys.end_root(&owner, &run, version).await.map_err(failure)
    })?;
    exclusive.check()?;
    let was = hsm::destroy_root(&config.hsm_settings()?, version)?;
    print(&match was {
        true => format!("root key {} is destroyed; copies of it are yours to destroy", version.0),
        false => format!("the token has no root key {} any more", version.0),
    })?;
    print("processes that run keep it in the HSM's memory until they are restarted")
}

/// Runs `work` with the service; the token is not visited meanwhile by another part of this program.
fn with<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Core, &Config) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let stop = CancellationToken::new();
    job::with(config, &stop.clone(), async |core| {
        let done = stop.run_until_cancelled(work(core, config)).await;
        done.unwrap_or_else(|| Err("stopped before the end; it may be begun again".into()))
    })
}
