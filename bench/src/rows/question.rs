//! What is asked, and by whom.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Size, fill::id};
use crate::{
    Failure,
    dataset::{GET, body},
    load::{Connection, Requests, post},
    token::Minter,
};

/// Domains whose callers ask, where there are many.
const DOMAINS: u64 = 20;
/// Secrets that are asked for one by one.
const GETS: u64 = 1_000;
/// Pages from the end of a list on; the page behind each is asked for.
const STEPS: usize = 20;

const FIELDS: &str =
    "{ nodes { userSecretId name version updatedAt } pageInfo { hasNextPage endCursor } }";

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Who has few secrets.
    Few,
    /// Who has half of their domain's.
    Many,
    /// The administrator, who sees the whole domain.
    Admin,
}

/// What is asked for.
#[derive(Clone, Copy)]
enum What {
    One,
    First,
    /// A page near the end of the list.
    Deep,
    Count,
}

/// A question.
#[derive(Clone, Copy)]
pub(super) struct Question {
    pub(super) name: &'static str,
    who: Who,
    what: What,
    /// `env` of the secrets that are asked for.
    env: Option<&'static str>,
    keyword: Option<&'static str>,
}

/// Requests that are answered, or an error and after how many ms.
pub(super) enum Asked {
    Answered(Requests),
    Refused(String, f64),
}

const fn list(name: &'static str, who: Who, what: What) -> Question {
    Question { name, who, what, env: None, keyword: None }
}

const fn tagged(name: &'static str, who: Who, what: What, env: &'static str) -> Question {
    Question { env: Some(env), ..list(name, who, what) }
}

const fn words(name: &'static str, who: Who, keyword: &'static str) -> Question {
    Question { keyword: Some(keyword), ..list(name, who, What::First) }
}

/// All that is asked. A keyword that half a million have, and one that nobody has.
pub(super) const QUESTIONS: [Question; 19] = [
    list("get", Who::Many, What::One),
    list("first page of 1,000", Who::Few, What::First),
    list("deep page of 1,000", Who::Few, What::Deep),
    list("first page of half", Who::Many, What::First),
    list("deep page of half", Who::Many, What::Deep),
    list("first page of all", Who::Admin, What::First),
    list("deep page of all", Who::Admin, What::Deep),
    tagged("tag of 5, of half", Who::Many, What::First, "canary"),
    tagged("tag of 5, of all", Who::Admin, What::First, "canary"),
    tagged("tag of every second, of half", Who::Many, What::First, "prod"),
    tagged("the same, deep", Who::Many, What::Deep, "prod"),
    tagged("tag of every second, of all", Who::Admin, What::First, "prod"),
    tagged("the same of all, deep", Who::Admin, What::Deep, "prod"),
    words("keyword of every tenth, of all", Who::Admin, "azure"),
    words("keyword of nobody, of 1,000", Who::Few, "nowhere"),
    words("keyword of nobody, of all", Who::Admin, "nowhere"),
    list("count of 1,000", Who::Few, What::Count),
    list("count of half", Who::Many, What::Count),
    list("count of all", Who::Admin, What::Count),
];

impl Question {
    /// Tries once, and prepares the requests if that succeeds.
    pub(super) async fn ask(
        self,
        connection: &mut Connection,
        minter: &Minter,
        size: Size,
    ) -> Result<Asked, Failure> {
        let domains = fastrand::choose_multiple(0..size.domains, usize::try_from(DOMAINS)?);
        let mut requests = Vec::new();
        for number in &domains {
            let token = self.token(minter, *number)?;
            if matches!(self.what, What::One) {
                requests.extend(self.gets(&token, *number, size));
                continue;
            }
            let first = post(&token, &self.page("first: 20", None));
            let begun = Instant::now();
            let answer = connection.exchange(&first).await?;
            let took = begun.elapsed().as_secs_f64() * 1e3;
            if answer.check().is_err() {
                let answer: Value = serde_json::from_str(answer.body)?;
                let code = answer.pointer("/errors/0/extensions/code").and_then(Value::as_str);
                return Ok(Asked::Refused(code.ok_or("an error without a code")?.to_owned(), took));
            }
            match self.what {
                What::Deep => requests.extend(self.deep(connection, &token).await?),
                _ => requests.push(first),
            }
        }
        fastrand::shuffle(&mut requests);
        Ok(Asked::Answered(requests.into()))
    }

    fn token(self, minter: &Minter, number: u64) -> Result<String, Failure> {
        let (user, other) = match self.who {
            Who::Few => ("ann", json!({})),
            Who::Many => ("big", json!({})),
            Who::Admin => ("root", json!({ "role": "DOMAIN_ADMIN" })),
        };
        minter.mint(&format!("rows-{number}"), Some(user), &other)
    }

    /// Of even numbers in their domain: those are of the owner of half.
    fn gets(self, token: &str, number: u64, size: Size) -> Vec<Vec<u8>> {
        let each = GETS / size.domains.min(DOMAINS);
        let (from, to) = (size.fixed() / 2 + 1, size.rows / size.domains / 2);
        let k = std::iter::repeat_with(|| fastrand::u64(from..to) * 2);
        let one = |k: u64| {
            let id = id(k * size.domains + number);
            post(token, &body(GET, &json!({ "id": id })))
        };
        k.map(one).take(usize::try_from(each).unwrap_or_default()).collect()
    }

    /// The pages behind some of the last places of the list.
    async fn deep(self, connection: &mut Connection, token: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let (mut requests, mut at) = (Vec::new(), None);
        for _ in 0..STEPS {
            let page = post(token, &self.page("last: 20", at.as_deref()));
            let answer = connection.exchange(&page).await?;
            answer.check()?;
            let answer: Value = serde_json::from_str(answer.body)?;
            let pointer = format!("{}/pageInfo/startCursor", self.path());
            let Some(cursor) = answer.pointer(&pointer).and_then(Value::as_str) else { break };
            at = Some(cursor.to_owned());
            requests.push(post(token, &self.page("first: 20", Some(cursor))));
        }
        Ok(requests)
    }

    const fn path(self) -> &'static str {
        match self.who {
            Who::Admin => "/data/domain/userSecrets",
            _ => "/data/userSecrets",
        }
    }

    fn page(self, window: &str, cursor: Option<&str>) -> String {
        let (from, fields) = match (window.starts_with("last"), self.what) {
            (_, What::Count) => ("after", "{ totalCount }"),
            (true, _) => ("before", "{ pageInfo { startCursor } }"),
            (false, _) => ("after", FIELDS),
        };
        let list = format!("userSecrets(query: $q, {window}, {from}: $c) {fields}");
        let list = if self.who == Who::Admin { format!("domain {{ {list} }}") } else { list };
        let mut query = json!({});
        if let Some(env) = self.env {
            query = json!({ "filter": [{ "key": "tags.env", "operator": "EQ", "value": env }] });
        }
        if let Some(keyword) = self.keyword {
            query = json!({ "keyword": keyword });
        }
        let document = format!("query List($q: QueryInput, $c: String) {{ {list} }}");
        body(&document, &json!({ "q": query, "c": cursor }))
    }
}
