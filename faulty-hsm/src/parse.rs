//! The lines of the control file.

use std::{
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use cryptoki_sys::CK_RV;

use crate::{
    codes,
    fault::{Action, Fault, Functions},
    forward::ALL,
    function::Function,
};

/// The faults that `text` tells of a file that was written at `changed`. An error names the line.
pub fn faults(text: &str, changed: Instant) -> Result<Vec<Fault>, String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            Line::read(line)
                .and_then(|line| line.fault(changed))
                .map_err(|why| format!("line {}: {why}", at + 1))
        })
        .collect()
}

/// The words of a line.
#[derive(Default)]
struct Line<'a> {
    functions: Option<&'a str>,
    action: Option<Action>,
    from: Option<u64>,
    count: Option<u64>,
    for_ms: Option<u64>,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Result<Self, String> {
        let mut read = Self::default();
        for word in line.split_whitespace() {
            let (key, value) =
                word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value)));
            match (key, value) {
                ("function", Some(names)) => once(&mut read.functions, names, word)?,
                ("from", Some(value)) => once(&mut read.from, number(key, value)?, word)?,
                ("count", Some(value)) => once(&mut read.count, number(key, value)?, word)?,
                ("for_ms", Some(value)) => once(&mut read.for_ms, number(key, value)?, word)?,
                _ => once(&mut read.action, action(key, value, word)?, word)?,
            }
        }
        Ok(read)
    }

    fn fault(self, changed: Instant) -> Result<Fault, String> {
        let action = self.action.ok_or("it does not say what goes wrong")?;
        let functions = self.functions.ok_or("`function=` is missing")?;
        let until = self.for_ms.map(|time| {
            changed.checked_add(Duration::from_millis(time)).ok_or("`for_ms=` is too long")
        });
        Ok(Fault {
            functions: named(functions, action)?,
            action,
            from: self.from.unwrap_or(1),
            count: self.count,
            until: until.transpose()?,
            seen: AtomicU64::new(0),
        })
    }
}

fn once<T>(place: &mut Option<T>, value: T, word: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("`{word}`: one of its kind stands there already")),
    }
}

fn number(key: &str, value: &str) -> Result<u64, String> {
    value
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("`{key}={value}` must be a number from 1 on"))
}

fn action(key: &str, value: Option<&str>, word: &str) -> Result<Action, String> {
    Ok(match (key, value) {
        ("return", Some(code)) => Action::Return(answer(code)?),
        ("delay_us", Some(time)) => Action::Delay(Duration::from_micros(number(key, time)?)),
        ("hang", None) => Action::Hang,
        ("kill", None) => Action::Kill,
        ("swap_key", None) => Action::SwapKey,
        ("finalize", None) => Action::Finalize,
        ("close_sessions", None) => Action::CloseSessions,
        ("corrupt", None) => Action::Corrupt,
        _ => return Err(format!("`{word}` is not understood")),
    })
}

fn answer(code: &str) -> Result<CK_RV, String> {
    match code.strip_prefix("0x") {
        Some(digits) => CK_RV::from_str_radix(digits, 16).ok(),
        None => codes::value(code),
    }
    .ok_or_else(|| format!("`return={code}`: there is no such code"))
}

fn named(names: &str, action: Action) -> Result<Functions, String> {
    if names == "*" {
        return Ok(Functions::All);
    }
    let find = |name: &str| {
        let known = ALL.iter().copied().find(|function| function.name == name);
        let function: &Function = known.ok_or_else(|| format!("there is no function `{name}`"))?;
        if action.suits(function) {
            Ok(function.name)
        } else {
            Err(format!("`{name}`: that cannot happen to it"))
        }
    };
    names.split(',').map(find).collect::<Result<_, _>>().map(Functions::Named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Fault>, String> {
        faults(text, Instant::now())
    }

    #[test]
    fn every_word_is_read() {
        let text = "function=C_Sign,C_Encrypt return=CKR_DEVICE_REMOVED from=2 count=3 for_ms=4\n\n \
                    delay_us=5 function=*\n";
        let [first, second] = &read(text).unwrap()[..] else { panic!() };
        assert!(
            matches!(&first.functions, Functions::Named(n) if n[..] == ["C_Sign", "C_Encrypt"])
        );
        assert_eq!(first.action, Action::Return(0x32));
        assert_eq!((first.from, first.count), (2, Some(3)));
        assert!(first.until.is_some());
        assert!(matches!(second.functions, Functions::All));
        assert_eq!(second.action, Action::Delay(Duration::from_micros(5)));
        assert_eq!((second.from, second.count, second.until), (1, None, None));
        for (word, action) in [
            ("return=0x80000001", Action::Return(0x8000_0001)),
            ("hang", Action::Hang),
            ("kill", Action::Kill),
            ("swap_key", Action::SwapKey),
            ("finalize", Action::Finalize),
            ("close_sessions", Action::CloseSessions),
            ("corrupt", Action::Corrupt),
        ] {
            assert_eq!(read(&format!("function=* {word}")).unwrap()[0].action, action);
        }
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        for (line, named) in [
            ("function=*", "what goes wrong"),
            ("hang", "`function=` is missing"),
            ("function=C_Encrypte hang", "`C_Encrypte`"),
            ("function=C_GetFunctionList hang", "`C_GetFunctionList`"),
            ("function=C_Sign, hang", "``"),
            ("function=C_Sign function=C_Encrypt hang", "`function=C_Encrypt`"),
            ("function=* hang kill", "`kill`"),
            ("function=* hang=1", "`hang=1`"),
            ("function=* return", "`return`"),
            ("function=* return=CKR_DEVICE", "`return=CKR_DEVICE`"),
            ("function=* return=0xg", "`return=0xg`"),
            ("function=* delay_us=0", "`delay_us=0`"),
            ("function=* hang count=-1", "`count=-1`"),
            ("function=* hang until=3", "`until=3`"),
            ("function=C_Sign swap_key", "`C_Sign`"),
            ("function=C_EncryptInit corrupt", "`C_EncryptInit`"),
            ("# a remark", "`#`"),
        ] {
            let why = read(&format!("function=* hang\n{line}")).unwrap_err();
            assert!(why.starts_with("line 2: ") && why.contains(named), "{line}: {why}");
        }
    }
}
