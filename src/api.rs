//! The original's API: one adapter for REST and gRPC.
//!
//! A request message becomes one call of the service, and what that answers a
//! reply. How a message lies on the wire is the business of the two faces.
//!
//! As in proto3, what has its default value is not there: a name that is empty
//! is absent. What is required is looked for in the order of the original, and
//! only after the caller was let through.

mod entrance;
mod fault;
mod list;
mod messages;
mod method;
mod reply;
mod shown;
mod statistics;
mod structure;

pub use crate::statistics::number;
pub use entrance::{Answer, Entrance, Luggage};
pub use fault::Fault;
pub use messages::{DESCRIPTORS, VersionInfo};
pub use method::Method;
pub use reply::Reply;
pub use structure::{MAX_DEPTH, to_proto};

use prost::{Message, Name};
use prost_types::Struct;

use self::{
    messages::{
        CreateUserSecretRequest, GetUserSecretDataRequest, UpdateUserSecretDataRequest,
        UpdateUserSecretRequest, UserSecretQuery, UserSecretRequest, UserSecretStatQuery,
    },
    reply::{info, infos, unwound},
    shown::Shown,
    structure::{to_object, to_struct},
};
use crate::{
    error::{Error, Result},
    ids::DomainId,
    service::{
        Caller, CreateInput, DeleteInput, Role, Target, UpdateDataInput, UpdateInput,
        UserSecretService,
    },
};

/// A request on its way in: a message that can be read once its type is known.
pub trait Incoming {
    /// Reads the message.
    fn read<M: Message + Name + Default>(self) -> Result<M>;
}

/// The adapter.
pub struct Api {
    secrets: UserSecretService,
}

impl Api {
    /// An adapter in front of `secrets`.
    pub const fn new(secrets: UserSecretService) -> Self {
        Self { secrets }
    }

    /// Calls `method`; `named` is the domain in which a system says that it acts.
    pub async fn call(
        &self,
        method: Method,
        caller: &Caller,
        named: Option<&str>,
        request: impl Incoming,
    ) -> Result<Reply> {
        match method {
            Method::Create => self.create(caller, request.read()?).await,
            Method::Update => self.update(caller, request.read()?).await,
            Method::Delete => self.delete(caller, named, request.read()?).await,
            Method::UpdateData => self.update_data(caller, request.read()?).await,
            Method::GetData => self.get_data(caller, request.read()?).await,
            Method::Get => self.get(caller, request.read()?).await,
            Method::List => self.list(caller, request.read()?).await,
            Method::Stat => self.stat(caller, request.read()?).await,
        }
    }

    async fn create(&self, caller: &Caller, request: CreateUserSecretRequest) -> Result<Reply> {
        let input = || {
            // A name of blanks is none either.
            let name = required("name", request.name.trim())?.to_owned();
            Ok(CreateInput {
                name,
                data: object("data", Some(request.data.ok_or_else(|| missing("data"))?))?
                    .unwrap_or_default(),
                schema_id: given(request.schema_id),
                tags: object("tags", request.tags)?,
                expires_at: None,
                idempotency_key: None,
            })
        };
        Ok(Reply::Secret(info(self.secrets.create(caller, input()).await?)))
    }

    async fn update(&self, caller: &Caller, request: UpdateUserSecretRequest) -> Result<Reply> {
        let id = request.user_secret_id;
        let input = || {
            required("user_secret_id", &id)?;
            Ok(UpdateInput {
                name: given(request.name),
                tags: object("tags", request.tags)?,
                expires_at: None,
                expected_revision: None,
            })
        };
        Ok(Reply::Secret(info(self.secrets.update(caller, &id, input()).await?)))
    }

    async fn delete(
        &self,
        caller: &Caller,
        named: Option<&str>,
        request: UserSecretRequest,
    ) -> Result<Reply> {
        // Only a system acts in another domain than its own.
        let named = named.filter(|name| caller.role() == Role::System && !name.is_empty());
        let domain = named.map(domain).transpose()?;
        let id = required("user_secret_id", &request.user_secret_id);
        self.secrets.delete(caller, DeleteInput { id, owner: None, domain }).await?;
        Ok(Reply::Nothing)
    }

    async fn update_data(
        &self,
        caller: &Caller,
        request: UpdateUserSecretDataRequest,
    ) -> Result<Reply> {
        let id = request.user_secret_id;
        let input = || {
            required("user_secret_id", &id)?;
            Ok(UpdateDataInput {
                data: object("data", Some(request.data.ok_or_else(|| missing("data"))?))?
                    .unwrap_or_default(),
                schema_id: given(request.schema_id),
                expected_version: None,
            })
        };
        self.secrets.update_data(caller, &id, input()).await?;
        Ok(Reply::Nothing)
    }

    async fn get_data(&self, caller: &Caller, request: GetUserSecretDataRequest) -> Result<Reply> {
        let named = required("domain_id", &request.domain_id);
        let domain = named.as_deref().ok().map(domain).transpose()?;
        let id =
            required("user_secret_id", &request.user_secret_id).and_then(|id| named.map(|_| id));
        let revealed = self.secrets.reveal(caller, domain, id, None).await?;
        Ok(Reply::data(to_struct(revealed.data)))
    }

    async fn get(&self, caller: &Caller, request: UserSecretRequest) -> Result<Reply> {
        let id = required("user_secret_id", &request.user_secret_id);
        Ok(Reply::Secret(info(self.secrets.get(caller, Target::Own, id).await?)))
    }

    async fn list(&self, caller: &Caller, request: UserSecretQuery) -> Result<Reply> {
        let asked = list::Asked::from(request);
        let mut shown = Shown::Whole;
        let mut look = |asked: &list::Asked| {
            shown = Shown::of(&asked.query)?;
            Ok(())
        };
        if let Some(path) = asked.query.unwind.as_ref().map(|unwind| unwind.path.clone()) {
            let statistics = look(&asked).and_then(|()| asked.into_unwound());
            let outcome = self.secrets.list_unwound(caller, Target::Own, statistics).await?;
            return Ok(Reply::Secrets(unwound(outcome, &path, &shown)));
        }
        let query = look(&asked).and_then(|()| asked.into_list());
        let page = self.secrets.list(caller, Target::Own, query).await?;
        Ok(Reply::Secrets(infos(page, &shown)))
    }

    async fn stat(&self, caller: &Caller, request: UserSecretStatQuery) -> Result<Reply> {
        // The domain that it names says nothing: it is the token's.
        let query = request.query.ok_or_else(|| missing("query"));
        let statistics = query.and_then(statistics::statistics);
        Ok(Reply::statistics(self.secrets.stat(caller, Target::Own, statistics).await?))
    }
}

fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn missing(key: &str) -> Error {
    Error::missing(key, "")
}

fn required<'r>(key: &str, text: &'r str) -> Result<&'r str> {
    if text.is_empty() { Err(missing(key)) } else { Ok(text) }
}

fn object(key: &str, fields: Option<Struct>) -> Result<Option<serde_json::Value>> {
    fields.map(|fields| to_object(key, fields)).transpose()
}

/// What cannot be the id of a domain is outside every caller's reach.
fn domain(name: &str) -> Result<DomainId> {
    DomainId::parse(name).ok_or_else(Error::permission_denied)
}
