//! What each verb means, for every face alike.
//!
//! What a face read comes as a `Result`: who may not do a thing is not told what is missing.

mod domain;
mod export;
mod import;
mod input;
mod insert;
mod issuer;
mod keys;
mod tags;

pub use crate::auth::{Caller, ClaimSet, Grant, Mapping, Named, Registration, Role, Target};
pub use crate::store::{AuditEvent, AuditFilter, AuditPage, AuditQuery};
pub use crate::store::{KekInfo, KekPage, KeyState, PassedDue, Rewrap, Shredding};
pub use crate::store::{Page, Place, Position, RegisteredIssuer, UserSecret};
pub use import::{ImportInput, Imported};
pub use input::{CreateInput, DataLimits, DeleteInput, UpdateDataInput, UpdateInput};
pub use issuer::{IssuerLimits, IssuerService};
pub use keys::{AT_ONCE, KeyLimits, KeyService, LeftKek, Pace, RootRotation, Run, Verified};
pub use tags::{MAX_DEPTH, depth};

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};

use crate::{
    auth::{Gate, Intent, Parameters, Scope, Verb},
    clock::Clock,
    crypto::{Aad, Keyring, Plaintext, missing_root},
    error::{Code, Error, Result},
    ids::{DataVersion, DomainId, IdSource, UserId, UserSecretId},
    query::{Field, ListQuery, Search},
    statistics::{Outcome, Statistics},
    store::{DataChange, Inserted, Store},
};

/// How often a write that lost a race is tried again.
const TRIES: usize = 32;

/// The verbs on user secrets.
#[derive(Clone)]
pub struct UserSecretService {
    gate: Gate,
    store: Store,
    keyring: Keyring,
    keys: KeyService,
    clock: Clock,
    ids: IdSource,
    limits: DataLimits,
}

/// The data of a secret, for a caller who may see it.
pub struct Revealed {
    /// The data.
    pub data: Map<String, Value>,
    /// Its version.
    pub version: DataVersion,
    /// When it is to be told at the latest: behind that a shredding may have been acknowledged.
    pub until: Instant,
}

/// What is told where a reveal took longer than that.
pub fn too_late() -> Error {
    Error::unavailable("the reveal took too long").after(Duration::from_secs(1))
}

impl UserSecretService {
    /// A service on these parts.
    pub const fn new(
        gate: Gate,
        store: Store,
        keyring: Keyring,
        keys: KeyService,
        clock: Clock,
        ids: IdSource,
        limits: DataLimits,
    ) -> Self {
        Self { gate, store, keyring, keys, clock, ids, limits }
    }

    /// Seals the data and stores it as the caller's own.
    ///
    /// A repeated idempotency key returns what the first call created.
    pub async fn create(&self, caller: &Caller, input: Result<CreateInput>) -> Result<UserSecret> {
        self.gate
            .run(caller, Verb::Create, Target::Own, async |scope| {
                let mut input = input?;
                if let Some(name) = &caller.parameters().name {
                    input.name = name.to_string();
                }
                said(&mut input.schema_id, &caller.parameters().schema_id);
                let new = input.check(&self.limits, self.clock.now())?;
                let owner = scope.owner().ok_or_else(Error::permission_denied)?.clone();
                for _ in 0..TRIES {
                    if let Some((key, digest)) = &new.idempotency
                        && let Some((secret, first)) =
                            self.store.find_by_idempotency_key(scope, key).await?
                    {
                        let same = first == *digest
                            && self.first_data_is(scope, &secret, &new.data).await?;
                        let rule = "was used for a creation with other input";
                        return if same {
                            Ok(secret)
                        } else {
                            Err(Error::already_exists("idempotencyKey", rule))
                        };
                    }
                    let id = self.ids.user_secret_id();
                    if let Inserted::Created(created) = self.insert(scope, &owner, id, &new).await?
                    {
                        return Ok(*created);
                    }
                }
                Err(Error::internal("every id that was drawn is taken"))
            })
            .await
    }

    /// Whether `secret` was created with `data`; true when that version is kept no longer.
    ///
    /// No digest of the data is stored: it would tell of a weak password.
    async fn first_data_is(
        &self,
        scope: &Scope,
        secret: &UserSecret,
        data: &Plaintext,
    ) -> Result<bool> {
        let sealed =
            match self.store.find_sealed_to_compare(scope, &secret.id, DataVersion(1)).await {
                Ok(sealed) => sealed,
                Err(error) if error.code() == Code::NotFound => return Ok(true),
                Err(error) => return Err(error),
            };
        let aad = Aad::for_record(scope, &sealed.user_id, &secret.id, sealed.version)?;
        Ok(self.keyring.open(&aad, &sealed.kek, sealed.envelope).await?.is(data))
    }

