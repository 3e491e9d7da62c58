//! The fence, by raw SQL through the service's own pool: whatever is asked, only one domain answers.

use sea_orm::ConnectionTrait as _;
use usersecret::{app::Seams, database::Admits, error::Error, ids::DomainId};

use crate::{
    sql::{domain, pool, refusal, texts, value, within},
    support::{TestApp, eventually},
};

/// A tenant table, what stands behind `INSERT INTO table` for a new row of a domain, a column
/// to write, and which verbs the service's role has.
struct Case {
    table: &'static str,
    row: &'static str,
    column: &'static str,
    verbs: &'static str,
}

const CASES: [Case; 10] = [
    Case {
        table: "audit_events",
        row: "(domain_id, event_id, at, writer, role, operation, outcome, count, digest)
            VALUES ('{}', 'x', 1, 'w', 'USER', 'o', 'ok', 1, 'd')",
        column: "outcome",
        verbs: "SELECT INSERT",
    },
    Case {
        table: "domain_changes",
        row: "(domain_id, changed_at) VALUES ('{}', 1) ON CONFLICT (domain_id) DO UPDATE SET changed_at = 2",
        column: "changed_at",
        verbs: "SELECT INSERT UPDATE",
    },
    Case {
        table: "domains",
        row: "(domain_id, created_at) VALUES ('{}', 1) ON CONFLICT DO NOTHING",
        column: "created_at",
        verbs: "SELECT INSERT",
    },
    Case {
        table: "issuers",
        row: "(domain_id, iss, settings, created_at) VALUES ('{}', 'new', '{}', 1)",
        column: "created_at",
        verbs: "SELECT INSERT UPDATE DELETE",
    },
    Case {
        table: "keks",
        row: "(domain_id, version, blob, binding, created_at) VALUES ('{}', 7, 'b', 'b', 1)",
        column: "created_at",
        verbs: "SELECT INSERT",
    },
    Case {
        table: "revoked_tokens",
        row: "(domain_id, token_id, binds_systems, created_at) VALUES ('{}', 'new', false, 1)",
        column: "created_at",
        verbs: "SELECT INSERT UPDATE DELETE",
    },
    Case {
        table: "rewraps",
        row: "(domain_id, to_version, done, failed, started_at, held_until) VALUES ('{}', 1, 0, 0, 1, 0)
            ON CONFLICT (domain_id) DO UPDATE SET done = 2",
        column: "done",
        verbs: "SELECT INSERT UPDATE",
    },
    Case {
        table: "user_secret_tags",
        row: "(domain_id, user_secret_id, path, place, kind)
            SELECT '{}', user_secret_id, 'new', 7, 'null' FROM user_secrets LIMIT 1",
        column: "kind",
        verbs: "SELECT INSERT DELETE",
    },
    Case {
        table: "user_secret_versions",
        row: "(domain_id, user_secret_id, version, kek_version, dek, document, created_at)
            SELECT '{}', user_secret_id, 7, 1, 'd', 'd', 1 FROM user_secrets LIMIT 1",
        column: "created_at",
        verbs: "SELECT INSERT DELETE",
    },
    Case {
        table: "user_secrets",
        row: "(domain_id, user_secret_id, user_id, name, tags, search_text, version, revision,
                created_at, updated_at, position)
            VALUES ('{}', 'user-secret-00000000000x', 'u', 'n', '{}', '', 1, 1, 1, 1, 1)",
        column: "created_at",
        verbs: "SELECT INSERT UPDATE DELETE",
    },
];

impl Case {
    fn insert(&self, domain: &str) -> String {
        format!("INSERT INTO {} {}", self.table, self.row.replacen("{}", domain, 1))
    }

    fn may(&self, verb: &str) -> bool {
        self.verbs.contains(verb)
    }

    fn set(&self) -> String {
        format!("UPDATE {} SET {c} = {c}", self.table, c = self.column)
    }
}

