//! Tenants whose keys the HSM has at hand, and tenants whose keys it must unwrap first.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Ground, env};
use crate::{
    Failure,
    dataset::{REVEAL, body, data},
    load::{Load, Requests, once, post},
    results::Figures,
    service::Service,
};

const TENANTS: usize = 10_000;
const CONNECTIONS: u32 = 8;
const FAR_SESSIONS: u32 = 16;

/// Reveals of one kind.
#[derive(Serialize, Deserialize)]
pub(crate) struct Cold {
    pub(crate) what: String,
    pub(crate) figures: Figures,
}

pub(super) async fn measure(ground: &Ground<'_>) -> Result<Vec<Cold>, Failure> {
    let options = ground.options;
    let mut service = ground.start("cold", &options.common.module, Vec::new()).await?;
    let random = fill(ground, "cold", &service)?;
    let one: Requests = random.iter().take(1).cloned().collect();

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
    seen.push(far(ground).await?);
    Ok(seen)
}

/// Over an HSM at the other end of a network, with enough sessions and connections to use it.
async fn far(ground: &Ground<'_>) -> Result<Cold, Failure> {
    let (mut service, faults, told) = ground.start_faulty("far").await?;
    let random = fill(ground, "far", &service)?;
    service.env = told;
    service.env.extend(env(&[
        ("HSM__KEK_HANDLES", "20000".to_owned()),
        ("HSM__SESSIONS", FAR_SESSIONS.to_string()),
    ]));
    service.restart("").await?;
    faults.set("function=C_UnwrapKey,C_Encrypt,C_Decrypt delay_us=1000")?;
    let (_, figures) = once(service.address, &random, FAR_SESSIONS * 2, |_| Ok(())).await?;
    let what = format!(
        "each for the first time, 1 ms a call, {FAR_SESSIONS} sessions, {} connections",
        FAR_SESSIONS * 2
    );
    Ok(Cold { what, figures })
}

/// Brings tenants in, each with a secret, and returns their reveals in random order.
fn fill(ground: &Ground<'_>, name: &str, service: &Service) -> Result<Requests, Failure> {
    let line = |tenant: usize| {
        let line = json!({ "user_secret_id": id(tenant), "domain_id": domain(tenant), "user_id": "ann",
            "name": "n", "data": data() });
        format!("{line}\n")
    };
    service.import(&(0..TENANTS).map(line).collect::<String>())?;
    ground.settle(name)?;
    let system = service.token("acme", None)?;
    let reveal = |tenant: usize| {
        post(&system, &body(REVEAL, &json!({ "id": id(tenant), "domain": domain(tenant) })))
    };
    let mut order: Vec<usize> = (0..TENANTS).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut order);
    Ok(order.iter().map(|tenant| reveal(*tenant)).collect())
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
