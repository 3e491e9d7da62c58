//! What a worker is asked.

use prost::Message;

use super::{
    super::{SealedBlock, request::Request},
    Kek,
};

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
    /// The sealed block, or the digest.
    #[prost(bytes = "vec", tag = "5")]
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Verb {
    Probe = 0,
    GenerateKek = 1,
    WrapDek = 2,
    UnwrapDek = 3,
    Sign = 4,
}

impl Order {
    pub(in crate::hsm) fn new(number: u64, request: &Request) -> Self {
        let mut order = Self { number, ..Self::default() };
        match request {
            Request::Probe => order.set_verb(Verb::Probe),
            Request::GenerateKek { aad } => {
                order.set_verb(Verb::GenerateKek);
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
            Request::Sign { digest } => {
                order.set_verb(Verb::Sign);
                order.bytes = digest.to_vec();
            }
        }
        order
    }

    pub(in crate::hsm) fn read(self) -> Option<(u64, Request)> {
        let verb = self.verb();
        let Self { number, kek, aad, bytes, .. } = self;
        let kek = || kek.and_then(Kek::read);
        let request = match verb {
            Verb::Probe => Request::Probe,
            Verb::GenerateKek => Request::GenerateKek { aad },
            Verb::WrapDek => Request::WrapDek { kek: kek()?, aad },
            Verb::UnwrapDek => {
                Request::UnwrapDek { kek: kek()?, aad, wrapped: SealedBlock::parse(&bytes)? }
            }
            Verb::Sign => Request::Sign { digest: bytes.try_into().ok()? },
        };
        Some((number, request))
    }
}
