//! The tenants, and requests that name some of them.

use serde_json::{Value, json};

use crate::{
    Failure,
    dataset::{GET, REVEAL, body, create, created},
    load::{Requests, once, post},
    results::Figures,
    service::Service,
    subject::Subject,
    token::Minter,
};

/// Who has one secret in every domain, from its creation to the end.
const OWNER: &str = "ann";
/// Who creates while that is measured.
const CREATOR: &str = "eve";
/// The one tenant whose requests the floor is made of. It is not counted.
const ALONE: &str = "tenant-alone";

/// In how many domains deletion is measured while there are tenants.
const CLEARED: usize = 2_000;

const DELETE: &str = "mutation Clear($input: DeleteUserSecretsOfUserInput!) \
    { deleteUserSecretsOfUser(input: $input) { count } }";
const COUNT: &str = "query Count($domain: ID!) \
    { domain(domainId: $domain) { userSecrets(first: 1) { totalCount } } }";

/// Domains by their number, each with its owner's token and secret.
pub(crate) struct Population {
    minter: Minter,
    system: String,
    alone: (String, String),
    owners: Vec<(String, String)>,
}

fn domain(number: usize) -> String {
    format!("tenant-{number:07}")
}

impl Population {
    /// Makes the one tenant of the floor.
    pub(crate) async fn begin(service: &Service, connections: u32) -> Result<Self, Failure> {
        let minter = service.minter()?;
        let system = minter.mint(ALONE, None, &json!({}))?;
        let token = minter.mint(ALONE, Some(OWNER), &json!({}))?;
        let request: Requests = [post(&token, &create(0))].into();
        let (ids, _) = once(service.address, &request, connections, created).await?;
        let id = ids.into_iter().next().ok_or("no first secret")?;
        Ok(Self { minter, system, alone: (token, id), owners: Vec::new() })
    }

    /// How many domains there are.
    pub(crate) fn len(&self) -> usize {
        self.owners.len()
    }

    /// Adds `count` domains: each by the first creation of its owner.
    pub(crate) async fn grow(
        &mut self,
        service: &Service,
        count: usize,
        connections: u32,
    ) -> Result<Figures, Failure> {
        let numbers = self.len()..self.len().saturating_add(count);
        let token = |number| self.minter.mint(&domain(number), Some(OWNER), &json!({}));
        let tokens = numbers.map(token).collect::<Result<Vec<_>, _>>()?;
        let requests: Requests = tokens.iter().map(|token| post(token, &create(0))).collect();
        let (ids, figures) = once(service.address, &requests, connections, created).await?;
        self.owners.extend(tokens.into_iter().zip(ids));
        Ok(figures)
    }

    /// Numbers of `count` domains, each at most once.
    pub(crate) fn some(&self, count: usize) -> Vec<usize> {
        let mut numbers = fastrand::choose_multiple(0..self.len(), count);
        fastrand::shuffle(&mut numbers);
        numbers
    }

    /// What is asked of those domains.
    pub(crate) fn requests(
        &self,
        subject: Subject,
        numbers: &[usize],
    ) -> Result<Requests, Failure> {
        let request = |number: &usize| {
            let (token, id) = self.owners.get(*number).ok_or("a domain that is not there")?;
            self.request(subject, &domain(*number), token, id)
        };
        numbers.iter().map(request).collect::<Result<Vec<_>, _>>().map(Into::into)
    }

    /// The same of the one tenant.
    pub(crate) fn request_of_one(&self, subject: Subject) -> Result<Requests, Failure> {
        let (token, id) = &self.alone;
        Ok([self.request(subject, ALONE, token, id)?].into())
    }

    fn request(
        &self,
        subject: Subject,
        domain: &str,
        token: &str,
        id: &str,
    ) -> Result<Vec<u8>, Failure> {
        Ok(match subject {
            Subject::Reveal => {
                post(&self.system, &body(REVEAL, &json!({ "id": id, "domain": domain })))
            }
            Subject::Get => post(token, &body(GET, &json!({ "id": id }))),
            Subject::Create => {
                post(&self.minter.mint(domain, Some(CREATOR), &json!({}))?, &create(1))
            }
            other => return Err(format!("{} is not measured here", other.name()).into()),
        })
    }

    /// Creates once more in some of these domains, and measures the deletion of that; then deletes
    /// whatever else was created in them. None when there are no domains.
    pub(crate) async fn clear(
        &self,
        service: &Service,
        numbers: &[usize],
        connections: u32,
    ) -> Result<Option<Figures>, Failure> {
        let some = numbers.get(..numbers.len().min(CLEARED)).unwrap_or_default();
        if some.is_empty() {
            return Ok(None);
        }
        let creations = self.requests(Subject::Create, some)?;
        once(service.address, &creations, connections, created).await?;
        let figures = self.delete(service, some.iter().copied(), CREATOR, connections).await?.1;
        let rest = numbers.iter().skip(CLEARED).copied();
        self.delete(service, rest, CREATOR, connections).await?;
        Ok(Some(figures))
    }

    /// Deletes the owners' secrets of `count` domains, from number `first` on.
    pub(crate) async fn end(
        &self,
        service: &Service,
        first: usize,
        count: usize,
        connections: u32,
    ) -> Result<Figures, Failure> {
        let numbers = (first..self.len()).take(count);
        let (counts, figures) = self.delete(service, numbers, OWNER, connections).await?;
        let whole = counts.iter().all(|count| *count == 1);
        if whole { Ok(figures) } else { Err("a domain without its owner's secret".into()) }
    }

    async fn delete(
        &self,
        service: &Service,
        numbers: impl Iterator<Item = usize>,
        user: &str,
        connections: u32,
    ) -> Result<(Vec<u64>, Figures), Failure> {
        let request = |number| {
            let input = json!({ "userId": user, "domainId": domain(number) });
            post(&self.system, &body(DELETE, &json!({ "input": input })))
        };
        let requests: Requests = numbers.map(request).collect();
        let read = |body: &str| at(body, "/data/deleteUserSecretsOfUser/count");
        once(service.address, &requests, connections, read).await
    }

    /// An error when there is a secret left in one of these domains.
    pub(crate) async fn check_empty(
        &self,
        service: &Service,
        numbers: &[usize],
        connections: u32,
    ) -> Result<(), Failure> {
        let request = |number: &usize| {
            post(&self.system, &body(COUNT, &json!({ "domain": domain(*number) })))
        };
        let requests: Requests = numbers.iter().map(request).collect();
        let read = |body: &str| at(body, "/data/domain/userSecrets/totalCount");
        let (counts, _) = once(service.address, &requests, connections, read).await?;
        let left: u64 = counts.iter().sum();
        if left == 0 { Ok(()) } else { Err(format!("{left} secrets are left").into()) }
    }
}

/// A number of an answer.
fn at(body: &str, pointer: &str) -> Result<u64, Failure> {
    let answer: Value = serde_json::from_str(body)?;
    let number = answer.pointer(pointer).and_then(Value::as_u64);
    Ok(number.ok_or_else(|| format!("an answer without {pointer}"))?)
}
