//! What goes between the service and a worker's process: messages of Protocol Buffers, each a packet of a socket.

mod charge;
mod order;
mod report;

pub(super) use charge::Charge;
pub(super) use order::Order;
pub(super) use report::{Reached, Report};

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use prost::Message;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send,
        shutdown, socketpair, sockopt,
    },
};
use zeroize::{Zeroize as _, Zeroizing};

use super::WrappedKek;
use crate::ids::RootVersion;

/// Bytes of the longest message: a rewrap has up to 40,000, everything else some 200.
const MOST: usize = 64 * 1024;

/// Bytes that may be on their way; where Linux allows less, which is a fifth of it by default, a hundred usual messages.
const UNDER_WAY: usize = 1024 * 1024;

/// One end of the socket between the service and a worker's process.
///
/// It keeps packets apart and in order, and gives each to one of those who wait for it. So each session of a worker takes its
/// orders from it by itself, with one call into the kernel, and nobody stands between.
#[derive(Clone)]
pub(super) struct Wire(Arc<OwnedFd>);

impl Wire {
    /// A new socket; the other end is the worker's.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let (own, other) = socketpair(AddressFamily::UNIX, kind, flags, None)?;
        sockopt::set_socket_send_buffer_size(&own, UNDER_WAY)?;
        Ok((Self(Arc::new(own)), other))
    }

    /// The end that was given to this process.
    pub(super) fn of_worker(input: impl AsFd) -> io::Result<Self> {
        Ok(Self(Arc::new(input.as_fd().try_clone_to_owned()?)))
    }

    /// Sends `message`; waits for room.
    pub(super) fn send(&self, message: &impl Message) -> io::Result<()> {
        self.put(message, SendFlags::NOSIGNAL)
    }

    /// Sends `message`, or answers [`io::ErrorKind::WouldBlock`] where there is no room now.
    pub(super) fn try_send(&self, message: &impl Message) -> io::Result<()> {
        self.put(message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
    }

    /// From a buffer that is wiped: a message may hold a DEK.
    fn put(&self, message: &impl Message, flags: SendFlags) -> io::Result<()> {
        let bytes = Zeroizing::new(message.encode_to_vec());
        if bytes.is_empty() {
            return Err(io::Error::other("a message without content is how the end looks"));
        }
        if bytes.len() > MOST {
            return Err(io::Error::other("a message is too long"));
        }
        // A packet goes whole or not at all.
        loop {
            match send(&*self.0, &bytes, flags) {
                Err(Errno::INTR) => {}
                sent => return Ok(sent.map(|_| ())?),
            }
        }
    }

    /// The messages of one receiver, until the other end is shut or gone.
    pub(super) fn messages<M: Message + Default>(self) -> impl Iterator<Item = io::Result<M>> {
        let mut buffer = vec![0; MOST];
        std::iter::from_fn(move || self.receive(&mut buffer).transpose())
    }

    /// Into `buffer`, of which what was used is wiped.
    fn receive<M: Message + Default>(&self, buffer: &mut [u8]) -> io::Result<Option<M>> {
        let length = loop {
            match recv(&*self.0, &mut *buffer, RecvFlags::TRUNC) {
                // Who died without having read all is told of before what it had sent.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                received => break received?.1,
            }
        };
        if length == 0 {
            return Ok(None);
        }
        let Some(packet) = buffer.get_mut(..length) else {
            buffer.zeroize();
            return Err(io::Error::other("a message is too long"));
        };
        let message = M::decode(&*packet).map_err(io::Error::other);
        packet.zeroize();
        message.map(Some)
    }

    /// Waits until the other end is shut or gone. Packets may still be there.
    pub(super) fn wait_for_end(&self) -> io::Result<()> {
        loop {
            match poll(&mut [PollFd::new(&*self.0, PollFlags::RDHUP)], None) {
                Err(Errno::INTR) => {}
                waited => return Ok(waited.map(|_| ())?),
            }
        }
    }

    /// Tells the other end that nothing comes any more; it may still answer.
    pub(super) fn end(&self) {
        let _ = shutdown(&*self.0, Shutdown::Write);
    }

    /// Ends it in both directions.
    pub(super) fn cut(&self) {
        let _ = shutdown(&*self.0, Shutdown::Both);
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::request::Request, *};

    fn order(number: u64, length: usize) -> Order {
        Order::new(number, &Request::Forget { domain: vec![7; length] })
    }

    fn read(order: io::Result<Order>) -> (u64, usize) {
        match order.unwrap().read().unwrap() {
            (number, Request::Forget { domain }) => (number, domain.len()),
            (number, _) => panic!("order {number} is another one"),
        }
    }

    fn wires() -> (Wire, Wire) {
        let (service, input) = Wire::pair().unwrap();
        (service, Wire::of_worker(input).unwrap())
    }

    #[test]
    fn a_full_socket_says_so_and_loses_nothing() {
        let (service, worker) = wires();
        let full = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        let mut sent = 0;
        while service.try_send(&order(sent, 40_000)).is_ok() {
            sent += 1;
        }
        assert!(service.try_send(&order(sent, 40_000)).is_err_and(|error| full(&error)));
        let mut orders = worker.messages();
        assert_eq!(orders.next().map(read), Some((0, 40_000)));
        service.try_send(&order(sent, 40_000)).unwrap();
        service.end();
        assert_eq!(
            orders.map(|order| read(order).0).collect::<Vec<_>>(),
            (1..=sent).collect::<Vec<_>>()
        );
    }

    #[test]
    fn what_is_too_long_is_refused_on_both_sides() {
        let (service, worker) = wires();
        assert_eq!(service.send(&order(1, MOST)).unwrap_err().to_string(), "a message is too long");
        send(&*service.0, &vec![0; MOST + 1], SendFlags::empty()).unwrap();
        let received = worker.messages::<Order>().next().unwrap();
        assert_eq!(received.unwrap_err().to_string(), "a message is too long");
    }

    #[test]
    fn who_waits_for_the_end_hears_of_it_and_of_nothing_before() {
        let (service, worker) = wires();
        service.send(&order(1, 1)).unwrap();
        let waits = std::thread::spawn(move || worker.wait_for_end().map(|()| worker));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waits.is_finished());
        service.cut();
        let worker = waits.join().unwrap().unwrap();
        assert_eq!(worker.messages().map(read).collect::<Vec<_>>(), [(1, 1)]);
    }

    proptest! {
        #[test]
        fn each_message_comes_to_one_of_those_who_wait(lengths in prop::collection::vec(0usize..2000, 0..60)) {
            let (service, worker) = wires();
            let receivers = [worker.clone(), worker].map(|worker| {
                std::thread::spawn(move || worker.messages().map(read).collect::<Vec<_>>())
            });
            for (number, length) in lengths.iter().enumerate() {
                service.send(&order(u64::try_from(number).unwrap(), *length)).unwrap();
            }
            service.end();
            let mut received: Vec<_> = receivers.into_iter().flat_map(|r| r.join().unwrap()).collect();
            received.sort_unstable();
            let sent: Vec<_> = (0..).zip(lengths).collect();
            prop_assert_eq!(received, sent);
        }
    }
}
