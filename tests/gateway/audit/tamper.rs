//! A hand in the database: whatever it changes in a row of the trail is found.

use ::entity::{audit_block, audit_event};
use aws_lc_rs::{
    digest::{SHA256, digest as sha256},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use sea_orm::{IntoActiveModel as _, QueryOrder as _, Statement};
use usersecret::{audit::Block, hsm::SigningKey};

use super::*;
use crate::support::sql_bytes;

const TABLES: [&str; 2] = ["audit_events", "audit_blocks"];

/// What three writers left: one that sealed everything at its end, while another
/// sealed often, and one that came after both.
struct Trail {
    _dirs: Vec<tempfile::TempDir>,
    owner: DatabaseConnection,
    /// Sees and changes everything.
    hand: DatabaseConnection,
    heads: Heads,
}

impl Trail {
    async fn lay() -> Self {
        let slow = TestApp::with(Seams::default(), SILENT).await;
        let busy = "[audit]\nseal_interval_ms = 20\n";
        let dir = tempfile::tempdir().unwrap();
        let busy = TestApp::on(dir, slow.database.clone(), Seams::default(), busy).await;
        for _ in 0..3 {
            live(&slow).await;
            live(&busy).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (dir, ..) = busy.drain().await;
        let (slow_dir, database, config) = slow.drain().await;
        let mut dirs = vec![dir, slow_dir];
        let last = tempfile::tempdir().unwrap();
        let last = TestApp::on(last, database.clone(), Seams::default(), QUICK).await;
        live(&last).await;
        eventually("the first two have ended", async || {
            writers(&database).await.iter().filter(|writer| writer.ended_at.is_some()).count() == 2
        })
        .await;
        live(&last).await;
        dirs.push(last.drain().await.0);
        let owner = Database::owner(&config.database.settings().unwrap()).await.unwrap();
        let hand = database.connect().await;
        if !on_postgres() {
            hand.execute_unprepared("PRAGMA synchronous = OFF").await.unwrap();
        }
        for table in TABLES {
            let spare = format!("CREATE TABLE spare_{table} AS SELECT * FROM {table}");
            hand.execute_unprepared(&spare).await.unwrap();
        }
        let heads = verify_as(&owner, &Heads::new(), LATER).await.heads;
        assert_eq!(heads.len(), 3);
        let trail = Self { _dirs: dirs, owner, hand, heads };
        trail.is_clean().await;
        trail
    }

    async fn sql(&self, statement: &str) -> Result<(), sea_orm::DbErr> {
        self.hand.execute_unprepared(statement).await.map(|_| ())
    }

    async fn texts(&self, query: &str) -> Vec<Vec<Option<String>>> {
        let question = Statement::from_string(self.hand.get_database_backend(), query);
        let rows = self.hand.query_all_raw(question).await.unwrap();
        let width = |row: &sea_orm::QueryResult| row.column_names().len();
        let texts =
            |row| (0..width(row)).map(|n| row.try_get_by_index::<Option<String>>(n).unwrap());
        rows.iter().map(|row| texts(row).collect()).collect()
    }

    async fn restore(&self) {
        for table in TABLES {
            self.sql(&format!("DELETE FROM {table}")).await.unwrap();
            self.sql(&format!("INSERT INTO {table} SELECT * FROM spare_{table}")).await.unwrap();
        }
    }

    async fn is_clean(&self) {
        let report = verify_as(&self.owner, &self.heads, LATER).await;
        assert_eq!((report.findings, report.left), (vec![], 0));
    }

    /// Whoever looks finds something, if not by the trail itself then by the heads.
    async fn is_found(&self, what: &str, heads: &Heads) {
        let report = verify_as(&self.owner, heads, LATER).await;
        assert_ne!(report.findings, [], "{what}");
        self.restore().await;
    }

    async fn events(&self) -> Vec<audit_event::Model> {
        let order = audit_event::Entity::find().order_by_asc(audit_event::Column::EventId);
        order.all(&self.hand).await.unwrap()
    }

    async fn blocks(&self) -> Vec<audit_block::Model> {
        let order = audit_block::Entity::find()
            .order_by_asc(audit_block::Column::Writer)
            .order_by_asc(audit_block::Column::Number);
        order.all(&self.hand).await.unwrap()
    }

    async fn insert(&self, mut event: audit_event::Model) {
        event.digest = digest(&event);
        let insert = audit_event::Entity::insert(event.into_active_model());
        insert.exec_without_returning(&self.hand).await.unwrap();
    }

    async fn remove_event(&self, event: &audit_event::Model) {
        let id = sql_bytes(&event.event_id);
        self.sql(&format!("DELETE FROM audit_events WHERE event_id = {id}")).await.unwrap();
    }
}

/// A little of everything that is recorded.
async fn live(app: &TestApp) {
    let ann = app.user("ann");
    let id = ann.create("aws").await;
    app.system().reveal("acme", &id, None).await;
    ann.reveal("acme", &id, None).await;
    app.with_token(None).get(&id).await;
}

/// The digest of an event, by its description and not by the service's code.
pub fn digest(row: &audit_event::Model) -> Vec<u8> {
    let text = |text: &Option<String>| text.clone().map(String::into_bytes);
    let columns = [
        Some(row.domain_id.clone().into_bytes()),
        Some(row.event_id.clone()),
        Some(row.at.to_be_bytes().to_vec()),
        Some(row.writer.clone().into_bytes()),
        text(&row.user_id),
        Some(row.role.clone().into_bytes()),
        text(&row.token_id),
        text(&row.address),
        text(&row.trace_id),
        Some(row.operation.clone().into_bytes()),
        text(&row.target),
        Some(row.outcome.clone().into_bytes()),
        Some(row.count.to_be_bytes().to_vec()),
    ];
    let mut bytes = b"usersecret audit event, v. 1".to_vec();
    for column in columns {
        let length = column.as_ref().map_or(u64::MAX, |column| column.len().try_into().unwrap());
        bytes.extend(length.to_be_bytes());
        bytes.extend(column.unwrap_or_default());
    }
    sha256(&SHA256, &bytes).as_ref().to_vec()
}

/// Every column of `table` by the catalogue: its name, its type, and whether it may be null.
async fn columns(trail: &Trail, table: &str) -> Vec<(String, String, bool)> {
    let catalogue = if on_postgres() {
        format!(
            "SELECT column_name::text, data_type::text, is_nullable::text FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = '{table}'"
        )
    } else {
        format!(
            "SELECT name, lower(type), CASE \"notnull\" WHEN 0 THEN 'YES' ELSE 'NO' END
             FROM pragma_table_info('{table}')"
        )
    };
    let row = |mut row: Vec<Option<String>>| {
        let (nullable, kind, name) = (row.pop(), row.pop(), row.pop());
        let text = |text: Option<Option<String>>| text.flatten().unwrap();
        (text(name), text(kind), text(nullable) == "YES")
    };
    trail.texts(&catalogue).await.into_iter().map(row).collect()
}

/// Other values than `value`, as SQL writes them.
fn others(kind: &str, nullable: bool, value: Option<&str>, draw: &mut Draw) -> Vec<String> {
    let mut others = match value {
        None => vec!["''".to_owned()],
        Some(number) if kind.contains("int") => {
            let number: i64 = number.parse().unwrap();
            [1, -1, 1_000_000].map(|by| (number + by).to_string()).to_vec()
        }
        Some(digits) if kind.contains("blob") || kind.contains("bytea") => {
            let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
            let mut others = vec![[&bytes[..], &[0]].concat()];
            if !bytes.is_empty() {
                let mut flipped = bytes.clone();
                flipped[draw.below(bytes.len())] ^= 1 << draw.below(8);
                others.extend([flipped, bytes[..bytes.len() - 1].to_vec(), vec![]]);
            }
            others.iter().map(|bytes| sql_bytes(bytes)).collect()
        }
        Some(text) => vec![format!("'{text}x'"), format!("'x{text}'"), "''".to_owned()],
    };
    if nullable && value.is_some() {
        others.push("NULL".to_owned());
    }
    others
}

/// A fixed seed.
struct Draw(TestRunner);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        (0..end).new_tree(&mut self.0).unwrap().current()
    }
}

