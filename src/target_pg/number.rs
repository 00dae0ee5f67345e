//! Numbers as JSON writes them, with all their digits.

use std::borrow::Cow;

/// No integer of Postgres has more digits.
const INTEGER_DIGITS: i64 = 19;

/// Reads a JSON number that is an integer, however it is written: `5`, `5.0`, `5e2`. None when it is not one, or has more
/// digits than any integer type.
pub(super) fn integer(number: &str) -> Option<Cow<'_, str>> {
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    if unsigned.bytes().all(|byte| byte.is_ascii_digit())
        && i64::try_from(unsigned.len()).is_ok_and(|length| length <= INTEGER_DIGITS)
    {
        return Some(if unsigned == "0" { "0".into() } else { number.into() });
    }
    let Decimal { negative, digits, exponent } = Decimal::parse(number)?;
    if digits.is_empty() {
        return Some("0".into());
    }
    let length = i64::try_from(digits.len()).ok()?;
    if exponent < 0 || length + exponent > INTEGER_DIGITS {
        return None;
    }
    let zeros = "0".repeat(usize::try_from(exponent).ok()?);
    Some(format!("{}{digits}{zeros}", if negative { "-" } else { "" }).into())
}

/// One text for all ways to write the same number: keys that are equal in Postgres are equal here.
pub(super) fn canonical(number: &str) -> Cow<'_, str> {
    // In a string of the format `x-singer.decimal` zeros may stand in front.
    let has_zeros = number.trim_start_matches('-').starts_with('0') || number.ends_with('0');
    if !has_zeros && !number.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return number.into();
    }
    match Decimal::parse(number) {
        None => number.into(),
        Some(Decimal { digits, .. }) if digits.is_empty() => "0".into(),
        Some(Decimal { negative, digits, exponent }) => {
            let sign = if negative { "-" } else { "" };
            let power = if exponent == 0 { String::new() } else { format!("e{exponent}") };
            format!("{sign}{digits}{power}").into()
        }
    }
}

/// `digits` times ten to the power of `exponent`, the digits without zeros at either end.
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn parse(number: &str) -> Option<Self> {
        let (negative, unsigned) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let (mantissa, power) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let power: i64 = power.parse().ok()?;
        let all = format!("{whole}{fraction}");
        let significant = all.trim_end_matches('0');
        let zeros = i64::try_from(all.len() - significant.len()).ok()?;
        let exponent = power.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
        Some(Self { negative, digits: significant.trim_start_matches('0').to_owned(), exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_one_however_it_is_written() {
        for (number, expected) in [
            ("5", Some("5")),
            ("-0", Some("0")),
            ("5.0", Some("5")),
            ("-1.20e1", Some("-12")),
            ("1e3", Some("1000")),
            ("0.0", Some("0")),
            ("1.5", None),
            ("5e-1", None),
            ("9223372036854775807", Some("9223372036854775807")),
            ("12345678901234567890", None),
            ("1e400", None),
        ] {
            assert_eq!(integer(number).as_deref(), expected, "{number}");
        }
    }

    #[test]
    fn equal_numbers_have_one_canonical_text() {
        for same in [
            &["1", "1.0", "10e-1", "0.1e1"][..],
            &["0", "-0", "0.00"],
            &["1.5", "15e-1", "01.5"],
            &["1e30", "10e29", "1000000000000000000000000000000"],
            &["12345678901234567891", "12345678901234567891.0", "1.2345678901234567891e19"],
            &["12", "012"],
            &["-1000", "-1e3", "-01000.0"],
        ] {
            let texts: Vec<_> = same.iter().map(|number| canonical(number)).collect();
            assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
        }
        assert_ne!(canonical("12345678901234567890.1"), canonical("12345678901234567890.2"));
    }
}
