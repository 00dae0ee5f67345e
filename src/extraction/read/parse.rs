//! Reads the records of an answer in one go, as spans of its text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::ObjectId;
use crate::extraction::read::layout::Layout;

/// Slots before those of the properties.
pub(crate) const CREATED_AT: usize = 0;
pub(crate) const UPDATED_AT: usize = 1;
pub(crate) const ARCHIVED_AT: usize = 2;
pub(crate) const FIXED: usize = 3;

/// The position of a value's token in the answer; without length when the value is absent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) begin: u32,
    pub(crate) length: u32,
}

/// The records found so far.
pub(crate) struct ParsedRows<'l> {
    pub(crate) layout: &'l Layout,
    /// Where the answer's text begins in memory.
    pub(crate) base: usize,
    pub(crate) ids: Vec<ObjectId>,
    pub(crate) archived: Vec<bool>,
    pub(crate) spans: Vec<Span>,
    pub(crate) absent: Vec<ObjectId>,
    pub(crate) bare: Vec<ObjectId>,
}

impl ParsedRows<'_> {
    fn span(&self, value: &RawValue) -> Span {
        let begin = value.get().as_ptr().addr() - self.base;
        // The text was checked to be below 4 GiB.
        #[expect(clippy::cast_possible_truncation, reason = "checked when the page was read")]
        Span { begin: begin as u32, length: value.get().len() as u32 }
    }
}

/// Reads an answer into rows; gives back the cursor of the next page.
pub(crate) struct AnswerSeed<'r, 'l>(pub(crate) &'r mut ParsedRows<'l>);

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Paging {
    next: Option<Next>,
}

#[derive(serde::Deserialize)]
struct Next {
    /// Text; some answers write a number.
    #[serde(default)]
    after: Value,
}

impl Paging {
    fn after(self) -> Option<String> {
        match self.next?.after {
            Value::String(text) if !text.is_empty() => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// One of the `errors` of a partial success.
#[derive(serde::Deserialize)]
struct BatchError {
    category: String,
    context: ErrorContext,
}

#[derive(serde::Deserialize)]
struct ErrorContext {
    ids: Vec<ObjectId>,
}

/// The records that the errors of a batch call absent; other errors say nothing of a record.
fn absent(errors: &RawValue) -> Vec<ObjectId> {
    let errors: Vec<&RawValue> = serde_json::from_str(errors.get()).unwrap_or_default();
    let errors = errors.into_iter().filter_map(|error| serde_json::from_str::<BatchError>(error.get()).ok());
    errors.filter(|error| error.category == "OBJECT_NOT_FOUND").flat_map(|error| error.context.ids).collect()
}

impl<'de> DeserializeSeed<'de> for AnswerSeed<'_, '_> {
    type Value = Option<String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AnswerSeed<'_, '_> {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with results")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut next = None;
        let mut has_results = false;
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match key {
                Key::Results => {
                    map.next_value_seed(ResultsSeed(self.0))?;
                    has_results = true;
                }
                Key::Paging => {
                    let paging: Option<Paging> = map.next_value()?;
                    next = paging.and_then(Paging::after);
                }
                Key::Errors => self.0.absent = absent(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if has_results { Ok(next) } else { Err(A::Error::missing_field("results")) }
    }
}

struct ResultsSeed<'r, 'l>(&'r mut ParsedRows<'l>);

impl<'de> DeserializeSeed<'de> for ResultsSeed<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ResultsSeed<'_, '_> {
    type Value = ();
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of records")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(RecordSeed(self.0))?.is_some() {}
        Ok(())
    }
}

struct RecordSeed<'r, 'l>(&'r mut ParsedRows<'l>);

impl<'de> DeserializeSeed<'de> for RecordSeed<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let rows = self.0;
        let first = rows.spans.len();
        rows.spans.resize(first + FIXED + rows.layout.slots.len(), Span::default());
        let (mut id, mut archived, mut has_values) = (None, false, rows.layout.slots.is_empty());
        while let Some(key) = map.next_key_seed(KeySeed)? {
            let fixed = match key {
                Key::Id => {
                    id = Some(map.next_value::<ObjectId>()?);
                    continue;
                }
                Key::Archived => {
                    archived = map.next_value::<&RawValue>()?.get() == "true";
                    continue;
                }
                Key::Properties => {
                    has_values |= map.next_value_seed(PropertiesSeed { rows, first: first + FIXED })?;
                    continue;
                }
                Key::CreatedAt => CREATED_AT,
                Key::UpdatedAt => UPDATED_AT,
                Key::ArchivedAt => ARCHIVED_AT,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value: &'de RawValue = map.next_value()?;
            rows.spans[first + fixed] = rows.span(value);
        }
        let id = id.ok_or_else(|| A::Error::missing_field("id"))?;
        rows.ids.push(id);
        rows.archived.push(archived);
        rows.bare.extend(Some(id).filter(|_| !has_values));
        Ok(())
    }
}

struct PropertiesSeed<'r, 'l> {
    rows: &'r mut ParsedRows<'l>,
    first: usize,
}

impl<'de> DeserializeSeed<'de> for PropertiesSeed<'_, '_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Gives back whether there was an object of values; whatever else stands there holds none.
impl<'de> Visitor<'de> for PropertiesSeed<'_, '_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of properties")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = 0;
        while let Some(slot) = map.next_key_seed(PropertyName { layout: self.rows.layout, found: &mut found })? {
            let value: &'de RawValue = map.next_value()?;
            if let Some(slot) = slot {
                self.rows.spans[self.first + slot] = self.rows.span(value);
            }
        }
        Ok(true)
    }
}

/// Finds a property's slot from its name, without keeping the name.
struct PropertyName<'l, 'f> {
    layout: &'l Layout,
    found: &'f mut usize,
}

impl<'de> DeserializeSeed<'de> for PropertyName<'_, '_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for PropertyName<'_, '_> {
    type Value = Option<usize>;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a property's name")
    }
    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.layout.find(name, self.found))
    }
}

/// The keys of an answer and a record that mean something here.
enum Key {
    Archived,
    ArchivedAt,
    CreatedAt,
    Errors,
    Id,
    Paging,
    Properties,
    Results,
    UpdatedAt,
    Other,
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            "archived" => Key::Archived,
            "archivedAt" => Key::ArchivedAt,
            "createdAt" => Key::CreatedAt,
            "errors" => Key::Errors,
            "id" => Key::Id,
            "paging" => Key::Paging,
            "properties" => Key::Properties,
            "results" => Key::Results,
            "updatedAt" => Key::UpdatedAt,
            _ => Key::Other,
        })
    }
}
