//! What a worker is asked.

use prost::Message;

use super::{
    super::{
        SealedBlock,
        request::{Request, Rewrapping},
    },
    Kek,
};
use crate::ids::RootVersion;

/// A request and its number.
#[derive(Clone, PartialEq, Message)]
pub(in crate::hsm) struct Order {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(enumeration = "Verb", tag = "2")]
    verb: i32,
    #[prost(message, optional, tag = "3")]
    kek: Option<Kek>,
    #[prost(bytes = "vec", tag = "4")]
    aad: Vec<u8>,
    /// The sealed block, the digest, or how a domain's bindings begin.
    #[prost(bytes = "vec", tag = "5")]
    bytes: Vec<u8>,
    /// The KEK under which DEKs are to be wrapped.
    #[prost(message, optional, tag = "6")]
    to: Option<Kek>,
    #[prost(message, repeated, tag = "7")]
    deks: Vec<Dek>,
    /// The version of a root.
    #[prost(int32, tag = "8")]
    root: i32,
}

/// A DEK that is to be wrapped under another KEK.
#[derive(Clone, PartialEq, Message)]
struct Dek {
    #[prost(bytes = "vec", tag = "1")]
    from: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    to: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    wrapped: Vec<u8>,
}

impl Dek {
    fn new(dek: &Rewrapping) -> Self {
        let Rewrapping { from, to, wrapped } = dek;
        Self { from: from.clone(), to: to.clone(), wrapped: wrapped.as_bytes().to_vec() }
    }

    fn read(self) -> Option<Rewrapping> {
        let wrapped = SealedBlock::parse(&self.wrapped)?;
        Some(Rewrapping { from: self.from, to: self.to, wrapped })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Verb {
    Probe = 0,
    GenerateKek = 1,
    WrapDek = 2,
    UnwrapDek = 3,
    Sign = 4,
    Rewrap = 5,
    RewrapKek = 6,
    Forget = 7,
    Prove = 8,
}

impl Order {
    pub(in crate::hsm) fn new(number: u64, request: &Request) -> Self {
        let mut order = Self { number, ..Self::default() };
        match request {
            Request::Probe => order.set_verb(Verb::Probe),
            Request::GenerateKek { root, aad } => {
                order.set_verb(Verb::GenerateKek);
                order.root = root.0;
                order.aad.clone_from(aad);
            }
            Request::WrapDek { kek, aad } => {
                order.set_verb(Verb::WrapDek);
                order.kek = Some(Kek::new(kek));
                order.aad.clone_from(aad);
            }
            Request::UnwrapDek { kek, aad, wrapped } => {
                order.set_verb(Verb::UnwrapDek);
                order.kek = Some(Kek::new(kek));
                order.aad.clone_from(aad);
                order.bytes = wrapped.as_bytes().to_vec();
            }
            Request::Rewrap { from, to, deks } => {
                order.set_verb(Verb::Rewrap);
                (order.kek, order.to) = (Some(Kek::new(from)), Some(Kek::new(to)));
                order.deks = deks.iter().map(Dek::new).collect();
            }
            Request::RewrapKek { kek, root } => {
                order.set_verb(Verb::RewrapKek);
                (order.kek, order.root) = (Some(Kek::new(kek)), root.0);
            }
            Request::Prove { kek } => {
                order.set_verb(Verb::Prove);
                order.kek = Some(Kek::new(kek));
            }
            Request::Forget { domain } => {
                order.set_verb(Verb::Forget);
                order.bytes.clone_from(domain);
            }
            Request::Sign { digest } => {
                order.set_verb(Verb::Sign);
                order.bytes = digest.to_vec();
            }
        }
        order
    }

    pub(in crate::hsm) fn read(self) -> Option<(u64, Request)> {
        let verb = self.verb();
        let Self { number, kek, aad, bytes, to, deks, root, .. } = self;
        let (kek, root) = (|| kek.and_then(Kek::read), RootVersion(root));
        let request = match verb {
            Verb::Probe => Request::Probe,
            Verb::GenerateKek => Request::GenerateKek { root, aad },
            Verb::WrapDek => Request::WrapDek { kek: kek()?, aad },
            Verb::UnwrapDek => {
                Request::UnwrapDek { kek: kek()?, aad, wrapped: SealedBlock::parse(&bytes)? }
            }
            Verb::Rewrap => {
                let deks = deks.into_iter().map(Dek::read).collect::<Option<_>>()?;
                Request::Rewrap { from: kek()?, to: to.and_then(Kek::read)?, deks }
            }
            Verb::RewrapKek => Request::RewrapKek { kek: kek()?, root },
            Verb::Prove => Request::Prove { kek: kek()? },
            Verb::Forget => Request::Forget { domain: bytes },
            Verb::Sign => Request::Sign { digest: bytes.try_into().ok()? },
        };
        Some((number, request))
    }
}
