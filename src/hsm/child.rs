//! A worker's process: it does what comes through its standard input, until that ends.

use std::{fs::File, io, sync::Arc};

use super::{
    HsmError, Settings,
    crew::{Crew, Reply},
    generation::Login,
    request::Request,
    wire::{Charge, Order, Reached, Report, Wire},
};

/// Serves the process that started this one. `log` starts the log: a filter, and whether it is JSON.
///
/// The PIN and the module are known here and not to the service. It ends when the service shuts the socket or dies.
pub fn serve(log: impl FnOnce(&str, bool)) -> io::Result<()> {
    // What a terminal sends to the service is not for it. And where Linux shares processors between sessions (autogroup of
    // sched(7)), it has a share of its own: it needs little, but that at once when the HSM has answered. Who leads
    // a group already is refused, and needs none of it.
    let _ = rustix::process::setsid();
    let wire = Wire::of_worker(io::stdin())?;
    // A program that the module starts must not hold the socket: it would hide the end of this process, and read orders.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let Some(charge) = wire.clone().messages::<Charge>().next().transpose()? else {
        return Ok(());
    };
    log(&charge.log_filter, charge.log_json);
    let settings = charge.settings().ok_or_else(|| io::Error::other("an unknown profile"))?;
    let to = wire.clone();
    let reply: Reply = Arc::new(move |number, outcome| {
        // A report that is lost would be waited for. When nobody listens any more, the orders end as well.
        if to.send(&Report::new(number, outcome)).is_err() {
            to.cut();
        }
    });
    match begin(&settings, &wire, &reply) {
        // Its end is waited for.
        Ok(_crew) => wire.wait_for_end(),
        Err(error) => wire.send(&Report::of_beginning(Err(error))),
    }
}

/// Takes up work, and tells what has been reached.
fn begin(settings: &Settings, wire: &Wire, reply: &Reply) -> Result<Crew, HsmError> {
    let tell = |reached| wire.send(&Report::of_beginning(reached));
    let gone = |_| HsmError::Stopped;
    let login = Login::new(settings, || drop(tell(Err(HsmError::PinIncorrect))))?;
    tell(Ok(Reached::Login)).map_err(gone)?;
    let from = wire.clone();
    let crew = Crew::start(login, settings, move || orders(from.clone()), reply)?;
    let offer = crew.offer().ok_or(HsmError::Stopped)?;
    tell(Ok(Reached::Work(offer))).map_err(gone)?;
    Ok(crew)
}

/// What one worker finds on `wire`. An order that is not understood ends all: the service sees that, and starts another process.
fn orders(wire: Wire) -> impl Iterator<Item = (u64, Request)> {
    wire.clone().messages::<Order>().map_while(move |order| {
        let order = order.ok().and_then(Order::read);
        if order.is_none() {
            wire.cut();
        }
        order
    })
}
