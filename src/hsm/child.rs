//! A worker's process: it does what comes through its standard input, until that ends.

use std::{
    fs::File,
    io::{self, BufReader},
    os::fd::AsFd as _,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    HsmError,
    crew::{Crew, Reply},
    wire::{self, Charge, Order, Report},
};

/// Serves the process that started this one. `log` starts the log: a filter, and whether it is JSON.
///
/// The PIN and the module are known here and not to the service. It ends when the service closes the pipe or dies.
pub fn serve(log: impl FnOnce(&str, bool)) -> io::Result<()> {
    let mut orders = BufReader::new(io::stdin().lock());
    let Some(charge) = wire::receive::<Charge>(&mut orders)? else { return Ok(()) };
    log(&charge.log_filter, charge.log_json);
    let settings = charge.settings().ok_or_else(|| io::Error::other("an unknown profile"))?;
    // Without the buffer of `Stdout`, which is cut at line ends and keeps what went through it.
    let reports = Mutex::new(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    // What a module prints must not get between the reports.
    rustix::stdio::dup2_stdout(io::stderr())?;
    let tell = Arc::new(move |report: &Report| {
        wire::send(&mut *reports.lock().unwrap_or_else(PoisonError::into_inner), report)
    });
    let answer = Arc::clone(&tell);
    // When nobody listens any more, the orders end as well.
    let reply: Reply = Arc::new(move |number, outcome| drop(answer(&Report::new(number, outcome))));
    let crew = match Crew::start(&settings, &reply) {
        Ok(crew) => crew,
        Err(error) => return tell(&Report::of_start(Err(error))),
    };
    tell(&Report::of_start(crew.signing_key().ok_or(HsmError::Stopped)))?;
    while let Some(order) = wire::receive::<Order>(&mut orders)? {
        let (number, request) =
            order.read().ok_or_else(|| io::Error::other("an order is not understood"))?;
        if crew.ask(number, request).is_err() {
            break;
        }
    }
    Ok(())
}
