//! Where a module is loaded: on threads here, or in another process.

use std::{
    io,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{
    HsmError, Isolation, Processes, Settings, SigningKey,
    crew::{Crew, Reply},
    request::Request,
    wire::{self, Charge, Order, Report},
};

/// How long a worker's process may take to begin.
const START: Duration = Duration::from_secs(10);

/// Bytes of the pipe of orders, as many as Linux allows everybody; an order has about 200, a rewrap
/// up to 40,000, of which a few are under way.
const PIPE: usize = 1024 * 1024;

/// The command that tells the program to be a worker.
pub const WORKER: &str = "hsm-worker";

/// Takes requests; what comes of them is told by the reply that it was started with.
pub(super) enum Home {
    Threads(Crew),
    Process(Process),
}

impl Home {
    /// Starts one. `ended` is called when a process ends by itself.
    pub(super) fn start(
        settings: &Settings,
        reply: &Reply,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<(Self, SigningKey), HsmError> {
        match &settings.isolation {
            Isolation::Thread => {
                let crew = Crew::start(settings, reply)?;
                let key = crew.signing_key().cloned().ok_or(HsmError::Stopped)?;
                Ok((Self::Threads(crew), key))
            }
            Isolation::Process(processes) => {
                let (process, key) = Process::start(settings, processes, reply, ended)?;
                Ok((Self::Process(process), key))
            }
        }
    }

    /// Has `request` done.
    pub(super) fn ask(&self, number: u64, request: &Request) -> Result<(), HsmError> {
        match self {
            Self::Threads(crew) => crew.ask(number, request.clone()),
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

/// A worker's process. Dropped, it finishes what it has, and is killed when that takes too long.
pub(super) struct Process {
    /// None when it was killed.
    child: Option<Child>,
    orders: Mutex<Option<ChildStdin>>,
    patience: Duration,
}

impl Process {
    fn start(
        settings: &Settings,
        processes: &Processes,
        reply: &Reply,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<(Self, SigningKey), HsmError> {
        use std::os::unix::process::CommandExt as _;
        let failed =
            |error: io::Error| HsmError::Setup(format!("a worker does not start: {error}"));
        let mut child = Command::new(&processes.program)
            .arg(WORKER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What a terminal sends to the service is not for it.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (orders, reports) = (child.stdin.take(), child.stdout.take());
        // Room for all orders of a worker that stands still: who asks must not wait here.
        if let Some(orders) = &orders {
            let _ = rustix::pipe::fcntl_setpipe_size(orders, PIPE);
        }
        let (child, orders) = (Some(child), Mutex::new(orders));
        let mut process = Self { child, orders, patience: settings.deadline };
        let Some(reports) = reports else { return Err(HsmError::Stopped) };
        process.say(&Charge::new(settings, &processes.log)).map_err(failed)?;
        let (begun, beginning) = crossbeam_channel::bounded(1);
        let reply = Arc::clone(reply);
        thread::Builder::new()
            .name("hsm-reports".to_owned())
            .spawn(move || {
                let mut reports = reports;
                let first = wire::receive::<Report>(&mut reports).ok().flatten();
                if begun.send(first).is_ok() {
                    listen(&mut reports, &reply);
                    ended();
                }
            })
            .map_err(failed)?;
        match beginning.recv_timeout(START) {
            Ok(Some(report)) => Ok((process, report.signing_key()?)),
            Ok(None) => Err(HsmError::Away("the module's process died at its start".to_owned())),
            Err(_) => {
                process.kill();
                Err(HsmError::Away("the module does not come back at its start".to_owned()))
            }
        }
    }

    fn say(&self, message: &impl prost::Message) -> io::Result<()> {
        match &mut *self.orders.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(orders) => wire::send(orders, message),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn ask(&self, number: u64, request: &Request) -> Result<(), HsmError> {
        self.say(&Order::new(number, request)).map_err(|_| HsmError::Stopped)
    }

    /// Its end is waited for elsewhere: a driver may hold it for as long as it likes.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            thread::spawn(move || child.wait());
        }
    }
}

/// Without a buffer, which would keep what went through it.
fn listen(reports: &mut ChildStdout, reply: &Reply) {
    while let Ok(Some(report)) = wire::receive::<Report>(reports) {
        reply(report.number, report.read());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).take();
        let begun = Instant::now();
        while begun.elapsed() < self.patience {
            match self.child.as_mut().map(Child::try_wait) {
                Some(Ok(None)) => thread::sleep(Duration::from_millis(5)),
                _ => return,
            }
        }
        tracing::warn!("the HSM's module does not come back: its process is killed");
        self.kill();
    }
}
