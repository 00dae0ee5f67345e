//! Batch writes of objects, associations and properties.

mod associations;
mod objects;
mod outcome;
mod properties;
mod stored;

pub use associations::{AssociationOutcome, MAX_ASSOCIATIONS, NewAssociation};
pub use objects::{InlineAssociation, ObjectInput};
pub use outcome::{BatchOutcome, StoredObject, ValuesRead, WriteError};
pub use properties::NewProperty;