#[tokio::test]
async fn no_column_changes_unseen() {
    let trail = Trail::lay().await;
    let mut draw = Draw(TestRunner::deterministic());
    let id = if on_postgres() { "ctid" } else { "rowid" };
    for table in TABLES {
        let (rows, order) = match table {
            "audit_events" => (trail.events().await.len(), "event_id"),
            _ => (trail.blocks().await.len(), "writer, number"),
        };
        let columns = columns(&trail, table).await;
        assert!(columns.len() >= 9, "{columns:?}");
        for (column, kind, nullable) in columns {
            for nth in 0..rows {
                let row =
                    format!("(SELECT {id} FROM {table} ORDER BY {order} LIMIT 1 OFFSET {nth})");
                let shown = match (kind.contains("blob"), kind.contains("bytea")) {
                    (true, _) => format!("hex({column})"),
                    (_, true) => format!("encode({column}, 'hex')"),
                    _ => format!("CAST({column} AS text)"),
                };
                let query = format!("SELECT {shown} FROM {table} WHERE {id} = {row}");
                let value = trail.texts(&query).await.remove(0).remove(0);
                let mut tried = 0;
                for other in others(&kind, nullable, value.as_deref(), &mut draw) {
                    // A key that is taken is no tampering.
                    let change =
                        format!("UPDATE {table} SET {column} = {other} WHERE {id} = {row}");
                    if trail.sql(&change).await.is_ok() {
                        tried += 1;
                        let what = format!("{table}.{column}, {value:?} to {other}");
                        trail.is_found(&what, &Heads::new()).await;
                    }
                }
                assert!(tried > 0, "{table}.{column} was never changed");
            }
        }
    }
    trail.is_clean().await;
}

