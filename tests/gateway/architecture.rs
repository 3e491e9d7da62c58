//! Who may import whom. docs/ARCHITECTURE.md explains the table.

use std::{fs, path::Path};

/// A room, and the rooms that it may name; `error`, `ids`, `clock` and `json` are open to all.
const TABLE: [(&str, &[&str]); 20] = [
    ("audit", &["database", "hsm"]),
    ("auth", &["audit", "database"]),
    ("crypto", &["auth", "hsm"]),
    ("database", &[]),
    ("hsm", &[]),
    ("query", &["auth"]),
    ("statistics", &["query"]),
    ("store", &["audit", "auth", "crypto", "database", "query", "statistics"]),
    ("service", &["auth", "crypto", "query", "statistics", "store"]),
    ("edge", &["audit", "auth"]),
    ("graphql", &["audit", "edge", "query", "service", "statistics"]),
    ("api", &["audit", "edge", "query", "service", "statistics"]),
    ("rest", &["api", "edge"]),
    ("grpc", &["api", "edge"]),
    ("transfer", &["service"]),
    ("upkeep", &["service"]),
    ("server", &["app", "config", "tls"]),
    ("tls", &[]),
    ("config", &["audit", "auth", "database", "hsm", "tls"]),
    ("error", &[]),
];

/// What only some rooms may name outside the crate.
const OUTSIDE: [(&str, &[&str]); 17] = [
    ("cryptoki", &["hsm"]),
    ("hsm_module", &["hsm"]),
    ("async_graphql", &["graphql"]),
    ("axum", &["api", "app", "edge", "graphql", "grpc", "rest", "server"]),
    ("prost", &["api", "grpc", "hsm", "rest"]),
    ("rustix", &["cli", "hsm"]),
    ("prost_reflect", &["rest"]),
    ("prost_types", &["api", "rest"]),
    ("tonic", &["grpc"]),
    ("tonic_health", &["grpc"]),
    ("tonic_reflection", &["grpc"]),
    ("axum_server", &["server", "tls"]),
    ("rustls", &["tls"]),
    ("entity", &["audit", "auth", "query", "statistics", "store"]),
    ("migration", &["database"]),
    ("reqwest", &["auth"]),
    ("indicatif", &["cli"]),
];

fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            let from_src = path.strip_prefix("src").unwrap().display().to_string();
            let room = from_src.split(['/', '.']).next().unwrap().to_owned();
            let code = fs::read_to_string(&path).unwrap();
            let code: Vec<&str> =
                code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            found.push((room, code.join("\n")));
        }
    }
}

/// The rooms that `code` names: `crate::room` and the entries of `use crate::{…}`.
fn named(code: &str) -> Vec<String> {
    let mut rooms: Vec<String> = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut word) = (1, String::new());
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 || (depth == 1 && c == ',') {
                    rooms.push(word.trim().split("::").next().unwrap().to_owned());
                    word.clear();
                } else {
                    word.push(c);
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            rooms.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

#[test]
fn the_table_holds() {
    let mut found = Vec::new();
    sources(Path::new("src"), &mut found);
    assert!(found.len() > 30);
    for (room, code) in &found {
        if let Some((_, allowed)) = TABLE.iter().find(|(name, _)| name == room) {
            for other in named(code) {
                let fine = other == *room
                    || allowed.contains(&other.as_str())
                    || ["error", "ids", "clock", "json"].contains(&other.as_str());
                assert!(fine, "{room} names {other}");
            }
        }
        // A face takes a caller from a token alone.
        let ours = ["cli", "transfer", "upkeep"].contains(&room.as_str());
        assert!(!code.contains("Caller::operator(") || ours, "{room}");
        for (krate, rooms) in OUTSIDE {
            let names =
                code.contains(&format!("use {krate}::")) || code.contains(&format!("::{krate}::"));
            assert!(!names || rooms.contains(&room.as_str()), "{room} names {krate}");
        }
    }
}
