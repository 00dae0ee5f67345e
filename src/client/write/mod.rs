//! Batch writes of objects and associations.

mod associations;
mod objects;

pub use associations::{AssociationOutcome, MAX_ASSOCIATIONS, NewAssociation};
pub use objects::{BatchOutcome, InlineAssociation, NewProperty, ObjectInput, StoredObject, ValuesRead, WriteError};
