//! Regular expressions that mean the same on every engine.
//!
//! A pattern is read by the library that SQLite is given, and what it was understood
//! as is written out anew for each engine: sets of code points, repetitions and
//! alternatives, in which no engine's own taste is left. What only one of them
//! has, such as look-around, is refused.

use std::fmt::Write as _;

use regex::RegexBuilder;
use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind, Look, Repetition},
};

/// The most characters of a pattern.
const MAX_LEN: usize = 256;

/// The most bytes of a pattern that is written out.
const MAX_WRITTEN: usize = 32 * 1024;

/// The most that a pattern costs. Of some 1,300 that were drawn within this none took PostgreSQL half a
/// second to compile, and it could compile all of them.
const MAX_COST: usize = 256;

/// The most bytes that a compiled pattern takes.
const MAX_COMPILED: usize = 1 << 20;

/// The most repetitions that are counted, one within another multiplied.
const MAX_COUNT: u32 = 255;

/// A pattern, as each engine reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// For the regex crate, which SQLite is given.
    pub(super) rust: String,
    /// For PostgreSQL: an advanced regular expression.
    pub(super) postgres: String,
    /// What it costs to compile, in characters and sets.
    pub(super) cost: usize,
}

impl Pattern {
    /// Reads `text`, which matches anywhere and in whatever case. The error is the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().count() > MAX_LEN {
            return Err("must have at most 256 characters");
        }
        let parsed = ParserBuilder::new()
            .case_insensitive(true)
            .nest_limit(32)
            .build()
            .parse(text)
            .map_err(|_| "must be a regular expression without look-around and back-references")?;
        Self::write(&parsed)
    }

    /// The pattern that finds `text` itself, in whatever case.
    pub fn literal(text: &str) -> Result<Self, &'static str> {
        Self::parse(&regex_syntax::escape(text))
    }

    fn write(parsed: &Hir) -> Result<Self, &'static str> {
        let write = |engine| {
            let mut writer = Writer { engine, text: String::new() };
            writer.write(parsed, 1).map(|()| writer.text)
        };
        let cost = cost(parsed, false);
        if cost > MAX_COST {
            return Err(TOO_LARGE);
        }
        let pattern = Self { rust: write(Engine::Rust)?, postgres: write(Engine::Postgres)?, cost };
        // As SQLite will compile it.
        let compiled = RegexBuilder::new(&pattern.rust).size_limit(MAX_COMPILED).build();
        compiled.map_err(|_| TOO_LARGE)?;
        Ok(pattern)
    }

    /// Whether it finds something in `text`.
    #[cfg(test)]
    fn is_match(&self, text: &str) -> bool {
        regex::Regex::new(&self.rust).unwrap().is_match(text)
    }
}

const NUL: &str = "must not have a set that is empty, nor look for NUL";
const TOO_LARGE: &str = "must be a simpler regular expression";

#[derive(Clone, Copy)]
enum Engine {
    Rust,
    Postgres,
}

struct Writer {
    engine: Engine,
    text: String,
}

