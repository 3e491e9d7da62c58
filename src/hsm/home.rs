//! Where a module is loaded: on threads here, or in another process.

use std::{convert::Infallible, time::Duration};

use crossbeam_channel::{Receiver, Sender};

use super::{
    HsmError, Isolation, Settings,
    crew::{Crew, Offer, Reply},
    generation::Login,
    process::{self, Process},
    request::Request,
};

/// Takes requests; what comes of them is told by the reply that it was started with.
pub(super) enum Home {
    Threads(Threads),
    Process(Process),
}

/// What came of asking a home.
pub(super) enum Asked {
    /// It has the request.
    Taken,
    /// It has no room until it has done something.
    Full,
}

/// A home to be: it is logged in.
pub(super) enum Beginning {
    Threads(Box<Login>, Reply),
    Process(process::Beginning),
}

/// How long one step of a beginning is waited for: so long, and no longer than the engine runs. Threads cannot be left alone.
pub(super) struct Patience<'a> {
    pub(super) most: Duration,
    pub(super) stopped: &'a Receiver<Infallible>,
}

impl Beginning {
    /// Begins one. `ended` is called when a process ends by itself.
    pub(super) fn log_in(
        settings: &Settings,
        reply: Reply,
        ended: impl FnOnce() + Send + 'static,
        patience: &Patience<'_>,
    ) -> Result<Self, HsmError> {
        Ok(match &settings.isolation {
            Isolation::Thread => Self::Threads(Box::new(Login::new(settings, || ())?), reply),
            Isolation::Process(processes) => Self::Process(process::Beginning::log_in(
                settings, processes, reply, ended, patience,
            )?),
        })
    }

    /// Waits until it takes requests.
    pub(super) fn open(
        self,
        settings: &Settings,
        patience: &Patience<'_>,
    ) -> Result<(Home, Offer), HsmError> {
        match self {
            Self::Threads(login, reply) => {
                let (threads, offer) = Threads::start(*login, settings, &reply)?;
                Ok((Home::Threads(threads), offer))
            }
            Self::Process(beginning) => {
                let (process, offer) = beginning.open(patience)?;
                Ok((Home::Process(process), offer))
            }
        }
    }
}

impl Home {
    /// Has `request` done.
    pub(super) fn ask(&self, number: u64, request: &Request) -> Result<Asked, HsmError> {
        match self {
            Self::Threads(threads) => threads.ask(number, request),
            Self::Process(process) => process.ask(number, request),
        }
    }

    /// Ends it without waiting for what it does. Threads cannot be ended.
    pub(super) fn kill(&mut self) {
        if let Self::Process(process) = self {
            process.kill();
        }
    }
}

/// A crew in this process.
pub(super) struct Threads {
    /// Dropped before the crew: it tells the workers to end.
    requests: Sender<(u64, Request)>,
    _crew: Crew,
}

impl Threads {
    fn start(login: Login, settings: &Settings, reply: &Reply) -> Result<(Self, Offer), HsmError> {
        let (requests, queue) = crossbeam_channel::unbounded();
        let crew = Crew::start(login, settings, move || queue.clone().into_iter(), reply)?;
        let offer = crew.offer().ok_or(HsmError::Stopped)?;
        Ok((Self { requests, _crew: crew }, offer))
    }

    fn ask(&self, number: u64, request: &Request) -> Result<Asked, HsmError> {
        let sent = self.requests.send((number, request.clone()));
        sent.map(|()| Asked::Taken).map_err(|_| HsmError::Stopped)
    }
}
