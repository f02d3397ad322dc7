//! Figures as people read them.

/// A whole number with commas between its thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in three digits or so, the thousands as k and the millions as M.
pub(super) fn short(number: f64) -> String {
    match number {
        999_500.0.. => format!("{}M", digits(number / 1e6)),
        999.5.. => format!("{}k", digits(number / 1e3)),
        _ => digits(number),
    }
}

/// A number below a thousand in three digits, a larger one as it is.
pub(super) fn digits(number: f64) -> String {
    match number.abs() {
        99.95.. => format!("{number:.0}"),
        9.995.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// A time of so many microseconds.
pub(super) fn micros(micros: f64) -> String {
    match micros {
        999_500.0.. => format!("{} s", digits(micros / 1e6)),
        999.5.. => format!("{} ms", digits(micros / 1e3)),
        _ => format!("{} us", digits(micros)),
    }
}

/// So many KB, as MB.
pub(super) fn megabytes(kb: u64) -> String {
    format!("{} MB", digits(kb as f64 / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_their_thousands_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        for (number, text) in [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (9.996, "10.0"),
            (99.96, "100"),
            (808.2, "808"),
            (999.6, "1.00k"),
            (12_432.0, "12.4k"),
            (999_600.0, "1.00M"),
            (2_650_000.0, "2.65M"),
            (1.2e9, "1200M"),
        ] {
            assert_eq!(short(number), text, "{number}");
        }
        assert_eq!([micros(1.5), micros(1500.0), micros(2.5e6)], ["1.50 us", "1.50 ms", "2.50 s"]);
        assert_eq!(megabytes(28_512), "28.5 MB");
    }
}
