//! One keep-alive connection of HTTP/1.1 (RFC 9112), as little as a load generator needs.
//!
//! Requests are bytes that were prepared before. The answers of both servers
//! carry `Content-Length`; any other framing is an error.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::Failure;

/// A connection and what was read from it.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, borrowed from its connection.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a str,
}

struct Head {
    status: u16,
    body_at: usize,
    end: usize,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends `request` and waits for its answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>, Failure> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some(head) = Head::parse(&self.buffer)? {
                break head;
            }
        };
        while self.buffer.len() < head.end {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection within an answer".into());
            }
        }
        let body = self.buffer.get(head.body_at..head.end).unwrap_or_default();
        Ok(Answer { status: head.status, body: std::str::from_utf8(body)? })
    }
}

impl Head {
    /// `None` when the head has not come to its end.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Failure> {
        let Some(length) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes.get(..length).unwrap_or_default())?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let body = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
        });
        match (status, body) {
            (Some(status), Some(Ok(body))) => {
                let body_at = length.saturating_add(4);
                Ok(Some(Self { status, body_at, end: body_at.saturating_add(body) }))
            }
            _ => Err(format!("an answer without status or Content-Length: {text:?}").into()),
        }
    }
}

impl Answer<'_> {
    /// An error unless GraphQL answered with data and nothing else.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let good = self.status == 200
            && self.body.contains("\"data\":{")
            && !self.body.contains("\"errors\":");
        if good {
            return Ok(());
        }
        let body: String = self.body.chars().take(400).collect();
        Err(format!("a request failed: {} {body}", self.status).into())
    }
}

/// The bytes of a request with a GraphQL body.
pub(crate) fn post(token: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nAccept: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The bytes of a request for `path`.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nCONTENT-length: 5\r\n\r\nhello";
        assert!(Head::parse(&text[..20]).unwrap().is_none());
        let head = Head::parse(text).unwrap().unwrap();
        assert_eq!((head.status, &text[head.body_at..head.end]), (200, &b"hello"[..]));
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn only_data_without_errors_is_good() {
        let check = |status, body| Answer { status, body }.check().is_ok();
        assert!(check(200, "{\"data\":{\"a\":1}}"));
        assert!(!check(200, "{\"data\":null}"));
        assert!(!check(200, "{\"data\":{\"a\":null},\"errors\":[]}"));
        assert!(!check(503, "{\"data\":{\"a\":1}}"));
    }
}