/// Two domains with secrets, and a stranger's event.
async fn two_domains() -> TestApp {
    let app = TestApp::with(Seams::default(), "[audit]\nseal_interval_ms = 20\n").await;
    let (ann, zoe) = (app.user("ann"), app.caller("globex", "zoe", "USER"));
    for (client, name) in [(&ann, "a"), (&ann, "b"), (&zoe, "z")] {
        let input = serde_json::json!({ "name": name, "data": { "a": 1 }, "tags": { "a": [1] } });
        assert_eq!(client.create_with(input).await.code(), "OK");
    }
    for domain in ["acme", "globex"] {
        let issuer = format!(
            "mutation {{ registerIssuer(input: {{iss: \"https://{domain}.test\", domainId: \"{domain}\",
                jwksUrl: \"https://{domain}.test\", algorithms: [\"ES256\"], audiences: [\"a\"]}}) {{ issuer {{ iss }} }}
             revokeToken(input: {{tokenId: \"t\", domainId: \"{domain}\"}}) {{ tokenId }}
             rewrapDomain(input: {{domainId: \"{domain}\"}}) {{ domain {{ domainId }} }} }}"
        );
        let done = app.system().gql(&issuer, serde_json::json!({})).await;
        assert_eq!(done.code(), "OK", "{}", done.text);
    }
    app.with_token(None).get("x").await;
    let strangers = "SELECT count(*) FROM audit_events WHERE domain_id NOT IN ('acme', 'globex')";
    eventually("a stranger's event", async || app.database.value::<i64>(strangers).await == 1)
        .await;
    app
}

#[tokio::test]
async fn every_tenant_table_has_a_case() {
    let app = TestApp::start().await;
    let admin = app.database.connect().await;
    let tables = "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relkind IN ('r', 'p') AND a.attname = 'domain_id' AND NOT a.attisdropped
            AND c.relnamespace = 'public'::regnamespace ORDER BY 1";
    assert_eq!(texts(&admin, tables).await, CASES.map(|case| case.table.to_owned()));
    let fenced = format!("{tables} ")
        .replace("ORDER BY 1", "AND relrowsecurity AND relforcerowsecurity ORDER BY 1");
    assert_eq!(texts(&admin, &fenced).await, CASES.map(|case| case.table.to_owned()));
}

#[tokio::test]
async fn each_verb_reaches_one_domain_and_without_one_none() {
    let app = two_domains().await;
    let pool = pool(&app.config, 1).await;
    for case in &CASES {
        let table = case.table;
        // On a fresh connection the setting is null, on a used one it is empty.
        for around in [None, Some(""), Some("acme"), Some("globex"), None] {
            let own = around.unwrap_or_default();
            let mine = format!("SELECT count(*) FROM {table} WHERE domain_id = '{own}'");
            let mine: i64 = if own.is_empty() { 0 } else { app.database.value(&mine).await };
            assert_eq!(mine > 0, !own.is_empty(), "{table} of {own} has rows to be seen");
            let here = || within(&pool, around);

            let seen = value::<i64>(&here().await, &format!("SELECT count(*) FROM {table}")).await;
            assert_eq!(seen, mine, "{table} seen from {around:?}");
            let away = format!("SELECT count(*) FROM {table} WHERE domain_id <> '{own}'");
            assert_eq!(value::<i64>(&here().await, &away).await, 0, "{table} from {around:?}");
            let locked = format!("SELECT count(*) FROM (SELECT FROM {table} FOR UPDATE) r");
            if case.may("UPDATE") {
                assert_eq!(value::<i64>(&here().await, &locked).await, mine);
            }

            for other in ["acme", "globex", "", "-"] {
                let refused = refusal(&here().await, &case.insert(other)).await;
                let fine = !own.is_empty() && (other == own);
                // A row that is made from another's finds none, which is as good as a refusal.
                let nothing =
                    own.is_empty() && ["user_secret_tags", "user_secret_versions"].contains(&table);
                assert_eq!(
                    refused.contains("row-level security policy"),
                    !fine && !nothing,
                    "{table}: insert for {other:?} from {around:?}: {refused:?}"
                );
            }

            for (verb, statement) in [
                ("UPDATE", case.set()),
                ("DELETE", format!("DELETE FROM {table}")),
                ("TRUNCATE", format!("TRUNCATE {table} CASCADE")),
            ] {
                let transaction = here().await;
                if !case.may(verb) {
                    let refused = refusal(&transaction, &statement).await;
                    assert!(refused.contains("permission denied"), "{statement}: {refused}");
                    continue;
                }
                // What hangs on a secret is in the way of deleting it, but only of its own domain.
                let children = "DELETE FROM user_secret_versions";
                if table == "user_secrets" && verb == "DELETE" {
                    transaction.execute_unprepared(children).await.unwrap();
                }
                let done = transaction.execute_unprepared(&statement).await.unwrap();
                assert_eq!(done.rows_affected(), u64::try_from(mine).unwrap(), "{statement}");
                drop(transaction);
                for other in ["acme", "globex"].iter().filter(|other| **other != own) {
                    let there = format!("{statement} WHERE domain_id = '{other}'");
                    let done = here().await.execute_unprepared(&there).await.unwrap();
                    assert_eq!(done.rows_affected(), 0, "{there}");
                }
            }
            if case.may("UPDATE") && !own.is_empty() {
                let moved = format!("UPDATE {table} SET domain_id = 'elsewhere'");
                let refused = refusal(&here().await, &moved).await;
                assert!(refused.contains("row-level security policy"), "{refused}");
            }
            assert_eq!(domain(pool.reader()).await, "", "after {table} and all its errors");
        }
    }
}

#[tokio::test]
async fn what_one_transaction_set_the_next_does_not_see() {
    let app = two_domains().await;
    let pool = pool(&app.config, 1).await;
    let rows = "SELECT count(*) FROM user_secrets";
    for ending in ["COMMIT", "ROLLBACK", "SELECT 1/0", "INSERT INTO domains VALUES ('x', 1)"] {
        let transaction = within(&pool, Some("acme")).await;
        assert_eq!(value::<i64>(&transaction, rows).await, 2);
        let _ = transaction.execute_unprepared(ending).await;
        drop(transaction);
        assert_eq!(domain(pool.reader()).await, "", "after {ending}");
        assert_eq!(value::<i64>(pool.reader(), rows).await, 0, "after {ending}");
    }
    let acme = DomainId::parse("acme").unwrap();
    for fails in [false, true] {
        let written = pool.write(&acme, Admits::Living, |transaction| {
            Box::pin(async move {
                assert_eq!(domain(transaction).await, "acme");
                if fails { Err(Error::not_found()) } else { Ok(()) }
            })
        });
        assert_eq!(written.await.is_err(), fails);
        assert_eq!(domain(pool.reader()).await, "", "after a write");
    }
    // A savepoint brings back what was before it, and no more.
    let transaction = within(&pool, None).await;
    for statement in ["SAVEPOINT s", "SET LOCAL usersecret.domain = 'acme'", "ROLLBACK TO s"] {
        transaction.execute_unprepared(statement).await.unwrap();
    }
    assert_eq!(domain(&transaction).await, "");
}

#[tokio::test]
async fn the_functions_stay_within_each_place_and_end_in_no_domain() {
    let app = two_domains().await;
    let zoe = "SELECT user_secret_id FROM user_secrets WHERE domain_id = 'globex'";
    let zoe: String = app.database.value(zoe).await;
    let pool = pool(&app.config, 1).await;
    let nobody = "ARRAY[NULL, NULL]::text[]";
    let found = format!(
        "SELECT count(*) FROM usersecret_find('{{acme,globex}}', {nobody}, '{{{zoe},{zoe}}}') WHERE place = "
    );
    let reveal = format!(
        "SELECT count(*) FROM usersecret_reveal('{{acme,globex}}', {nobody}, '{{{zoe},{zoe}}}', '{{NULL,NULL}}',
            '{{x1,NULL}}', '{{1,1}}', '{{w,w}}', {nobody}, '{{r,r}}', {nobody}, {nobody}, {nobody}, '{{o,o}}',
            {nobody}, '{{granted,granted}}', '{{1,1}}', '{{d,d}}', '{{m,m}}') WHERE place = "
    );
    for (place, rows) in [(1, 0_i64), (2, 1)] {
        for call in [&found, &reveal] {
            for before in [None, Some("globex")] {
                let transaction = within(&pool, before).await;
                let seen: i64 = value(&transaction, &format!("{call}{place}")).await;
                assert_eq!(seen, rows, "{call}{place}");
                assert_eq!(domain(&transaction).await, "");
                let left: i64 = value(&transaction, "SELECT count(*) FROM user_secrets").await;
                assert_eq!(left, 0);
            }
        }
    }
    // Nor does anything stay behind a commit.
    for call in [found, reveal] {
        value::<i64>(pool.reader(), &format!("{call}2")).await;
        assert_eq!(domain(pool.reader()).await, "", "after {call}");
    }
    let policy = "SELECT count(*) FROM usersecret_policy('globex', 0) WHERE coalesce(iss, 'https://globex.test') = 'https://globex.test'";
    for before in [None, Some("acme")] {
        let transaction = within(&pool, before).await;
        assert_eq!(value::<i64>(&transaction, policy).await, 2);
        assert_eq!(domain(&transaction).await, "");
    }
    let tag = format!(
        "SELECT usersecret_tag('globex', '{zoe}', '[{{\"path\": \"new\", \"place\": 7, \"kind\": \"null\"}}]')"
    );
    let transaction = within(&pool, Some("acme")).await;
    assert_eq!(value::<i32>(&transaction, &tag).await, 1);
    assert_eq!(domain(&transaction).await, "");
    drop(transaction);
    let record =
        "SELECT usersecret_record('{acme,globex,-}', '{e1,e2,e3}', '{1,1,1}', '{w,w,w}', '{u,u,u}',
        '{r,r,r}', '{NULL,NULL,NULL}', '{NULL,NULL,NULL}', '{NULL,NULL,NULL}', '{o,o,o}',
        '{NULL,NULL,NULL}', '{ok,ok,ok}', '{1,1,1}', '{d,d,d}')";
    let transaction = within(&pool, None).await;
    transaction.execute_unprepared(record).await.unwrap();
    assert_eq!(domain(&transaction).await, "");
    // The same again clashes half-way.
    transaction.execute_unprepared("SAVEPOINT s").await.unwrap();
    assert!(refusal(&transaction, record).await.contains("duplicate key"));
    transaction.execute_unprepared("ROLLBACK TO s").await.unwrap();
    assert_eq!(domain(&transaction).await, "");
    drop(transaction);
    assert!(
        refusal(pool.reader(), &record.replace("{w,w,w}", "{w,w,NULL}")).await.contains("null")
    );
    assert_eq!(domain(pool.reader()).await, "");
}
