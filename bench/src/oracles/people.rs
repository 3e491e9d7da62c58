//! Who has secrets, and whose ids are asked for.

use serde_json::{Value, json};

use crate::{
    Failure,
    dataset::{create, created},
    load::{Connection, post},
    service::Service,
    token::Minter,
};

/// Ids of each kind: with three kinds and a malformed one the audit trail still tells all refusals of
/// a second apart.
const IDS: usize = 64;

/// Ids, and the tokens of those who ask for them.
pub(super) struct People {
    pub(super) minter: Minter,
    pub(super) bobs: Vec<String>,
    pub(super) cleos: Vec<String>,
    /// Of the domain globex.
    pub(super) foreign: Vec<String>,
    pub(super) unknown: Vec<String>,
    pub(super) malformed: Vec<String>,
}

impl People {
    /// An issuer with the same key that speaks for one domain only.
    pub(super) const LIMITED: &'static str = "https://limited.dev.localhost";

    /// The entry of that issuer, behind a configuration that `dev` wrote.
    pub(super) fn issuer() -> String {
        format!(
            "\n[[auth.issuers]]\niss = \"{}\"\njwks_file = \"issuer/jwks.json\"\n\
             algorithms = [\"ES256\"]\naudiences = [\"usersecret\"]\ndomains = [\"acme\"]\n\
             roles = [\"USER\", \"DOMAIN_ADMIN\", \"SYSTEM\"]\n",
            Self::LIMITED
        )
    }

    /// Creates the secrets.
    pub(super) async fn prepare(
        service: &Service,
        random: &mut fastrand::Rng,
    ) -> Result<Self, Failure> {
        let minter = service.minter()?;
        let mut connection = Connection::open(service.address).await?;
        let mut ids = Vec::new();
        for (domain, user) in
            [("acme", "bob"), ("acme", "cleo"), ("globex", "ann"), ("acme", "ann")]
        {
            let token = minter.mint(domain, Some(user), &json!({}))?;
            let mut own = Vec::new();
            for number in 0..IDS {
                let answer = connection.exchange(&post(&token, &create(number))).await?;
                answer.check()?;
                own.push(created(answer.body)?);
            }
            ids.push(own);
        }
        let [bobs, cleos, foreign, _] = <[_; 4]>::try_from(ids).map_err(|_| "four users")?;
        let mut drawn = |form: fn(u64) -> String| -> Vec<String> {
            (0..IDS).map(|_| form(random.u64(..1 << 44))).collect()
        };
        let unknown = drawn(|n| format!("user-secret-{:012x}", n << 4));
        let malformed = drawn(|n| format!("user-secret-g{n:011x}"));
        Ok(Self { minter, bobs, cleos, foreign, unknown, malformed })
    }

    pub(super) fn token(
        &self,
        domain: &str,
        user: Option<&str>,
        other: &Value,
    ) -> Result<String, Failure> {
        self.minter.mint(domain, user, other)
    }
}