impl Writer {
    fn write(&mut self, hir: &Hir, count: u32) -> Result<(), &'static str> {
        if self.text.len() > MAX_WRITTEN {
            return Err(TOO_LARGE);
        }
        match hir.kind() {
            HirKind::Empty => self.text.push_str("(?:)"),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).map_err(|_| "must be of characters")?;
                if text.contains('\0') {
                    return Err(NUL);
                }
                text.chars().for_each(|c| self.character(c));
            }
            HirKind::Class(class) => self.class(class)?,
            HirKind::Look(Look::Start) => self.text.push('^'),
            HirKind::Look(Look::End) => self.text.push_str(match self.engine {
                Engine::Rust => "\\z",
                Engine::Postgres => "$",
            }),
            HirKind::Look(_) => return Err("must not have word or line boundaries"),
            HirKind::Capture(capture) => self.group(&capture.sub, count)?,
            HirKind::Repetition(repetition) => {
                let (min, max) = (repetition.min, repetition.max);
                let count = count.saturating_mul(max.unwrap_or(min).max(1));
                if count > MAX_COUNT {
                    return Err(
                        "must count to 255 at most, one repetition within another multiplied",
                    );
                }
                if !repetition.sub.properties().look_set().is_empty() {
                    return Err("must not repeat the beginning or the end");
                }
                self.group(&repetition.sub, count)?;
                let _ = match (min, max) {
                    (0, None) => write!(self.text, "*"),
                    (1, None) => write!(self.text, "+"),
                    (0, Some(1)) => write!(self.text, "?"),
                    (min, None) => write!(self.text, "{{{min},}}"),
                    (min, Some(max)) => write!(self.text, "{{{min},{max}}}"),
                };
            }
            HirKind::Concat(parts) => {
                for part in parts {
                    self.write(part, count)?;
                }
            }
            HirKind::Alternation(parts) => {
                self.text.push_str("(?:");
                for (index, part) in parts.iter().enumerate() {
                    self.text.push_str(if index == 0 { "" } else { "|" });
                    self.write(part, count)?;
                }
                self.text.push(')');
            }
        }
        Ok(())
    }

    fn group(&mut self, hir: &Hir, count: u32) -> Result<(), &'static str> {
        self.text.push_str("(?:");
        self.write(hir, count)?;
        self.text.push(')');
        Ok(())
    }

    fn class(&mut self, class: &Class) -> Result<(), &'static str> {
        let Class::Unicode(class) = class else { return Err("must be of characters") };
        // No stored text has a NUL, and PostgreSQL's patterns cannot write one.
        if class.ranges().iter().all(|range| range.end() == '\0') {
            return Err(NUL);
        }
        self.text.push('[');
        for range in class.ranges() {
            let (first, last) = (range.start().max('\u{1}'), range.end());
            if last < first {
                continue;
            }
            self.character(first);
            if first != last {
                self.text.push('-');
                self.character(last);
            }
        }
        self.text.push(']');
        Ok(())
    }

    /// Letters and digits as they are, everything else by its code point.
    fn character(&mut self, c: char) {
        let _ = match self.engine {
            _ if c.is_ascii_alphanumeric() => write!(self.text, "{c}"),
            Engine::Rust => write!(self.text, "\\x{{{:X}}}", u32::from(c)),
            Engine::Postgres => write!(self.text, "\\U{:08X}", u32::from(c)),
        };
    }
}

/// What `hir` costs PostgreSQL to compile: its characters and sets, with every repetition spelled out.
///
/// What may be left out costs more when it is itself repeated: all that surrounds it can then meet.
fn cost(hir: &Hir, repeated: bool) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(_) => 1,
        HirKind::Capture(capture) => cost(&capture.sub, repeated),
        HirKind::Repetition(Repetition { min, max, sub, .. }) => {
            let copies = max.unwrap_or(*min).max(1);
            let each = match (repeated, min, max) {
                (true, _, None) => 4,
                (true, 0, Some(_)) => 2,
                _ => 0,
            };
            let copies = usize::try_from(copies).unwrap_or(usize::MAX);
            cost(sub, true).saturating_add(each).saturating_mul(copies)
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(|part| cost(part, repeated)).fold(0, usize::saturating_add)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, found) in [
            ("^aws", "AWS prod", true),
            ("prod$", "aws prod", true),
            ("prod$", "aws prod\n", false),
            ("a.c", "a\nc", false),
            ("a{2,3}b", "xaab", true),
            ("(?:x|y)+z", "ayxz", true),
            ("[^a-z0-9 ]", "straße", true),
            ("σ", "ΟΔΟΣ", true),
            ("k", "\u{212a}", true),
            ("", "anything", true),
            ("\\d+", "no digit", false),
            ("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "x", false),
            ("^.{0,200}$", "x", true),
            ("^([a-z0-9-]{1,63}\\.){1,3}[a-z]{2,63}$", "a.example", true),
        ] {
            assert_eq!(
                Pattern::parse(pattern).unwrap().is_match(text),
                found,
                "{pattern} in {text}"
            );
        }
        assert!(Pattern::literal(".*[\\").unwrap().is_match("x.*[\\y"));
        for bad in [
            "(",
            "a(?=b)",
            "(a)\\1",
            "\\bx",
            "(?m)^x",
            "a{256}",
            "(a{20}){20}",
            "(?:^)*",
            "[a&&b]",
            "(?:(?:a?b?c?d?e?f?g?h?i?j?){0,15}){0,17}",
            "(?:[a-m]*[h-z]*[c-x]*[^q]*[^b]*){0,50}",
            "(?:ab){129}",
            "\\w{200}\\w{200}",
            "(?-u:\\xff)",
            "a\\x00",
            "[\\x00]",
            "a\0",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
        assert!(Pattern::parse(&"a".repeat(257)).is_err());
        assert!(Pattern::parse(&"(".repeat(100)).is_err());
    }
}
