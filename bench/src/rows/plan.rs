//! What a statement of the service reads, as PostgreSQL itself writes it down.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Failure, load::Connection, postgres::Cluster};

/// How long the server may take to write its log.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one answer takes.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Rows that were read, and of them those that were shown.
    pub(crate) read: f64,
    pub(crate) shown: usize,
    /// Pages of tables and indexes.
    pub(crate) buffers: u64,
    /// How, in short.
    pub(crate) plan: String,
}

/// Has the service's sessions of `database` write their plans into the log from now on.
pub(super) fn explain(cluster: &Cluster, database: &str) -> Result<(), Failure> {
    [
        "session_preload_libraries = auto_explain",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_nested_statements = on",
        "auto_explain.log_analyze = on",
        "auto_explain.log_buffers = on",
        "auto_explain.log_format = json",
    ]
    .into_iter()
    .try_for_each(|setting| {
        let role = format!("ALTER ROLE {database}_service IN DATABASE {database} SET {setting}");
        cluster.sql(database, &role)
    })
}

/// What the answer to `request` takes.
pub(super) async fn cost(
    cluster: &Cluster,
    address: SocketAddr,
    request: &[u8],
) -> Result<Cost, Failure> {
    let mut connection = Connection::open(address).await?;
    // The first time, connections are opened and catalogues read.
    connection.exchange(request).await?.check()?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = cluster.log()?.len();
    let answer = connection.exchange(request).await?;
    answer.check()?;
    let shown = answer.body.matches("\"userSecretId\"").count();
    let begun = std::time::Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let log = cluster.log()?;
        let plans = plans(log.get(before..).unwrap_or_default());
        if plans.is_empty() && begun.elapsed() < PATIENCE {
            continue;
        }
        let mut cost = Cost { shown, ..Cost::default() };
        let mut steps = Vec::new();
        for plan in &plans {
            cost.buffers = cost.buffers.saturating_add(
                ["Shared Hit Blocks", "Shared Read Blocks"]
                    .iter()
                    .filter_map(|name| plan.get(*name)?.as_u64())
                    .sum(),
            );
            walk(plan, &mut cost.read, &mut steps);
        }
        cost.plan = steps.join(", ");
        return Ok(cost);
    }
}

/// The plans of statements about secrets in a piece of the log.
fn plans(log: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for entry in log.split("plan:\n").skip(1) {
        let lines = entry.lines().take_while(|line| line.starts_with('\t'));
        let text: String = lines.collect::<Vec<_>>().join("\n");
        let Ok(mut entry) = serde_json::from_str::<Value>(&text) else { continue };
        let about = entry.get("Query Text").and_then(Value::as_str).unwrap_or_default();
        if about.contains("user_secrets")
            && let Some(plan) = entry.get_mut("Plan")
        {
            found.push(plan.take());
        }
    }
    found
}

/// Adds what `node` and those below it read, and how they are called, from the top on.
fn walk(node: &Value, read: &mut f64, steps: &mut Vec<String>) {
    let text = |name: &str| node.get(name).and_then(Value::as_str);
    let number = |name: &str| node.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let kind = text("Node Type").unwrap_or_default();
    let what = text("Index Name").or_else(|| text("Relation Name")).unwrap_or_default();
    let mut said = None;
    if text("Relation Name").is_some() {
        let removed = ["Rows Removed by Filter", "Rows Removed by Index Recheck"];
        let rows: f64 = number("Actual Rows") + removed.map(number).iter().sum::<f64>();
        *read += rows * number("Actual Loops");
        let back = if text("Scan Direction") == Some("Backward") { " backward" } else { "" };
        said = Some(format!("{kind}{back} {what} ({:.0})", rows * number("Actual Loops")));
    } else if ["Sort", "Hash", "Aggregate", "Materialize"].iter().any(|word| kind.contains(word)) {
        said = Some(kind.to_owned());
    }
    steps.extend(said);
    for below in node.get("Plans").and_then(Value::as_array).into_iter().flatten() {
        walk(below, read, steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_taken_from_the_log_and_their_rows_counted() {
        let log = "LOG:  duration: 1 ms  plan:\n\t{\"Query Text\": \"SELECT 1\", \"Plan\": {}}\nLOG:  duration: 1 ms  plan:\n\t{\
            \"Query Text\": \"SELECT FROM user_secrets\",\n\t\"Plan\": {\"Node Type\": \"Sort\", \"Plans\": [{\
            \"Node Type\": \"Index Scan\", \"Relation Name\": \"t\", \"Index Name\": \"i\", \"Scan Direction\": \"Backward\",\
            \"Actual Rows\": 3, \"Rows Removed by Filter\": 1, \"Actual Loops\": 2}]}}\nLOG:  other\n";
        let found = plans(log);
        assert_eq!(found.len(), 1);
        let (mut read, mut steps) = (0.0, Vec::new());
        walk(&found[0], &mut read, &mut steps);
        assert_eq!(steps, ["Sort", "Index Scan backward i (8)"]);
        assert!((read - 8.0).abs() < 1e-9);
    }
}
