//! Points in time as the router tells them and as it is told them: text of RFC 3339.

use std::time::SystemTime;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A point in time as text, in UTC and with as many digits of a second as it has.
pub(crate) fn written(time: SystemTime) -> String {
    // Years of more than four digits have no text.
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}

/// The point in time that a text names, whatever its offset from UTC.
pub(crate) fn read(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_written_is_read_to_the_nanosecond() {
        for (nanoseconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_500_000_000, "1970-01-01T00:00:01.5Z"),
            (1_785_931_200_000_000_001, "2026-08-05T12:00:00.000000001Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds);
            assert_eq!((written(time), read(text)), (text.into(), Some(time)));
        }
    }

    #[test]
    fn a_text_may_have_any_offset() {
        let noon = read("2026-08-05T12:00:00Z");
        assert!(noon.is_some());
        assert_eq!(read("2026-08-05T14:30:00+02:30"), noon);
        assert_eq!(read("2026-08-05t03:00:00.000-09:00"), noon);
        for text in ["", "2026-08-05", "2026-08-05T12:00:00", "12:00:00Z", "2026-13-05T12:00:00Z"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
