//! Sees to it that there is a home: opens it, replaces it when its token is sick or it is worn, kills it when it hangs.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};

use super::{HsmError, Isolation, Settings, SigningKey, crew::Reply, desk::Desk, home::Home};

/// How often it looks, and the first pause between two attempts; the longest.
const TICK: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// What a keeper is told.
pub(super) enum Event {
    /// The home with this number met an error that may be the token's.
    Sick(u64),
    /// It ended.
    Ended(u64),
    /// The engine stops.
    Stop,
}

/// Keeps one home.
pub(super) struct Keeper {
    settings: Settings,
    desk: Arc<Desk>,
    events: Receiver<Event>,
    tell: Sender<Event>,
    /// Of the home that is open, and of the last one that was tried.
    number: u64,
    tried: u64,
    pause: Duration,
    /// When the home was opened.
    opened: Option<Instant>,
    /// The token refused the PIN, whoever tried it.
    refused: Arc<Mutex<bool>>,
}

impl Keeper {
    pub(super) fn new(
        settings: Settings,
        desk: Arc<Desk>,
        (tell, events): (Sender<Event>, Receiver<Event>),
        refused: Arc<Mutex<bool>>,
    ) -> Self {
        let (number, tried, pause, opened) = (0, 0, TICK, None);
        Self { settings, desk, events, tell, number, tried, pause, opened, refused }
    }

    /// Keeps a home until the engine stops. What came of the first attempt is told to `first`.
    pub(super) fn run(mut self, first: &Sender<Result<(), HsmError>>) {
        while self.keep(first).is_some() {}
        drop(self.desk.close(HsmError::Stopped));
    }

    /// Opens a home, and watches it until there is none; `None` when the engine stops.
    fn keep(&mut self, first: &Sender<Result<(), HsmError>>) -> Option<()> {
        match self.start() {
            Ok((home, key)) => {
                drop(self.open(home, key));
                let _ = first.try_send(Ok(()));
                self.watch()
            }
            Err(error) => {
                let _ = first.try_send(Err(error.clone()));
                if self.is_final(&error) {
                    self.desk.away(error);
                    return self.wait(None);
                }
                tracing::warn!(%error, "the HSM is away; trying again");
                self.desk.away(HsmError::Away(error.to_string()));
                self.pause = LONGEST.min(self.pause * 2);
                self.wait(Some(self.pause))
            }
        }
    }

    /// Whoever starts the service is told what is wrong. Later a token may be half there for a while, whatever its module
    /// says; a PIN may not be tried again.
    fn is_final(&self, error: &HsmError) -> bool {
        matches!(error, HsmError::PinIncorrect) || (error.is_final() && self.tried == 1)
    }

    fn start(&mut self) -> Result<(Home, SigningKey), HsmError> {
        // One at a time, until it is known what the token says to the PIN.
        let refused = Arc::clone(&self.refused);
        let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
        if *refused {
            return Err(HsmError::PinIncorrect);
        }
        self.tried += 1;
        let number = self.tried;
        // The desk owns the home, which owns the reply.
        let desk = Arc::downgrade(&self.desk);
        let reply: Reply = Arc::new(move |job, outcome| {
            if let Some(desk) = desk.upgrade() {
                desk.done(job, outcome);
            }
        });
        let tell = self.tell.clone();
        let ended = move || drop(tell.send(Event::Ended(number)));
        Home::start(&self.settings, &reply, ended).inspect_err(|error| {
            if *error == HsmError::PinIncorrect {
                *refused = true;
                tracing::error!(%error, "the HSM cannot be used before somebody changes something");
            }
        })
    }

    fn open(&mut self, home: Home, key: SigningKey) -> Option<Home> {
        self.number = self.tried;
        if self.opened.is_some() {
            tracing::info!(generation = self.number, "the HSM is there again");
        }
        self.opened = Some(Instant::now());
        self.pause = TICK;
        self.desk.open(self.number, home, self.settings.sessions() * 2, key)
    }

    /// Waits for `time`, or for ever; `None` when the engine stops.
    fn wait(&self, time: Option<Duration>) -> Option<()> {
        let over = time.map_or_else(crossbeam_channel::never, crossbeam_channel::after);
        loop {
            select! {
                recv(self.events) -> event => if matches!(event, Ok(Event::Stop) | Err(_)) {
                    return None;
                },
                recv(over) -> _ => return Some(()),
            }
        }
    }

    /// Watches the home until there is none; `None` when the engine stops.
    fn watch(&mut self) -> Option<()> {
        let mut sick: Option<Instant> = None;
        loop {
            match self.events.recv_timeout(TICK) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
                Ok(Event::Ended(number)) if number == self.number => {
                    return self.lose("the module's process died");
                }
                Ok(Event::Ended(number)) => self.desk.orphaned(number),
                Ok(Event::Sick(number)) if number == self.number => {
                    sick = sick.or(self.opened.map(|opened| opened + LONGEST));
                }
                _ => {}
            }
            // Twice: it may have waited for another one that took almost as long.
            if self.desk.hangs(self.number, self.settings.deadline * 2) && self.can_be_killed() {
                return self.lose("a call into the module does not come back");
            }
            if let Isolation::Process(processes) = &self.settings.isolation
                && processes.jobs > 0
                && self.desk.count() >= processes.jobs
            {
                sick = sick.or(Some(Instant::now()));
            }
            if sick.is_some_and(|due| Instant::now() >= due) {
                match self.replace() {
                    Replaced::Yes => sick = None,
                    Replaced::Not => sick = Some(Instant::now() + self.pause),
                    Replaced::Gone => return Some(()),
                    Replaced::Never => sick = None,
                }
            }
        }
    }

    const fn can_be_killed(&self) -> bool {
        matches!(self.settings.isolation, Isolation::Process(_))
    }

    /// The home is of no use any more.
    fn lose(&self, why: &'static str) -> Option<()> {
        tracing::warn!(generation = self.number, "{why}");
        if let Some(mut home) = self.desk.close(HsmError::Away(why.to_owned())) {
            home.kill();
        }
        self.desk.orphaned(self.number);
        Some(())
    }

    /// A new home instead of the old one. While there is none to be had, the old one does what it still can.
    fn replace(&mut self) -> Replaced {
        if !self.can_be_killed() {
            // A process initializes its module once at a time.
            drop(
                self.desk.close(HsmError::Away("the token does not answer as it must".to_owned())),
            );
            self.desk.orphaned(self.number);
            return Replaced::Gone;
        }
        let old = self.number;
        match self.start() {
            Ok((home, key)) => {
                drop(self.open(home, key));
                self.desk.orphaned(old);
                Replaced::Yes
            }
            // The old one does what it still can, and nobody tries again.
            Err(HsmError::PinIncorrect) => Replaced::Never,
            Err(error) => {
                tracing::warn!(%error, "the HSM does not answer as it must, and not to another process either");
                self.pause = LONGEST.min(self.pause * 2);
                Replaced::Not
            }
        }
    }
}

enum Replaced {
    Yes,
    Not,
    Gone,
    Never,
}
