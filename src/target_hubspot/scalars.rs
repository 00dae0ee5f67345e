//! Numbers and truth values as people and programs write them.

use crate::property::{Fit, Kind, encode_value};

/// Texts that mean true or false, as Postgres reads them.
const TRUE: [&str; 6] = ["true", "t", "yes", "y", "on", "1"];
const FALSE: [&str; 6] = ["false", "f", "no", "n", "off", "0"];

/// The number with all its digits, in the form that JSON has.
pub(super) fn number(text: &str) -> Option<String> {
    let mut out = Vec::new();
    match encode_value(Kind::Number, &serde_json::Value::from(text).to_string(), &mut out) {
        Fit::Value => String::from_utf8(out).ok(),
        _ => None,
    }
}

/// `true` or `false`; a column of truths with gaps is one of floats to many programs.
pub(super) fn boolean(text: &str) -> Option<&'static str> {
    let text = text.strip_suffix(".0").filter(|whole| ["0", "1"].contains(whole)).unwrap_or(text);
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match (is(&TRUE), is(&FALSE)) {
        (true, _) => Some("true"),
        (_, true) => Some("false"),
        _ => None,
    }
}

/// `12345.0` as `12345`: the digits of a number that is whole and not negative, else none.
pub(super) fn whole_number(text: &str) -> Option<String> {
    let (negative, significant, power) = plain(&number(text)?);
    let zeros = usize::try_from(power).ok().filter(|zeros| *zeros <= 20)?;
    match significant.as_str() {
        _ if negative => None,
        "" => Some("0".to_owned()),
        digits => Some(format!("{digits}{}", "0".repeat(zeros))),
    }
}

/// A number without what does not change its value: significant digits and the power of ten.
pub(super) fn plain(number: &str) -> (bool, String, i128) {
    let (mantissa, exponent) = number.split_once('e').unwrap_or((number, "0"));
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let dropped = (digits.len() - significant.len()) as i128;
    let power = exponent.parse::<i128>().unwrap_or(0) - fraction.len() as i128 + dropped;
    let significant = significant.trim_start_matches('0').to_owned();
    let is_zero = significant.is_empty();
    (negative && !is_zero, significant, if is_zero { 0 } else { power })
}
