//! Names that must not be swapped for one another.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

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

/// The `paging.next.after` of a page: opaque, though HubSpot documents it as the id of the next record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageCursor(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_or_text() {
        for json in ["442222359747", "\"442222359747\""] {
            assert_eq!(serde_json::from_str::<ObjectId>(json).expect("an id"), ObjectId(442_222_359_747));
        }
        assert!(serde_json::from_str::<ObjectId>("\"x\"").is_err());
        assert!(serde_json::from_str::<ObjectId>("1.5").is_err());
    }
}
