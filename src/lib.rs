//! Usersecret: a multi-tenant GraphQL gateway that keeps users' credentials
//! encrypted under keys that live in an HSM.

pub mod api;
pub mod app;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod database;
pub mod edge;
pub mod error;
pub mod graphql;
pub mod grpc;
pub mod hsm;
pub mod ids;
mod json;
pub mod query;
pub mod rest;
pub mod server;
pub mod service;
pub mod statistics;
pub mod store;
pub mod tls;
pub mod transfer;
pub mod upkeep;
