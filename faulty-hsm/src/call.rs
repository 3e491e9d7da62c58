//! The way of a call: what the control file says about it, then the real module.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError},
};

use cryptoki_sys::{CK_RV, CKR_GENERAL_ERROR, CKR_OK};

use crate::{
    clock,
    fault::{Action, Fault, Plan},
    files::say,
    function::Function,
    module::{self, Module},
};

/// What is done to a call while it is handed on.
#[derive(Default)]
pub struct Twist {
    pub swap_key: bool,
    pub corrupt: bool,
}

/// Does `work`; a panic must not reach a caller written in C.
pub fn guarded(work: impl FnOnce() -> Result<(), CK_RV>) -> CK_RV {
    // What is shared is behind locks that are taken however their last holder ended.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => CKR_OK,
        Ok(Err(answer)) => answer,
        Err(_) => CKR_GENERAL_ERROR,
    }
}

/// Has a call of `function` suffer its faults and hands it on, if they let it.
pub fn pass(
    function: &'static Function,
    has_output: bool,
    forward: impl FnOnce(&Module, &Twist) -> CK_RV,
) -> CK_RV {
    guarded(|| {
        let module = module::loaded()?;
        let mut plan = module.look()?;
        function.count();
        let twist = loop {
            match suffer(module, plan.as_ref(), function, has_output)? {
                Suffered::All(twist) => break twist,
                Suffered::UntilChange => plan = module.look()?,
            }
        };
        // Waiting is over before the lock is taken: calls do not wait for each other's.
        let inside = module.inside.read().unwrap_or_else(PoisonError::into_inner);
        let answer = forward(module, &twist);
        drop(inside);
        if answer == CKR_OK { Ok(()) } else { Err(answer) }
    })
}

enum Suffered {
    All(Twist),
    /// The control file changed while the call hung.
    UntilChange,
}

fn suffer(
    module: &Module,
    plan: Option<&Arc<Plan>>,
    function: &'static Function,
    has_output: bool,
) -> Result<Suffered, CK_RV> {
    let mut twist = Twist::default();
    let Some(plan) = plan else { return Ok(Suffered::All(twist)) };
    for fault in plan.striking(function, has_output) {
        match fault.action {
            Action::Return(answer) => return Err(answer),
            Action::Delay(time) => clock::delay(time),
            Action::Hang => {
                if hang(module, plan, fault)? {
                    return Ok(Suffered::UntilChange);
                }
            }
            Action::Kill => kill(),
            Action::SwapKey => twist.swap_key = true,
            Action::Finalize => module.finalize(),
            Action::CloseSessions => module.close_sessions(),
            Action::Corrupt => twist.corrupt = true,
        }
    }
    Ok(Suffered::All(twist))
}

/// Waits until the fault's time is over (no), or the control file changes (yes).
fn hang(module: &Module, plan: &Arc<Plan>, fault: &Fault) -> Result<bool, CK_RV> {
    while !fault.is_over() {
        std::thread::sleep(clock::LOOK_AGAIN);
        if !module.look()?.is_some_and(|now| Arc::ptr_eq(&now, plan)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn kill() -> ! {
    say("kill: this process dies");
    // SAFETY: the default action has no handler, so nothing of this process runs in one.
    unsafe {
        libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        libc::raise(libc::SIGSEGV);
    }
    // Where the signal is blocked.
    std::process::abort()
}
