//! What a run is to read and write, from the catalog, the config's association types and the state's types.

pub(crate) mod associations;
pub(crate) mod bounds;
pub(crate) mod columns;
pub(crate) mod error;
mod fingerprint;
pub(crate) mod object;
pub(crate) mod privacy;
mod property_columns;
mod readable;
pub(crate) mod schemas;
#[cfg(test)]
mod tests;

use crate::catalog::{Catalog, CatalogEntry};
use crate::client::ObjectType;
use crate::discovery::{Access, Field, Role, Stream, StreamSet, association_column};
use crate::extraction::plan::associations::AssociationSettings;
use crate::extraction::plan::columns::{AssociationColumns, LABEL, ObjectColumns};
use crate::extraction::plan::error::PlanError;
use crate::extraction::plan::object::ObjectPlan;
use crate::extraction::plan::privacy::Privacy;
use crate::extraction::plan::property_columns::{has_field, property_columns};
use crate::extraction::plan::readable::{readable_types, warnings};
use crate::extraction::plan::schemas::{StreamSchema, field_schema, object_schema, stream_schema};
use crate::property::Kind;
use crate::state::State;

/// More columns than this, the target's own ones aside, and a Postgres table cannot be made.
const MAX_COLUMNS: usize = 1593;
/// More columns than this hold more than a Postgres row of 8 KB once they have values.
const COMFORTABLE_COLUMNS: usize = 400;

/// A run's work.
#[derive(Debug)]
pub struct Plan {
    /// The SCHEMA of each selected stream, in the order in which they are read.
    pub schemas: Vec<StreamSchema>,
    /// What the user should know before it begins.
    pub warnings: Vec<String>,
    pub(crate) small: Vec<(&'static Stream, Vec<&'static Field>)>,
    pub(crate) objects: Vec<ObjectPlan>,
    /// The columns of `sync_audit`, when it is selected.
    pub(crate) audit: Option<Vec<&'static Field>>,
    /// Object types whose associations with tickets are read.
    types: Vec<ObjectType>,
    /// The types that the settings name, whatever can be read of tickets.
    offered: Vec<ObjectType>,
    /// Associations of other objects that cannot be read.
    denied_columns: Vec<(&'static str, ObjectType, String)>,
    privacy: Privacy,
}

impl Plan {
    /// Plans a run.
    ///
    /// # Errors
    /// When the catalog is wrong or selects what the token may not read.
    pub fn new(
        catalog: &Catalog,
        settings: &AssociationSettings,
        access: &Access,
        state: &State,
        privacy: &Privacy,
    ) -> Result<Self, PlanError> {
        let types = readable_types(catalog, settings, access)?;
        let mut plan = Self {
            schemas: Vec::new(),
            warnings: warnings(catalog, settings, access),
            small: Vec::new(),
            objects: Vec::new(),
            audit: None,
            types,
            offered: settings.types.clone(),
            denied_columns: access.columns.clone(),
            privacy: privacy.clone(),
        };
        let mut left_out = None;
        for definition in StreamSet::of_catalog(catalog).iter() {
            let Some(entry) = catalog.entry(definition.name).filter(|entry| entry.selection().stream_selected()) else {
                continue;
            };
            if access.is_gone(definition.name) {
                continue;
            }
            match access.missing_for_stream(definition.name) {
                None => plan.add_stream(definition, entry, state)?,
                Some(scope) => left_out = left_out.or(Some((definition.name, scope.to_owned()))),
            }
        }
        match left_out {
            Some((stream, scope)) if plan.streams().all(|stream| stream == "sync_audit") => {
                Err(PlanError::NothingReadable { stream, scope })
            }
            _ => Ok(plan),
        }
    }

    /// Reads a stream of objects, and those that are read with it, from the beginning in this run and each later one like it.
    pub fn force_full_table(&mut self, stream: &str) {
        for object in self.objects.iter_mut().filter(|object| object.streams().contains(&stream)) {
            object.full_table = true;
        }
    }

    /// Keeps numbers to what doubles and `numeric(38,9)` hold; what they do not hold stands in `_unparsed`.
    pub fn limit_numeric_precision(&mut self) {
        for columns in self.objects.iter_mut().filter_map(|object| object.columns.as_mut()) {
            for column in columns.properties.iter_mut().filter(|column| column.kind == Kind::Number) {
                column.kind = Kind::Decimal;
            }
        }
    }

    /// The selected streams.
    pub fn streams(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.schemas.iter().map(|schema| schema.stream)
    }

    /// The ticket properties that are read as they are, with the types of their columns.
    pub fn ticket_properties(&self) -> Vec<(&str, Kind)> {
        let tickets = self.objects.iter().filter(|plan| plan.object_type == ObjectType::TICKETS);
        let columns = tickets.filter_map(|plan| plan.columns.as_ref()).flat_map(|columns| &columns.properties);
        columns.filter(|one| one.salt.is_none()).map(|one| (one.property.as_str(), one.kind)).collect()
    }

