//! A record as it shall be in HubSpot.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::field::{FieldMeaning, LookupBy};
use super::identity::{delivery_key, earlier_delivery_key, earlier_line_key, folded, key_text, line_key};
use super::input::{InputRecord, ObjectMembers};
use super::plan::{MatchBy, StreamPlan};
use super::scalars::boolean;
use super::value::{id_of, is_no_value, is_same, key_value, nested, text_of};
use super::wording::quoted;
use crate::client::ObjectType;

/// What to do about a field that is no property.
const WHERE_TO_MAP: &str = "map the field under the setting streams, or set unknown_fields";

/// A record as a line describes it.
#[derive(Debug)]
pub(super) struct DesiredRecord {
    pub(super) plan: Arc<StreamPlan>,
    pub(super) source: SourceLine,
    /// The value that it is found by, where the line alone determines it.
    pub(super) key: Option<String>,
    /// The delivery key that earlier releases gave it, where that is another one.
    pub(super) earlier_key: Option<String>,
    pub(super) properties: BTreeMap<String, String>,
    pub(super) references: Vec<AssociationRef>,
    /// Fields that could refer to a record and are empty.
    pub(super) empty_references: Vec<String>,
    /// Fields that a new record needs and that refer to nothing.
    pub(super) missing_references: Vec<String>,
}

/// A line of the input.
#[derive(Debug, Clone)]
pub(super) struct SourceLine {
    pub(super) line: u64,
    pub(super) text: String,
}

/// Another record that this one is to be associated with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct AssociationRef {
    pub(super) to: ObjectType,
    pub(super) lookup_by: LookupBy,
    pub(super) value: String,
    pub(super) label: Option<String>,
}

/// The result of reading a record.
#[derive(Debug)]
pub(super) enum ParsedRecord {
    Record(Box<DesiredRecord>),
    /// The record is deleted in the source.
    Deleted,
    /// It cannot be written, for this reason.
    Invalid(String),
}

/// How records are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadOptions<'m> {
    pub(super) clear_nulls: bool,
    pub(super) delivery_id: Option<&'m str>,
    /// The delivery's name is also a stream's: earlier releases could give one key to records of both.
    pub(super) delivery_is_a_stream: bool,
    pub(super) portal_id: &'m str,
}

/// Reads a record by the plan of its stream.
pub(super) fn read(
    plan: &Arc<StreamPlan>,
    record: &InputRecord,
    source: SourceLine,
    options: ReadOptions<'_>,
) -> ParsedRecord {
    if is_archived(plan, record) {
        return ParsedRecord::Deleted;
    }
    let mut reader = RecordReader {
        plan,
        options,
        properties: BTreeMap::new(),
        given: BTreeMap::new(),
        references: Vec::new(),
        labels: BTreeMap::new(),
        own_id: None,
        referring: Vec::new(),
        empty_references: Vec::new(),
    };
    for (field, value) in &record.fields {
        if let Err(reason) = reader.take(field, value) {
            return ParsedRecord::Invalid(format!("{field}: {reason}"));
        }
    }
    for reference in &mut reader.references {
        reference.label = reference.label.take().or_else(|| reader.labels.get(&reference.to).cloned());
    }
    let key = match reader.key(record, source.line) {
        Ok(key) => key,
        Err(reason) => return ParsedRecord::Invalid(reason),
    };
    if let Some(faults) = plan.for_update.faults(&reader.properties) {
        return ParsedRecord::Invalid(faults);
    }
    let missing_references = |field: &&String| !reader.referring.contains(&plan.meaning(field));
    let missing_references: Vec<String> = plan.required_references.iter().filter(missing_references).cloned().collect();
    let RecordReader { properties, mut references, empty_references, .. } = reader;
    references.sort();
    references.dedup();
    let (key, earlier_key) = key;
    let plan = plan.clone();
    ParsedRecord::Record(Box::new(DesiredRecord {
        plan,
        source,
        key,
        earlier_key,
        properties,
        references,
        empty_references,
        missing_references,
    }))
}

