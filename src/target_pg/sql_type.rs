//! Types of columns: what a property's JSON Schema asks for, as meltanolabs' target-postgres decides it, and what a
//! table has.

use std::fmt;

use serde_json::{Map, Value};

/// A type of Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SqlType {
    Text,
    SmallInt,
    Integer,
    BigInt,
    Numeric,
    Boolean,
    Timestamp,
    TimestampTz,
    Date,
    Time,
    Uuid,
    Bytea,
    Json,
    Jsonb,
    Array(Box<SqlType>),
    /// One that this program never makes, by the name that Postgres writes.
    Other(String),
}

/// What one property asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    /// Its column's type in a table that this program makes.
    pub(super) sql_type: SqlType,
    /// What its values may be.
    pub(super) kinds: Kinds,
}

/// Kinds of JSON values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const STRING: Self = Self(1);
    pub(super) const INTEGER: Self = Self(2);
    /// A number that is no integer.
    pub(super) const FRACTION: Self = Self(4);
    pub(super) const BOOLEAN: Self = Self(8);
    pub(super) const OBJECT: Self = Self(16);
    pub(super) const ARRAY: Self = Self(32);
    pub(super) const ANY: Self = Self(63);
    const NUMBER: Self = Self(2 | 4);
    const NONE: Self = Self(0);

    /// Whether a value of any of these kinds may stand here.
    pub(super) fn allow(self, kinds: Self) -> bool {
        self.0 & kinds.0 != 0
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn of_name(name: &str) -> Self {
        match name {
            "string" => Self::STRING,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "boolean" => Self::BOOLEAN,
            "object" => Self::OBJECT,
            "array" => Self::ARRAY,
            "null" => Self::NONE,
            _ => Self::ANY,
        }
    }

    /// Of a property's schema, or of a part of it; what is not understood allows any.
    fn of_schema(schema: &Map<String, Value>) -> Self {
        match (schema.get("type"), schema.get("anyOf").and_then(Value::as_array)) {
            (Some(Value::String(name)), _) => Self::of_name(name),
            (Some(Value::Array(_)), _) => names(schema).into_iter().map(Self::of_name).fold(Self::NONE, Self::and),
            (None, Some(variants)) => {
                let of_variant = |variant: &Value| variant.as_object().map_or(Self::ANY, Self::of_schema);
                variants.iter().map(of_variant).fold(Self::NONE, Self::and)
            }
            _ => Self::ANY,
        }
    }

    /// A schema that allows null alone says nothing of other values.
    fn or_any(self) -> Self {
        if self == Self::NONE { Self::ANY } else { self }
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::STRING, "string"),
            (Self::FRACTION, "number"),
            (Self::INTEGER, "integer"),
            (Self::BOOLEAN, "boolean"),
            (Self::OBJECT, "object"),
            (Self::ARRAY, "array"),
        ];
        let names: Vec<_> = names.into_iter().filter(|(kind, _)| self.allow(*kind)).map(|(_, name)| name).collect();
        formatter.write_str(&names.join(" or "))
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text => "text",
            Self::SmallInt => "smallint",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Numeric => "numeric",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp without time zone",
            Self::TimestampTz => "timestamp with time zone",
            Self::Date => "date",
            Self::Time => "time without time zone",
            Self::Uuid => "uuid",
            Self::Bytea => "bytea",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
            Self::Array(element) => return write!(formatter, "{element}[]"),
            Self::Other(name) => name,
        })
    }
}

impl SqlType {
    /// Reads what `format_type` of Postgres writes.
    pub(super) fn of_postgres(name: &str) -> Self {
        match name {
            "text" | "character varying" => Self::Text,
            "smallint" => Self::SmallInt,
            "integer" => Self::Integer,
            "bigint" => Self::BigInt,
            "numeric" => Self::Numeric,
            "boolean" => Self::Boolean,
            "timestamp without time zone" => Self::Timestamp,
            "timestamp with time zone" => Self::TimestampTz,
            "date" => Self::Date,
            "time without time zone" => Self::Time,
            "uuid" => Self::Uuid,
            "bytea" => Self::Bytea,
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            other => match other.strip_suffix("[]") {
                Some(element) => Self::Array(Box::new(Self::of_postgres(element))),
                None => Self::Other(other.to_owned()),
            },
        }
    }

    /// Bytes that a value takes in its row at least; what can be stored out of line takes a pointer of 18.
    pub(super) fn least_bytes(&self) -> usize {
        match self {
            Self::Boolean => 1,
            Self::SmallInt => 2,
            Self::Integer | Self::Date => 4,
            Self::BigInt | Self::Timestamp | Self::TimestampTz | Self::Time => 8,
            Self::Uuid => 16,
            _ => 18,
        }
    }
}

impl Declared {
    /// Reads the schema of a property. `base16` takes the contentEncoding base16 at its word.
    pub(super) fn of_schema(schema: &Value, base16: bool) -> Self {
        let empty = Map::new();
        let schema = schema.as_object().unwrap_or(&empty);
        let variants = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
        let sql_type = of_one(schema, base16)
            .or_else(|| variants.filter_map(Value::as_object).find_map(|variant| of_one(variant, base16)))
            .unwrap_or(SqlType::Text);
        Self { sql_type, kinds: Kinds::of_schema(schema).or_any() }
    }
}

