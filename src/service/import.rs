//! A secret that comes from elsewhere and keeps what it was there.

use super::{
    CreateInput, DataLimits, TRIES, UserSecretService,
    input::{LATEST, New, bounded},
};
use crate::{
    auth::{Caller, Intent, Scope, Target, Verb},
    clock::Timestamp,
    error::{Code, Error, Result},
    ids::{UserId, UserSecretId},
    store::{Inserted, Position},
};

/// A secret as it was elsewhere.
pub struct ImportInput {
    /// Its id.
    pub id: String,
    /// What a creation takes.
    pub secret: CreateInput,
    /// The provider of its schema.
    pub provider: Option<String>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// Its place in the order of insertion.
    pub position: Position,
}

/// What came of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// It is stored.
    Stored,
    /// The id is taken, by whatever it is.
    Taken,
}

/// The beginning of the year 0, UTC: what RFC 3339 can write.
const EARLIEST: Timestamp = Timestamp::from_micros(-62_167_219_200_000_000);

impl ImportInput {
    fn check(self, limits: &DataLimits, now: Timestamp) -> Result<(UserSecretId, New)> {
        let rule = "must be user-secret- and 12 lower-case hexadecimal digits";
        let id =
            UserSecretId::parse(&self.id).ok_or_else(|| Error::invalid("userSecretId", rule))?;
        let provider = self.provider.filter(|text| !text.trim().is_empty());
        let new = New {
            provider: provider.map(|text| bounded("provider", &text, 40)).transpose()?,
            created_at: self.created_at.map(sensible).transpose()?,
            position: Some(self.position),
            ..self.secret.check(limits, now)?
        };
        Ok((id, new))
    }
}

fn sensible(moment: Timestamp) -> Result<Timestamp> {
    if (EARLIEST..=LATEST).contains(&moment) {
        Ok(moment)
    } else {
        Err(Error::invalid("createdAt", "must lie in the years 0 to 9999, UTC"))
    }
}

impl UserSecretService {
    /// Takes the next place in the order of insertion.
    pub fn next_position(&self) -> Position {
        self.store.next_position()
    }

    /// Draws an id for a secret that has none.
    pub fn new_id(&self) -> UserSecretId {
        self.ids.user_secret_id()
    }

    /// Seals the data and stores it as `owner`'s, unless the id is taken in the caller's domain. Where it was stored at
    /// this position before, and only the answer was lost, it is stored.
    ///
    /// With `look` it is looked for first: where many are there already, that spares the HSM its work.
    pub async fn import(
        &self,
        caller: &Caller,
        owner: &UserId,
        input: Result<ImportInput>,
        look: bool,
    ) -> Result<Imported> {
        let intent = Intent::on(Verb::Import, input.as_ref().map_or("", |input| &input.id));
        let target = Target::Domain { domain: None, owner: Some(owner.clone()) };
        self.gate
            .run(caller, intent, target, async |scope| {
                let input = input?;
                let position = input.position;
                let (id, new) = input.check(&self.limits, self.clock.now())?;
                if look && self.is_there(scope, &id).await? {
                    return Ok(Imported::Taken);
                }
                for _ in 0..TRIES {
                    match self.insert(scope, owner, id.clone(), &new).await? {
                        Inserted::Created(_) => return Ok(Imported::Stored),
                        Inserted::Taken if self.store.is_at(scope, &id, position).await? => {
                            return Ok(Imported::Stored);
                        }
                        Inserted::Taken => return Ok(Imported::Taken),
                        Inserted::StaleKek => {}
                    }
                }
                Err(Error::internal("the domain's key changed again and again"))
            })
            .await
    }

    async fn is_there(&self, scope: &Scope, id: &UserSecretId) -> Result<bool> {
        match self.store.find(scope, id).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Code::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
