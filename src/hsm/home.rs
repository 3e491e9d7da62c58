//! Where a module is loaded: on threads here, or in another process.

use std::{
    io,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;

use super::{
    HsmError, Isolation, Processes, Settings, SigningKey,
    crew::{Crew, Reply},
    request::Request,
    wire::{Charge, Order, Report, Wire},
};

/// How long a worker's process may take to begin.
const START: Duration = Duration::from_secs(10);

/// The command that tells the program to be a worker.
pub const WORKER: &str = "hsm-worker";

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

impl Home {
    /// Starts one. `ended` is called when a process ends by itself.
    pub(super) fn start(
        settings: &Settings,
        reply: &Reply,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<(Self, SigningKey), HsmError> {
        match &settings.isolation {
            Isolation::Thread => {
                let (threads, key) = Threads::start(settings, reply)?;
                Ok((Self::Threads(threads), key))
            }
            Isolation::Process(processes) => {
                let (process, key) = Process::start(settings, processes, reply, ended)?;
                Ok((Self::Process(process), key))
            }
        }
    }

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
    fn start(settings: &Settings, reply: &Reply) -> Result<(Self, SigningKey), HsmError> {
        let (requests, queue) = crossbeam_channel::unbounded();
        let crew = Crew::start(settings, move || queue.clone().into_iter(), reply)?;
        let key = crew.signing_key().cloned().ok_or(HsmError::Stopped)?;
        Ok((Self { requests, _crew: crew }, key))
    }

    fn ask(&self, number: u64, request: &Request) -> Result<Asked, HsmError> {
        let sent = self.requests.send((number, request.clone()));
        sent.map(|()| Asked::Taken).map_err(|_| HsmError::Stopped)
    }
}

/// A worker's process. Dropped, it finishes what it has, and is killed when that takes too long.
pub(super) struct Process {
    /// None when it was killed.
    child: Option<Child>,
    wire: Wire,
    patience: Duration,
}

impl Process {
    fn start(
        settings: &Settings,
        processes: &Processes,
        reply: &Reply,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<(Self, SigningKey), HsmError> {
        let failed =
            |error: io::Error| HsmError::Setup(format!("a worker does not start: {error}"));
        let (wire, input) = Wire::pair().map_err(failed)?;
        let child = Command::new(&processes.program)
            .arg(WORKER)
            .stdin(Stdio::from(input))
            // What a module prints goes where the log goes.
            .stdout(io::stderr())
            .spawn()
            .map_err(failed)?;
        let reports = wire.clone().messages::<Report>();
        let mut process = Self { child: Some(child), wire, patience: settings.deadline };
        process.wire.send(&Charge::new(settings, &processes.log)).map_err(failed)?;
        let (begun, beginning) = crossbeam_channel::bounded(1);
        let reply = Arc::clone(reply);
        thread::Builder::new()
            .name("hsm-reports".to_owned())
            .spawn(move || {
                let mut reports = reports.map_while(Result::ok);
                if begun.send(reports.next()).is_ok() {
                    for report in reports {
                        reply(report.number, report.read());
                    }
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

    fn ask(&self, number: u64, request: &Request) -> Result<Asked, HsmError> {
        match self.wire.try_send(&Order::new(number, request)) {
            Ok(()) => Ok(Asked::Taken),
            // It stands still, or has long orders: who asks must not wait here.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Asked::Full),
            Err(_) => Err(HsmError::Stopped),
        }
    }

    /// Its end is waited for elsewhere: a driver may hold it for as long as it likes.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            thread::spawn(move || child.wait());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.wire.end();
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
