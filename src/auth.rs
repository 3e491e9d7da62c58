//! Who is calling, and what they were granted.
//!
//! [`Authenticator`] makes a [`Caller`] of a token, and [`Gate`] makes a
//! [`Scope`] of a caller. Without a scope there is no row and no key, and
//! nobody else can make one:
//!
//! ```
//! fn domain_of(scope: &usersecret::auth::Scope) -> &str {
//!     scope.domain().as_str()
//! }
//! ```
//!
//! ```compile_fail,E0451
//! fn forge(domain: usersecret::ids::DomainId) -> usersecret::auth::Scope {
//!     usersecret::auth::Scope { domain, owner: None, event: todo!() }
//! }
//! ```
//!
//! ```compile_fail,E0624
//! use usersecret::auth::{Caller, Scope, Target, Verb};
//! fn forge(caller: &Caller) -> Scope {
//!     Scope::grant(caller, &Verb::Get.into(), Target::Own).unwrap()
//! }
//! ```

mod authenticator;
mod caller;
mod claim_set;
mod claims;
mod directory;
mod fetch;
mod gate;
mod intent;
mod issuer;
mod jwks;
mod jwt;
mod keys;
mod parameters;
mod policy;
mod public_address;
mod registration;
mod registry;
mod scope;

pub use authenticator::Authenticator;
pub use caller::{Caller, Reach, Role};
pub use claim_set::{ClaimSet, Mapping, Named};
pub use directory::Directory;
pub use fetch::{KeyFetcher, KeyRhythm};
pub use gate::Gate;
pub use intent::{Grant, Intent, Verb};
pub use issuer::{Issuer, IssuerError, IssuerSettings};
pub use parameters::Parameters;
pub use registration::{Registration, is_iss};
pub use scope::{Scope, Target};
