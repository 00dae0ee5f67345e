//! A column of a table, and how a JSON value becomes a field of it.

use super::copy_text::{Unstorable, inner, push_json, push_string, push_text, storable_json, unescape};
use super::instant::{push_date, push_time, push_timestamp};
use super::number::{canonical, integer};
use super::sql_type::{Kinds, SqlType};
use super::value::{ValueError, kind, name};

/// COPY's word for null.
pub(super) const NULL: &[u8] = b"\\N";

/// Where the value of a column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A property of the record.
    Property,
    /// `time_extracted` of the message.
    ExtractedAt,
    /// When this program read the record.
    ReceivedAt,
    /// When its batch began.
    BatchedAt,
    /// When this program read the record, in milliseconds.
    Sequence,
    /// `version` of the message.
    TableVersion,
    /// When the run began, in milliseconds.
    SyncStartedAt,
}

/// The columns that the program adds, with the type of each, in their order.
///
/// `_sdc_deleted_at` is the one that a record may fill.
pub(super) const METADATA: [(&str, Source, SqlType); 7] = [
    ("_sdc_extracted_at", Source::ExtractedAt, SqlType::Timestamp),
    ("_sdc_received_at", Source::ReceivedAt, SqlType::Timestamp),
    ("_sdc_batched_at", Source::BatchedAt, SqlType::Timestamp),
    ("_sdc_deleted_at", Source::Property, SqlType::Timestamp),
    ("_sdc_sequence", Source::Sequence, SqlType::BigInt),
    ("_sdc_table_version", Source::TableVersion, SqlType::BigInt),
    ("_sdc_sync_started_at", Source::SyncStartedAt, SqlType::BigInt),
];

/// A column that a stream writes.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// As it is in the table.
    pub(super) sql_type: SqlType,
    /// What the schema lets its values be.
    pub(super) kinds: Kinds,
    pub(super) source: Source,
    pub(super) is_key: bool,
}

impl Column {
    /// Writes the field of a value, null included.
    ///
    /// # Errors
    /// When the schema or the column's type does not allow the value. Part of a field may then be written.
    pub(super) fn push(&self, json: &str, unstorable: &mut Unstorable, out: &mut Vec<u8>) -> Result<(), ValueError> {
        if json == "null" {
            if self.is_key {
                return Err(ValueError::NullKey);
            }
            out.extend_from_slice(NULL);
            return Ok(());
        }
        if self.kinds != Kinds::ANY {
            let found = kind(json);
            if !self.kinds.allow(found) {
                return Err(ValueError::Kind { found: name(found), expected: self.kinds });
            }
        }
        push_value(&self.sql_type, json, unstorable, out)
    }

    /// Writes one text for all values that are equal as keys, given the field that [`Self::push`] wrote.
    pub(super) fn push_key(&self, field: &[u8], key: &mut Vec<u8>) {
        match (&self.sql_type, std::str::from_utf8(field)) {
            (SqlType::Numeric, Ok(number)) => key.extend_from_slice(canonical(number).as_bytes()),
            _ => key.extend_from_slice(field),
        }
    }

    /// Whether keys are equal exactly when their texts of [`Self::push_key`] are.
    pub(super) fn has_comparable_keys(&self) -> bool {
        !matches!(self.sql_type, SqlType::Json | SqlType::Jsonb | SqlType::Array(_) | SqlType::Other(_))
    }
}

fn push_value(
    sql_type: &SqlType,
    json: &str,
    unstorable: &mut Unstorable,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let is_string = json.starts_with('"');
    match sql_type {
        SqlType::Text | SqlType::Other(_) if is_string => push_string(json, unstorable, out),
        SqlType::Text | SqlType::Other(_) => push_json(json, unstorable, out),
        SqlType::Json | SqlType::Jsonb => push_json(json, unstorable, out),
        SqlType::SmallInt => push_integer(json, "smallint", i64::from(i16::MIN)..=i64::from(i16::MAX), out),
        SqlType::Integer => push_integer(json, "integer", i64::from(i32::MIN)..=i64::from(i32::MAX), out),
        SqlType::BigInt => push_integer(json, "bigint", i64::MIN..=i64::MAX, out),
        SqlType::Numeric => push_numeric(json, out),
        SqlType::Boolean => push_boolean(json, out),
        SqlType::Array(element) => push_array(element, json, unstorable, out),
        SqlType::Timestamp | SqlType::TimestampTz => with_string(json, "timestamp", unstorable, |text| {
            push_timestamp(text, out)?;
            // Else it would be taken in the session's time zone.
            out.extend_from_slice(if *sql_type == SqlType::TimestampTz { b"+00" } else { b"" });
            Ok(())
        }),
        SqlType::Date => with_string(json, "date", unstorable, |text| push_date(text, out)),
        SqlType::Time => with_string(json, "time", unstorable, |text| push_time(text, out)),
        SqlType::Uuid => with_string(json, "uuid", unstorable, |text| push_uuid(text, out)),
        SqlType::Bytea => with_string(json, "bytea", unstorable, |text| push_bytea(text, out)),
    }
}

