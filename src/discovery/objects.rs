//! What the setting `objects` names: HubSpot's own types by name, the portal's custom objects by id, name or glob.

use super::choices::matches;
use super::stream_set::{StreamSet, stream_name};
use crate::client::{ObjectSchema, ObjectType};
use crate::config::{ConfigError, nearest_of};

/// The setting `objects`, as far as it can be understood without the portal.
#[derive(Debug, Clone, Default)]
pub struct ObjectChoice {
    standard: Vec<ObjectType>,
    /// Names, ids and globs of custom objects.
    custom: Vec<String>,
}

impl ObjectChoice {
    /// Reads the setting.
    pub fn new(names: &[String]) -> Self {
        let mut choice = Self::default();
        for name in names {
            match ObjectType::parse(name) {
                object_type if object_type.is_standard() => choice.standard.push(object_type),
                _ => choice.custom.push(name.trim().to_owned()),
            }
        }
        choice
    }

    /// Whether only the schemas of the portal tell what is meant.
    pub fn needs_schemas(&self) -> bool {
        !self.custom.is_empty()
    }

    /// What cannot be told without the schemas.
    pub fn custom(&self) -> &[String] {
        &self.custom
    }

    /// The streams of HubSpot's own types alone.
    pub fn standard_streams(&self) -> StreamSet {
        let mut streams = StreamSet::default();
        for object_type in &self.standard {
            streams.ask_for(object_type.as_str(), object_type);
        }
        streams
    }

    /// The names of the setting, and the plurals of HubSpot's own types, that no stream of a catalog has.
    pub fn missing_in(&self, streams: &StreamSet) -> Vec<&str> {
        let has = |wanted: &ObjectType| streams.of_objects().any(|(_, object_type)| object_type == wanted);
        let standard = self.standard.iter().filter(|one| !has(one)).map(ObjectType::as_str);
        // The short name of a custom object is the end of its stream's name.
        let is_there = |pattern: &str| {
            let pattern = stream_name_or_glob(pattern);
            streams.of_objects().any(|(stream, object_type)| {
                let short = stream.name.split_once('_').map_or("", |(_, short)| short);
                [stream.name, short, &stream_name_or_glob(object_type.as_str())]
                    .iter()
                    .any(|one| matches(&pattern, one))
            })
        };
        standard.chain(self.custom.iter().map(String::as_str).filter(|pattern| !is_there(pattern))).collect()
    }

    /// All streams that are asked for, with a sentence for each name that means nothing in this portal.
    ///
    /// # Errors
    /// For a plain name that is no type's: it is misspelled.
    pub fn streams(&self, schemas: &[ObjectSchema]) -> Result<(StreamSet, Vec<String>), ConfigError> {
        let mut streams = self.standard_streams();
        let mut unknown = Vec::new();
        for pattern in &self.custom {
            let meant: Vec<&ObjectSchema> = schemas.iter().filter(|schema| is_meant(pattern, schema)).collect();
            if meant.is_empty() {
                unknown.push(unknown_object(pattern, schemas)?);
            }
            for schema in meant {
                streams.ask_for(&schema.fully_qualified_name, &ObjectType::parse(&schema.object_type_id));
            }
        }
        Ok((streams, unknown))
    }
}

/// Whether an id, a name or a glob means a custom object; names are compared without case.
fn is_meant(pattern: &str, schema: &ObjectSchema) -> bool {
    let pattern = pattern.to_lowercase();
    let names = [&schema.object_type_id, &schema.fully_qualified_name, &schema.name];
    names.into_iter().any(|name| matches(&pattern, &name.to_lowercase()))
        || pattern == stream_name(&schema.fully_qualified_name)
}

/// A name as streams have it, with what makes it a glob left in place.
fn stream_name_or_glob(pattern: &str) -> String {
    let parts = pattern.split_inclusive(['*', '?']);
    parts
        .map(|part| match part.strip_suffix(['*', '?']) {
            Some(plain) => stream_name(plain) + &part[plain.len()..],
            None => stream_name(part),
        })
        .collect()
}

/// What is said of a name that no schema has.
fn unknown_object(pattern: &str, schemas: &[ObjectSchema]) -> Result<String, ConfigError> {
    let is_glob = pattern.contains(['*', '?']);
    if is_glob || ObjectType::parse(pattern).is_custom() {
        let known: Vec<&str> = schemas.iter().map(|schema| schema.fully_qualified_name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Ok(format!(
            "the portal has no custom object that is {pattern:?} of the setting objects, so that there is no stream of it; it has {known}"
        ));
    }
    let own = schemas.iter().map(|schema| schema.name.as_str());
    let nearest = nearest_of(pattern, ObjectType::standard_names().map(|name| -> &str { name }).chain(own));
    let nearest = nearest.map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
    let known = ObjectType::standard_names().collect::<Vec<_>>().join(", ");
    let constraint = format!(
        "{pattern:?} is neither a type of HubSpot's nor a custom object of the portal{nearest} The types are {known}; custom objects go by id (2-1234567), name or glob"
    );
    Err(ConfigError::Invalid { field: "objects".to_owned(), constraint })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemas() -> Vec<ObjectSchema> {
        let schema = |id: &str, name: &str| ObjectSchema {
            object_type_id: id.to_owned(),
            fully_qualified_name: format!("p1_{name}"),
            name: name.to_owned(),
        };
        vec![schema("2-7", "cars"), schema("2-8", "Service.Contracts")]
    }

    fn streams_of(names: &[&str]) -> (Vec<&'static str>, usize) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (streams, unknown) = ObjectChoice::new(&names).streams(&schemas()).expect("known names");
        let asked = streams.iter().filter(|stream| streams.is_asked(stream)).map(|stream| stream.name);
        (asked.collect(), unknown.len())
    }

    #[test]
    fn an_id_a_qualified_name_and_a_glob_of_one_type_give_one_stream() {
        assert_eq!(streams_of(&["2-7", "p1_cars", "car*", "CARS"]), (vec!["p1_cars"], 0));
        assert_eq!(streams_of(&["*"]), (vec!["p1_cars", "p1_service_contracts"], 0));
        assert_eq!(streams_of(&["p1_service_contracts"]), (vec!["p1_service_contracts"], 0));
        assert_eq!(streams_of(&["note", "0-46", "contacts"]), (vec!["contacts", "notes"], 0));
    }

    #[test]
    fn a_name_that_means_nothing_is_told_and_a_misspelled_one_refused() {
        for gone in ["2-99", "p1_boats", "boat*"] {
            assert_eq!(streams_of(&[gone]), (vec![], 1), "{gone}");
        }
        let said = ObjectChoice::new(&["nots".to_owned()]).streams(&schemas()).expect_err("refused").to_string();
        assert!(said.contains("objects") && said.contains("did you mean \"notes\"?"), "{said}");
    }
}
