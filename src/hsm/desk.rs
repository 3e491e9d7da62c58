//! Where jobs wait, are handed to the home that is open, and are answered.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use tokio::sync::oneshot;

use super::{
    HsmError, SigningKey,
    crew::Offer,
    home::{Asked, Home},
    keeper::Event,
    queue::{Lane, Queue},
    request::{Outcome, Request},
};

/// How long jobs wait for an HSM that is away. Later ones are refused at once: it will be a while.
const HOPE: Duration = Duration::from_secs(1);

/// What is asked, by whom, and until when.
pub(super) struct Job {
    request: Request,
    reply: oneshot::Sender<Outcome>,
    deadline: Instant,
    /// What did it before has died.
    again: bool,
}

/// Jobs that wait and jobs under way.
pub(super) struct Desk {
    state: Mutex<State>,
    events: Sender<Event>,
}

struct State {
    queue: Queue<Job>,
    sent: HashMap<u64, Sent>,
    open: Option<Open>,
    /// Why there is no home, since when.
    away: Option<(HsmError, Instant)>,
    next: u64,
    /// When sessions were last looked after, and how often they were asked something since.
    stirred: Instant,
    asked: usize,
    /// What a job takes of the home's time, when it is busy.
    pace: Duration,
    signing_key: Option<SigningKey>,
}

/// The home that takes jobs.
struct Open {
    number: u64,
    home: Home,
    /// How many jobs it has, and may have: as many as it has sessions, and as many in their pockets.
    busy: usize,
    depth: usize,
    done: u64,
}

struct Sent {
    lane: Lane,
    job: Job,
    home: u64,
    at: Instant,
    /// How many the home had then.
    busy: usize,
}

