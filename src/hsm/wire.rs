//! What goes between the service and a worker's process: messages of Protocol Buffers, each behind its length.

mod charge;
mod order;
mod report;

pub(super) use charge::Charge;
pub(super) use order::Order;
pub(super) use report::Report;

use std::io::{self, Read, Write};

use prost::Message;
use zeroize::Zeroizing;

use super::WrappedKek;
use crate::ids::RootVersion;

/// A message is far smaller.
const MOST: usize = 64 * 1024;

/// Sends `message`, from a buffer that is wiped: it may hold a DEK.
pub(super) fn send(to: &mut impl Write, message: &impl Message) -> io::Result<()> {
    let length = message.encoded_len();
    let mut bytes = Zeroizing::new(Vec::with_capacity(4 + length));
    bytes.extend_from_slice(&u32::try_from(length).map_err(io::Error::other)?.to_be_bytes());
    message.encode(&mut *bytes).map_err(io::Error::other)?;
    to.write_all(&bytes)?;
    to.flush()
}

/// Receives a message; `None` at the end.
pub(super) fn receive<M: Message + Default>(from: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > MOST {
        return Err(io::Error::other("a message is too long"));
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    from.read_exact(&mut bytes)?;
    M::decode(bytes.as_slice()).map(Some).map_err(io::Error::other)
}

/// A wrapped KEK.
#[derive(Clone, PartialEq, Message)]
struct Kek {
    #[prost(bytes = "vec", tag = "1")]
    aad: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    blob: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    binding: Vec<u8>,
    #[prost(int32, tag = "4")]
    root: i32,
}

impl Kek {
    fn new(kek: &WrappedKek) -> Self {
        Self {
            aad: kek.aad().to_vec(),
            blob: kek.blob().to_vec(),
            binding: kek.binding().as_bytes().to_vec(),
            root: kek.root().0,
        }
    }

    fn read(self) -> Option<WrappedKek> {
        WrappedKek::parse(self.aad, RootVersion(self.root), &self.blob, &self.binding)
    }
}