/// Hands the text of a JSON string on.
fn with_string(
    json: &str,
    sql_type: &'static str,
    unstorable: &mut Unstorable,
    push: impl FnOnce(&str) -> Result<(), ValueError>,
) -> Result<(), ValueError> {
    if !json.starts_with('"') {
        return Err(ValueError::form(sql_type, json));
    }
    let inner = inner(json);
    if !inner.contains('\\') {
        return push(inner);
    }
    let mut text = String::new();
    unescape(inner, unstorable, &mut text)?;
    push(&text)
}

fn push_integer(
    json: &str,
    sql_type: &'static str,
    range: std::ops::RangeInclusive<i64>,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let is_number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let Some(digits) = integer(json).filter(|_| is_number) else {
        let is_long = is_number && kind(json) == Kinds::INTEGER;
        return Err(if is_long { ValueError::range(sql_type, json) } else { ValueError::form(sql_type, json) });
    };
    match digits.parse::<i64>() {
        Ok(number) if range.contains(&number) => {
            out.extend_from_slice(digits.as_bytes());
            Ok(())
        }
        _ => Err(ValueError::range(sql_type, json)),
    }
}

/// A number, or a string that holds one, as the format `x-singer.decimal` has it.
fn push_numeric(json: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let digits = if json.starts_with('"') { inner(json) } else { json };
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    let is_number = unsigned.starts_with(|first: char| first.is_ascii_digit())
        && unsigned.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if !is_number {
        return Err(ValueError::form("numeric", json));
    }
    out.extend_from_slice(digits.as_bytes());
    Ok(())
}

fn push_boolean(json: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.push(match json {
        "true" => b't',
        "false" => b'f',
        _ => return Err(ValueError::form("boolean", json)),
    });
    Ok(())
}

/// A UUID in the one form that Postgres writes, so that equal keys are equal texts.
fn push_uuid(text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let digits: String = bare.strip_prefix("urn:uuid:").unwrap_or(bare).split('-').collect();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ValueError::form("uuid", text));
    }
    let digits = digits.to_ascii_lowercase();
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    out.extend_from_slice(parts.join("-").as_bytes());
    Ok(())
}

/// Hexadecimal digits, as meltanolabs' target-postgres takes them: with `0x` or `\x` or without, an odd one at the front.
fn push_bytea(text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("\\x")).unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ValueError::form("bytea", text));
    }
    out.extend_from_slice(b"\\\\x");
    out.extend_from_slice(if digits.len() % 2 == 1 { b"0" } else { b"" });
    out.extend_from_slice(digits.to_ascii_lowercase().as_bytes());
    Ok(())
}

/// An array's text: <https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>.
fn push_array(element: &SqlType, json: &str, unstorable: &mut Unstorable, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let elements: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(json).map_err(|_| ValueError::form("array", json))?;
    let mut literal = String::from("{");
    for (at, value) in elements.into_iter().enumerate() {
        if at > 0 {
            literal.push(',');
        }
        push_element(element, value.get(), unstorable, &mut literal)?;
    }
    literal.push('}');
    push_text(&literal, out);
    Ok(())
}

