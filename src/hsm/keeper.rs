//! Sees to it that there is a home: opens it, replaces it when its token is sick or it is worn, kills it when it hangs.

mod start;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TryRecvError, select};

use super::{
    HsmError, Isolation, Settings, admission::Admission, crew::Offer, desk::Desk, home::Home,
};

/// How often it looks, and the first pause between two attempts; the longest.
const TICK: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// What a keeper is told.
pub(super) enum Event {
    /// The home with this number met an error that may be the token's.
    Sick(u64),
    /// It ended.
    Ended(u64),
}

/// Keeps one home.
pub(super) struct Keeper {
    settings: Settings,
    desk: Arc<Desk>,
    events: Receiver<Event>,
    tell: Sender<Event>,
    /// Disconnected when the engine stops.
    stopped: Receiver<Infallible>,
    /// Of the home that is open, and of the last one that was tried.
    number: u64,
    tried: u64,
    /// How many sessions the home has that is open.
    sessions: usize,
    /// How long a step of a beginning may take.
    patience: Duration,
    pause: Duration,
    /// When the home was opened.
    opened: Option<Instant>,
    /// What the token says to the PIN, whoever tried it.
    login: Arc<Mutex<Admission>>,
}

impl Keeper {
    pub(super) fn new(
        settings: Settings,
        desk: Arc<Desk>,
        (tell, events): (Sender<Event>, Receiver<Event>),
        stopped: Receiver<Infallible>,
        login: Arc<Mutex<Admission>>,
    ) -> Self {
        let (number, tried, sessions, patience, pause, opened) = (0, 0, 0, start::MOST, TICK, None);
        Self {
            settings,
            desk,
            events,
            tell,
            stopped,
            number,
            tried,
            sessions,
            patience,
            pause,
            opened,
            login,
        }
    }

    /// Keeps a home until the engine stops. What came of the first attempt is told to `first`.
    pub(super) fn run(mut self, first: &Sender<Result<(), HsmError>>) {
        while self.keep(first).is_some() {}
        drop(self.desk.close(HsmError::Stopped));
    }

    /// Opens a home, and watches it until there is none; `None` when the engine stops.
    fn keep(&mut self, first: &Sender<Result<(), HsmError>>) -> Option<()> {
        match self.start() {
            Ok((home, offer)) => {
                drop(self.open(home, offer));
                let _ = first.try_send(Ok(()));
                self.watch()
            }
            Err(_) if self.has_stopped() => None,
            Err(error) => {
                let is_first = first.try_send(Err(error.clone())).is_ok();
                if self.is_final(&error) {
                    self.desk.away(error);
                    // Who is told so first does not start the engine.
                    return if is_first { None } else { self.wait(None) };
                }
                tracing::warn!(%error, "the HSM is away; trying again");
                self.desk.away(match error {
                    HsmError::Away(_) => error,
                    error => HsmError::Away(error.to_string()),
                });
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

    fn has_stopped(&self) -> bool {
        self.stopped.try_recv() == Err(TryRecvError::Disconnected)
    }

    fn open(&mut self, home: Home, offer: Offer) -> Option<Home> {
        self.number = self.tried;
        if self.opened.is_some() {
            tracing::info!(generation = self.number, "the HSM is there again");
        }
        self.opened = Some(Instant::now());
        self.pause = TICK;
        self.sessions = offer.sessions;
        self.desk.open(self.number, home, offer)
    }

    /// Waits for `time`, or for ever; `None` when the engine stops.
    fn wait(&self, time: Option<Duration>) -> Option<()> {
        let over = time.map_or_else(crossbeam_channel::never, crossbeam_channel::after);
        select! {
            recv(self.stopped) -> _ => None,
            recv(over) -> _ => Some(()),
        }
    }

    /// Watches the home until there is none; `None` when the engine stops.
    fn watch(&mut self) -> Option<()> {
        let (mut sick, mut stirred): (Option<Instant>, _) = (None, Vec::new());
        loop {
            let event = select! {
                recv(self.stopped) -> _ => return None,
                recv(self.events) -> event => event.ok(),
                default(TICK) => None,
            };
            match event {
                Some(Event::Ended(number)) if number == self.number => {
                    return self.lose("the module's process died");
                }
                Some(Event::Ended(number)) => self.desk.orphaned(number),
                Some(Event::Sick(number)) if number == self.number => {
                    sick = sick.or(self.opened.map(|opened| opened + LONGEST));
                }
                _ => {}
            }
            let rest = self.settings.profile.rest;
            let stirring = self.desk.stir(rest, self.settings.deadline);
            if !stirring.is_empty() {
                drop(std::mem::replace(&mut stirred, stirring));
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
            Ok((_, offer)) if offer.sessions < self.sessions => {
                self.make_room("the HSM has fewer sessions for another process beside this one")
            }
            Ok((home, offer)) => {
                drop(self.open(home, offer));
                self.desk.orphaned(old);
                Replaced::Yes
            }
            // The old one does what it still can, and nobody tries again.
            Err(HsmError::PinIncorrect) => Replaced::Never,
            Err(_) if self.has_stopped() => Replaced::Never,
            Err(error) if error.is_of_room() => {
                self.make_room("the HSM has no room for another process beside this one")
            }
            Err(error) => {
                tracing::warn!(%error, "the HSM does not answer as it must, and not to another process either");
                self.pause = LONGEST.min(self.pause * 2);
                Replaced::Not
            }
        }
    }

    /// The old home goes before a new one begins.
    fn make_room(&self, why: &'static str) -> Replaced {
        tracing::warn!(generation = self.number, "{why}");
        drop(self.desk.close(HsmError::Away("its process is replaced".to_owned())));
        self.desk.orphaned(self.number);
        Replaced::Gone
    }
}

enum Replaced {
    Yes,
    Not,
    Gone,
    Never,
}