impl Desk {
    /// A desk where at most `most` jobs wait.
    pub(super) fn new(most: usize, events: Sender<Event>) -> Self {
        let state = State {
            queue: Queue::new(most),
            sent: HashMap::new(),
            open: None,
            away: None,
            next: 1,
            stirred: Instant::now(),
            asked: 0,
            pace: Duration::ZERO,
            signing_key: None,
        };
        Self { state: Mutex::new(state), events }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job. It is refused at once when it could not be done in time.
    pub(super) fn put(
        &self,
        lane: Lane,
        request: Request,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Outcome>, HsmError> {
        let mut state = self.state();
        let now = Instant::now();
        if let Some((error, since)) = &state.away
            && (error.is_final() || now.duration_since(*since) > HOPE)
        {
            return Err(error.clone());
        }
        let wait = state.wait(lane);
        if now + wait > deadline {
            return Err(HsmError::QueueFull(wait));
        }
        let (reply, answer) = oneshot::channel();
        let job = Job { request, reply, deadline, again: false };
        if let Some(gone) = state.queue.put(lane, job) {
            let _ = gone.reply.send(Err(HsmError::QueueFull(wait.max(HOPE))));
        }
        self.hand_out(&mut state);
        drop(state);
        Ok(answer)
    }

    /// Has each session do something, where they were asked less than once each for `rest`. What comes of it is noticed as with every job, if
    /// what is returned is kept for so long.
    pub(super) fn stir(
        &self,
        rest: Duration,
        patience: Duration,
    ) -> Vec<oneshot::Receiver<Outcome>> {
        let mut state = self.state();
        let sessions = state.open.as_ref().map_or(0, |open| open.depth / 2);
        if state.stirred.elapsed() < rest {
            return Vec::new();
        }
        let asked = std::mem::take(&mut state.asked);
        state.stirred = Instant::now();
        drop(state);
        if asked >= sessions {
            // They take turns.
            return Vec::new();
        }
        let deadline = Instant::now() + patience;
        let probes = (0..sessions).map(|_| self.put(Lane::OWN, Request::Probe, deadline));
        probes.filter_map(Result::ok).collect()
    }

    /// How many jobs wait or are under way; none where there is no home.
    pub(super) fn load(&self) -> Option<usize> {
        let state = self.state();
        state.open.as_ref().map(|_| state.queue.len() + state.sent.len())
    }

    /// The public half of the key that signs, of the home that is open or was the last one.
    pub(super) fn signing_key(&self) -> Option<SigningKey> {
        self.state().signing_key.clone()
    }

    /// Takes what came of a job.
    pub(super) fn done(&self, number: u64, outcome: Outcome) {
        let mut state = self.state();
        let Some(sent) = state.sent.remove(&number) else { return };
        let took = sent.at.elapsed() / u32::try_from(sent.busy).unwrap_or(u32::MAX).max(1);
        state.pace = (state.pace * 7 + took) / 8;
        if let Some(open) = state.open.as_mut().filter(|open| open.number == sent.home) {
            open.busy = open.busy.saturating_sub(1);
            open.done += 1;
        }
        if outcome.as_ref().is_err_and(HsmError::is_of_the_token) {
            let _ = self.events.send(Event::Sick(sent.home));
        }
        self.hand_out(&mut state);
        drop(state);
        // Who asked may have gone.
        let _ = sent.job.reply.send(outcome);
    }

    /// Hands jobs out, as many as the home takes.
    fn hand_out(&self, state: &mut State) {
        let now = Instant::now();
        while let Some(open) = state.open.as_mut().filter(|open| open.busy < open.depth) {
            let Some((lane, job)) = state.queue.take() else { return };
            if job.reply.is_closed() || job.deadline < now {
                continue;
            }
            let number = state.next;
            state.next += 1;
            match open.home.ask(number, &job.request) {
                Ok(Asked::Taken) => {}
                // Whatever fills it comes back here when it is done.
                Ok(Asked::Full) => return state.queue.put_back(lane, job),
                Err(_) => {
                    open.depth = 0;
                    let _ = self.events.send(Event::Ended(open.number));
                    return state.queue.put_back(lane, job);
                }
            }
            open.busy += 1;
            state.asked += 1;
            let sent = Sent { lane, job, home: open.number, at: now, busy: open.busy };
            state.sent.insert(number, sent);
        }
    }

    /// Hands jobs to `home` from now on, and returns the one that had them.
    pub(super) fn open(&self, number: u64, home: Home, offer: Offer) -> Option<Home> {
        let mut state = self.state();
        state.away = None;
        (state.stirred, state.asked) = (Instant::now(), 0);
        state.signing_key = Some(offer.key);
        let open = Open { number, home, busy: 0, depth: offer.sessions * 2, done: 0 };
        let before = state.open.replace(open).map(|open| open.home);
        self.hand_out(&mut state);
        before
    }

    /// Takes the home away. What it has under way it may still finish.
    pub(super) fn close(&self, why: HsmError) -> Option<Home> {
        let mut state = self.state();
        state.away = Some((why, Instant::now()));
        state.open.take().map(|open| open.home)
    }

    /// There is no home, for another reason than before.
    pub(super) fn away(&self, why: HsmError) {
        let mut state = self.state();
        let since = state.away.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        state.away = Some((why, since));
    }

    /// The home `number` is gone: what it had under way goes to the next one, once.
    pub(super) fn orphaned(&self, number: u64) {
        let mut state = self.state();
        let lost: Vec<u64> =
            state.sent.iter().filter(|(_, sent)| sent.home == number).map(|(id, _)| *id).collect();
        for id in lost {
            let Some(Sent { lane, job, .. }) = state.sent.remove(&id) else { continue };
            if job.again {
                // It may be what kills them.
                let _ = job.reply.send(Err(HsmError::Stopped));
            } else {
                state.queue.put_back(lane, Job { again: true, ..job });
            }
        }
        self.hand_out(&mut state);
    }

    /// Whether the home `number` has had a job for longer than `most`.
    pub(super) fn hangs(&self, number: u64, most: Duration) -> bool {
        let state = self.state();
        let mut sent = state.sent.values().filter(|sent| sent.home == number);
        sent.any(|sent| sent.at.elapsed() > most)
    }

    /// How many jobs the home that is open has done.
    pub(super) fn count(&self) -> u64 {
        self.state().open.as_ref().map_or(0, |open| open.done)
    }
}

impl State {
    /// How long another job of `lane` would wait, by the pace of late.
    fn wait(&self, lane: Lane) -> Duration {
        if self.queue.len() == 0 {
            return Duration::ZERO;
        }
        let before = self.queue.before(lane) + self.sent.len();
        self.pace * u32::try_from(before).unwrap_or(u32::MAX)
    }
}
