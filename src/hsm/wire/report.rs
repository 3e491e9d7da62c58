//! What a worker answers.

use prost::Message;
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    super::{
        Dek, HsmError, SealedBlock, SigningKey,
        crew::Offer,
        failure::{Class, Failure},
        request::{Answer, Outcome},
    },
    Kek,
};

/// How far a worker that begins has come.
pub(in crate::hsm) enum Reached {
    /// The token took the PIN.
    Login,
    /// It takes orders.
    Work(Offer),
}

/// What came of an order; as number 0 what a worker that begins has reached, with the public signing key as its bytes.
#[derive(PartialEq, Message)]
#[prost(skip_debug)]
pub(in crate::hsm) struct Report {
    #[prost(uint64, tag = "1")]
    pub(in crate::hsm) number: u64,
    #[prost(enumeration = "Kind", tag = "2")]
    kind: i32,
    #[prost(message, optional, tag = "3")]
    kek: Option<Kek>,
    /// The wrapped DEK, the signature, or the public key.
    #[prost(bytes = "vec", tag = "4")]
    bytes: Vec<u8>,
    /// A DEK as four words of little endian: bytes are decoded by way of memory that nobody wipes.
    #[prost(fixed64, repeated, tag = "5")]
    dek: Vec<u64>,
    /// Of an error.
    #[prost(string, tag = "6")]
    text: String,
    /// Of a failed call.
    #[prost(uint32, tag = "7")]
    class: u32,
    /// The version of a root that is not there.
    #[prost(int32, tag = "9")]
    root: i32,
    /// DEKs that were rewrapped; empty where one did not open.
    #[prost(bytes = "vec", repeated, tag = "8")]
    blocks: Vec<Vec<u8>>,
    /// Of a worker that begins: what it does at the same time.
    #[prost(uint64, tag = "10")]
    sessions: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Kind {
    Sound = 0,
    Kek = 1,
    Wrapped = 2,
    Dek = 3,
    Bytes = 4,
    Tampered = 5,
    PinIncorrect = 6,
    Setup = 7,
    Call = 8,
    Misbehaved = 9,
    Away = 10,
    Stopped = 11,
    Rewrapped = 12,
    NoRoot = 13,
    Login = 14,
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.dek.zeroize();
    }
}

impl Report {
    pub(in crate::hsm) fn new(number: u64, outcome: Outcome) -> Self {
        let mut report = Self::default();
        report.number = number;
        match outcome {
            Ok(answer) => report.put(answer),
            Err(error) => report.put_error(error),
        }
        report
    }

    /// What a worker that begins has reached.
    pub(in crate::hsm) fn of_beginning(reached: Result<Reached, HsmError>) -> Self {
        let mut report = Self::default();
        match reached {
            Ok(Reached::Login) => report.set_kind(Kind::Login),
            Ok(Reached::Work(Offer { key, sessions })) => {
                report.put(Answer::Signature(key.spki().to_vec()));
                report.sessions = u64::try_from(sessions).unwrap_or(u64::MAX);
            }
            Err(error) => report.put_error(error),
        }
        report
    }

    pub(in crate::hsm) fn reached(self) -> Result<Reached, HsmError> {
        if self.kind() == Kind::Login {
            return Ok(Reached::Login);
        }
        let sessions = usize::try_from(self.sessions).unwrap_or(usize::MAX);
        let key = match self.read()? {
            Answer::Signature(spki) => SigningKey::from_spki(&spki),
            _ => None,
        };
        key.map(|key| Reached::Work(Offer { key, sessions }))
            .ok_or_else(|| HsmError::misbehaved("a worker has no signing key"))
    }

