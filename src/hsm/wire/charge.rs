//! What a worker is told to be.

use std::{path::PathBuf, time::Duration};

use prost::Message;

use super::super::{Isolation, Profile, Settings};

/// What a worker is to be.
#[derive(Clone, PartialEq, Message)]
pub(in crate::hsm) struct Charge {
    #[prost(string, tag = "1")]
    module: String,
    #[prost(string, tag = "2")]
    token_label: String,
    #[prost(string, tag = "3")]
    pin_file: String,
    #[prost(string, tag = "4")]
    profile: String,
    #[prost(uint64, tag = "5")]
    sessions: u64,
    #[prost(uint64, tag = "6")]
    deadline_ms: u64,
    #[prost(uint64, tag = "7")]
    kek_handles: u64,
    #[prost(string, tag = "8")]
    pub(in crate::hsm) log_filter: String,
    #[prost(bool, tag = "9")]
    pub(in crate::hsm) log_json: bool,
    #[prost(string, tag = "10")]
    init_args: String,
}

impl Charge {
    pub(in crate::hsm) fn new(settings: &Settings, log: &(String, bool)) -> Self {
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Self {
            module: settings.module.display().to_string(),
            token_label: settings.token_label.clone(),
            pin_file: settings.pin_file.display().to_string(),
            profile: settings.profile.name.to_owned(),
            sessions: number(settings.sessions()),
            deadline_ms: u64::try_from(settings.deadline.as_millis()).unwrap_or(u64::MAX),
            kek_handles: settings.kek_handles,
            log_filter: log.0.clone(),
            log_json: log.1,
            init_args: settings.init_args.clone(),
        }
    }

    pub(in crate::hsm) fn settings(self) -> Option<Settings> {
        Some(Settings {
            module: PathBuf::from(self.module),
            token_label: self.token_label,
            init_args: self.init_args,
            pin_file: PathBuf::from(self.pin_file),
            profile: Profile::named(&self.profile)?,
            isolation: Isolation::Thread,
            sessions: usize::try_from(self.sessions).ok()?,
            queue: 1,
            deadline: Duration::from_millis(self.deadline_ms),
            kek_handles: self.kek_handles,
        })
    }
}
