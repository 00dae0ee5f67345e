//! What a HubSpot property becomes in a warehouse: its type, its column and its values.
//!
//! The one place where a HubSpot type becomes a JSON type.

mod column;
mod hashed;
mod id;
mod instant;
mod number;
mod text;
mod value;

use serde_json::{Value, json};

pub use column::column_name;
pub use hashed::push_hashed;
pub use instant::format_instant;
pub use text::{push_json_string, push_sanitised};
pub use value::{Fit, encode_value, parse_instant_token};

/// The JSON type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Text.
    String,
    /// Text that HubSpot keeps as a number: the digits of an id.
    Id,
    /// A decimal with all its digits; never `integer`, which targets refuse for `1.0`.
    Number,
    /// A decimal for tables of Airbyte's, whose numbers pass a double and a `numeric(38,9)`: what those cannot hold stands
    /// as text in `_unparsed`.
    Decimal,
    /// true or false.
    Boolean,
    /// `YYYY-MM-DD`.
    Date,
    /// `YYYY-MM-DDTHH:MM:SS.mmmZ`.
    DateTime,
    /// Ids as strings.
    Ids,
    /// An object of any form.
    Object,
    /// A JSON array of any form; without `items`, for `jsonb` instead of `jsonb[]`.
    Array,
}

impl Kind {
    /// The kind of a HubSpot property: ids are text, whatever HubSpot's type is, as those of records and associations are.
    /// `refers`: the definition names an object type that the values belong to.
    pub fn of_property(name: &str, hubspot_type: &str, refers: bool) -> Self {
        match Self::of_hubspot(hubspot_type) {
            Self::Number if id::holds_ids(name, refers) => Self::Id,
            kind => kind,
        }
    }

    /// The kind of a HubSpot property `type`; an unknown type is text, which holds anything.
    pub fn of_hubspot(hubspot_type: &str) -> Self {
        match hubspot_type {
            "number" => Self::Number,
            "bool" => Self::Boolean,
            "date" => Self::Date,
            "datetime" => Self::DateTime,
            // string, enumeration, phone_number, json, object_coordinates, and what HubSpot adds.
            _ => Self::String,
        }
    }

    /// The kind that a catalog's schema asks for; what a property cannot be is text.
    pub fn of_schema(schema: &Value) -> Self {
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let has = |name: &str| types.contains(&name);
        match schema["format"].as_str() {
            Some("date-time") => Self::DateTime,
            Some("date") => Self::Date,
            _ if has("string") => Self::String,
            _ if has("number") || has("integer") => Self::Number,
            _ if has("boolean") => Self::Boolean,
            _ => Self::String,
        }
    }

    /// The JSON Schema of a nullable column; keys are made required by the stream's schema, not here.
    pub fn schema(self) -> Value {
        match self {
            Self::String | Self::Id => json!({"type": ["string", "null"]}),
            Self::Number | Self::Decimal => json!({"type": ["number", "null"]}),
            Self::Boolean => json!({"type": ["boolean", "null"]}),
            Self::Date => json!({"type": ["string", "null"], "format": "date"}),
            Self::DateTime => json!({"type": ["string", "null"], "format": "date-time"}),
            Self::Ids => json!({"type": ["array", "null"], "items": {"type": ["string", "null"]}}),
            Self::Object => json!({"type": ["object", "null"]}),
            Self::Array => json!({"type": ["array", "null"]}),
        }
    }

    /// The name under which the state remembers a kind; none for text, which any column can hold.
    pub fn remembered(self) -> Option<&'static str> {
        match self {
            Self::Number | Self::Decimal => Some("number"),
            Self::Boolean => Some("boolean"),
            Self::Date => Some("date"),
            Self::DateTime => Some("date-time"),
            Self::String | Self::Id | Self::Ids | Self::Object | Self::Array => None,
        }
    }

    /// The kind of a remembered name.
    pub fn of_remembered(name: &str) -> Option<Self> {
        [Self::Number, Self::Boolean, Self::Date, Self::DateTime]
            .into_iter()
            .find(|kind| kind.remembered() == Some(name))
    }
}
