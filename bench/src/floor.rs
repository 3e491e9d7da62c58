//! The floors: what each part of a request costs at least, without the service.

pub(crate) mod hsm;
pub(crate) mod http;
pub(crate) mod postgres;
pub(crate) mod sqlite;
