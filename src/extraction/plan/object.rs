//! What is read of one object type.

use crate::client::ObjectType;
use crate::extraction::plan::columns::{AssociationColumns, LABEL, ObjectColumns};
use crate::extraction::plan::fingerprint::fingerprint;
use crate::extraction::plan::privacy::Privacy;
use crate::state::Selected;

/// What is read of a primary contact.
pub(crate) const CONTACT_PROPERTIES: [&str; 3] = ["email", "firstname", "lastname"];

/// What is read of a primary company.
pub(crate) const COMPANY_PROPERTIES: [&str; 2] = ["name", "domain"];

/// What is read of one object type.
#[derive(Debug)]
pub(crate) struct ObjectPlan {
    pub(crate) object_type: ObjectType,
    /// The columns of its records; none when only its associations are selected.
    pub(crate) columns: Option<ObjectColumns>,
    /// The columns of its association records, when those are selected.
    pub(crate) associations: Option<AssociationColumns>,
    /// Object types whose associations with it are read.
    pub(crate) types: Vec<ObjectType>,
    /// Whether the catalog asks for all rows on each run.
    pub(crate) full_table: bool,
    /// What is left out or hashed, of its primaries, too.
    pub(crate) privacy: Privacy,
}

impl ObjectPlan {
    /// The streams that its rows go into, the one that keeps the progress first.
    pub(crate) fn streams(&self) -> Vec<&'static str> {
        let associations = self.associations.map(|_| "ticket_associations");
        self.columns.as_ref().map(|columns| columns.stream).into_iter().chain(associations).collect()
    }

    /// What the rows look like: another value, and no row is as it was.
    pub(crate) fn fingerprint(&self) -> u64 {
        fingerprint(self.columns.as_ref(), self.associations, &self.types)
    }

    /// Fingerprints of what is selected of one of its streams.
    pub(crate) fn selected(&self, stream: &str) -> Selected {
        match &self.columns {
            Some(columns) if columns.stream == stream => {
                let associated = columns.associated.iter().map(|(_, column)| column.as_str());
                let properties = columns.properties.iter().map(|one| one.column.as_str());
                // A rule that is new makes every row another one.
                let hashed: Vec<String> = columns.hashed().chain(self.hashed_primaries(columns)).collect();
                let hashed = hashed.iter().map(String::as_str);
                Selected::from_names(properties.chain(associated).chain(columns.fixed_columns()).chain(hashed))
            }
            _ => {
                let label = self.associations.is_some_and(|columns| columns.label).then_some(LABEL);
                Selected::from_names(self.types.iter().map(ObjectType::as_str).chain(label))
            }
        }
    }

    /// A name for each property of the primaries whose values are hashed.
    fn hashed_primaries<'p>(&'p self, columns: &'p ObjectColumns) -> impl Iterator<Item = String> + 'p {
        let primaries = [
            (columns.primary_contact, ObjectType::CONTACTS, &CONTACT_PROPERTIES[..]),
            (columns.primary_company, ObjectType::COMPANIES, &COMPANY_PROPERTIES[..]),
        ];
        primaries.into_iter().filter(|(index, ..)| index.is_some()).flat_map(move |(_, object_type, properties)| {
            properties.iter().filter_map(move |property| {
                let salt = self.privacy.salt_of(&object_type, property);
                salt.map(|_| format!("{}.{property} hashed", object_type.as_str()))
            })
        })
    }

    /// The association types of which a target holds rows that are read no more.
    pub(crate) fn orphaned_types(left: &Selected, before: Option<&Selected>, selected: &Selected) -> Selected {
        let ever = before.map_or_else(|| left.clone(), |before| before.union(left));
        ever.difference(selected).difference(&Selected::from_names([LABEL]))
    }
}
