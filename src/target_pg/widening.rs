//! Whether a column that is there takes what a stream now declares.

use super::sql_type::SqlType;

/// What becomes of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ValueFit {
    /// It takes the values as it is.
    Keep,
    /// It gets this type; `using` is what becomes of its old values, `$` standing for the column.
    Widen { to: SqlType, using: &'static str },
    /// No type holds both without a loss.
    Conflict,
}

/// Decides whether a column of the type `existing` takes values of the type `declared`.
pub(super) fn fit(existing: &SqlType, declared: &SqlType) -> ValueFit {
    if holds(existing, declared) {
        return ValueFit::Keep;
    }
    match (existing, declared) {
        (SqlType::Other(name), _) => fit_of_other(name, declared),
        (SqlType::Array(_) | SqlType::Json | SqlType::Jsonb, SqlType::Text) => {
            ValueFit::Widen { to: SqlType::Text, using: "to_jsonb($)::text" }
        }
        (SqlType::Bytea, SqlType::Text) => ValueFit::Widen { to: SqlType::Text, using: "encode($, 'hex')" },
        (_, SqlType::Text) => ValueFit::Widen { to: SqlType::Text, using: "$::text" },
        (SqlType::Bytea, _) => ValueFit::Conflict,
        (_, SqlType::Jsonb) => ValueFit::Widen { to: SqlType::Jsonb, using: "to_jsonb($)" },
        (SqlType::Date, SqlType::Timestamp) => ValueFit::Widen { to: SqlType::Timestamp, using: "$" },
        // A list of numbers or texts that became a list of wider ones.
        (SqlType::Array(one), SqlType::Array(other)) if is_number(one) && is_number(other) => {
            ValueFit::Widen { to: declared.clone(), using: "$" }
        }
        (SqlType::Array(one), SqlType::Array(other)) if **other == SqlType::Text && **one != SqlType::Bytea => {
            ValueFit::Widen { to: declared.clone(), using: "$::text[]" }
        }
        _ if is_number(existing) && is_number(declared) => ValueFit::Widen { to: declared.clone(), using: "$" },
        _ => ValueFit::Conflict,
    }
}

/// Whether every value of the one type can be stored in the other, whole.
fn holds(existing: &SqlType, declared: &SqlType) -> bool {
    match (existing, declared) {
        (one, other) if one == other => true,
        (SqlType::Text, _) => *declared != SqlType::Bytea,
        (SqlType::Json | SqlType::Jsonb, _) => !matches!(declared, SqlType::Bytea | SqlType::Text),
        (SqlType::Timestamp, SqlType::Date) => true,
        (SqlType::TimestampTz, SqlType::Timestamp | SqlType::Date) => true,
        (SqlType::Array(one), SqlType::Array(other)) => is_number(one) && is_number(other) && holds(one, other),
        _ => matches!((breadth(existing), breadth(declared)), (Some(one), Some(other)) if one >= other),
    }
}

/// A column that somebody else made. Where Postgres refuses what does not fit it, the column stays.
fn fit_of_other(name: &str, declared: &SqlType) -> ValueFit {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    match declared {
        SqlType::Text if begins(&["character"]) => ValueFit::Widen { to: SqlType::Text, using: "$::text" },
        SqlType::Text => ValueFit::Keep,
        // These round, and say nothing.
        _ if is_number(declared) && begins(&["numeric(", "double precision", "real"]) => {
            ValueFit::Widen { to: SqlType::Numeric, using: "$::text::numeric" }
        }
        _ => ValueFit::Conflict,
    }
}

fn is_number(sql_type: &SqlType) -> bool {
    breadth(sql_type).is_some()
}

/// Numbers, the narrow ones first.
fn breadth(sql_type: &SqlType) -> Option<u8> {
    match sql_type {
        SqlType::SmallInt => Some(1),
        SqlType::Integer => Some(2),
        SqlType::BigInt => Some(3),
        SqlType::Numeric => Some(4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(existing: &str, declared: &str) -> String {
        match fit(&SqlType::of_postgres(existing), &SqlType::of_postgres(declared)) {
            ValueFit::Keep => "keep".to_owned(),
            ValueFit::Widen { to, .. } => format!("widen to {to}"),
            ValueFit::Conflict => "conflict".to_owned(),
        }
    }

    #[test]
    fn a_column_is_kept_widened_or_refused() {
        for (existing, declared, expected) in [
            ("text", "text", "keep"),
            ("text", "bigint", "keep"),
            ("text", "jsonb", "keep"),
            ("jsonb", "text", "widen to text"),
            ("jsonb", "bigint", "keep"),
            ("bigint", "smallint", "keep"),
            ("numeric", "bigint", "keep"),
            ("bigint", "numeric", "widen to numeric"),
            ("smallint", "bigint", "widen to bigint"),
            ("bigint", "text", "widen to text"),
            ("boolean", "text", "widen to text"),
            ("timestamp without time zone", "text", "widen to text"),
            ("text[]", "text", "widen to text"),
            ("text[]", "jsonb", "widen to jsonb"),
            ("boolean", "jsonb", "widen to jsonb"),
            ("bigint[]", "numeric[]", "widen to numeric[]"),
            ("bigint[]", "text[]", "widen to text[]"),
            ("text[]", "bigint[]", "conflict"),
            ("date", "timestamp without time zone", "widen to timestamp without time zone"),
            ("timestamp without time zone", "date", "keep"),
            ("boolean", "numeric", "conflict"),
            ("bigint", "boolean", "conflict"),
            ("numeric", "timestamp without time zone", "conflict"),
            ("uuid", "bigint", "conflict"),
            ("character varying(10)", "text", "widen to text"),
            ("citext", "text", "keep"),
            ("numeric(10,2)", "numeric", "widen to numeric"),
            ("double precision", "bigint", "widen to numeric"),
            ("interval", "time without time zone", "conflict"),
            ("bytea", "jsonb", "conflict"),
            ("text", "bytea", "conflict"),
        ] {
            assert_eq!(said(existing, declared), expected, "{existing}, {declared}");
        }
    }
}