    /// Whether a small stream is read.
    pub fn reads_small(&self, stream: &str) -> bool {
        self.small.iter().any(|(definition, _)| definition.name == stream)
    }

    fn add_stream(
        &mut self,
        definition: &'static Stream,
        entry: &CatalogEntry,
        state: &State,
    ) -> Result<(), PlanError> {
        let full_table = entry.full_table()?;
        let is_there = |field: &&Field| field.role != Role::Available || has_field(entry, field.name);
        let fields: Vec<&'static Field> = definition.fields.iter().filter(is_there).collect();
        if let Some(object_type) = &definition.object_type {
            self.add_objects(definition, object_type, entry, fields, state, full_table);
            return Ok(());
        }
        match definition.name {
            "ticket_associations" if self.types.is_empty() => {
                self.warnings.push("ticket_associations is left out: there is no association type to read".to_owned());
                return Ok(());
            }
            "ticket_associations" => {
                let label = fields.iter().any(|field| field.name == LABEL);
                self.ticket_plan().associations = Some(AssociationColumns { label });
            }
            "sync_audit" => self.audit = Some(fields.clone()),
            _ => self.small.push((definition, fields.clone())),
        }
        let columns = fields.iter().map(|field| (field.name.to_owned(), field_schema(field))).collect();
        self.schemas.push(stream_schema(definition, columns));
        Ok(())
    }

    fn add_objects(
        &mut self,
        definition: &'static Stream,
        object_type: &ObjectType,
        entry: &CatalogEntry,
        mut fields: Vec<&'static Field>,
        state: &State,
        full_table: bool,
    ) {
        let types = self.associated_types(definition, entry);
        let type_of = |wanted: &ObjectType| types.iter().position(|known| known == wanted);
        let (contacts, companies) = (type_of(&ObjectType::CONTACTS), type_of(&ObjectType::COMPANIES));
        fields.retain(|field| match field.name {
            "primary_contact" => contacts.is_some(),
            "primary_company" => companies.is_some(),
            _ => true,
        });
        let has = |name: &str| fields.iter().any(|field| field.name == name);
        let (properties, one_column) =
            property_columns(definition, object_type, entry, state.bookmark(definition.name).as_ref(), &self.privacy);
        let associated = types.iter().enumerate().map(|(index, one)| (index, association_column(one)));
        let columns = ObjectColumns {
            stream: definition.name,
            created_at: has("created_at"),
            archived: has("archived"),
            archived_at: has("archived_at"),
            merged_into: has("merged_into"),
            properties,
            one_column,
            associated: associated.filter(|(_, column)| has_field(entry, column)).collect(),
            primary_contact: contacts.filter(|_| has("primary_contact")),
            primary_company: companies.filter(|_| has("primary_company")),
            unparsed: has("_unparsed"),
            extraction_type: has("_extraction_type"),
            page_number: has("_page_number"),
        };
        self.warn_of_width(&columns);
        self.schemas.push(object_schema(definition, &fields, &columns));
        let privacy = self.privacy.clone();
        self.objects.push(ObjectPlan {
            object_type: object_type.clone(),
            columns: Some(columns),
            associations: None,
            types,
            full_table,
            privacy,
        });
    }

    /// The types whose associations are read with the records of a stream.
    fn associated_types(&self, definition: &Stream, entry: &CatalogEntry) -> Vec<ObjectType> {
        if definition.name == "tickets" {
            return self.types.clone();
        }
        // What a catalog has beside the setting `associations` was put there while the setting named it.
        let offered = if self.offered.is_empty() { vec![ObjectType::TICKETS] } else { self.offered.clone() };
        let mut types = definition.associated_types(&offered);
        types.retain(|one| {
            let is_denied = self.denied_columns.iter().any(|(stream, to, _)| *stream == definition.name && to == one);
            !is_denied && has_field(entry, &association_column(one))
        });
        types
    }

    /// The plan of tickets, made if only their associations are selected.
    fn ticket_plan(&mut self) -> &mut ObjectPlan {
        let index = self.objects.iter().position(|plan| plan.object_type == ObjectType::TICKETS).unwrap_or_else(|| {
            self.objects.push(ObjectPlan {
                object_type: ObjectType::TICKETS,
                columns: None,
                associations: None,
                types: self.types.clone(),
                full_table: false,
                privacy: self.privacy.clone(),
            });
            self.objects.len() - 1
        });
        &mut self.objects[index]
    }

    fn warn_of_width(&mut self, columns: &ObjectColumns) {
        let count = columns.properties.len();
        if columns.one_column || count <= COMFORTABLE_COLUMNS {
            return;
        }
        let consequence = match count > MAX_COLUMNS {
            true => format!("more than the {MAX_COLUMNS} that a Postgres table can have"),
            false => {
                "a Postgres row holds 8 KB of values, so a record with most of them filled fails to load".to_owned()
            }
        };
        self.warnings.push(format!(
            "{count} properties of {} are selected: {consequence}; select fewer, or set properties_layout to object",
            columns.stream
        ));
    }
}
