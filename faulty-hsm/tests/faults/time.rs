//! Calls that take longer.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::*;

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

#[test]
fn calls_take_longer_and_do_not_wait_for_each_other() {
    apart(|hsm| {
        let pkcs11 = hsm.start();
        let sessions = [(); 8].map(|()| session(&pkcs11));
        hsm.fail("function=C_GenerateRandom delay_us=300000");
        let all = timed(|| {
            thread::scope(|scope| {
                for session in sessions {
                    scope.spawn(move || {
                        let one = timed(|| drop(random(&session).unwrap()));
                        assert!(one >= Duration::from_millis(300), "{one:?}");
                    });
                }
            });
        });
        assert!(all < Duration::from_millis(1200), "eight times as long would be 2.4 s: {all:?}");
    });
}

#[test]
fn lines_add_up_and_end() {
    apart(|hsm| {
        let session = hsm.session();
        hsm.fail(
            "function=* delay_us=100000\nfunction=C_GenerateRandom delay_us=150000\n\
             function=C_GenerateRandom return=CKR_DEVICE_ERROR",
        );
        let time = timed(|| assert!(random(&session).is_err()));
        assert!(time >= Duration::from_millis(250), "{time:?}");
        hsm.fail("");
        let time = timed(|| drop(random(&session).unwrap()));
        assert!(time < Duration::from_millis(100), "{time:?}");
    });
}
