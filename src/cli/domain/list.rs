//! `usersecret domain list`.

use super::{Failure, failure, figures, print, state};
use crate::{
    app::Core,
    config::Config,
    database::Database,
    ids::DomainId,
    service::{Caller, KeyState},
    store::domains_after,
    upkeep,
};

/// How many ids of domains are read at a time.
const AT_ONCE: u64 = 1_000;

pub(super) async fn print_all(config: &Config, core: &Core) -> Result<(), Failure> {
    // Which domains there are only the owner of the tables sees.
    let owner = Database::owner(&config.database.settings()?).await.map_err(failure)?;
    let run = upkeep::new_run().map_err(failure)?;
    print(&format!(
        "{:<40} {:<9} {:>7} {:>5}  {}",
        "DOMAIN", "STATE", "VERSION", "KEYS", "REWRAP"
    ))?;
    let mut last = None;
    loop {
        let some = domains_after(&owner, last.as_ref(), AT_ONCE).await.map_err(failure)?;
        let Some(end) = some.last() else { return Ok(()) };
        last = Some(end.clone());
        for domain in some {
            let caller = Caller::operator(domain.clone(), std::sync::Arc::clone(&run));
            print(&row(&domain, &state(core, &caller).await?))?;
        }
    }
}

fn row(domain: &DomainId, state: &KeyState) -> String {
    let shredded = if state.shredding.is_some() { "shredded" } else { "active" };
    let version = state.newest.as_ref().map_or(0, |kek| kek.version.0);
    let rewrap = match &state.rewrap {
        None => "-".to_owned(),
        Some(rewrap) if rewrap.finished_at.is_some() => "done".to_owned(),
        Some(rewrap) => figures(rewrap),
    };
    format!("{:<40} {shredded:<9} {version:>7} {:>5}  {rewrap}", domain.as_str(), state.living)
}
