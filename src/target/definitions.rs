//! What a portal lets into the properties of one object type.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::client::{Client, ClientError, ObjectType, Pipeline, Property};
use crate::property::{Kind, column_name};

/// Characters of a text property.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide>
const MAX_TEXT: u32 = 65_536;
/// Up to this much of what a validator says is told.
const MAX_SAID: usize = 300;
/// Kinds of sensitive properties, which few tokens may see.
const SENSITIVE: [&str; 2] = ["sensitive", "highly_sensitive"];

/// One property.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) kind: Kind,
    /// Holds any number of its options.
    pub(super) several: bool,
    /// Holds JSON.
    pub(super) structured: bool,
    /// HubSpot folds its case.
    pub(super) folded: bool,
    pub(super) read_only: bool,
    pub(super) unique: bool,
    schema: Value,
}

/// All properties of a type.
#[derive(Debug)]
pub(super) struct Definitions {
    pub(super) by_name: HashMap<String, Definition>,
    /// Properties whose column has another name.
    columns: HashMap<String, String>,
    /// Each pipeline and its first stage, in the order in which HubSpot shows them.
    first_stages: Vec<(String, String)>,
}

/// A validator of whole records.
#[derive(Debug)]
pub(super) struct Rules {
    validator: Validator,
    several: Vec<String>,
}

impl Definitions {
    /// Reads them from the portal.
    ///
    /// # Errors
    /// Any [`ClientError`] but the refusal of sensitive ones.
    pub(super) async fn read(client: &Client, object_type: &ObjectType) -> Result<Self, ClientError> {
        let plain = client.list_properties(object_type, "non_sensitive");
        let sensitive = join_all(SENSITIVE.iter().map(|kind| client.list_properties(object_type, kind)));
        let stages = async {
            match stage_properties(object_type) {
                Some(_) => client.list_pipelines(object_type).await,
                None => Ok(Vec::new()),
            }
        };
        let (plain, sensitive, stages) = futures_util::future::join3(plain, sensitive, stages).await;
        let mut properties = plain?;
        for answer in sensitive {
            match answer {
                Ok(found) => properties.extend(found),
                // Portals without the feature and tokens without the scope are refused.
                Err(ClientError::MissingScopes { .. } | ClientError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self::of(object_type, &properties, &stages?))
    }

    fn of(object_type: &ObjectType, properties: &[Property], pipelines: &[Pipeline]) -> Self {
        let mut by_name = HashMap::new();
        let mut columns = HashMap::new();
        for property in properties {
            let column = column_name(&property.name);
            if column != property.name {
                columns.insert(column.into_owned(), property.name.clone());
            }
            by_name.insert(property.name.clone(), definition(object_type, property));
        }
        if let Some((pipeline, stage)) = stage_properties(object_type) {
            let pipeline_ids: Vec<&str> = pipelines.iter().map(|one| one.id.as_str()).collect();
            let stage_ids: Vec<&str> =
                pipelines.iter().flat_map(|one| &one.stages).map(|one| one.id.as_str()).collect();
            for (name, ids) in [(pipeline, pipeline_ids), (stage, stage_ids)] {
                if let Some(known) = by_name.get_mut(name).filter(|_| !ids.is_empty()) {
                    known.schema = json!({"enum": ids});
                }
            }
        }
        // HubSpot lists them in any order; people see them in this one.
        let order = |other: &Map<String, Value>| {
            let archived = other.get("archived") == Some(&Value::Bool(true));
            (archived, other.get("displayOrder").and_then(Value::as_i64).unwrap_or(i64::MAX))
        };
        let mut shown: Vec<&Pipeline> = pipelines.iter().collect();
        shown.sort_by_key(|one| order(&one.other));
        let first_stage = |one: &Pipeline| Some(one.stages.iter().min_by_key(|stage| order(&stage.other))?.id.clone());
        let first_stages = shown.into_iter().filter_map(|one| Some((one.id.clone(), first_stage(one)?))).collect();
        Self { by_name, columns, first_stages }
    }

    /// Puts a new record that names no stage into the first one of its pipeline, or of the portal's first pipeline.
    pub(super) fn set_first_stage(&self, object_type: &ObjectType, properties: &mut BTreeMap<String, String>) {
        let Some((pipeline, stage)) = stage_properties(object_type) else { return };
        let given = |name: &str| properties.get(name).filter(|value| !value.is_empty()).cloned();
        if given(stage).is_some() {
            return;
        }
        let chosen = match given(pipeline) {
            Some(id) => self.first_stages.iter().find(|(known, _)| *known == id),
            None => self.first_stages.first(),
        };
        if let Some((id, first)) = chosen {
            properties.insert(pipeline.to_owned(), id.clone());
            properties.insert(stage.to_owned(), first.clone());
        }
    }

    /// The property that a field's name means: its own name, or the column that the tap gives it.
    pub(super) fn named(&self, field: &str) -> Option<&str> {
        match self.by_name.get_key_value(field) {
            Some((name, _)) => Some(name),
            None => self.columns.get(field).map(String::as_str),
        }
    }

    /// The JSON Schema of records whose properties are texts, lists where there are several, and of which `required`
    /// must be there.
    pub(super) fn schema(&self, required: &[String]) -> Value {
        let mut names: Vec<(&String, &Definition)> = self.by_name.iter().collect();
        names.sort_by_key(|(name, _)| *name);
        let properties: Map<String, Value> = names
            .into_iter()
            .map(|(name, definition)| {
                let mut schema = definition.schema.clone();
                if definition.read_only {
                    schema["readOnly"] = true.into();
                }
                (name.clone(), schema)
            })
            .collect();
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "required": required,
        })
    }

