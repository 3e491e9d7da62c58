//! Waiting.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

/// How often a call that hangs looks whether it may go on.
pub const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Shorter times are waited for awake: to fall asleep and wake up takes as long.
const AWAKE: Duration = Duration::from_micros(20);

/// Waits for `time`, and not much longer. Longer times cost no processor: an HSM that is far away does not either.
pub fn delay(time: Duration) {
    let end = Instant::now() + time;
    if time > AWAKE {
        sleep(time);
    }
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// Sleeps without the 50 microseconds by which Linux may prolong a sleep. The thread is the caller's, and stays so exact: to give the
/// slack back would be two more calls into the kernel for each that waits.
fn sleep(time: Duration) {
    thread_local! {
        static EXACT: Cell<bool> = const { Cell::new(false) };
    }
    if !EXACT.replace(true) {
        let nanoseconds: libc::c_ulong = 1;
        // SAFETY: it takes a number, of this type.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanoseconds) };
    }
    thread::sleep(time);
}
