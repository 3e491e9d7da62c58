//! How long a caller waits (gRPC over HTTP/2, "Timeout").

use std::time::Duration;

use axum::http::HeaderMap;

/// What `grpc-timeout` says; one that cannot be read says nothing.
pub(super) fn patience(metadata: &HeaderMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_hours(count)),
        "M" => Some(Duration::from_mins(count)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (text, millis) in [
            ("99999999H", Some(359_999_996_400_000)),
            ("1M", Some(60_000)),
            ("2S", Some(2_000)),
            ("10m", Some(10)),
            ("1000u", Some(1)),
            ("1000000n", Some(1)),
            ("100000000S", None),
            ("-1S", None),
            ("+1S", None),
            ("1", None),
            ("S", None),
            ("1.5S", None),
            ("1h", None),
        ] {
            let metadata = [("grpc-timeout".parse().unwrap(), text.parse().unwrap())];
            let read = patience(&metadata.into_iter().collect());
            assert_eq!(read.map(|patience| patience.as_millis()), millis, "{text}");
        }
    }
}