    /// One of the secrets of `target`.
    pub async fn get(
        &self,
        caller: &Caller,
        target: Target,
        id: Result<&str>,
    ) -> Result<UserSecret> {
        let id = named(caller, id);
        let intent = Intent::on(Verb::Get, id.as_deref().unwrap_or_default());
        self.gate
            .run(caller, intent, target, async |scope| {
                id?;
                self.store.find(scope, scope.secret()?).await
            })
            .await
    }

    /// A page of the secrets of `target`; the query is made for those only who may list.
    pub async fn list(
        &self,
        caller: &Caller,
        target: Target,
        query: impl FnOnce() -> Result<ListQuery>,
    ) -> Result<Page> {
        self.gate
            .run(caller, Verb::List, target, async |scope| {
                let mut query = query()?;
                narrow(&mut query.search, caller);
                self.store.page(scope, query).await
            })
            .await
    }

    /// Secrets of `target` with a list in their tags taken apart.
    pub async fn list_unwound(
        &self,
        caller: &Caller,
        target: Target,
        list: impl FnOnce() -> Result<Statistics>,
    ) -> Result<Outcome> {
        self.gate
            .run(caller, Verb::List, target, async |scope| {
                let mut list = list()?;
                narrow(&mut list.search, caller);
                self.store.statistics(scope, list).await
            })
            .await
    }

    /// What can be said of the secrets of `target` as a whole.
    pub async fn stat(
        &self,
        caller: &Caller,
        target: Target,
        statistics: impl FnOnce() -> Result<Statistics>,
    ) -> Result<Outcome> {
        self.gate
            .run(caller, Verb::Stat, target, async |scope| {
                self.store.statistics(scope, statistics()?).await
            })
            .await
    }

    /// Changes name, tags or expiry.
    pub async fn update(
        &self,
        caller: &Caller,
        id: &str,
        input: Result<UpdateInput>,
    ) -> Result<UserSecret> {
        let id = named(caller, Ok(id))?;
        self.gate
            .run(caller, Intent::on(Verb::Update, id), Target::Own, async |scope| {
                let mut input = input?;
                said(&mut input.name, &caller.parameters().name);
                let change = input.check(&self.limits, self.clock.now())?;
                self.store.update(scope, scope.secret()?, change).await
            })
            .await
    }

    /// Replaces the data by its next version.
    pub async fn update_data(
        &self,
        caller: &Caller,
        id: &str,
        input: Result<UpdateDataInput>,
    ) -> Result<UserSecret> {
        let id = named(caller, Ok(id))?;
        self.gate
            .run(caller, Intent::on(Verb::UpdateData, id), Target::Own, async |scope| {
                let mut input = input?;
                said(&mut input.schema_id, &caller.parameters().schema_id);
                let new = input.check(&self.limits)?;
                let id = scope.secret()?;
                for attempt in 1.. {
                    let current = self.store.find(scope, id).await?;
                    if new.expected.is_some_and(|expected| expected != current.version) {
                        return Err(Error::aborted("expectedVersion"));
                    }
                    let next = current.version.next();
                    let aad = Aad::for_record(scope, &current.user_id, id, next)?;
                    let kek = self.keys.active(scope, 1).await?;
                    let envelope = match self.keyring.seal(&aad, &kek, &new.data).await {
                        Err(error) if missing_root(&error).is_some() && attempt < TRIES => {
                            self.store.forget_kek(scope.domain(), &kek);
                            continue;
                        }
                        sealed => sealed?,
                    };
                    let change = DataChange {
                        replaces: current.version,
                        schema_id: new.schema_id.clone(),
                        envelope,
                        kek,
                        keep: self.limits.data_versions,
                    };
                    match self.store.update_data(scope, id, change).await {
                        // Somebody was faster. An expectation is looked at anew; without one, the last writer wins.
                        Err(error) if error.code() == Code::Aborted && attempt < TRIES => {}
                        outcome => return outcome,
                    }
                }
                Err(Error::aborted("expectedVersion"))
            })
            .await
    }

