//! A record as it is wanted in HubSpot.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::field::{Field, Mark};
use super::input::Record;
use super::plan::{Match, StreamPlan};
use super::value::{id_of, text_of};
use crate::client::ObjectType;

/// Longest key that stands as it is; longer ones are hashed.
const MAX_KEY: usize = 200;

/// What to do about a field that is no property.
const WHERE_TO_MAP: &str = "map the field under the setting streams, or set unknown_fields";

/// What a line asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) plan: Arc<StreamPlan>,
    /// The lines that ask for it, the first one first.
    pub(super) sources: Vec<Source>,
    /// What it is found by, where that is told by the line alone.
    pub(super) key: Option<String>,
    pub(super) properties: BTreeMap<String, String>,
    pub(super) references: Vec<Wish>,
}

/// A line of the input.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) line: u64,
    pub(super) text: String,
}

/// Another record that this one is to be associated with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Wish {
    pub(super) to: ObjectType,
    pub(super) mark: Mark,
    pub(super) value: String,
    pub(super) label: Option<String>,
}

/// What a record comes to.
#[derive(Debug)]
pub(super) enum Reading {
    Wanted(Box<Wanted>),
    /// It is of a deleted record.
    Archived,
    /// It cannot be written, for this reason.
    Faulty(String),
}

/// How records are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner<'m> {
    pub(super) clear_nulls: bool,
    pub(super) delivery_id: Option<&'m str>,
    pub(super) portal_id: &'m str,
}

/// Reads a record as its stream's plan has it.
pub(super) fn read(plan: &Arc<StreamPlan>, record: &Record, source: Source, manner: Manner<'_>) -> Reading {
    if is_archived(plan, record) {
        return Reading::Archived;
    }
    let mut reader =
        Reader { plan, manner, properties: BTreeMap::new(), wishes: Vec::new(), labels: BTreeMap::new(), own_id: None };
    for (field, value) in &record.fields {
        if let Err(reason) = reader.take(field, value) {
            return Reading::Faulty(format!("{field}: {reason}"));
        }
    }
    for wish in &mut reader.wishes {
        wish.label = wish.label.take().or_else(|| reader.labels.get(&wish.to).cloned());
    }
    let key = match reader.key(record, source.line) {
        Ok(key) => key,
        Err(reason) => return Reading::Faulty(reason),
    };
    if let Some(faults) = plan.for_update.faults(&reader.properties) {
        return Reading::Faulty(faults);
    }
    let Reader { properties, mut wishes, .. } = reader;
    wishes.sort();
    wishes.dedup();
    Reading::Wanted(Box::new(Wanted { plan: plan.clone(), sources: vec![source], key, properties, references: wishes }))
}

fn is_archived(plan: &StreamPlan, record: &Record) -> bool {
    let holds = |field: &str| record.fields.get(field).map(|value| value.get());
    holds("_sdc_deleted_at").is_some_and(|value| value != "null")
        || holds("archived") == Some("true") && plan.meaning("archived") == Field::Nothing
}

struct Reader<'r> {
    plan: &'r StreamPlan,
    manner: Manner<'r>,
    properties: BTreeMap<String, String>,
    wishes: Vec<Wish>,
    labels: BTreeMap<ObjectType, String>,
    own_id: Option<String>,
}

