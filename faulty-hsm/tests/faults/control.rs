//! What the module is told, and what it says when that is wrong.

use cryptoki::error::RvError;
use faulty_hsm::kit;

use crate::support::*;

#[test]
fn a_line_that_is_not_understood_fails_every_call_until_it_is_corrected() {
    let told = ran_apart(
        |hsm| {
            let session = hsm.session();
            hsm.fail("function=C_Sign hang\nfunction=C_Encrypt retrun=CKR_DEVICE_ERROR");
            assert_eq!(refusal(random(&session)), RvError::GeneralError);
            assert_eq!(refusal(session.get_session_info()), RvError::GeneralError);
            hsm.fail("");
            random(&session).unwrap();
        },
        |_| {},
    );
    let Some(output) = told else { return };
    assert!(output.status.success(), "{}", said(&output));
    let line = "faults: line 2: `retrun=CKR_DEVICE_ERROR` is not understood";
    assert_eq!(said(&output).matches(line).count(), 1, "{}", said(&output));
}

#[test]
fn nothing_loads_without_what_it_must_be_told() {
    for (variable, value) in [
        (kit::MODULE, None),
        (kit::MODULE, Some("/nowhere/module.so")),
        (kit::MODULE, Some("/etc/passwd")),
        (kit::CONTROL, None),
        (kit::CONTROL, Some("/nowhere/faults")),
        (kit::COUNTS, Some("/nowhere/calls")),
    ] {
        let refused = ran_apart(
            |_| {
                let library = kit::library().unwrap();
                let loaded = cryptoki::context::Pkcs11::new(library);
                assert_eq!(refusal(loaded), RvError::GeneralError);
            },
            |command| match value {
                Some(value) => drop(command.env(variable, value)),
                None => drop(command.env_remove(variable)),
            },
        );
        let Some(output) = refused else { return };
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(&format!("faulty-hsm: {variable}")), "{}", said(&output));
    }
}

#[test]
fn calls_between_two_changes_can_be_counted() {
    apart(|hsm| {
        let session = hsm.session();
        let key = generate(&session);
        let counted = || {
            hsm.fail("");
            session.get_session_info().unwrap();
            hsm.faults.calls().unwrap()
        };
        let before = counted();
        encrypt(&session, key).unwrap();
        random(&session).unwrap();
        let after = counted();
        let mut cost: Vec<(&str, u64)> = after
            .iter()
            .map(|(name, calls)| (&name[..], calls - before.get(name).unwrap_or(&0)))
            .filter(|(_, calls)| *calls > 0)
            .collect();
        cost.sort_unstable();
        let wanted = [
            ("C_Encrypt", 2),
            ("C_EncryptInit", 1),
            ("C_GenerateRandom", 1),
            // The one that saw the first change.
            ("C_GetSessionInfo", 1),
        ];
        assert_eq!(cost, wanted);
    });
}
