//! A worker's process: it does what comes through its standard input, until that ends.

use std::{
    io::{self, BufReader},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
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
    let reports = Arc::new(Mutex::new(io::stdout()));
    let tell = Arc::clone(&reports);
    let reply: Reply = Arc::new(move |number, outcome| {
        let report = Report::new(number, outcome);
        // When nobody listens any more, the orders end as well.
        let _ = wire::send(&mut *tell.lock().unwrap_or_else(PoisonError::into_inner), &report);
    });
    let crew = match Crew::start(&settings, &reply) {
        Ok(crew) => crew,
        Err(error) => {
            let report = Report::of_start(Err(error));
            return wire::send(
                &mut *reports.lock().unwrap_or_else(PoisonError::into_inner),
                &report,
            );
        }
    };
    if let Some(key) = crew.signing_key() {
        let report = Report::of_start(Ok(key));
        wire::send(&mut *reports.lock().unwrap_or_else(PoisonError::into_inner), &report)?;
    }
    while let Some(order) = wire::receive::<Order>(&mut orders)? {
        let (number, request) =
            order.read().ok_or_else(|| io::Error::other("an order is not understood"))?;
        if crew.ask(number, request).is_err() {
            break;
        }
    }
    Ok(())
}
