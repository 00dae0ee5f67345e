//! Names that must not be swapped for one another.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::object_types::STANDARD;

/// The id of a HubSpot object; written as text in JSON, now of up to twelve digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub u64);

impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// HubSpot documents ids as strings and sends some as numbers (`toObjectId`).
impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Id;
        impl Visitor<'_> for Id {
            type Value = ObjectId;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a numeric id")
            }
            fn visit_u64<E: Error>(self, id: u64) -> Result<ObjectId, E> {
                Ok(ObjectId(id))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<ObjectId, E> {
                text.parse().map(ObjectId).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Id)
    }
}

/// An object type by the name HubSpot uses in paths: `tickets`, `contacts`, `0-18`, `2-1234567`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectType(Cow<'static, str>);

impl ObjectType {
    /// Contacts.
    pub const CONTACTS: Self = Self(Cow::Borrowed("contacts"));
    /// Companies.
    pub const COMPANIES: Self = Self(Cow::Borrowed("companies"));
    /// Deals.
    pub const DEALS: Self = Self(Cow::Borrowed("deals"));
    /// Tickets.
    pub const TICKETS: Self = Self(Cow::Borrowed("tickets"));

    /// The type that a user names: a standard one by plural, singular or id in any case, another one by its name or id.
    pub fn parse(name: &str) -> Self {
        let lower = name.trim().to_ascii_lowercase();
        match STANDARD.iter().find(|one| one.is_called(&lower)) {
            Some(one) => Self(Cow::Borrowed(one.plural)),
            None => Self(Cow::Owned(lower)),
        }
    }

    pub(super) fn named(name: String) -> Self {
        Self(Cow::Owned(name))
    }

    /// The name in paths.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The `paging.next.after` of a page: opaque, though HubSpot documents it as the id of the next record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageCursor(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_types_have_one_name() {
        for name in ["company", "COMPANIES", "0-2", " Companies "] {
            assert_eq!(ObjectType::parse(name), ObjectType::COMPANIES);
        }
        assert_eq!(ObjectType::parse("p123_Pets").as_str(), "p123_pets");
    }

    #[test]
    fn ids_are_numbers_or_text() {
        for json in ["442222359747", "\"442222359747\""] {
            assert_eq!(serde_json::from_str::<ObjectId>(json).expect("an id"), ObjectId(442_222_359_747));
        }
        assert!(serde_json::from_str::<ObjectId>("\"x\"").is_err());
        assert!(serde_json::from_str::<ObjectId>("1.5").is_err());
    }
}
