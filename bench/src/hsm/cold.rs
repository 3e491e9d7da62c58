//! Tenants whose keys the HSM has at hand, and tenants whose keys it must unwrap first.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Ground, env};
use crate::{
    Failure,
    dataset::{REVEAL, body, data},
    load::{Load, Requests, once, post},
    results::Figures,
};

const TENANTS: usize = 10_000;
const CONNECTIONS: u32 = 8;

/// Reveals of one kind.
#[derive(Serialize, Deserialize)]
pub(crate) struct Cold {
    pub(crate) what: String,
    pub(crate) figures: Figures,
}

pub(super) async fn measure(ground: &Ground<'_>) -> Result<Vec<Cold>, Failure> {
    let options = ground.options;
    let mut service = ground.start("cold", &options.common.module, Vec::new()).await?;
    let line = |tenant: usize| {
        let line = json!({ "user_secret_id": id(tenant), "domain_id": domain(tenant), "user_id": "ann",
            "name": "n", "data": data() });
        format!("{line}\n")
    };
    service.import(&(0..TENANTS).map(line).collect::<String>())?;
    ground.settle("cold")?;
    let system = service.token("acme", None)?;
    let reveal = |tenant: usize| {
        post(&system, &body(REVEAL, &json!({ "id": id(tenant), "domain": domain(tenant) })))
    };
    let mut order: Vec<usize> = (0..TENANTS).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut order);
    let random: Requests = order.iter().map(|tenant| reveal(*tenant)).collect();
    let one: Requests = Arc::from(vec![reveal(0)]);

    let mut seen = Vec::new();
    let mut keep = |what: &str, figures| seen.push(Cold { what: what.to_owned(), figures });
    let window = Duration::from_secs(options.seconds);
    let load = Load { connections: CONNECTIONS, warm_up: Duration::from_millis(500), window };
    service.env = env(&[("HSM__KEK_HANDLES", "20000".to_owned())]);
    service.restart("").await?;
    let read = |_: &str| Ok(());
    let (_, first) = once(service.address, &random, CONNECTIONS, read).await?;
    keep("each of 10,000 tenants for the first time", first);
    keep(
        "10,000 tenants in random order, all keys at hand",
        load.drive(service.address, &random, || service.cpu(None)).await?,
    );
    keep("one tenant", load.drive(service.address, &repeated(&one), || service.cpu(None)).await?);
    service.env = env(&[("HSM__KEK_HANDLES", "4096".to_owned())]);
    service.restart("").await?;
    let (_, _) = once(service.address, &random, CONNECTIONS, read).await?;
    keep(
        "10,000 tenants in random order, 4,096 keys at hand",
        load.drive(service.address, &random, || service.cpu(None)).await?,
    );
    Ok(seen)
}

/// As many as there are connections.
fn repeated(one: &Requests) -> Requests {
    one.iter().cycle().take(64).cloned().collect()
}

fn id(tenant: usize) -> String {
    format!("user-secret-{tenant:012x}")
}

fn domain(tenant: usize) -> String {
    format!("tenant-{tenant}")
}