impl Reader<'_> {
    fn take(&mut self, field: &str, value: &RawValue) -> Result<(), String> {
        match self.plan.meaning(field) {
            Field::Property(name) => {
                let definition = self.plan.definitions.by_name.get(&name);
                match text_of(definition, value.get())? {
                    Some(text) => drop(self.properties.insert(name, text)),
                    None if self.manner.clear_nulls => drop(self.properties.insert(name, String::new())),
                    None => {}
                }
            }
            Field::Reference(reference) => {
                for value in texts(value, reference.several)? {
                    self.wish(reference.to.clone(), reference.mark, value, None)?;
                }
            }
            Field::Label(to) => {
                if let Some(label) = texts(value, false)?.pop() {
                    self.labels.insert(to, label);
                }
            }
            Field::Associations => self.associations(value)?,
            Field::Expanded => {
                let members: BTreeMap<String, Box<RawValue>> = match value.get() {
                    "null" => BTreeMap::new(),
                    text => serde_json::from_str(text).map_err(|_| "it is no object of properties".to_owned())?,
                };
                for (member, value) in &members {
                    if self.plan.meaning(member) != Field::Expanded {
                        self.take(member, value).map_err(|reason| format!("{member}: {reason}"))?;
                    }
                }
            }
            Field::OwnId => self.own_id = texts(value, false)?.pop(),
            Field::Nothing => {}
            Field::Unknown if value.get() == "null" => {}
            Field::Unknown => {
                let (of, portal) = (&self.plan.object_type, self.manner.portal_id);
                let hint = self.plan.definitions.hint(field);
                return Err(format!("the {of} of portal {portal} have no property {field}{hint}; {WHERE_TO_MAP}"));
            }
        }
        Ok(())
    }

    fn wish(&mut self, to: ObjectType, mark: Mark, value: String, label: Option<String>) -> Result<(), String> {
        let value = match mark {
            Mark::Id => id_of(&value)?,
            Mark::Email | Mark::Domain => value.to_lowercase(),
            Mark::Name => value,
        };
        self.wishes.push(Wish { to, mark, value, label });
        Ok(())
    }

    /// `[{"object_type": "contacts", "id" | "email" | "domain" | "name": "…", "label": "…"}]`
    fn associations(&mut self, value: &RawValue) -> Result<(), String> {
        let listed: Option<Vec<Value>> =
            serde_json::from_str(value.get()).map_err(|_| "it is no list of associations".to_owned())?;
        for one in listed.into_iter().flatten() {
            let text = |member: &str| match &one[member] {
                Value::String(text) => Some(text.trim().to_owned()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            };
            let to = text("object_type").map(|name| ObjectType::named(&name));
            let to = to.filter(|to| super::delivery::rank(to) < super::delivery::rank(&self.plan.object_type));
            let to = to.ok_or_else(|| {
                format!("object_type of {one} is nothing that comes before {}", self.plan.object_type)
            })?;
            let marks = [("id", Mark::Id), ("email", Mark::Email), ("domain", Mark::Domain), ("name", Mark::Name)];
            let named = marks.into_iter().find_map(|(member, mark)| Some((mark, text(member)?)));
            let (mark, value) = named.ok_or_else(|| format!("{one} names no id, email, domain or name"))?;
            self.wish(to, mark, value, text("label"))?;
        }
        Ok(())
    }

    /// What the record is found by.
    fn key(&mut self, record: &Record, line: u64) -> Result<Option<String>, String> {
        for key in &self.plan.key_properties {
            if record.fields.get(key).is_none_or(|value| value.get() == "null") {
                return Err(format!("{key}: the key is missing"));
            }
        }
        let value = |name: &str| self.properties.get(name).filter(|value| !value.is_empty()).cloned();
        match &self.plan.matched {
            Match::Unique(name) => {
                let value = value(name).map(|value| value.trim().to_lowercase());
                value
                    .map(Some)
                    .ok_or_else(|| format!("{name}: it is missing, and {} are found by it", self.plan.object_type))
            }
            Match::Domain(_) => {
                let value = value("domain").map(|value| value.trim().to_lowercase());
                value.map(Some).ok_or_else(|| "domain: it is missing, and companies are found by it".to_owned())
            }
            Match::Id => match self.own_id.take() {
                Some(id) => id_of(&id).map(Some).map_err(|reason| format!("hs_object_id: {reason}")),
                None => Err("hs_object_id: it is missing, and records are found by it".to_owned()),
            },
            Match::DealName => match value("dealname") {
                None => Err("dealname: it is missing, and deals are found by it".to_owned()),
                Some(_) if !self.wishes.iter().any(|wish| wish.to == ObjectType::CONTACTS) => Err("contactId or \
                     contactEmail: it is missing, and deals are found among those of their contact; or set id_property \
                     to a unique property"
                    .to_owned()),
                name => Ok(name),
            },
            Match::Once(name) => {
                let given = record.delivery_key.clone().or_else(|| self.properties.remove(name));
                Ok(Some(given.unwrap_or_else(|| delivery_key(self.plan, record, line, self.manner.delivery_id))))
            }
            Match::Never => Ok(None),
        }
    }
}

/// The key by which a ticket is known: `STREAM/KEY` or `DELIVERY/LINE`; what is long or not plain is hashed, so that
/// HubSpot's folding of case joins no two.
fn delivery_key(plan: &StreamPlan, record: &Record, line: u64, delivery_id: Option<&str>) -> String {
    let parts: Vec<&str> = match plan.key_properties.is_empty() {
        true => Vec::new(),
        false => plan.key_properties.iter().filter_map(|key| Some(record.fields.get(key)?.get())).collect(),
    };
    let key = match parts.as_slice() {
        [] => format!("{}/{line}", delivery_id.unwrap_or_default()),
        [one] => format!("{}/{}", plan.stream, one.trim_matches('"')),
        several => format!("{}/[{}]", plan.stream, several.join(",")),
    };
    let plain = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || "/._-:@".contains(one);
    if key.len() <= MAX_KEY && key.chars().all(plain) {
        return key;
    }
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The texts in a field: one, a list of them, or several with commas or semicolons between.
fn texts(value: &RawValue, several: bool) -> Result<Vec<String>, String> {
    let value: Value = serde_json::from_str(value.get()).map_err(|error| error.to_string())?;
    let plain = |value: &Value| match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Ok(String::new()),
        other => Err(format!("{other} is neither a text nor a number")),
    };
    let texts = match &value {
        Value::Array(members) if several => members.iter().map(plain).collect::<Result<Vec<_>, _>>()?,
        Value::String(text) if several => text.split([',', ';']).map(|one| one.trim().to_owned()).collect(),
        value => vec![plain(value)?],
    };
    Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
}
