//! The columns of the records of an object type.

use crate::extraction::plan::privacy::Salt;
use crate::property::Kind;
use crate::state::Bookmark;

/// The column of an association's name.
pub(crate) const LABEL: &str = "label";

/// The columns of an object's records.
#[derive(Debug)]
pub(crate) struct ObjectColumns {
    pub(crate) stream: &'static str,
    pub(crate) created_at: bool,
    pub(crate) archived: bool,
    pub(crate) archived_at: bool,
    pub(crate) merged_into: bool,
    pub(crate) properties: Vec<PropertyColumn>,
    /// All properties in one column.
    pub(crate) one_column: bool,
    /// Columns of associated ids, each with the index of its type in [`ObjectPlan::types`](crate::extraction::plan::object::ObjectPlan::types).
    pub(crate) associated: Vec<(usize, String)>,
    pub(crate) primary_contact: Option<usize>,
    pub(crate) primary_company: Option<usize>,
    pub(crate) unparsed: bool,
    pub(crate) extraction_type: bool,
    pub(crate) page_number: bool,
}

/// A property and its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PropertyColumn {
    pub(crate) property: String,
    pub(crate) column: String,
    pub(crate) kind: Kind,
    /// Values are written as hashes.
    pub(crate) salt: Option<Salt>,
}

/// The columns of an association.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AssociationColumns {
    pub(crate) label: bool,
}

impl ObjectColumns {
    /// The selected columns that are the same for all portals, but for those that say how a row was read.
    pub(crate) fn fixed_columns(&self) -> impl Iterator<Item = &str> {
        let own = [
            ("created_at", self.created_at),
            ("archived", self.archived),
            ("archived_at", self.archived_at),
            ("merged_into", self.merged_into),
            ("primary_contact", self.primary_contact.is_some()),
            ("primary_company", self.primary_company.is_some()),
            ("_unparsed", self.unparsed),
        ];
        own.into_iter().filter_map(|(column, selected)| selected.then_some(column))
    }

    /// A name for each property column whose values are hashed.
    pub(crate) fn hashed(&self) -> impl Iterator<Item = String> {
        let hashed = self.properties.iter().filter(|one| one.salt.is_some());
        hashed.map(|one| format!("{} hashed", one.column))
    }

    /// The types of columns that are not text, as the state remembers them.
    pub(crate) fn remember_types(&self, bookmark: &mut Bookmark) {
        for PropertyColumn { column, kind, .. } in &self.properties {
            if let Some(kind) = kind.remembered() {
                bookmark.types.entry(kind.to_owned()).or_default().insert(column.clone());
            }
        }
    }
}