/// The names of the types of a schema.
fn names(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The type of a schema that has one; none when that says nothing, or null alone.
fn of_one(schema: &Map<String, Value>, base16: bool) -> Option<SqlType> {
    match schema.get("x-sql-datatype").and_then(Value::as_str) {
        Some("smallint") => return Some(SqlType::SmallInt),
        Some("integer") => return Some(SqlType::Integer),
        Some("bigint") => return Some(SqlType::BigInt),
        _ => {}
    }
    let names: Vec<&str> = names(schema).into_iter().filter(|name| *name != "null").collect();
    match names.as_slice() {
        [] => None,
        [name] => of_name(name, schema, base16),
        // Formats, bounds and items count for a single type alone.
        several => Some(widest(several)),
    }
}

fn of_name(name: &str, schema: &Map<String, Value>, base16: bool) -> Option<SqlType> {
    Some(match name {
        "string" => of_string(schema, base16),
        "integer" => of_integer(schema),
        "number" => SqlType::Numeric,
        "boolean" => SqlType::Boolean,
        "object" => SqlType::Jsonb,
        "array" => of_array(schema),
        _ => return None,
    })
}

fn of_string(schema: &Map<String, Value>, base16: bool) -> SqlType {
    match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => SqlType::Timestamp,
        Some("date") => SqlType::Date,
        Some("time") => SqlType::Time,
        Some("uuid") => SqlType::Uuid,
        Some("x-singer.decimal") => SqlType::Numeric,
        _ if base16 && schema.get("contentEncoding").is_some_and(|encoding| encoding == "base16") => SqlType::Bytea,
        _ => SqlType::Text,
    }
}

fn of_integer(schema: &Map<String, Value>) -> SqlType {
    let bound = |name: &str, unbounded: f64| schema.get(name).and_then(Value::as_f64).unwrap_or(unbounded);
    let (minimum, maximum) = (bound("minimum", f64::NEG_INFINITY), bound("maximum", f64::INFINITY));
    match () {
        () if minimum >= -32_768.0 && maximum < 32_768.0 => SqlType::SmallInt,
        () if minimum >= -2_147_483_648.0 && maximum < 2_147_483_648.0 => SqlType::Integer,
        () => SqlType::BigInt,
    }
}

fn of_array(schema: &Map<String, Value>) -> SqlType {
    let element = match schema.get("items") {
        Some(Value::String(name)) => of_type(&Value::from(name.as_str())),
        Some(Value::Object(items)) => match items.get("type") {
            Some(of_items) => of_type(of_items),
            None => SqlType::Jsonb,
        },
        Some(Value::Array(_)) => SqlType::Jsonb,
        _ => return SqlType::Jsonb,
    };
    SqlType::Array(Box::new(element))
}

/// The type of `{"type": value}`: of an array's items the format and the bounds do not count.
fn of_type(value: &Value) -> SqlType {
    of_one(&Map::from_iter([("type".to_owned(), value.clone())]), false).unwrap_or(SqlType::Text)
}

/// The one type that holds values of several.
fn widest(names: &[&str]) -> SqlType {
    let has = |name: &str| names.contains(&name);
    match () {
        () if has("object") || has("array") => SqlType::Jsonb,
        () if has("string") => SqlType::Text,
        () if has("number") => SqlType::Numeric,
        () if has("integer") => SqlType::BigInt,
        () if has("boolean") => SqlType::Boolean,
        () => SqlType::Text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_decides_the_type_of_its_column() {
        for (schema, expected) in [
            (json!({"type": ["string", "null"], "maxLength": 5}), "text"),
            (json!({"type": "integer"}), "bigint"),
            (json!({"type": "integer", "minimum": 0, "maximum": 10}), "smallint"),
            (json!({"type": "integer", "minimum": 0, "maximum": 100_000}), "integer"),
            (json!({"type": ["null", "number"], "multipleOf": 0.01}), "numeric"),
            (json!({"type": ["string", "null"], "format": "date-time"}), "timestamp without time zone"),
            (json!({"anyOf": [{"type": "null"}, {"type": "string", "format": "date"}]}), "date"),
            (json!({"type": ["object", "null"]}), "jsonb"),
            (json!({"type": "array"}), "jsonb"),
            (json!({"type": "array", "items": {"type": ["string", "null"]}}), "text[]"),
            (json!({"type": "array", "items": {"type": "string", "format": "date-time"}}), "text[]"),
            (json!({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}), "jsonb[]"),
            (json!({"type": "array", "items": {}}), "jsonb[]"),
            (json!({}), "text"),
            (json!({"const": 5}), "text"),
            (json!({"type": ["string", "integer"]}), "text"),
            (json!({"type": ["integer", "number", "boolean"]}), "numeric"),
            (json!({"type": ["string", "object", "array"]}), "jsonb"),
            (json!({"type": "null"}), "text"),
        ] {
            assert_eq!(Declared::of_schema(&schema, false).sql_type.to_string(), expected, "{schema}");
        }
    }

    #[test]
    fn a_schema_decides_what_values_may_be() {
        let kinds = |schema: Value| Declared::of_schema(&schema, false).kinds;
        assert_eq!(kinds(json!({"type": ["string", "null"]})), Kinds::STRING);
        assert_eq!(kinds(json!({"type": ["null", "integer"]})).to_string(), "integer");
        assert_eq!(kinds(json!({"type": "number"})).to_string(), "number or integer");
        assert_eq!(kinds(json!({"anyOf": [{"type": "string"}, {"type": ["null"]}]})), Kinds::STRING);
        for any in
            [json!({}), json!({"type": "null"}), json!({"type": ["null"]}), json!({"oneOf": [{"type": "string"}]})]
        {
            assert_eq!(kinds(any), Kinds::ANY);
        }
    }

    #[test]
    fn a_name_of_postgres_is_read_as_it_is_written() {
        for name in ["smallint", "timestamp without time zone", "jsonb[]", "numeric(10,2)", "double precision"] {
            assert_eq!(SqlType::of_postgres(name).to_string(), name);
        }
    }
}