fn push_element(
    element: &SqlType,
    json: &str,
    unstorable: &mut Unstorable,
    literal: &mut String,
) -> Result<(), ValueError> {
    let mut text = String::new();
    match element {
        _ if json == "null" => {
            literal.push_str("NULL");
            return Ok(());
        }
        SqlType::Text if json.starts_with('"') => unescape(inner(json), unstorable, &mut text)?,
        // An array of these two may be a column's type by another program alone.
        SqlType::Text | SqlType::Json | SqlType::Jsonb | SqlType::Other(_) => {
            text.push_str(&storable_json(json, unstorable)?);
        }
        scalar => {
            let mut field = Vec::new();
            push_value(scalar, json, unstorable, &mut field)?;
            literal.push_str(&String::from_utf8_lossy(&field));
            return Ok(());
        }
    }
    literal.push('"');
    for part in text.split_inclusive(['"', '\\']) {
        match part.strip_suffix(['"', '\\']) {
            None => literal.push_str(part),
            Some(before) => {
                literal.push_str(before);
                literal.push('\\');
                literal.push_str(&part[before.len()..]);
            }
        }
    }
    literal.push('"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target_pg::sql_type::Declared;

    fn field(schema: serde_json::Value, json: &str) -> Result<String, String> {
        let Declared { sql_type, kinds } = Declared::of_schema(&schema, true);
        let column = Column { name: "c".to_owned(), sql_type, kinds, source: Source::Property, is_key: false };
        let mut out = Vec::new();
        let pushed = column.push(json, &mut Unstorable { sanitize: false, replaced: 0 }, &mut out);
        pushed.map(|()| String::from_utf8(out).expect("UTF-8")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_is_written_as_its_column_takes_it() {
        let list = |of: &str| serde_json::json!({"type": "array", "items": {"type": of}});
        for (schema, json, expected) in [
            (serde_json::json!({"type": "number"}), "12345678901234567890.10", "12345678901234567890.10"),
            (serde_json::json!({"type": "integer"}), "1e3", "1000"),
            (serde_json::json!({"type": "boolean"}), "true", "t"),
            (serde_json::json!({"type": "string"}), "null", "\\N"),
            (serde_json::json!({"type": "string"}), r#""\\N""#, r"\\N"),
            (serde_json::json!({}), r#"{"a": "x"}"#, r#"{"a": "x"}"#),
            (serde_json::json!({}), "5", "5"),
            (
                serde_json::json!({"type": "string", "format": "uuid"}),
                r#""0A0A0A0A0a0a0a0a0a0a0a0a0a0a0a0a""#,
                "0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a",
            ),
            (serde_json::json!({"type": "string", "contentEncoding": "base16"}), r#""0xABC""#, r"\\x0abc"),
            (list("string"), r#"["a", null, "q\"b\\c,{}\n", ""]"#, r#"{"a",NULL,"q\\"b\\\\c,{}\n",""}"#),
            (list("integer"), "[1, 2.0]", "{1,2}"),
            (list("boolean"), "[true,false]", "{t,f}"),
            (list("object"), r#"[{"a": "b"}]"#, r#"{"{\\"a\\": \\"b\\"}"}"#),
            (list("string"), "[]", "{}"),
        ] {
            assert_eq!(field(schema, json).as_deref(), Ok(expected), "{json}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_a_column_of_any_type(text in ".{0,30}|[0-9TZ:+. -]{0,30}") {
            let json = serde_json::Value::from(text).to_string();
            for format in ["date-time", "date", "time", "uuid", "x-singer.decimal"] {
                let _ = field(serde_json::json!({"type": "string", "format": format}), &json);
            }
            let _ = field(serde_json::json!({"type": "string", "contentEncoding": "base16"}), &json);
            let _ = field(serde_json::json!({"type": "array", "items": {"type": "string"}}), &format!("[{json}]"));
        }
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_told_without_its_text() {
        for (schema, json, says) in [
            (serde_json::json!({"type": "string"}), "5", "is an integer, where the schema has string"),
            (serde_json::json!({"type": "integer"}), "1.5", "a number with a fraction, where the schema has integer"),
            (serde_json::json!({"type": "integer"}), "\"hush\"", "is a string"),
            (serde_json::json!({"type": "number"}), "true", "is a boolean"),
            (serde_json::json!({"type": "object"}), "[1]", "is an array"),
            (serde_json::json!({"type": "integer"}), "9223372036854775808", "out of the range of bigint"),
            (
                serde_json::json!({"type": "integer", "minimum": 0, "maximum": 9}),
                "40000",
                "out of the range of smallint",
            ),
            (serde_json::json!({"type": "string", "format": "date"}), "\"infinity\"", "no date: \"infinity\""),
            (serde_json::json!({"type": "array", "items": {"type": "integer"}}), "[\"x\"]", "no bigint"),
        ] {
            let said = field(schema, json).expect_err(json);
            assert!(said.contains(says) && !said.contains("hush"), "{json}: {said}");
        }
    }
}
