//! What a run is to read and write, from the catalog, the config's association types and the state's types.

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

use super::primaries::{COMPANY_PROPERTIES, CONTACT_PROPERTIES};
use super::privacy::{Privacy, Salt};
use super::readable::{readable_types, warnings};
use super::schemas::{StreamSchema, field_schema, object_schema, stream_schema};
use crate::catalog::{Catalog, CatalogEntry, CatalogError, HUBSPOT_PROPERTY, HUBSPOT_TYPE};
use crate::client::ObjectType;
use crate::discovery::{Access, Field, OBJECT_STREAMS, Role, STREAMS, Stream, association_column};
use crate::property::{Kind, column_name};
use crate::state::{Bookmark, Selected, State};

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
    pub(super) small: Vec<(&'static Stream, Vec<&'static Field>)>,
    pub(super) objects: Vec<ObjectPlan>,
    /// The columns of `sync_audit`, when it is selected.
    pub(super) audit: Option<Vec<&'static Field>>,
    /// Object types whose associations with tickets are read.
    types: Vec<ObjectType>,
    /// Whether the deals of contacts can be read.
    contact_deals: bool,
    privacy: Privacy,
}

/// The column of an association's name.
const LABEL: &str = "label";

/// What is read of one object type.
#[derive(Debug)]
pub(super) struct ObjectPlan {
    pub(super) object_type: ObjectType,
    /// The columns of its records; none when only its associations are selected.
    pub(super) columns: Option<ObjectColumns>,
    /// The columns of its association records, when those are selected.
    pub(super) associations: Option<AssociationColumns>,
    /// Object types whose associations with it are read.
    pub(super) types: Vec<ObjectType>,
    /// Whether the catalog asks for all rows on each run.
    pub(super) full_table: bool,
    /// What is left out or hashed, of its primaries, too.
    pub(super) privacy: Privacy,
}

/// The columns of an object's records.
#[derive(Debug)]
pub(super) struct ObjectColumns {
    pub(super) stream: &'static str,
    pub(super) created_at: bool,
    pub(super) archived: bool,
    pub(super) archived_at: bool,
    pub(super) merged_into: bool,
    pub(super) properties: Vec<PropertyColumn>,
    /// All properties in one column.
    pub(super) one_column: bool,
    /// Columns of associated ids, each with the index of its type in [`ObjectPlan::types`].
    pub(super) associated: Vec<(usize, String)>,
    pub(super) primary_contact: Option<usize>,
    pub(super) primary_company: Option<usize>,
    pub(super) unparsed: bool,
    pub(super) extraction_type: bool,
    pub(super) page_number: bool,
}

/// A property and its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PropertyColumn {
    pub(super) property: String,
    pub(super) column: String,
    pub(super) kind: Kind,
    /// Values are written as hashes.
    pub(super) salt: Option<Salt>,
}

/// The columns of an association.
#[derive(Debug, Clone, Copy)]
pub(super) struct AssociationColumns {
    pub(super) label: bool,
}

/// Why a catalog cannot be carried out.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The catalog itself is wrong.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// An association type that the user asked for and the token may not read.
    #[error(
        "associations with {object_type} cannot be read: add the scope {scope} to the private app, service key or OAuth app, or leave {object_type} out of the setting associations"
    )]
    MissingScope {
        /// The type.
        object_type: ObjectType,
        /// The scope.
        scope: String,
    },
    /// Nothing that the catalog selects can be read.
    #[error(
        "nothing that is selected can be read: {stream} needs the scope {scope}; add the scope {scope} to the private app, service key or OAuth app"
    )]
    NothingReadable {
        /// The first stream that is left out.
        stream: &'static str,
        /// Its scope.
        scope: String,
    },
}

/// What the config says of association types.
#[derive(Debug, Clone)]
pub struct AssociationSettings {
    /// The types.
    pub types: Vec<ObjectType>,
    /// Whether the user named them, so that a missing scope is an error.
    pub chosen: bool,
}

