//! What a field of a stream means in HubSpot.

use super::definitions::PropertyDefinitions;
use super::field_names::folded;
use crate::client::ObjectType;
use crate::config::{StreamConfig, UnknownFields};
use crate::property::column_name;

/// What becomes of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FieldMeaning {
    /// The value of a property.
    Property(String),
    /// Other records, by what is in the field.
    Reference(ReferenceField),
    /// The label of the references of a type.
    Label(ObjectType),
    /// References and labels of any form.
    Associations,
    /// An object whose members are fields of their own: the tap's one column for all properties.
    Expanded,
    /// The record's own id in HubSpot.
    OwnId,
    /// Nothing: a read-only property, a column of the tap's, a key, or a field left out.
    Nothing,
    /// Nothing the portal has.
    Unknown,
}

/// Records of a type by one of their marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReferenceField {
    pub(super) to: ObjectType,
    pub(super) lookup_by: LookupBy,
    /// Whether the field may hold several.
    pub(super) several: bool,
}

/// By what another record is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum LookupBy {
    Id,
    Email,
    Domain,
    Name,
}

/// Columns that the tap adds; what begins with `_` or `associated_` is its own, too.
const TAPS_COLUMNS: [&str; 8] =
    ["id", "created_at", "updated_at", "archived", "archived_at", "merged_into", "primary_contact", "primary_company"];

/// Names that people give to properties, where the portal has none of that name. The first row is what the CRM service
/// called the text of a ticket.
const ALIASES: [(&str, &str, &str); 16] = [
    ("tickets", "description", "content"),
    ("tickets", "body", "content"),
    ("tickets", "title", "subject"),
    ("tickets", "name", "subject"),
    ("tickets", "priority", "hs_ticket_priority"),
    ("tickets", "category", "hs_ticket_category"),
    ("tickets", "pipeline", "hs_pipeline"),
    ("tickets", "stage", "hs_pipeline_stage"),
    ("tickets", "status", "hs_pipeline_stage"),
    ("tickets", "source", "source_type"),
    ("deals", "name", "dealname"),
    ("deals", "stage", "dealstage"),
    ("deals", "close_date", "closedate"),
    ("contacts", "first_name", "firstname"),
    ("contacts", "last_name", "lastname"),
    ("", "owner_id", "hubspot_owner_id"),
];

/// The field as configured, else as the portal's properties, else as references, the tap's columns and usual names have
/// it.
pub(super) fn meaning(
    field: &str,
    object_type: &ObjectType,
    definitions: &PropertyDefinitions,
    config: &StreamConfig,
    keys: &[String],
    unknown: UnknownFields,
) -> FieldMeaning {
    let own_id = config.id_property.as_deref() == Some("hs_object_id");
    let property = |name: &str| match definitions.by_name.get(name) {
        Some(definition) if definition.read_only => FieldMeaning::Nothing,
        _ => FieldMeaning::Property(name.to_owned()),
    };
    match config.properties.get(field) {
        Some(None) => return FieldMeaning::Nothing,
        Some(Some(name)) if name == "hs_object_id" && own_id => return FieldMeaning::OwnId,
        Some(Some(name)) if definitions.by_name.contains_key(name) => return property(name),
        Some(Some(name)) => return unknown_field(name, unknown),
        None => {}
    }
    if own_id && ["hs_object_id", "id"].contains(&field) {
        return FieldMeaning::OwnId;
    }
    // A property that is called like one of the tap's columns has another column there.
    let reserved = column_name(field) != field;
    if reserved && is_tap_column(field) {
        return FieldMeaning::Nothing;
    }
    if reserved && field == "properties" {
        return FieldMeaning::Expanded;
    }
    if let Some(name) = definitions.named(field) {
        return property(name);
    }
    if let Some(reference) = reference(field, object_type) {
        return reference;
    }
    if is_tap_column(field) {
        return FieldMeaning::Nothing;
    }
    if field == "properties" {
        return FieldMeaning::Expanded;
    }
    let folded = folded(field);
    let alias = ALIASES
        .iter()
        .find(|(of, alias, _)| ["", object_type.as_str()].contains(of) && alias.replace('_', "") == folded);
    if let Some((_, _, name)) = alias.filter(|(_, _, name)| definitions.by_name.contains_key(*name)) {
        return property(name);
    }
    if definitions.by_name.contains_key(&folded) {
        return property(&folded);
    }
    if keys.iter().any(|key| key == field) {
        return FieldMeaning::Nothing;
    }
    unknown_field(field, unknown)
}

fn is_tap_column(field: &str) -> bool {
    TAPS_COLUMNS.contains(&field) || field.starts_with('_') || field.starts_with("associated_")
}

fn unknown_field(name: &str, unknown: UnknownFields) -> FieldMeaning {
    match unknown {
        UnknownFields::Reject => FieldMeaning::Unknown,
        UnknownFields::Ignore => FieldMeaning::Nothing,
        UnknownFields::Pass => FieldMeaning::Property(name.to_owned()),
    }
}

/// References lead from what is delivered later to what is delivered before it.
fn reference(field: &str, from: &ObjectType) -> Option<FieldMeaning> {
    let to =
        |to: ObjectType, lookup_by, several| Some(FieldMeaning::Reference(ReferenceField { to, lookup_by, several }));
    let rank = super::order::rank(from);
    let folded = folded(field);
    let (contacts, companies, deals) = (ObjectType::CONTACTS, ObjectType::COMPANIES, ObjectType::DEALS);
    let found = match folded.as_str() {
        "contactid" => to(contacts, LookupBy::Id, false),
        "contactids" => to(contacts, LookupBy::Id, true),
        "contactemail" => to(contacts, LookupBy::Email, false),
        "contactemails" => to(contacts, LookupBy::Email, true),
        "companyid" => to(companies, LookupBy::Id, false),
        "companyids" => to(companies, LookupBy::Id, true),
        "companydomain" => to(companies, LookupBy::Domain, false),
        "dealid" => to(deals, LookupBy::Id, false),
        "dealids" => to(deals, LookupBy::Id, true),
        "dealname" => to(deals, LookupBy::Name, false),
        "dealnames" => to(deals, LookupBy::Name, true),
        "contactlabel" => Some(FieldMeaning::Label(contacts)),
        "companylabel" => Some(FieldMeaning::Label(companies)),
        "deallabel" => Some(FieldMeaning::Label(deals)),
        "associations" => Some(FieldMeaning::Associations),
        _ => None,
    }?;
    let leads_back = match &found {
        FieldMeaning::Reference(reference) => super::order::rank(&reference.to) < rank,
        FieldMeaning::Label(to) => super::order::rank(to) < rank,
        _ => rank > 0,
    };
    leads_back.then_some(found)
}
