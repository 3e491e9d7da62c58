//! Floor of HTTP: axum takes the POST of a reveal and answers with the same bytes every time.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
};

use axum::{Router, body::Bytes, http::header::CONTENT_TYPE, routing::post};
use serde_json::json;

use crate::{Failure, dataset, load::Cpu, proc, process::Process};

/// The bare server in a process of its own, as the service is.
pub(crate) struct HttpFloor {
    pub(crate) address: SocketAddr,
    process: Process,
}

impl HttpFloor {
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("floor-http").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let stdout = process.stdout().ok_or("the bare server says nothing")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self { address: line.trim().parse()?, process })
    }

    pub(crate) fn cpu(&self) -> std::io::Result<Cpu> {
        Ok(Cpu { service: Some(proc::cpu_us(self.process.id())?), database: None })
    }
}

/// Serves until it is ended, after it has printed its address.
pub(crate) fn serve() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let answer =
            json!({ "data": { "userSecretData": { "data": dataset::data(), "version": 1 } } });
        let answer = Bytes::from(answer.to_string());
        let reply = move |body: Bytes| {
            drop(body);
            let answer = answer.clone();
            async move { ([(CONTENT_TYPE, "application/json")], answer) }
        };
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        Ok(axum::serve(listener, Router::new().route("/graphql", post(reply))).await?)
    })
}