#[tokio::test]
async fn no_event_comes_or_goes_unseen() {
    let trail = Trail::lay().await;
    let events = trail.events().await;
    for (n, event) in events.iter().enumerate() {
        trail.remove_event(event).await;
        trail.is_found("an event is removed", &Heads::new()).await;

        let mut copy = event.clone();
        copy.event_id[15] ^= 1;
        trail.insert(copy).await;
        trail.is_found("an event is repeated under another id", &Heads::new()).await;

        for by in [-1, 1] {
            let (domain_id, at) = ("initech".to_owned(), event.at + by);
            trail.insert(audit_event::Model { domain_id, at, ..event.clone() }).await;
            trail.is_found("an event has a twin in another domain", &Heads::new()).await;
        }

        let other = &events[(n + 1) % events.len()];
        for (one, two) in [(event, other), (other, event)] {
            trail.remove_event(one).await;
            let event_id = one.event_id.clone();
            trail.insert(audit_event::Model { event_id, ..two.clone() }).await;
        }
        trail.is_found("two events are exchanged", &Heads::new()).await;
    }
    trail.is_clean().await;
}

#[tokio::test]
async fn no_end_is_cut_off_and_no_key_is_believed_but_the_own() {
    let trail = Trail::lay().await;
    let blocks = trail.blocks().await;
    let of_last = blocks.iter().max_by_key(|block| block.sealed_at).unwrap().writer.clone();
    for block in &blocks {
        let (writer, number) = (&block.writer, block.number);
        let newer = format!("FROM audit_blocks WHERE writer = '{writer}' AND number >= {number}");
        trail.sql(&format!("DELETE {newer}")).await.unwrap();
        trail.is_found("the newest blocks of a writer are removed", &Heads::new()).await;

        // With what they seal: the links of a later writer tell, or the head that was kept.
        for block in blocks.iter().filter(|b| b.writer == *writer && b.number >= number) {
            for entry in block.entries.chunks(56) {
                let id = sql_bytes(&entry[..16]);
                trail
                    .sql(&format!("DELETE FROM audit_events WHERE event_id = {id}"))
                    .await
                    .unwrap();
            }
        }
        trail.sql(&format!("DELETE {newer}")).await.unwrap();
        let heads = if *writer == of_last { trail.heads.clone() } else { Heads::new() };
        trail.is_found("a writer's end is removed", &heads).await;

        trail
            .sql(&format!(
                "DELETE FROM audit_blocks WHERE writer = '{writer}' AND number = {number}"
            ))
            .await
            .unwrap();
        trail.is_found("a block is removed", &Heads::new()).await;
    }

    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let foreign = SigningKey::from_ec_point(pair.public_key().as_ref()).unwrap();
    for block in blocks.iter().filter(|block| block.number == 1) {
        for key_id in [foreign.id(), block.key_id.clone()] {
            // One that seals nothing more, and in all other ways is right.
            let next = Block {
                writer: block.writer.clone(),
                number: blocks
                    .iter()
                    .filter(|b| b.writer == block.writer)
                    .map(|b| b.number)
                    .max()
                    .unwrap()
                    + 1,
                sealed_at: now(),
                previous: [0; 32],
                links: vec![],
                entries: vec![],
            };
            let message = next.message(&key_id);
            let signature = pair.sign(&SystemRandom::new(), &message).unwrap().as_ref().to_vec();
            let row = audit_block::Model {
                number: next.number,
                sealed_at: next.sealed_at,
                previous: vec![0; 32],
                links: vec![],
                entries: vec![],
                digest: next.digest(&key_id).to_vec(),
                key_id,
                signature,
                writer: next.writer,
            };
            let insert = audit_block::Entity::insert(row.into_active_model());
            insert.exec_without_returning(&trail.hand).await.unwrap();
            trail.is_found("a block is signed by another key", &Heads::new()).await;
        }
    }
    let report = audit::verify(&trail.owner, &[foreign], None, &Heads::new(), now()).await.unwrap();
    assert!(report.findings.len() >= blocks.len(), "{report:?}");
    trail.is_clean().await;
}
