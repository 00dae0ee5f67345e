//! What is wrong with a value, in words that do not quote texts.

use thiserror::Error;

use super::sql_type::Kinds;

/// Characters of a value that a message shows: enough of any date or number.
const SHOWN: usize = 40;

/// Why a value cannot be stored in its column.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum ValueError {
    #[error("is {found}, where the schema has {expected}")]
    Kind { found: &'static str, expected: Kinds },
    #[error("is null, and it is a key")]
    NullKey,
    #[error("is no {sql_type}: {shown}")]
    Form { sql_type: &'static str, shown: String },
    #[error("is out of the range of {sql_type}: {shown}")]
    Range { sql_type: &'static str, shown: String },
    #[error(
        "has the character NUL, which Postgres cannot store; with sanitize_null_text_characters it is stored as U+FFFD"
    )]
    Nul,
    #[error(
        "has half a surrogate pair, which Postgres cannot store; with sanitize_null_text_characters it is stored as U+FFFD"
    )]
    Surrogate,
}

impl ValueError {
    /// A value that is not of the form of its type.
    pub(super) fn form(sql_type: &'static str, value: &str) -> Self {
        Self::Form { sql_type, shown: shown(value) }
    }

    /// A value that its type has no room for.
    pub(super) fn range(sql_type: &'static str, value: &str) -> Self {
        Self::Range { sql_type, shown: shown(value) }
    }
}

fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        None => format!("{value:?}"),
        Some((end, _)) => format!("{:?} and more", &value[..end]),
    }
}

/// The kind of a JSON value, by its text.
pub(super) fn kind(json: &str) -> Kinds {
    match json.as_bytes().first() {
        Some(b'"') => Kinds::STRING,
        Some(b'{') => Kinds::OBJECT,
        Some(b'[') => Kinds::ARRAY,
        Some(b't' | b'f') => Kinds::BOOLEAN,
        _ => {
            match json.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) && super::number::integer(json).is_none()
            {
                true => Kinds::FRACTION,
                false => Kinds::INTEGER,
            }
        }
    }
}

/// What to call a kind in a sentence.
pub(super) fn name(kind: Kinds) -> &'static str {
    match kind {
        Kinds::STRING => "a string",
        Kinds::OBJECT => "an object",
        Kinds::ARRAY => "an array",
        Kinds::BOOLEAN => "a boolean",
        Kinds::INTEGER => "an integer",
        _ => "a number with a fraction",
    }
}
