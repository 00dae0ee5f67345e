//! Property names and values at the edge of what warehouses and parsers accept.

use crate::object_type::ObjectType;
use crate::properties::PropertyDef;
use crate::record::json_text;

/// Definitions added to a hostile portal's tickets.
pub(crate) fn definitions() -> Vec<PropertyDef> {
    let long = "a_property_whose_name_is_longer_than_the_sixty_three_bytes_postgres_keeps";
    [
        ("Region", "string", "text"),
        ("region", "string", "text"),
        ("REGION", "string", "text"),
        (&format!("{long}_one"), "string", "text"),
        (&format!("{long}_two"), "string", "text"),
        ("double\"quote", "string", "text"),
        ("single'quote", "string", "text"),
        ("hundred%percent", "string", "text"),
        ("with space", "string", "text"),
        ("größe", "string", "text"),
        ("id", "string", "text"),
        ("archived", "bool", "booleancheckbox"),
        ("created_at", "string", "text"),
        ("updated_at", "datetime", "date"),
        ("_tenant_id", "string", "text"),
        ("_sdc_deleted_at", "string", "text"),
        ("_unparsed", "string", "text"),
        ("primary_contact", "string", "text"),
        ("associated_contacts", "string", "text"),
        ("select", "string", "text"),
        ("odd_text", "string", "textarea"),
        ("odd_number", "number", "number"),
        ("odd_bool", "bool", "booleancheckbox"),
        ("odd_date", "date", "date"),
        ("odd_datetime", "datetime", "date"),
        ("odd_choice", "enumeration", "select"),
    ]
    .into_iter()
    .map(|(name, kind, field_type)| PropertyDef::new(name, kind, field_type))
    .map(|def| if def.name == "odd_choice" { def.with_options(&["a=A", "b=B"]) } else { def })
    .collect()
}

/// The JSON fragment that the record at `index` has for a hostile property.
pub(crate) fn value(def: &PropertyDef, index: u64) -> Option<Vec<u8>> {
    let choices: &[&str] = match def.name.as_str() {
        "odd_text" => &[
            r#""nul\u0000in the middle""#,
            r#""lone high \ud800 surrogate""#,
            r#""lone low \udc00 surrogate""#,
            r#""pair \ud83d\ude00 as escapes""#,
            r#""\u2028 \u2029 \ufeff \u200b""#,
            r#""back\\slash, \"quotes\", \ttab, \r\nlines, \/slash""#,
            r#""{\"type\":\"RECORD\"}\n{\"type\":\"STATE\"}""#,
            r#""\\N""#,
            "64k",
        ],
        "odd_number" => &[
            r#""1234567890123456789012345678901234567890""#,
            r#""0.200000000000000011102230246251565404236316680908203125""#,
            r#""1.5E-300""#,
            r#""1e400""#,
            r#""NaN""#,
            r#""Infinity""#,
            r#""N/A""#,
            r#""007""#,
            r#""+5""#,
            r#"".5""#,
            r#""5.""#,
            r#""-0""#,
            r#""1,234.5""#,
            r#"" 12 ""#,
        ],
        "odd_bool" => &[r#""Yes""#, r#""No""#, r#""TRUE""#, r#""1""#, r#""maybe""#, r#""true""#],
        "odd_date" => &[
            r#""0001-01-01""#,
            r#""9999-12-31""#,
            r#""10000-01-01""#,
            r#""1742515200000""#,
            r#""2024-02-30""#,
            r#""21/03/2025""#,
            r#""2025-03-21T00:00:00Z""#,
        ],
        "odd_datetime" | "updated_at" => &[
            r#""0001-01-01T00:00:00Z""#,
            r#""+10000-01-01T00:00:00Z""#,
            r#""1742569562943""#,
            r#""2025-03-21T15:35:54.252Z""#,
            r#""2025-03-21T15:35:54Z""#,
            r#""2025-03-21T17:35:54.252+02:00""#,
            r#""-1""#,
            r#""253402300800000""#,
            r#""yesterday""#,
        ],
        "odd_choice" => &[r#""a""#, r#""deleted option""#, r#""a;b;unknown""#, r#"";a""#],
        "Region" | "region" | "REGION" => &[r#""emea""#, r#""EMEA""#, r#""""#],
        _ => return None,
    };
    let chosen = *choices.get(usize::try_from(index).ok()? % (choices.len() + 1))?;
    Some(if chosen == "64k" { json_text(&"x\u{e9}".repeat(21_845)) } else { chosen.as_bytes().to_vec() })
}

/// Values of HubSpot's own properties that a hostile portal has on some records.
pub(crate) fn replaced(kind: ObjectType, index: u64) -> Vec<(&'static str, Vec<u8>)> {
    if kind != ObjectType::Tickets {
        return Vec::new();
    }
    match index % 16 {
        3 => vec![("subject", br#""nul \u0000 and \ud800 in a subject""#.to_vec())],
        5 => vec![("time_to_close", br#""N/A""#.to_vec())],
        7 => vec![("hs_ticket_priority", br#""CATASTROPHIC""#.to_vec())],
        9 => vec![("closed_date", br#""1742569562943""#.to_vec())],
        11 => vec![("content", br#""""#.to_vec())],
        _ => Vec::new(),
    }
}