    fn put(&mut self, answer: Answer) {
        match answer {
            Answer::Sound => self.set_kind(Kind::Sound),
            Answer::Kek(kek) => {
                self.set_kind(Kind::Kek);
                self.kek = Some(Kek::new(&kek));
            }
            Answer::Wrapped(dek, wrapped) => {
                self.set_kind(Kind::Wrapped);
                self.dek = words(&dek);
                self.bytes = wrapped.as_bytes().to_vec();
            }
            Answer::Dek(dek) => {
                self.set_kind(Kind::Dek);
                self.dek = words(&dek);
            }
            Answer::Rewrapped(blocks) => {
                self.set_kind(Kind::Rewrapped);
                let bytes = |block: Option<SealedBlock>| {
                    block.map_or_else(Vec::new, |block| block.as_bytes().to_vec())
                };
                self.blocks = blocks.into_iter().map(bytes).collect();
            }
            Answer::Signature(signature) => {
                self.set_kind(Kind::Bytes);
                self.bytes = signature;
            }
        }
    }

    fn put_error(&mut self, error: HsmError) {
        let (kind, text) = match error {
            HsmError::Tampered(what) => (Kind::Tampered, what.into_owned()),
            HsmError::PinIncorrect => (Kind::PinIncorrect, String::new()),
            HsmError::Setup(text) => (Kind::Setup, text),
            HsmError::NoRoot(version) => {
                self.root = version;
                (Kind::NoRoot, String::new())
            }
            HsmError::Call(failure) => {
                let index = Class::ALL.iter().position(|class| *class == failure.class);
                self.class = index.and_then(|index| u32::try_from(index).ok()).unwrap_or(u32::MAX);
                (Kind::Call, failure.to_string())
            }
            HsmError::Misbehaved(how) => (Kind::Misbehaved, how.into_owned()),
            HsmError::Away(why) => (Kind::Away, why),
            HsmError::QueueFull(_) | HsmError::Deadline | HsmError::Stopped => {
                (Kind::Stopped, String::new())
            }
        };
        self.set_kind(kind);
        self.text = text;
    }

    pub(in crate::hsm) fn read(mut self) -> Outcome {
        let foreign = || HsmError::misbehaved("a worker's report is not understood");
        let text = std::mem::take(&mut self.text);
        Ok(match self.kind() {
            Kind::Sound => Answer::Sound,
            Kind::Kek => Answer::Kek(self.kek.take().and_then(Kek::read).ok_or_else(foreign)?),
            Kind::Wrapped => Answer::Wrapped(
                dek(&self.dek).ok_or_else(foreign)?,
                SealedBlock::parse(&self.bytes).ok_or_else(foreign)?,
            ),
            Kind::Dek => Answer::Dek(dek(&self.dek).ok_or_else(foreign)?),
            Kind::Rewrapped => {
                let block = |bytes: &Vec<u8>| match bytes.as_slice() {
                    [] => Ok(None),
                    bytes => SealedBlock::parse(bytes).map(Some).ok_or_else(foreign),
                };
                Answer::Rewrapped(self.blocks.iter().map(block).collect::<Result<_, _>>()?)
            }
            Kind::Bytes => Answer::Signature(std::mem::take(&mut self.bytes)),
            Kind::Tampered => return Err(HsmError::Tampered(text.into())),
            Kind::PinIncorrect => return Err(HsmError::PinIncorrect),
            Kind::Setup => return Err(HsmError::Setup(text)),
            Kind::NoRoot => return Err(HsmError::NoRoot(self.root)),
            Kind::Misbehaved => return Err(HsmError::Misbehaved(text.into())),
            Kind::Away => return Err(HsmError::Away(text)),
            Kind::Stopped => return Err(HsmError::Stopped),
            Kind::Login => return Err(foreign()),
            Kind::Call => {
                let class = usize::try_from(self.class).ok().and_then(|at| Class::ALL.get(at));
                let class = class.copied().unwrap_or(Class::Doubtful);
                return Err(HsmError::Call(Failure::new(class, text)));
            }
        })
    }
}

fn words(dek: &Dek) -> Vec<u64> {
    dek.expose().as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

fn dek(words: &[u64]) -> Option<Dek> {
    let words: &[u64; 4] = words.try_into().ok()?;
    let mut bytes = Zeroizing::new([0; 32]);
    for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *chunk = word.to_le_bytes();
    }
    Some(Dek::new(*bytes))
}
