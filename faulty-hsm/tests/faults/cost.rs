//! What the module costs when nothing goes wrong, and how exact its delays are. A measurement:
//! `cargo test --release -p faulty-hsm cost -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use cryptoki::context::Pkcs11;

use crate::support::*;

/// Few, so that some rounds have the processor for themselves on a machine that does other things.
const CALLS: u32 = 2000;

/// Nanoseconds of one `C_GetInfo`, in the best round.
fn cost(pkcs11: &Pkcs11) -> u128 {
    let round = |_| {
        let start = Instant::now();
        for _ in 0..CALLS {
            pkcs11.get_library_info().unwrap();
        }
        start.elapsed().as_nanos() / u128::from(CALLS)
    };
    (0..1000).map(round).min().unwrap()
}

#[test]
#[ignore = "a measurement"]
fn what_a_call_costs() {
    let output = ran_apart(
        |hsm| {
            let through = hsm.start();
            // The same library, initialized already.
            let real = Pkcs11::new(softhsm()).unwrap();
            println!("C_GetInfo: {} ns", cost(&real));
            println!("through the module, no file: {} ns", cost(&through));
            for lines in ["", "function=C_Sign hang"] {
                hsm.fail(lines);
                println!("through the module, {lines:?}: {} ns", cost(&through));
            }

            let session = session(&through);
            for delay in [50, 200, 500, 2000] {
                hsm.fail(&format!("function=C_GenerateRandom delay_us={delay}"));
                let mut over: Vec<Duration> = (0..1000)
                    .map(|_| {
                        let start = Instant::now();
                        random(&session).unwrap();
                        start.elapsed() - Duration::from_micros(delay)
                    })
                    .collect();
                over.sort_unstable();
                let [median, p99] = [over[500], over[990]];
                println!("delay_us={delay}: longer by {median:?}, in 99 of 100 by {p99:?}");
            }
        },
        |_| {},
    );
    if let Some(output) = output {
        println!("{}", said(&output));
        assert!(output.status.success());
    }
}
