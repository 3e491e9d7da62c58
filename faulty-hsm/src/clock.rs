//! Waiting.

use std::{
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

/// Sleeps without the 50 microseconds by which Linux may prolong a sleep. The thread is the caller's, and gets them back.
fn sleep(time: Duration) {
    // SAFETY: it gives a number.
    let slack = unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) };
    set_slack(1);
    thread::sleep(time);
    if let Ok(slack) = libc::c_ulong::try_from(slack) {
        set_slack(slack);
    }
}

fn set_slack(nanoseconds: libc::c_ulong) {
    // SAFETY: it takes a number, of this type.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanoseconds) };
}
