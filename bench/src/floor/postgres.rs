//! Floors of PostgreSQL: prepared statements from pgbench, PostgreSQL's own client in C.

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Failure, number::float, postgres::Cluster, proc, results::Figures, subject::Subject};

const DATABASE: &str = "floors";
const TABLES: &str = include_str!("postgres.sql");
const SCRIPTS: [(Subject, &str); 3] = [
    (Subject::Select, include_str!("select.pgbench")),
    (Subject::Insert, include_str!("insert.pgbench")),
    (Subject::Transaction, include_str!("transaction.pgbench")),
];

/// A database of copied tables, and the scripts that use it.
pub(crate) struct PostgresFloor {
    dir: PathBuf,
    runs: Cell<u64>,
}

impl PostgresFloor {
    pub(crate) fn prepare(cluster: &Cluster, dir: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(dir)?;
        cluster.create(DATABASE)?;
        let tables = dir.join("tables.sql");
        fs::write(&tables, TABLES)?;
        cluster.script(DATABASE, &tables)?;
        for (subject, script) in SCRIPTS {
            fs::write(script_file(dir, subject), script)?;
        }
        Ok(Self { dir: dir.to_owned(), runs: Cell::new(0) })
    }

    /// So many statements in a second from so many clients.
    pub(crate) async fn measure(
        &self,
        cluster: &Cluster,
        subject: Subject,
        clients: u32,
        window: Duration,
    ) -> Result<Figures, Failure> {
        // Keys rise within a run, and every run begins above the one before.
        let run = self.runs.get().saturating_add(1);
        self.runs.set(run);
        let first = run.saturating_mul(1_000_000_000).saturating_add(1_000_000_000_000_000);
        let threads = std::thread::available_parallelism().map_or(1, Into::into);
        let threads = threads.min(usize::try_from(clients)?);
        let mut command = tokio::process::Command::from(cluster.client("pgbench"));
        command
            .args(["--no-vacuum", "--protocol=prepared", "--file"])
            .arg(script_file(&self.dir, subject))
            .args(["--client", &clients.to_string(), "--jobs", &threads.to_string()])
            .args(["--time", &window.as_secs().to_string()])
            .args(["--define", &format!("n={first}"), DATABASE])
            .kill_on_drop(true);
        let before = proc::cpu_us_of_family(cluster.postmaster())?;
        let output = command.output().await?;
        let used = proc::cpu_us_of_family(cluster.postmaster())?.saturating_sub(before);
        let said = String::from_utf8(output.stdout)?;
        let number = |name: &str| {
            let rest = said.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split([' ', '/']).next()?.parse::<f64>().ok()
        };
        let statements = number("number of transactions actually processed: ");
        let failed = number("number of failed transactions: ").unwrap_or(0.0);
        match (number("tps = "), statements) {
            (Some(per_second), Some(statements)) if output.status.success() && failed == 0.0 => {
                let database_cpu_us = Some(float(used) / statements);
                Ok(Figures { per_second, database_cpu_us, ..Figures::default() })
            }
            _ => Err(format!("pgbench: {said}{}", String::from_utf8_lossy(&output.stderr)).into()),
        }
    }
}

fn script_file(dir: &Path, subject: Subject) -> PathBuf {
    let name = match subject {
        Subject::Select => "select",
        Subject::Insert => "insert",
        _ => "transaction",
    };
    dir.join(name).with_extension("pgbench")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "needs PostgreSQL, and some seconds"]
    fn every_statement_runs_on_a_cluster_that_is_gone_afterwards() {
        let out = std::env::temp_dir().join(format!("bench-test-{}", std::process::id()));
        fs::create_dir_all(&out).unwrap();
        let cluster = Cluster::start(&out).unwrap();
        let floor = PostgresFloor::prepare(&cluster, &out.join("floors")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for clients in [1, 8] {
            for (subject, _) in SCRIPTS {
                let window = Duration::from_secs(1);
                let figures = floor.measure(&cluster, subject, clients, window);
                let figures = runtime.block_on(figures).unwrap();
                assert!(figures.per_second > 100.0, "{figures:?}");
                assert!(figures.database_cpu_us > Some(1.0), "{figures:?}");
            }
        }
        let sql = |statement| cluster.sql(DATABASE, statement);
        sql("ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
            .unwrap();
        cluster.drop_security(DATABASE).unwrap();
        let none = "DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM pg_class WHERE relrowsecurity OR relforcerowsecurity); END $$";
        sql(none).unwrap();
        let postmaster = cluster.postmaster();
        drop(cluster);
        // A process that has ended has no memory, even if nobody has asked for its status yet.
        assert!(proc::resident_kb(postmaster).is_err());
        fs::remove_dir_all(out).unwrap();
    }
}
