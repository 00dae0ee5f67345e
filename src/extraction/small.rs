//! Streams that fit in memory: owners, pipelines, stages and property definitions. Each run replaces them.

use std::cell::Cell;

use chrono::{DateTime, Utc};
use futures_util::future::{try_join, try_join_all};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::output::Output;
use super::plan::Plan;
use super::{ExtractError, Records, Yield};
use crate::client::{Buffer, Client, ClientError, ObjectType, Owner, Pipeline, Property, Stage};
use crate::discovery::{Field, Stream, discover_properties};
use crate::property::{Kind, column_name, encode_value};
use crate::state::Bookmark;

/// A small stream, read whole.
#[derive(Debug)]
pub struct SmallRecords {
    stream: &'static Stream,
    fields: Vec<&'static Field>,
    records: Vec<Map<String, Value>>,
    extracted_at: DateTime<Utc>,
}

impl SmallRecords {
    /// Which stream it is.
    pub(super) fn stream_name(&self) -> &'static str {
        self.stream.name
    }

    /// How many records it has.
    pub(super) fn len(&self) -> u64 {
        self.records.len() as u64
    }
}

/// Reads the selected small streams, before anything is written: a missing scope shows here. Properties that discovery
/// has read already are not asked for again.
///
/// # Errors
/// When one of them cannot be read.
pub async fn read_small_streams(
    client: &Client,
    plan: &Plan,
    properties: Option<Vec<Property>>,
) -> Result<Vec<SmallRecords>, ExtractError> {
    let (pipelines, properties) = (OnceCell::new(), Cell::new(properties));
    let reads = plan.small.iter().map(async |(stream, fields)| {
        let failed = |source: ClientError| ExtractError::Stream { stream: stream.name, source };
        let records = read_records(client, stream.name, &pipelines, &properties).await.map_err(failed)?;
        Ok(SmallRecords { stream, fields: fields.clone(), records, extracted_at: client.server_now() })
    });
    try_join_all(reads).await
}

async fn read_records(
    client: &Client,
    stream: &str,
    pipelines: &OnceCell<Vec<Pipeline>>,
    properties: &Cell<Option<Vec<Property>>>,
) -> Result<Vec<Map<String, Value>>, ClientError> {
    match stream {
        "owners" => {
            let (live, archived) = try_join(client.list_owners(false), client.list_owners(true)).await?;
            // One that was archived in between stands in both; it is archived.
            Ok(live.into_iter().chain(archived).map(owner_record).collect())
        }
        "ticket_properties" => {
            let found = match properties.take() {
                Some(found) => found,
                None => discover_properties(client).await?,
            };
            Ok(found.into_iter().map(property_record).collect())
        }
        name => {
            let found = pipelines.get_or_try_init(|| client.list_pipelines(&ObjectType::TICKETS)).await?;
            Ok(match name {
                "ticket_pipelines" => found.iter().map(pipeline_record).collect(),
                _ => found.iter().flat_map(|one| one.stages.iter().map(|stage| stage_record(one, stage))).collect(),
            })
        }
    }
}

/// Yields a small stream as a version of its own.
pub(super) async fn yield_small(small: SmallRecords, output: &mut Output<'_>) -> Result<(), ExtractError> {
    let name = small.stream.name;
    let Bookmark { version, other, .. } = output.state.bookmark(name).unwrap_or_default();
    let version = next_version(version, small.extracted_at);
    let mut records = Records {
        stream: name,
        bodies: Buffer::default(),
        ends: Vec::with_capacity(small.records.len()),
        tail: output.stamp.tail(small.extracted_at),
        version,
        extracted_at: small.extracted_at,
    };
    for record in &small.records {
        push_record(&small.fields, record, &mut records.bodies);
        records.ends.push(records.bodies.len());
    }
    let count = u64::try_from(small.records.len()).unwrap_or(u64::MAX);
    output.send(Yield::Records(records)).await?;
    output.send(Yield::ActivateVersion { stream: name, version }).await?;
    output.summary.update(name, |stream| stream.records += count);
    output.state.set(name, &Bookmark { version: Some(version), other, ..Bookmark::default() });
    // Safe: the whole stream was yielded above, and the next run reads it whole again.
    output.checkpoint().await
}

/// A version above the last one: the instant in milliseconds, or one more where HubSpot's clock stands still.
pub(super) fn next_version(last: Option<i64>, now: DateTime<Utc>) -> i64 {
    let now = now.timestamp_millis();
    last.map_or(now, |last| now.max(last + 1))
}

pub(super) fn push_record(fields: &[&'static Field], record: &Map<String, Value>, out: &mut Vec<u8>) {
    let mut separator = b'{';
    for field in fields.iter().filter(|field| !field.name.starts_with('_')) {
        out.push(separator);
        out.extend_from_slice(format!("\"{}\":", field.name).as_bytes());
        let value = record.get(field.name).unwrap_or(&Value::Null);
        let token = value.to_string();
        match field.kind {
            // Nested text may hold NUL as well as any other.
            Kind::Array | Kind::Object | Kind::Ids => crate::property::push_sanitised(&token, out),
            kind => drop(encode_value(kind, &token, out)),
        }
        separator = b',';
    }
}

/// Takes HubSpot's camelCase names over to columns.
fn renamed(from: &Map<String, Value>, names: &[(&str, &str)]) -> Map<String, Value> {
    names.iter().filter_map(|(theirs, ours)| Some(((*ours).to_owned(), from.get(*theirs)?.clone()))).collect()
}

fn owner_record(owner: Owner) -> Map<String, Value> {
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

fn pipeline_record(pipeline: &Pipeline) -> Map<String, Value> {
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

fn stage_record(pipeline: &Pipeline, stage: &Stage) -> Map<String, Value> {
    let mut record = renamed(&stage.other, &PIPELINE_NAMES);
    record.extend(renamed(&stage.other, &[("writePermissions", "write_permissions")]));
    record.extend(renamed(&stage.metadata, &[("ticketState", "ticket_state"), ("isClosed", "is_closed")]));
    record.insert("pipeline_id".to_owned(), pipeline.id.as_str().into());
    record.insert("id".to_owned(), stage.id.as_str().into());
    record.insert("metadata".to_owned(), stage.metadata.clone().into());
    record
}

fn property_record(property: Property) -> Map<String, Value> {
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
