//! Ids that HubSpot keeps in number properties.

use super::number::push_number;

/// Numbers that are ids though their names do not end in `_id`.
const OTHER_NAMES: [&str; 4] =
    ["associatedcompanyid", "created_by", "hs_custom_inbox", "hs_primary_associated_company"];
/// More digits than any id has.
const MAX_DIGITS: usize = 40;

/// Whether a number property holds ids: it refers to an object type (`referencedObjectType`), or its name says so. Of
/// HubSpot's own ones few carry the reference.
pub(super) fn holds_ids(name: &str, refers: bool) -> bool {
    refers || name.ends_with("_id") || name.ends_with("_ids") || OTHER_NAMES.contains(&name)
}

/// The digits of an id that is written as a number: `123` for `123.0` and `1.23e2`. None for what is no whole number.
pub(super) fn digits(text: &str) -> Option<String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.to_owned());
    }
    let mut number = Vec::new();
    if !push_number(text, &mut number) {
        return None;
    }
    let number = String::from_utf8(number).ok()?;
    let (sign, number) = number.strip_prefix('-').map_or(("", number.as_str()), |rest| ("-", rest));
    let (mantissa, exponent) = number.split_once('e').unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().ok()?;
    let point = i64::try_from(whole.len()).ok()? + exponent;
    let all = format!("{whole}{fraction}");
    let point = usize::try_from(point).ok()?;
    let (kept, dropped) = all.split_at(point.min(all.len()));
    if dropped.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let digits = format!("{kept:0<point$}");
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => Some("0".to_owned()),
        length => (length <= MAX_DIGITS).then(|| format!("{sign}{digits}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_properties_hold_ids_by_reference_or_name() {
        for (name, refers, expected) in [
            ("hs_primary_company_id", false, true),
            ("hs_object_id", false, true),
            ("hs_ticket_id", false, true),
            ("hs_updated_by_user_id", false, true),
            ("hs_pinned_engagement_id", false, true),
            ("hs_manual_campaign_ids", false, true),
            ("associatedcompanyid", false, true),
            ("created_by", false, true),
            ("reviewer", true, true),
            ("amount", false, false),
            ("time_to_close", false, false),
            ("num_notes", false, false),
            ("paid", false, false),
            ("hs_num_associated_companies", false, false),
        ] {
            assert_eq!(holds_ids(name, refers), expected, "{name}");
        }
    }

    #[test]
    fn ids_have_neither_point_nor_exponent() {
        for (given, expected) in [
            ("21458204872", Some("21458204872")),
            ("21458204872.0", Some("21458204872")),
            ("2.1458204872E10", Some("21458204872")),
            ("2.1458204872000e+10", Some("21458204872")),
            ("12345678901234567890123", Some("12345678901234567890123")),
            ("007", Some("007")),
            ("0.0", Some("0")),
            ("1200e-2", Some("12")),
            ("0.5e1", Some("5")),
            ("-3.0", Some("-3")),
            ("12.5", None),
            ("1e-1", None),
            ("1e300", None),
            ("1;2", None),
            ("N/A", None),
            ("", None),
        ] {
            assert_eq!(digits(given).as_deref(), expected, "{given}");
        }
    }
}