/// The association types that a catalog's selection needs.
pub fn wanted_associations(catalog: &Catalog, types: &[ObjectType]) -> Vec<ObjectType> {
    let whole = catalog.entry("ticket_associations").is_some_and(|entry| entry.selection().stream_selected());
    let tickets = catalog.entry("tickets").filter(|entry| entry.selection().stream_selected());
    types
        .iter()
        .filter(|object_type| {
            whole
                || tickets.is_some_and(|entry| {
                    has_field(entry, &association_column(object_type))
                        || primary_column(object_type).is_some_and(|column| has_field(entry, column))
                })
        })
        .cloned()
        .collect()
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
            contact_deals: access.contact_deals.is_none(),
            privacy: privacy.clone(),
        };
        let mut left_out = None;
        for definition in &STREAMS {
            let Some(entry) = catalog.entry(definition.name).filter(|entry| entry.selection().stream_selected()) else {
                continue;
            };
            match access.missing_for_stream(definition.name) {
                None => plan.add(definition, entry, state)?,
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
    pub fn read_whole(&mut self, stream: &str) {
        for object in self.objects.iter_mut().filter(|object| object.streams().contains(&stream)) {
            object.full_table = true;
        }
    }

    /// Keeps numbers to what doubles and `numeric(38,9)` hold; what they do not hold stands in `_unparsed`.
    pub fn bound_numbers(&mut self) {
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

    fn add(&mut self, definition: &'static Stream, entry: &CatalogEntry, state: &State) -> Result<(), PlanError> {
        let full_table = entry.full_table()?;
        let is_there = |field: &&Field| field.role != Role::Available || has_field(entry, field.name);
        let fields: Vec<&'static Field> = definition.fields.iter().filter(is_there).collect();
        match definition.name {
            name if OBJECT_STREAMS.contains(&name) => {
                self.add_objects(definition, entry, fields, state, full_table);
                return Ok(());
            }
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
        entry: &CatalogEntry,
        mut fields: Vec<&'static Field>,
        state: &State,
        full_table: bool,
    ) {
        let types = match definition.name {
            "tickets" => self.types.clone(),
            "contacts" if self.contact_deals && has_field(entry, &association_column(&ObjectType::DEALS)) => {
                vec![ObjectType::DEALS]
            }
            _ => Vec::new(),
        };
        let type_of = |wanted: &ObjectType| types.iter().position(|known| known == wanted);
        let (contacts, companies) = (type_of(&ObjectType::CONTACTS), type_of(&ObjectType::COMPANIES));
        fields.retain(|field| match field.name {
            "primary_contact" => contacts.is_some(),
            "primary_company" => companies.is_some(),
            _ => true,
        });
        let has = |name: &str| fields.iter().any(|field| field.name == name);
        let (properties, one_column) =
            property_columns(definition, entry, state.bookmark(definition.name).as_ref(), &self.privacy);
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
        let object_type = ObjectType::parse(definition.name);
        let privacy = self.privacy.clone();
        self.objects.push(ObjectPlan {
            object_type,
            columns: Some(columns),
            associations: None,
            types,
            full_table,
            privacy,
        });
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

impl ObjectPlan {
    /// The streams that its rows go into, the one that keeps the progress first.
    pub(super) fn streams(&self) -> Vec<&'static str> {
        let associations = self.associations.map(|_| "ticket_associations");
        self.columns.as_ref().map(|columns| columns.stream).into_iter().chain(associations).collect()
    }

    /// What the rows look like: another value, and no row is as it was.
    pub(super) fn fingerprint(&self) -> u64 {
        let description = format!("{:?} {:?} {:?}", self.columns, self.associations, self.types);
        super::cache::hash([description.as_bytes()])
    }

    /// Fingerprints of what is selected of one of its streams.
    pub(super) fn selected(&self, stream: &str) -> Selected {
        match &self.columns {
            Some(columns) if columns.stream == stream => {
                let associated = columns.associated.iter().map(|(_, column)| column.as_str());
                let properties = columns.properties.iter().map(|one| one.column.as_str());
                // A rule that is new makes every row another one.
                let hashed: Vec<String> = columns.hashed().chain(self.hashed_primaries(columns)).collect();
                let hashed = hashed.iter().map(String::as_str);
                Selected::of(properties.chain(associated).chain(columns.own()).chain(hashed))
            }
            _ => {
                let label = self.associations.is_some_and(|columns| columns.label).then_some(LABEL);
                Selected::of(self.types.iter().map(ObjectType::as_str).chain(label))
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
    pub(super) fn left(left: &Selected, before: Option<&Selected>, selected: &Selected) -> Selected {
        let ever = before.map_or_else(|| left.clone(), |before| before.or(left));
        ever.without(selected).without(&Selected::of([LABEL]))
    }
}

impl ObjectColumns {
    /// The selected columns that are the same for all portals, but for those that say how a row was read.
    fn own(&self) -> impl Iterator<Item = &str> {
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
    fn hashed(&self) -> impl Iterator<Item = String> {
        let hashed = self.properties.iter().filter(|one| one.salt.is_some());
        hashed.map(|one| format!("{} hashed", one.column))
    }

    /// The types of columns that are not text, as the state remembers them.
    pub(super) fn remember(&self, bookmark: &mut Bookmark) {
        for PropertyColumn { column, kind, .. } in &self.properties {
            if let Some(kind) = kind.remembered() {
                bookmark.types.entry(kind.to_owned()).or_default().insert(column.clone());
            }
        }
    }
}

fn primary_column(object_type: &ObjectType) -> Option<&'static str> {
    match object_type.as_str() {
        "contacts" => Some("primary_contact"),
        "companies" => Some("primary_company"),
        _ => None,
    }
}

/// Whether a column is in the catalog's schema and selected.
fn has_field(entry: &CatalogEntry, name: &str) -> bool {
    entry.schema["properties"].get(name).is_some() && entry.selection().field_selected(&[name])
}

/// Whether a column of an object stream is a property of HubSpot's.
pub(super) fn is_property(definition: &Stream, column: &str) -> bool {
    let is_own = definition.fields.iter().any(|field| field.name == column);
    !is_own && !column.starts_with("associated_")
}

/// The kind that a catalog asks for in a column.
fn kind_of(entry: &CatalogEntry, breadcrumb: &[&str], schema: &Value) -> Kind {
    match Kind::of_schema(schema) {
        // Only ids are text without being so in HubSpot.
        Kind::String if entry.keyword(breadcrumb, HUBSPOT_TYPE).is_some_and(|one| one == "number") => Kind::Id,
        kind => kind,
    }
}

/// The selected property columns, and whether they go into one column.
fn property_columns(
    definition: &Stream,
    entry: &CatalogEntry,
    bookmark: Option<&Bookmark>,
    privacy: &Privacy,
) -> (Vec<PropertyColumn>, bool) {
    let object_type = ObjectType::parse(definition.name);
    let remembered: BTreeMap<&str, Kind> = bookmark
        .iter()
        .flat_map(|bookmark| &bookmark.types)
        .filter_map(|(kind, columns)| Some((Kind::of_remembered(kind)?, columns)))
        .flat_map(|(kind, columns)| columns.iter().map(move |column| (column.as_str(), kind)))
        .collect();
    let selection = entry.selection();
    let nested = entry.schema["properties"]["properties"]["properties"].as_object();
    if nested.is_some() && !has_field(entry, "properties") {
        return (Vec::new(), false);
    }
    let one_column = nested.is_some();
    let candidates = nested.or_else(|| entry.schema["properties"].as_object());
    let mut columns = Vec::new();
    for (name, schema) in candidates.into_iter().flatten() {
        let path: &[&str] = if one_column { &["properties", name] } else { &[name] };
        if !(one_column || is_property(definition, name)) || !selection.field_selected(path) {
            continue;
        }
        let breadcrumb: Vec<&str> = path.iter().flat_map(|name| ["properties", name]).collect();
        let property = entry.keyword(&breadcrumb, HUBSPOT_PROPERTY).and_then(Value::as_str).unwrap_or(name);
        if privacy.drops(&object_type, property) {
            continue;
        }
        let salt = privacy.salt_of(&object_type, property);
        // A property that the user added to the catalog by hand gets a safe column, too.
        let column = if one_column || property != name { name.clone() } else { column_name(name).into_owned() };
        // What was sent before as none of the remembered types was text.
        let was_text =
            || bookmark.is_some_and(|bookmark| bookmark.selected.as_ref().is_some_and(|before| before.has(&column)));
        let kind = match remembered.get(column.as_str()) {
            // Whatever it was: what comes out of a hash is text.
            _ if salt.is_some() => Kind::String,
            Some(kind) => *kind,
            None => match kind_of(entry, &breadcrumb, schema) {
                kind if kind.remembered().is_some() && was_text() => Kind::String,
                kind => kind,
            },
        };
        columns.push(PropertyColumn { property: property.to_owned(), column, kind, salt });
    }
    (columns, one_column)
}
