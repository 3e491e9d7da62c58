//! REST and gRPC: what callers of the original find.

mod golden;
mod grpc;
pub mod kit;
mod lists;
mod matrix;
mod rest;
mod translation;
