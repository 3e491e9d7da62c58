//! A worker's process, as the service sees it.

use std::{
    io,
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, select};

use super::{
    HsmError, Processes, Settings,
    crew::{Offer, Reply},
    home::{Asked, Patience},
    request::Request,
    wire::{Charge, Order, Reached, Report, Wire},
};

/// The command that tells the program to be a worker.
pub const WORKER: &str = "hsm-worker";

/// Processes that are being spawned, and how many may be: each has a thread, and may take for ever.
static SPAWNING: AtomicUsize = AtomicUsize::new(0);
const MOST_SPAWNING: usize = 16;

/// A worker's process. Dropped, it finishes what it has, and is killed when that takes too long.
pub(super) struct Process {
    /// None where it is not there yet, or was killed.
    child: Option<Killed>,
    wire: Wire,
    patience: Duration,
}

/// A process that is killed when this is dropped, unless it has ended.
struct Killed(Option<Child>);

/// One that is logged in.
pub(super) struct Beginning {
    process: Process,
    steps: Receiver<Step>,
}

/// What becomes of a process that begins.
enum Step {
    Spawned(Killed),
    Reached(Result<Reached, HsmError>),
}

impl Beginning {
    /// Begins one, and waits until it is logged in.
    pub(super) fn log_in(
        settings: &Settings,
        processes: &Processes,
        reply: Reply,
        ended: impl FnOnce() + Send + 'static,
        patience: &Patience<'_>,
    ) -> Result<Self, HsmError> {
        if SPAWNING.load(Ordering::Relaxed) >= MOST_SPAWNING {
            return Err(HsmError::Away("the system does not come to run its processes".to_owned()));
        }
        let (wire, input) = Wire::pair().map_err(does_not_start)?;
        let (program, charge) = (processes.program.clone(), Charge::new(settings, &processes.log));
        let (tell, steps) = crossbeam_channel::unbounded();
        let listener = wire.clone();
        // To spawn it takes until the other process runs the program: who stops that one must not stop more.
        // And Linux tells a child of the end of the thread that made it, which is this one's alone.
        thread::Builder::new()
            .name("hsm-reports".to_owned())
            .spawn(move || {
                if let Some(reports) = introduce(&program, input, &charge, listener, tell) {
                    for report in reports {
                        reply(report.number, report.read());
                    }
                    ended();
                }
            })
            .map_err(does_not_start)?;
        let process = Process { child: None, wire, patience: settings.deadline };
        let mut beginning = Self { process, steps };
        match beginning.reach(patience)? {
            Reached::Login => Ok(beginning),
            Reached::Work(_) => Err(OUT_OF_STEP),
        }
    }

    /// Waits until it takes orders.
    pub(super) fn open(mut self, patience: &Patience<'_>) -> Result<(Process, Offer), HsmError> {
        match self.reach(patience)? {
            Reached::Work(offer) => Ok((self.process, offer)),
            Reached::Login => Err(OUT_OF_STEP),
        }
    }

    fn reach(&mut self, patience: &Patience<'_>) -> Result<Reached, HsmError> {
        let over = crossbeam_channel::after(patience.most);
        loop {
            select! {
                recv(self.steps) -> step => match step {
                    Ok(Step::Spawned(child)) => self.process.child = Some(child),
                    Ok(Step::Reached(reached)) => return reached,
                    Err(_) => {
                        return Err(HsmError::Away("the module's process died at its start".to_owned()));
                    }
                },
                recv(patience.stopped) -> _ => return Err(HsmError::Stopped),
                recv(over) -> _ => {
                    self.process.kill();
                    return Err(HsmError::Away("the module does not come back at its start".to_owned()));
                }
            }
        }
    }
}

const OUT_OF_STEP: HsmError = HsmError::misbehaved("a worker tells its steps in another order");

fn does_not_start(error: io::Error) -> HsmError {
    HsmError::Setup(format!("a worker does not start: {error}"))
}

/// Spawns the process and tells it what it is to be; the reports that come once it has told how it began, unless nobody cares any more.
fn introduce(
    program: &Path,
    input: OwnedFd,
    charge: &Charge,
    wire: Wire,
    tell: Sender<Step>,
) -> Option<impl Iterator<Item = Report> + use<>> {
    SPAWNING.fetch_add(1, Ordering::Relaxed);
    let spawned = Command::new(program)
        .arg(WORKER)
        .stdin(Stdio::from(input))
        // What a module prints goes where the log goes.
        .stdout(io::stderr())
        .spawn();
    SPAWNING.fetch_sub(1, Ordering::Relaxed);
    let charged = spawned.and_then(|child| {
        // Where nobody waits for it any more it is killed, and does not read the charge.
        let _ = tell.send(Step::Spawned(Killed(Some(child))));
        wire.send(charge)
    });
    if let Err(error) = charged {
        let _ = tell.send(Step::Reached(Err(does_not_start(error))));
        return None;
    }
    let mut reports = wire.messages::<Report>().map_while(Result::ok);
    loop {
        let reached = reports.next()?.reached();
        let is_last = !matches!(reached, Ok(Reached::Login));
        tell.send(Step::Reached(reached)).ok()?;
        if is_last {
            return Some(reports);
        }
    }
}

impl Process {
    pub(super) fn ask(&self, number: u64, request: &Request) -> Result<Asked, HsmError> {
        match self.wire.try_send(&Order::new(number, request)) {
            Ok(()) => Ok(Asked::Taken),
            // It stands still, or has long orders: who asks must not wait here.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Asked::Full),
            Err(_) => Err(HsmError::Stopped),
        }
    }

    /// Ends it, whatever it does.
    pub(super) fn kill(&mut self) {
        self.child = None;
    }
}

impl Killed {
    fn has_ended(&mut self) -> bool {
        !matches!(self.0.as_mut().map(Child::try_wait), Some(Ok(None)))
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            // A driver may hold it for as long as it likes.
            thread::spawn(move || child.wait());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.wire.end();
        let begun = Instant::now();
        while begun.elapsed() < self.patience {
            if self.child.as_mut().is_none_or(Killed::has_ended) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        tracing::warn!("the HSM's module does not come back: its process is killed");
        self.kill();
    }
}
