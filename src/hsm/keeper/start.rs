//! How a keeper opens a home: who may try the PIN, and how long each step is waited for.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::{
    super::{
        HsmError,
        admission::PinFile,
        crew::{Offer, Reply},
        home::{Beginning, Home, Patience},
    },
    Event, Keeper,
};

/// How long a step of the first beginning may take, and the least that one of a later beginning may: a machine may be busy.
pub(super) const MOST: Duration = Duration::from_secs(10);
const LEAST: Duration = Duration::from_secs(1);

impl Keeper {
    /// Opens another home.
    pub(super) fn start(&mut self) -> Result<(Home, Offer), HsmError> {
        let most = self.patience;
        let (beginning, logging_in) = self.log_in(most)?;
        let begun = Instant::now();
        let opened = beginning.open(&self.settings, &self.patience_of(most));
        // What has worked once does not take many times as long, unless it hangs.
        let longest = logging_in.max(begun.elapsed());
        match opened {
            Ok(_) => {
                self.patience = (longest * 4).max(self.settings.deadline).clamp(LEAST, MOST);
            }
            Err(_) => self.grow_patient(longest),
        }
        opened
    }

    /// A step was given up after as long as that: one that is as slow from now on must not be given up for ever.
    fn grow_patient(&mut self, waited: Duration) {
        if waited >= self.patience {
            self.patience = (self.patience * 2).min(MOST);
        }
    }

    const fn patience_of(&self, most: Duration) -> Patience<'_> {
        Patience { most, stopped: &self.stopped }
    }

    /// And how long it took.
    fn log_in(&mut self, most: Duration) -> Result<(Beginning, Duration), HsmError> {
        // One at a time, until it is known what the token says to the PIN.
        let login = Arc::clone(&self.login);
        let mut login = login.lock().unwrap_or_else(PoisonError::into_inner);
        if login.refused {
            return Err(HsmError::PinIncorrect);
        }
        if self.has_stopped() {
            return Err(HsmError::Stopped);
        }
        // Who does not hear what the token says to another PIN would have it tried again.
        let file = PinFile::of(&self.settings);
        let known = file.is_some() && login.accepted == file;
        let most = if known { most } else { MOST };
        let begun = Instant::now();
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
        match Beginning::log_in(&self.settings, reply, ended, &self.patience_of(most)) {
            Ok(beginning) => {
                login.accepted = file;
                Ok((beginning, begun.elapsed()))
            }
            Err(error) => {
                if error == HsmError::PinIncorrect {
                    login.refused = true;
                    tracing::error!(%error, "the HSM cannot be used before somebody changes something");
                }
                self.grow_patient(begun.elapsed());
                Err(error)
            }
        }
    }
}
