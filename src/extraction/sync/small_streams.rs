//! Streams that fit in memory: owners, pipelines, stages and property definitions. Each run replaces them, unless what
//! HubSpot gives may not be all there is.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::client::{Buffer, Owner, Pipeline, Property, Stage};
use crate::discovery::{Field, Stream};
use crate::extraction::emit::Emitter;
use crate::extraction::encode::flat::push_record;
use crate::extraction::error::ExtractError;
use crate::extraction::event::{Extracted, Records};
use crate::property::column_name;
use crate::state::{Bookmark, next_version};

/// A small stream, as it was read.
#[derive(Debug)]
pub struct SmallRecords {
    pub(crate) stream: &'static Stream,
    pub(crate) fields: Vec<&'static Field>,
    pub(crate) records: Vec<Map<String, Value>>,
    /// Whether these are all records there are, so that others can be removed.
    pub(crate) is_whole: bool,
    pub(crate) extracted_at: DateTime<Utc>,
}

impl SmallRecords {
    /// Which stream it is.
    pub(crate) fn stream_name(&self) -> &'static str {
        self.stream.name
    }

    /// How many records it has.
    pub(crate) fn len(&self) -> u64 {
        self.records.len() as u64
    }
}

/// Yields a small stream: as a version of its own when it is whole, else as rows of the version that the target has.
pub(crate) async fn yield_small(small: SmallRecords, emitter: &mut Emitter<'_>) -> Result<(), ExtractError> {
    let name = small.stream.name;
    let Bookmark { version: last, rows, other, .. } = emitter.state.bookmark(name).unwrap_or_default();
    // An empty list removes nothing: HubSpot has no portal without owners, pipelines and properties.
    let replaces = small.is_whole && !small.records.is_empty();
    let next = next_version(last, small.extracted_at);
    let version = if replaces { next } else { last.unwrap_or(next) };
    let count = small.len();
    if count > 0 {
        emitter.send(Extracted::Records(encode_small(&small, emitter, version))).await?;
        emitter.summary.update(name, |stream| stream.records += count);
        let rows = if replaces { Some(count) } else { rows };
        emitter.state.set(name, &Bookmark { version: Some(version), rows, other, ..Bookmark::default() });
    }
    if replaces {
        emitter.send(Extracted::ActivateVersion { stream: name, version }).await?;
    }
    // Safe: all that was read of the stream was yielded above, and the next run reads it whole again.
    emitter.checkpoint().await
}

fn encode_small(small: &SmallRecords, emitter: &Emitter<'_>, version: i64) -> Records {
    let mut records = Records {
        stream: small.stream.name,
        bodies: Buffer::default(),
        ends: Vec::with_capacity(small.records.len()),
        tail: emitter.stamp.tail(small.extracted_at),
        version,
        extracted_at: small.extracted_at,
    };
    for record in &small.records {
        push_record(&small.fields, record, &mut records.bodies);
        records.ends.push(records.bodies.len());
    }
    records
}

/// Takes HubSpot's camelCase names over to columns.
fn renamed(from: &Map<String, Value>, names: &[(&str, &str)]) -> Map<String, Value> {
    names.iter().filter_map(|(theirs, ours)| Some(((*ours).to_owned(), from.get(*theirs)?.clone()))).collect()
}

pub(crate) fn owner_record(owner: Owner) -> Map<String, Value> {
    let mut record = renamed(
        &owner.other,
        &[
            ("email", "email"),
            ("type", "type"),
            ("firstName", "first_name"),
            ("lastName", "last_name"),
            ("userId", "user_id"),
            ("userIdIncludingInactive", "user_id_including_inactive"),
            ("teams", "teams"),
            ("archived", "archived"),
            ("createdAt", "created_at"),
            ("updatedAt", "updated_at"),
        ],
    );
    record.insert("id".to_owned(), owner.id.into());
    record
}

pub(crate) fn pipeline_record(pipeline: &Pipeline) -> Map<String, Value> {
    let mut record = renamed(&pipeline.other, &PIPELINE_NAMES);
    record.insert("id".to_owned(), pipeline.id.as_str().into());
    record
}

const PIPELINE_NAMES: [(&str, &str); 6] = [
    ("label", "label"),
    ("displayOrder", "display_order"),
    ("archived", "archived"),
    ("archivedAt", "archived_at"),
    ("createdAt", "created_at"),
    ("updatedAt", "updated_at"),
];

pub(crate) fn stage_record(pipeline: &Pipeline, stage: &Stage) -> Map<String, Value> {
    let mut record = renamed(&stage.other, &PIPELINE_NAMES);
    record.extend(renamed(&stage.other, &[("writePermissions", "write_permissions")]));
    if let Value::Object(metadata) = &stage.metadata {
        record.extend(renamed(metadata, &[("ticketState", "ticket_state"), ("isClosed", "is_closed")]));
    }
    record.insert("pipeline_id".to_owned(), pipeline.id.as_str().into());
    record.insert("id".to_owned(), stage.id.as_str().into());
    record.insert("metadata".to_owned(), stage.metadata.clone());
    record
}

pub(crate) fn property_record(property: Property) -> Map<String, Value> {
    let mut record = renamed(
        &property.other,
        &[
            ("description", "description"),
            ("groupName", "group_name"),
            ("options", "options"),
            ("displayOrder", "display_order"),
            ("calculated", "calculated"),
            ("calculationFormula", "calculation_formula"),
            ("externalOptions", "external_options"),
            ("referencedObjectType", "referenced_object_type"),
            ("hasUniqueValue", "has_unique_value"),
            ("hidden", "hidden"),
            ("hubspotDefined", "hubspot_defined"),
            ("formField", "form_field"),
            ("modificationMetadata", "modification_metadata"),
            ("archived", "archived"),
            ("createdAt", "created_at"),
            ("updatedAt", "updated_at"),
        ],
    );
    record.insert("column_name".to_owned(), column_name(&property.name).into());
    record.insert("label".to_owned(), property.label.into());
    record.insert("type".to_owned(), property.hubspot_type.into());
    record.insert("field_type".to_owned(), property.field_type.into());
    record.insert("data_sensitivity".to_owned(), property.data_sensitivity.into());
    record.insert("name".to_owned(), property.name.into());
    record
}