    /// The schema, ready to validate.
    pub(super) fn rules(&self, required: &[String]) -> Rules {
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&self.schema(required))
            .expect("the schema is made of plain parts, as a test shows");
        let several = self.by_name.iter().filter(|(_, one)| one.several).map(|(name, _)| name.clone()).collect();
        Rules { validator, several }
    }
}

impl Rules {
    /// Everything that is wrong with a record, in words; none when it is right. Empty values clear and are always
    /// right, but not for what is required.
    pub(super) fn faults(&self, properties: &BTreeMap<String, String>) -> Option<String> {
        let instance: Map<String, Value> = properties
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| match self.several.contains(name) {
                true => {
                    let members = value.split(';').filter(|one| !one.is_empty()).map(Value::from).collect();
                    (name.clone(), Value::Array(members))
                }
                false => (name.clone(), value.as_str().into()),
            })
            .collect();
        let instance = Value::Object(instance);
        let faults: Vec<String> = self
            .validator
            .iter_errors(&instance)
            .map(|error| {
                let pointer = error.instance_path().to_string();
                let name = pointer.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
                let said: String = error.to_string().chars().take(MAX_SAID).collect();
                if name.is_empty() { said } else { format!("{name}: {said}") }
            })
            .collect();
        (!faults.is_empty()).then(|| faults.join("; "))
    }
}

/// The properties of pipeline and stage of the types that have pipelines.
pub(super) fn stage_properties(object_type: &ObjectType) -> Option<(&'static str, &'static str)> {
    match object_type.as_str() {
        "tickets" => Some(("hs_pipeline", "hs_pipeline_stage")),
        "deals" => Some(("pipeline", "dealstage")),
        _ => None,
    }
}

fn definition(object_type: &ObjectType, property: &Property) -> Definition {
    let other = |name: &str| property.other.get(name).unwrap_or(&Value::Null);
    let is_email = property.name == "email" && *object_type == ObjectType::CONTACTS;
    let several = property.hubspot_type == "enumeration" && property.field_type == "checkbox";
    let options: Vec<&str> = match other("externalOptions") == true {
        true => Vec::new(),
        false => other("options").as_array().into_iter().flatten().filter_map(|one| one["value"].as_str()).collect(),
    };
    let schema = match property.hubspot_type.as_str() {
        "number" => json!({"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?([eE][-+]?[0-9]+)?$"}),
        "bool" => json!({"enum": ["true", "false"]}),
        "date" => json!({"type": "string", "format": "date"}),
        "datetime" => json!({"type": "string", "format": "date-time"}),
        "enumeration" if several && !options.is_empty() => json!({"type": "array", "items": {"enum": options}}),
        "enumeration" if several => json!({"type": "array"}),
        "enumeration" if !options.is_empty() => json!({"enum": options}),
        _ if is_email => json!({"type": "string", "format": "email"}),
        _ => json!({"type": "string", "maxLength": MAX_TEXT}),
    };
    Definition {
        kind: Kind::of_hubspot(&property.hubspot_type),
        several,
        structured: matches!(property.hubspot_type.as_str(), "json" | "object_coordinates"),
        folded: is_email,
        read_only: other("calculated") == true || other("modificationMetadata")["readOnlyValue"] == true,
        unique: other("hasUniqueValue") == true || is_email,
        schema,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definitions() -> Definitions {
        let properties: Vec<Property> = serde_json::from_value(json!([
            {"name": "email", "type": "string"},
            {"name": "amount", "type": "number"},
            {"name": "since", "type": "date"},
            {"name": "at", "type": "datetime"},
            {"name": "vip", "type": "bool"},
            {"name": "status", "type": "enumeration", "options": [{"value": "new"}, {"value": "old"}]},
            {"name": "tags", "type": "enumeration", "fieldType": "checkbox", "options": [{"value": "a"}, {"value": "b"}]},
            {"name": "score", "type": "number", "calculated": true},
        ]))
        .expect("definitions");
        Definitions::of(&ObjectType::CONTACTS, &properties, &[])
    }

    fn faults(pairs: &[(&str, &str)]) -> Option<String> {
        let record = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        definitions().rules(&["email".to_owned()]).faults(&record)
    }

    #[test]
    fn what_hubspot_takes_has_no_faults() {
        let record = [
            ("email", "a@b.example"),
            ("amount", "1.50"),
            ("since", "2024-02-29"),
            ("at", "2024-01-01T00:00:00.000Z"),
            ("vip", "true"),
            ("status", "new"),
            ("tags", "a;b"),
        ];
        assert_eq!(faults(&record), None);
    }

    #[test]
    fn each_fault_names_its_property() {
        for (name, value) in [
            ("amount", "ten"),
            ("since", "2023-02-29"),
            ("at", "soon"),
            ("vip", "maybe"),
            ("status", "NEW"),
            ("tags", "a;c"),
            ("email", "nobody"),
        ] {
            let mut record = vec![(name, value)];
            if name != "email" {
                record.push(("email", "a@b.example"));
            }
            let said = faults(&record).unwrap_or_default();
            assert!(said.starts_with(&format!("{name}: ")), "{name}={value}: {said}");
        }
        assert!(faults(&[("vip", "true")]).expect("a fault").contains("email"), "required");
    }

    #[test]
    fn computed_properties_are_read_only() {
        let definitions = definitions();
        assert!(definitions.by_name["score"].read_only && !definitions.by_name["amount"].read_only);
        assert_eq!(definitions.schema(&[])["properties"]["score"]["readOnly"], true);
    }
}