fn is_archived(plan: &StreamPlan, record: &InputRecord) -> bool {
    let text = |field: &str| record.fields.get(field).and_then(|value| key_text(value.get()));
    let is_deletion = |text: String| !is_no_value(&text) && boolean(&text) != Some("false");
    text("_sdc_deleted_at").is_some_and(is_deletion)
        || plan.meaning("archived") == FieldMeaning::Nothing
            && text("archived").is_some_and(|text| boolean(&text) == Some("true"))
}

struct RecordReader<'r> {
    plan: &'r StreamPlan,
    options: ReadOptions<'r>,
    properties: BTreeMap<String, String>,
    /// The first field of each property that has a value.
    given: BTreeMap<String, String>,
    references: Vec<AssociationRef>,
    labels: BTreeMap<ObjectType, String>,
    own_id: Option<String>,
    /// The fields that refer to a record.
    referring: Vec<FieldMeaning>,
    empty_references: Vec<String>,
}

/// A record's key, and the one that earlier releases gave it where that is another one.
type Keys = (Option<String>, Option<String>);

impl RecordReader<'_> {
    fn take(&mut self, field: &str, value: &RawValue) -> Result<(), String> {
        match self.plan.meaning(field) {
            FieldMeaning::Property(name) => {
                let definition = self.plan.definitions.by_name.get(&name);
                let text = text_of(definition, value.get())?;
                // What records are found by is a value: 17.0 is the customer 17.
                let text = match self.plan.key_property() == Some(&name) {
                    true => text.map(|text| key_value(definition, value.get(), text)),
                    false => text,
                };
                self.property(field, name, text)?;
            }
            FieldMeaning::Reference(reference) => {
                let values = texts(value, reference.several)?;
                match values.is_empty() {
                    true => self.empty_references.push(field.to_owned()),
                    false => self.referring.push(FieldMeaning::Reference(reference.clone())),
                }
                for value in values {
                    self.add_reference(reference.to.clone(), reference.lookup_by, value, None)?;
                }
            }
            FieldMeaning::Label(to) => {
                if let Some(label) = texts(value, false)?.pop() {
                    self.labels.insert(to, label);
                }
            }
            FieldMeaning::Associations => self.associations(value)?,
            FieldMeaning::Expanded => {
                for (member, value) in &members_of(value, "it is no object of properties")? {
                    if self.plan.meaning(member) != FieldMeaning::Expanded {
                        self.take(member, value).map_err(|reason| format!("{member}: {reason}"))?;
                    }
                }
            }
            FieldMeaning::OwnId => self.own_id = texts(value, false)?.pop(),
            FieldMeaning::Nothing => {}
            FieldMeaning::Unknown if value.get() == "null" => {}
            FieldMeaning::Unknown => {
                let (of, portal) = (&self.plan.object_type, self.options.portal_id);
                let hint = self.plan.definitions.hint(field);
                return Err(format!("the {of} of portal {portal} have no property {field}{hint}; {WHERE_TO_MAP}"));
            }
        }
        Ok(())
    }

    /// Sets a property's value. Two fields may map to one property where their values agree.
    fn property(&mut self, field: &str, name: String, text: Option<String>) -> Result<(), String> {
        let Some(text) = text else {
            if self.options.clear_nulls {
                self.properties.entry(name).or_default();
            }
            return Ok(());
        };
        let definition = self.plan.definitions.by_name.get(&name);
        if let Some(other) = self.given.get(&name)
            && let Some(known) = self.properties.get(&name)
            && !is_same(definition, Some(known), &text)
        {
            let (known, text) = (quoted(known), quoted(&text));
            return Err(format!(
                "the property {name} is {text} here and {known} in the field {other}; leave one of them out"
            ));
        }
        self.given.entry(name.clone()).or_insert_with(|| field.to_owned());
        self.properties.insert(name, text);
        Ok(())
    }

    fn add_reference(
        &mut self,
        to: ObjectType,
        lookup_by: LookupBy,
        value: String,
        label: Option<String>,
    ) -> Result<(), String> {
        let value = match lookup_by {
            LookupBy::Id => id_of(&value)?,
            LookupBy::Email | LookupBy::Domain => folded(&value),
            LookupBy::Name => value.trim().to_owned(),
        };
        self.references.push(AssociationRef { to, lookup_by, value, label });
        Ok(())
    }

    /// `[{"object_type": "contacts", "id" | "email" | "domain" | "name": "…", "label": "…"}]`
    fn associations(&mut self, value: &RawValue) -> Result<(), String> {
        let no_list = "it is no list of associations";
        let value = nested(value.get());
        let listed: Vec<Box<RawValue>> = match value.as_bytes().first() {
            _ if key_text(&value).is_none() => Vec::new(),
            Some(b'[') => serde_json::from_str(&value).map_err(|_| no_list.to_owned())?,
            Some(b'{') => vec![RawValue::from_string(value).map_err(|_| no_list.to_owned())?],
            _ => return Err(no_list.to_owned()),
        };
        if !listed.is_empty() {
            self.referring.push(FieldMeaning::Associations);
        }
        for one in listed {
            let members = members_of(&one, "it is no association")?;
            let text = |member: &str| {
                let token = members.get(member)?.get();
                key_text(token)
                    .filter(|_| token.starts_with(['"', '-']) || token.starts_with(|one: char| one.is_ascii_digit()))
            };
            let to = text("object_type").map(|name| ObjectType::parse(&name));
            let to = to.filter(|to| super::order::rank(to) < super::order::rank(&self.plan.object_type));
            let to = to.ok_or_else(|| {
                format!("object_type of {one} is nothing that comes before {}", self.plan.object_type)
            })?;
            let (member, lookup_by) = mark_of(&to);
            let named = text("id").map(|id| (LookupBy::Id, id)).or_else(|| Some((lookup_by, text(member)?)));
            let (lookup_by, value) =
                named.ok_or_else(|| format!("{one} names neither id nor {member}, which {to} are found by"))?;
            self.add_reference(to, lookup_by, value, text("label"))?;
        }
        Ok(())
    }

    /// What the record is found by. A key that is empty is missing.
    fn key(&mut self, record: &InputRecord, line: u64) -> Result<Keys, String> {
        for key in &self.plan.key_properties {
            match record.fields.get(key).map(|value| key_text(value.get())) {
                Some(Some(_)) => {}
                None => return Err(format!("{key}: the key is missing")),
                Some(None) => return Err(format!("{key}: the key is empty")),
            }
        }
        let of = &self.plan.object_type;
        // The key that records are created with is the target's own; a copy of it from another portal is not used.
        let own = self.plan.created_with().and_then(|property| self.properties.remove(property));
        let key = match &self.plan.match_by {
            MatchBy::UniqueProperty(name) => {
                let key = self.trimmed(name).map(|value| folded(&value));
                key.ok_or_else(|| format!("{name}: it is missing, and {of} are found by it"))?
            }
            MatchBy::CompanyDomain(_) => {
                let key = self.trimmed("domain").map(|value| folded(&value));
                key.ok_or_else(|| "domain: it is missing, and companies are found by it".to_owned())?
            }
            MatchBy::Id => match self.own_id.take() {
                Some(id) => id_of(&id).map_err(|reason| format!("hs_object_id: {reason}"))?,
                None => return Err("hs_object_id: it is missing, and records are found by it".to_owned()),
            },
            MatchBy::DealName => {
                let name = self.trimmed("dealname");
                let name = name.ok_or_else(|| "dealname: it is missing, and deals are found by it".to_owned())?;
                if !self.references.iter().any(|reference| reference.to == ObjectType::CONTACTS) {
                    return Err("contactId or contactEmail: it is missing, and deals are found among those of their \
                                contact; or set id_property to a unique property"
                        .to_owned());
                }
                name
            }
            MatchBy::DeliveryKey(name) => return self.delivery_keys(name, own, record, line),
            MatchBy::AlwaysCreate => return Ok((None, None)),
        };
        Ok((Some(key), None))
    }

    /// The value of a property that records are found by, which is written as it is compared: trimmed.
    fn trimmed(&mut self, name: &str) -> Option<String> {
        let value = self.properties.get_mut(name)?;
        *value = value.trim().to_owned();
        Some(value.clone()).filter(|value| !value.is_empty())
    }

    fn delivery_keys(&self, name: &str, own: Option<String>, record: &InputRecord, line: u64) -> Result<Keys, String> {
        let own = own.map(|value| value.trim().to_owned());
        if self.plan.gives_delivery_key(name) {
            let key = own.filter(|key| !key.is_empty());
            return key.map(|key| (Some(key), None)).ok_or_else(|| format!("{name}: the key is missing"));
        }
        let stream = &self.plan.stream;
        let tokens: Vec<&str> =
            self.plan.key_properties.iter().filter_map(|key| Some(record.fields.get(key)?.get())).collect();
        // A key of the record's own is what it is mended to.
        let mended = record.delivery_key.as_deref().map(str::trim).filter(|key| !key.is_empty() && tokens.is_empty());
        if let Some(key) = mended {
            return Ok((Some(key.to_owned()), None));
        }
        let (key, earlier) = match tokens.is_empty() {
            true => {
                let delivery_id = self.options.delivery_id.unwrap_or_default();
                let earlier = (!self.options.delivery_is_a_stream).then(|| earlier_line_key(delivery_id, line));
                (line_key(delivery_id, line), earlier)
            }
            false => {
                let values: Vec<String> = tokens.iter().filter_map(|token| key_text(token)).collect();
                (delivery_key(stream, &values), Some(earlier_delivery_key(stream, &tokens)))
            }
        };
        let earlier = earlier.filter(|earlier| *earlier != key);
        Ok((Some(key), earlier))
    }
}

