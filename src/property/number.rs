//! Numbers with all their digits.

/// The greatest power of ten that a number column takes: beyond it a target with doubles fails its whole run.
const MAX_EXPONENT: i64 = 307;
/// More digits than any real value has.
const MAX_DIGITS: usize = 1000;

/// Appends `text` as a JSON number with the same value and all its digits. Forms that JSON refuses are normalised: a
/// plus sign, leading zeros, a missing digit beside the point.
///
/// Returns false, with `out` as it was, for what is no number, has a magnitude outside 1e-307 to 1e308 or passes
/// 1,000 digits.
pub(super) fn push_number(text: &str, out: &mut Vec<u8>) -> bool {
    let (negative, unsigned) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (whole, rest) = digits(unsigned);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => digits(rest),
        rest => (&rest[..0], rest),
    };
    if whole.is_empty() && fraction.is_empty() || whole.len() + fraction.len() > MAX_DIGITS {
        return false;
    }
    let exponent = match rest {
        [] => 0,
        [b'e' | b'E', rest @ ..] => match std::str::from_utf8(rest).ok().and_then(|power| power.parse::<i32>().ok()) {
            Some(exponent) => i64::from(exponent),
            None => return false,
        },
        _ => return false,
    };
    let whole = &whole[whole.iter().position(|digit| *digit != b'0').unwrap_or(whole.len())..];
    let is_zero = whole.is_empty() && fraction.iter().all(|digit| *digit == b'0');
    let exponent = if is_zero { 0 } else { exponent };
    if !is_zero && !(-MAX_EXPONENT..=MAX_EXPONENT).contains(&(magnitude(whole, fraction) + exponent)) {
        return false;
    }
    if negative && !is_zero {
        out.push(b'-');
    }
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    if exponent != 0 {
        out.extend_from_slice(format!("e{exponent}").as_bytes());
    }
    true
}

/// How Airbyte's warehouses hold a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Precision {
    /// As it is.
    Exact,
    /// Without its last digits.
    Rounded,
    /// Not at all, or as another number.
    OutOfRange,
}

/// The greatest whole number up to which a double holds every one. PyAirbyte reads numbers through pandas, which makes
/// doubles of a column with nulls, and anything of whole numbers from 2^64 on: 12776324570088369205 of
/// 123456789012345678901.
const MAX_WHOLE: u64 = 1 << 53;
/// Its power of ten.
const MAX_WHOLE_POWER: i64 = 15;
/// Significant digits that survive a double.
const DOUBLE_DIGITS: usize = 15;
/// Digits behind the point of `numeric(38,9)`, which Airbyte's warehouses make of every number.
const NUMERIC_FRACTION: i64 = 9;

/// How Airbyte's warehouses hold a number that [`push_number`] wrote: in a double at first, and then in a `numeric(38,9)`.
pub(super) fn precision(token: &[u8]) -> Precision {
    let unsigned = token.strip_prefix(b"-").unwrap_or(token);
    let (whole, rest) = digits(unsigned);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => digits(rest),
        rest => (&rest[..0], rest),
    };
    let power = rest.strip_prefix(b"e").and_then(|power| std::str::from_utf8(power).ok()?.parse::<i64>().ok());
    let power = power.unwrap_or(0);
    let whole = &whole[whole.iter().position(|digit| *digit != b'0').unwrap_or(whole.len())..];
    let greatest = magnitude(whole, fraction) + power;
    let mut significant: Vec<u8> = whole.iter().chain(fraction).copied().skip_while(|digit| *digit == b'0').collect();
    let Some(last) = significant.iter().rposition(|digit| *digit != b'0') else { return Precision::Exact };
    significant.truncate(last + 1);
    // The power of ten of the last digit that counts.
    let least = greatest - i64::try_from(last).expect("at most 1,000 digits");
    if greatest > MAX_WHOLE_POWER || greatest == MAX_WHOLE_POWER && is_above_max_whole(&significant) {
        Precision::OutOfRange
    } else if least < -NUMERIC_FRACTION || least < 0 && significant.len() > DOUBLE_DIGITS {
        Precision::Rounded
    } else {
        Precision::Exact
    }
}

/// Whether a number of 16 digits before the point, given by its significant ones, is greater than [`MAX_WHOLE`].
fn is_above_max_whole(significant: &[u8]) -> bool {
    let digit = |at: usize| u64::from(significant.get(at).map_or(0, |digit| digit - b'0'));
    let whole = (0..=15).fold(0, |whole, at| whole * 10 + digit(at));
    whole > MAX_WHOLE || whole == MAX_WHOLE && significant.len() > 16
}

/// The power of ten of the first significant digit.
fn magnitude(whole: &[u8], fraction: &[u8]) -> i64 {
    let length = |digits: &[u8]| i64::try_from(digits.len()).expect("at most 1,000 digits");
    if whole.is_empty() {
        let zeros = fraction.iter().position(|digit| *digit != b'0').unwrap_or(0);
        -length(&fraction[..zeros]) - 1
    } else {
        length(whole) - 1
    }
}

fn digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<String> {
        let mut out = Vec::new();
        push_number(text, &mut out).then(|| String::from_utf8(out).expect("ASCII"))
    }

    #[test]
    fn digits_are_kept_and_forms_normalised() {
        for (given, expected) in [
            ("0", "0"),
            ("1000000.0", "1000000.0"),
            (
                "0.200000000000000011102230246251565404236316680908203125",
                "0.200000000000000011102230246251565404236316680908203125",
            ),
            ("1234567890123456789012345678901234567890", "1234567890123456789012345678901234567890"),
            ("+5", "5"),
            ("007", "7"),
            ("-00.50", "-0.50"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-0", "0"),
            ("0e999999", "0"),
            ("1.5E+10", "1.5e10"),
            ("9.9e307", "9.9e307"),
            ("0.001e-300", "0.001e-300"),
        ] {
            assert_eq!(number(given).as_deref(), Some(expected), "{given}");
        }
    }

    #[test]
    fn warehouses_of_airbyte_hold_whole_numbers_up_to_two_to_the_53_and_15_digits() {
        for (token, expected) in [
            ("0", Precision::Exact),
            ("0.000", Precision::Exact),
            ("-12.500000000000", Precision::Exact),
            ("0.123456789", Precision::Exact),
            ("0.1234567891", Precision::Rounded),
            ("1e-9", Precision::Exact),
            ("1e-10", Precision::Rounded),
            ("1.5e-9", Precision::Rounded),
            ("999999.999999999", Precision::Exact),
            ("1234567.123456789", Precision::Rounded),
            ("12345678901234.5", Precision::Exact),
            ("123456789012345.5", Precision::Rounded),
            ("9007199254740991", Precision::Exact),
            ("9007199254740992", Precision::Exact),
            ("-9007199254740992.000", Precision::Exact),
            ("9007199254740992.1", Precision::OutOfRange),
            ("9007199254740993", Precision::OutOfRange),
            ("-9007199254740993", Precision::OutOfRange),
            ("9.007199254740992e15", Precision::Exact),
            ("9.007199254740993e15", Precision::OutOfRange),
            ("0.001e18", Precision::Exact),
            ("1e16", Precision::OutOfRange),
            ("123456789012345678901", Precision::OutOfRange),
            ("1e30", Precision::OutOfRange),
        ] {
            assert_eq!(precision(token.as_bytes()), expected, "{token}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in
            ["", "N/A", "NaN", "Infinity", "1,5", "1 2", "0x10", "e5", ".", "1e", "--1", "1e400", "1e-400", "1.2.3"]
        {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(number(&"9".repeat(1001)), None);
    }
}
