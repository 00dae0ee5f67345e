//! Names in SQL, and which table a stream's is.

use std::fmt;

/// Postgres cuts longer names off, and says nothing.
/// <https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>
const MAX_NAME_BYTES: usize = 63;

/// A table with its schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TableName {
    /// None: the first schema of the search path.
    pub(super) schema: Option<String>,
    pub(super) table: String,
}

impl TableName {
    /// The table of a stream, named as meltanolabs' target-postgres names it: by what stands behind the last `-`.
    pub(super) fn of_stream(stream: &str, default_schema: &str) -> Self {
        let parts: Vec<&str> = stream.split('-').collect();
        let table = parts.last().expect("one part at least");
        let schema = match parts.as_slice() {
            _ if !default_schema.is_empty() => Some(default_schema),
            [schema, _] | [_, schema, _] => Some(*schema),
            _ => None,
        };
        Self { schema: schema.map(str::to_owned), table: (*table).to_owned() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(formatter, "{}.", quoted(schema))?;
        }
        formatter.write_str(&quoted(&self.table))
    }
}

/// A name as SQL takes it, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL takes it.
pub(super) fn literal(text: &str) -> String {
    // With the E, a backslash means the same whatever the server's settings are.
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// What is wrong with a name, if anything is.
pub(super) fn fault(name: &str) -> Option<String> {
    match name {
        "" => Some("has an empty name".to_owned()),
        _ if name.contains('\0') => Some(format!("has the character NUL in its name {name:?}")),
        _ if name.len() > MAX_NAME_BYTES => {
            let length = name.len();
            Some(format!("has a name of {length} bytes, Postgres takes {MAX_NAME_BYTES}: {name:?}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_names_its_table() {
        for (stream, default_schema, expected) in [
            ("tickets", "melty", r#""melty"."tickets""#),
            ("hubspot-tickets", "melty", r#""melty"."tickets""#),
            ("a-b-c-d", "melty", r#""melty"."d""#),
            ("public-people", "", r#""public"."people""#),
            ("db-public-people", "", r#""public"."people""#),
            ("a-b-c-d", "", r#""d""#),
            ("t\"q", "", r#""t""q""#),
        ] {
            assert_eq!(TableName::of_stream(stream, default_schema).to_string(), expected, "{stream}");
        }
    }

    #[test]
    fn a_name_that_postgres_would_change_is_told() {
        assert_eq!(fault(&"x".repeat(63)), None);
        assert!(fault(&"é".repeat(32)).expect("too long").contains("64 bytes"));
        assert!(fault("").is_some() && fault("a\0").is_some());
    }

    #[test]
    fn a_literal_is_taken_as_it_is() {
        assert_eq!(literal(r"it's \x"), r"E'it''s \\x'");
    }
}