    /// Deletes a secret with every version of its data.
    ///
    /// Without a user the caller's own; an administrator may name a user of the
    /// domain, and SYSTEM needs none.
    pub async fn delete(&self, caller: &Caller, input: DeleteInput<'_>) -> Result<UserSecretId> {
        let DeleteInput { id, owner, domain } = input;
        let id = named(caller, id);
        let intent = Intent::on(Verb::Delete, id.as_deref().unwrap_or_default());
        // What cannot be the id of a user owns nothing.
        let nobody = owner.as_deref().is_some_and(|id| UserId::parse(id).is_none());
        let owner = owner.and_then(|id| UserId::parse(&id));
        let foreign = nobody || owner.as_ref().is_some_and(|owner| Some(owner) != caller.user());
        let away = domain.as_ref().is_some_and(|domain| domain != caller.domain());
        let target = match caller.role() {
            // What a user may not see does not exist, whoever is named as its owner.
            Role::User if !away => Target::Own,
            Role::DomainAdmin if !away && !foreign => Target::Own,
            _ => Target::Domain { domain, owner },
        };
        let hidden = nobody || (foreign && target == Target::Own);
        self.gate
            .run(caller, intent, target, async |scope| {
                id?;
                if hidden {
                    return Err(Error::not_found());
                }
                let id = scope.secret()?;
                self.store.remove(scope, id).await.map(|()| id.clone())
            })
            .await
    }

    /// Deletes every secret of `owner`, with every version of its data. Returns how many there were.
    ///
    /// Each batch is a transaction with an event for each secret; where it is cut short, the next call goes on.
    pub async fn delete_of_user(
        &self,
        caller: &Caller,
        domain: Option<DomainId>,
        owner: &str,
    ) -> Result<u64> {
        let owner = UserId::parse(owner);
        let target = Target::Domain { domain, owner: owner.clone() };
        self.gate
            .run(caller, Verb::DeleteOfUser, target, async |scope| {
                if owner.is_none() {
                    // What cannot be the id of a user owns nothing.
                    return self.store.refuse_shredded(scope.domain()).await.map(|()| 0);
                }
                let mut count = 0;
                loop {
                    match self.store.remove_some(scope).await? {
                        0 => return Ok(count),
                        removed => count += removed,
                    }
                }
            })
            .await
    }

    /// Opens the data of a secret: for a system only, and not after it has expired.
    pub async fn reveal(
        &self,
        caller: &Caller,
        domain: Option<DomainId>,
        id: Result<&str>,
        version: Option<DataVersion>,
    ) -> Result<Revealed> {
        let target = Target::Domain { domain, owner: None };
        let id = named(caller, id);
        let intent = Intent::on(Verb::GetData, id.as_deref().unwrap_or_default());
        self.gate
            .run(caller, intent, target, async |scope| {
                id?;
                let id = scope.secret()?;
                let begun = Instant::now();
                let sealed = self.store.find_sealed(scope, id, version).await?;
                if sealed.expires_at.is_some_and(|moment| moment <= self.clock.now()) {
                    return Err(Error::failed_precondition("The user secret has expired."));
                }
                let aad = Aad::for_record(scope, &sealed.user_id, id, sealed.version)?;
                let data =
                    self.keyring.open(&aad, &sealed.kek, sealed.envelope).await?.to_json()?;
                // The domain may have been shredded meanwhile, and that be acknowledged.
                let until = begun + self.keys.farewell();
                if Instant::now() > until {
                    return Err(too_late());
                }
                Ok(Revealed { data, version: sealed.version, until })
            })
            .await
    }
}

/// The secret that is meant: the one that the token says, else the one that the request does.
fn named<'c>(caller: &'c Caller, asked: Result<&'c str>) -> Result<&'c str> {
    caller.parameters().user_secret_id.as_deref().map_or(asked, Ok)
}

/// Puts what the token says in the place of what the request does.
fn said(asked: &mut Option<String>, token: &Option<Arc<str>>) {
    if let Some(token) = token {
        *asked = Some(token.to_string());
    }
}

/// Lets a search find only what the token says.
fn narrow(search: &mut Search, caller: &Caller) {
    let Parameters { user_secret_id, name, schema_id, provider } = caller.parameters();
    for (field, token) in [
        (Field::UserSecretId, user_secret_id),
        (Field::Name, name),
        (Field::SchemaId, schema_id),
        (Field::Provider, provider),
    ] {
        if let Some(token) = token {
            search.equal.retain(|(asked, _)| *asked != field);
            search.equal.push((field, token.to_string()));
        }
    }
}
