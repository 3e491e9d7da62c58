//! A PKCS#11 module for tests: it hands every call to another module, and does to it what a file says.
//!
//! It is the library `libfaulty_hsm.so`, PKCS#11 v2.40. The environment tells it
//!
//! - `FAULTY_HSM_MODULE`: the other module, which does the work;
//! - `FAULTY_HSM_CONTROL`: the file that says what goes wrong;
//! - `FAULTY_HSM_COUNTS`, if wanted: a file for the number of calls.
//!
//! Without the first two it does not load, and says why on stderr. It writes nothing to stdout.
//!
//! # The control file
//!
//! Calls look whether the file has changed, so it is replaced by a rename, never written in place. What was seen is believed
//! for a millisecond; [`kit::Faults::set`] waits until that is over. A file that is missing or empty means no faults.
//! A line is one fault, in words with blanks between them:
//!
//! ```text
//! function=C_Encrypt,C_Decrypt return=CKR_DEVICE_REMOVED from=2 count=1
//! function=* delay_us=500
//! ```
//!
//! | word | meaning |
//! |---|---|
//! | `function=` | names with commas between them, or `*`: every call but `C_GetFunctionList`. Must be there |
//! | `from=N` | beginning with the N-th matching call after the file changed; otherwise with the first |
//! | `count=N` | for so many matching calls; otherwise for all |
//! | `for_ms=N` | until so long after the file was written; otherwise until it changes |
//!
//! and one of
//!
//! | word | what happens to the call |
//! |---|---|
//! | `return=CKR_…` or `return=0x…` | it is not handed on, and answers that |
//! | `delay_us=N` | it takes so much longer; calls of several threads at the same time |
//! | `hang` | it does not return. When the file changes, it goes on as the new file says |
//! | `kill` | the process dies by SIGSEGV |
//! | `swap_key` | another key is used: see below |
//! | `finalize` | `C_Finalize` is called behind the caller's back first |
//! | `close_sessions` | `C_CloseAllSessions` is called behind the caller's back first, for every slot that had one |
//! | `corrupt` | one bit of what it gives is another |
//!
//! When several lines match a call, all happen, in the order of the lines. Each process counts its own calls.
//! Calls that only ask for the size of an output count as others do; cryptoki makes one before each `C_WrapKey`. `corrupt` is for
//! `C_Encrypt`, `C_Decrypt`, `C_WrapKey` and `C_GenerateRandom`, and for it only calls with room for the output count.
//!
//! `swap_key` is for `C_EncryptInit`, `C_DecryptInit`, `C_SignInit`, `C_WrapKey` (each of its keys) and `C_UnwrapKey`. The
//! other key is one that this process generated, unwrapped or copied, that is alive, has the same class and type, and
//! may do what the call wants; of those the one that was made next to it, rather before than after. When there is
//! none, stderr is told, and the call goes through.
//!
//! `finalize` and `close_sessions` wait until no call is in the real module, and let none in: SoftHSM would crash. Calls that
//! wait or hang are not in it.
//!
//! A line that is not understood has every call answer `CKR_GENERAL_ERROR`, and is named on stderr: a test that is wrong
//! must not pass.
//!
//! # The counts
//!
//! A line for each function that was called, `C_Encrypt 12`, since the process began. The file is replaced after a
//! `C_Finalize`, and by the first call that sees a new control file, before that call counts. So what lies between two
//! changes of the control file is the difference of what is found after the call that follows each. Processes that share
//! the file replace each other's counts.
//!
//! # In tests
//!
//! [`kit`] finds the library, replaces the control file and reads the counts. Whoever has this crate among their
//! `[dev-dependencies]` has the library built before their tests: Cargo puts it where the tests are,
//! `target/debug/deps/libfaulty_hsm.so`. The service is told of it by two kinds of variables:
//!
//! ```ignore
//! let faults = Faults::new(folder);
//! Command::new(program)
//!     .env("USERSECRET_HSM__MODULE", kit::library()?)
//!     .envs(faults.environment(&softhsm));
//! faults.set("function=C_Decrypt return=CKR_DEVICE_REMOVED for_ms=500")?;
//! ```
//!
//! A call without faults takes about 40 ns longer than without this module, as `cargo test --release -p faulty-hsm cost -- --ignored
//! --nocapture` measures it.

use cryptoki_sys::{CK_FUNCTION_LIST_PTR, CK_FUNCTION_LIST_PTR_PTR, CK_RV, CKR_ARGUMENTS_BAD};

mod call;
mod clock;
mod codes;
mod control;
mod counts;
mod fault;
mod files;
mod forward;
mod function;
mod handles;
pub mod kit;
mod module;
mod parse;

/// The way in: the list of all functions.
///
/// # Safety
///
/// `list` must be null or point to where a pointer may be written (PKCS#11 v2.40 §5.4).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    call::guarded(|| {
        if list.is_null() {
            return Err(CKR_ARGUMENTS_BAD);
        }
        module::load()?;
        let ours: CK_FUNCTION_LIST_PTR = (&raw const forward::LIST).cast_mut();
        // SAFETY: the caller promises that it may be written, and it is not null.
        unsafe { list.write(ours) };
        Ok(())
    })
}