/// The texts in a field: one, a list of them, or several with commas or semicolons between.
fn texts(value: &RawValue, several: bool) -> Result<Vec<String>, String> {
    let value = nested(value.get());
    let plain = |token: &str| match token.as_bytes().first() {
        Some(b'[' | b'{' | b't' | b'f') => Err(format!("{} is neither a text nor a number", quoted(token))),
        _ => Ok(key_text(token).unwrap_or_default()),
    };
    let listed: Option<Vec<Box<RawValue>>> =
        value.starts_with('[').then(|| serde_json::from_str(&value).ok()).flatten();
    let texts = match listed {
        Some(members) if several || members.len() <= 1 => {
            members.iter().map(|member| plain(member.get())).collect::<Result<Vec<_>, _>>()?
        }
        _ if several && value.starts_with('"') => {
            plain(&value)?.split([',', ';']).map(|one| one.trim().to_owned()).collect()
        }
        _ => vec![plain(&value)?],
    };
    Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
}

/// The members of an object, or of a text that holds one; none of null.
fn members_of(value: &RawValue, otherwise: &str) -> Result<BTreeMap<String, Box<RawValue>>, String> {
    let value = nested(value.get());
    if key_text(&value).is_none() {
        return Ok(BTreeMap::new());
    }
    let members: ObjectMembers = serde_json::from_str(&value).map_err(|_| otherwise.to_owned())?;
    members.once()
}

/// The member of an association that names a record of a type beside its id.
fn mark_of(object_type: &ObjectType) -> (&'static str, LookupBy) {
    match object_type.as_str() {
        "companies" => ("domain", LookupBy::Domain),
        "deals" => ("name", LookupBy::Name),
        _ => ("email", LookupBy::Email),
    }
}
