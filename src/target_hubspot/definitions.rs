//! What a portal lets into the properties of one object type.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::Value;

use super::field_names::folded;
use super::portal_rules::{PortalRules, PortalRulesResult};
use super::property_definition::{Options, PropertyDefinition};
use super::wording::PropertyOption;
use crate::client::{Client, ClientError, ObjectType, Pipeline, Property};
use crate::property::column_name;

/// A name that is no more different than this is suggested.
const SIMILAR_ENOUGH: f64 = 0.85;
/// Kinds of sensitive properties, which few tokens may see.
const SENSITIVE: [&str; 2] = ["sensitive", "highly_sensitive"];

/// All properties of a type.
#[derive(Debug)]
pub(super) struct PropertyDefinitions {
    pub(super) by_name: Arc<HashMap<String, PropertyDefinition>>,
    /// Properties whose column has another name.
    columns: HashMap<String, String>,
    /// Each pipeline and its first stage, in the order in which HubSpot shows them.
    first_stages: Vec<(String, String)>,
    object_type: ObjectType,
    portal_rules: Arc<PortalRules>,
}

/// A validator of whole records.
#[derive(Debug)]
pub(super) struct RecordValidator {
    by_name: Arc<HashMap<String, PropertyDefinition>>,
    portal_rules: Arc<PortalRules>,
    object_type: ObjectType,
    required: Vec<String>,
}

impl PropertyDefinitions {
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
        Ok(Self::of(object_type, &properties, stages?))
    }

    fn of(object_type: &ObjectType, properties: &[Property], mut pipelines: Vec<Pipeline>) -> Self {
        // HubSpot lists them in any order; people see them in this one.
        let order = |other: &serde_json::Map<String, Value>| {
            let archived = other.get("archived") == Some(&Value::Bool(true));
            (archived, other.get("displayOrder").and_then(Value::as_i64).unwrap_or(i64::MAX))
        };
        pipelines.sort_by_key(|pipeline| order(&pipeline.other));
        for pipeline in &mut pipelines {
            pipeline.stages.sort_by_key(|stage| order(&stage.other));
        }
        let mut by_name = HashMap::new();
        let mut columns = HashMap::new();
        for property in properties {
            let column = column_name(&property.name);
            if column != property.name {
                columns.insert(column.into_owned(), property.name.clone());
            }
            by_name.insert(property.name.clone(), PropertyDefinition::of(object_type, property));
        }
        if let Some((pipeline, stage)) = stage_properties(object_type) {
            for (name, choices) in [(pipeline, pipeline_choices(&pipelines)), (stage, stage_choices(&pipelines))] {
                if let Some(known) = by_name.get_mut(name).filter(|_| !choices.is_empty()) {
                    known.options = Options::Listed(choices);
                }
            }
        }
        let first_stages =
            pipelines.iter().filter_map(|one| Some((one.id.clone(), one.stages.first()?.id.clone()))).collect();
        Self {
            by_name: Arc::new(by_name),
            columns,
            first_stages,
            object_type: object_type.clone(),
            portal_rules: Arc::default(),
        }
    }

    /// Applies the portal's own validation rules, too, where HubSpot lists them.
    ///
    /// # Errors
    /// Any [`ClientError`] but a refusal, which is logged.
    pub(super) async fn learn_portal_rules(
        &mut self,
        client: &Client,
        object_type: &ObjectType,
    ) -> Result<(), ClientError> {
        match PortalRules::read(client, object_type).await? {
            PortalRulesResult::Read(rules) => self.portal_rules = Arc::new(rules),
            PortalRulesResult::Unavailable(reason) => {
                tracing::warn!("the validation rules of {object_type} are not checked: {reason}");
            }
            PortalRulesResult::NotSupported => {}
        }
        Ok(())
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

    /// `; did you mean "email"` of a name that is a property's label or nearly a property's name, else nothing.
    pub(super) fn hint(&self, name: &str) -> String {
        let name = folded(name);
        let similar = self.by_name.iter().map(|(known, definition)| match folded(&definition.label) == name {
            true => (1.0, known),
            false => (strsim::jaro_winkler(&name, &folded(known)), known),
        });
        let nearest = similar.filter(|(similarity, _)| *similarity > SIMILAR_ENOUGH);
        let nearest = nearest
            .max_by(|(one, one_name), (other, other_name)| one.total_cmp(other).then_with(|| other_name.cmp(one_name)));
        nearest.map_or_else(String::new, |(_, known)| format!("; did you mean {known:?}"))
    }

    /// A validator of records of which `required` properties must be there.
    pub(super) fn rules(&self, required: &[String]) -> RecordValidator {
        RecordValidator {
            by_name: self.by_name.clone(),
            portal_rules: self.portal_rules.clone(),
            object_type: self.object_type.clone(),
            required: required.to_vec(),
        }
    }
}

impl RecordValidator {
    /// A sentence with everything that is wrong with a record; none when it is valid. Empty values clear and are always
    /// right, but not for what is required.
    pub(super) fn faults(&self, properties: &BTreeMap<String, String>) -> Option<String> {
        let given = |name: &String| properties.get(name).is_some_and(|value| !value.is_empty());
        let missing: Vec<&str> = self.required.iter().filter(|name| !given(name)).map(String::as_str).collect();
        let mut faults = Vec::new();
        if !missing.is_empty() {
            let (of, them) = (&self.object_type, if missing.len() > 1 { "them" } else { "it" });
            faults.push(format!("{}: missing, and new {of} must have {them} (setting required)", missing.join(", ")));
        }
        for (name, value) in properties.iter().filter(|(_, value)| !value.is_empty()) {
            let of_type = self.by_name.get(name).and_then(|definition| definition.fault(value));
            let fault = of_type.or_else(|| self.portal_rules.fault(name, value));
            faults.extend(fault.map(|fault| format!("{name}: {fault}")));
        }
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

fn pipeline_choices(pipelines: &[Pipeline]) -> Vec<PropertyOption> {
    let choices = pipelines.iter().map(|pipeline| PropertyOption {
        value: pipeline.id.clone(),
        label: pipeline.other.get("label").and_then(Value::as_str).unwrap_or_default().to_owned(),
    });
    choices.collect()
}

fn stage_choices(pipelines: &[Pipeline]) -> Vec<PropertyOption> {
    let label = |other: &serde_json::Map<String, Value>| {
        other.get("label").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let several = pipelines.len() > 1;
    let choices = pipelines.iter().flat_map(|pipeline| {
        pipeline.stages.iter().map(move |stage| PropertyOption {
            value: stage.id.clone(),
            label: match several {
                true => format!("{} of {}", label(&stage.other), label(&pipeline.other)),
                false => label(&stage.other),
            },
        })
    });
    choices.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definitions() -> PropertyDefinitions {
        let properties: Vec<Property> = serde_json::from_value(json!([
            {"name": "email", "type": "string"},
            {"name": "amount", "type": "number"},
            {"name": "since", "type": "date"},
            {"name": "at", "type": "datetime"},
            {"name": "vip", "type": "bool"},
            {"name": "status", "type": "enumeration", "options": [{"value": "new", "label": "Fresh"}, {"value": "old"}]},
            {"name": "tags", "type": "enumeration", "fieldType": "checkbox", "options": [{"value": "a"}, {"value": "b"}]},
            {"name": "score", "type": "number", "calculated": true},
        ]))
        .expect("definitions");
        PropertyDefinitions::of(&ObjectType::CONTACTS, &properties, Vec::new())
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
    fn each_fault_names_its_property_the_value_and_what_to_write() {
        for (name, value, says) in [
            ("amount", "ten", "\"ten\" is no number"),
            ("since", "2023-02-29", "\"2023-02-29\" is no date; write it as YYYY-MM-DD"),
            ("at", "soon", "\"soon\" is no date and time"),
            ("vip", "maybe", "\"maybe\" is neither true nor false"),
            ("status", "NEW", "\"NEW\" is none of its options; write one of new (Fresh), old"),
            ("tags", "a;c", "\"c\" is none of its options; write one of a, b"),
            ("email", "nobody", "\"nobody\" is no e-mail address"),
            ("email", "Ann <a@b.example>", "\"Ann <a@b.example>\" is no e-mail address"),
        ] {
            let mut record = vec![(name, value)];
            if name != "email" {
                record.push(("email", "a@b.example"));
            }
            let said = faults(&record).unwrap_or_default();
            assert!(said.starts_with(&format!("{name}: {says}")), "{name}={value}: {said}");
        }
        let said = faults(&[("vip", "true")]).expect("a fault");
        assert!(said.starts_with("email: missing, and new contacts must have it"), "{said}");
    }

    #[test]
    fn computed_properties_are_read_only() {
        let definitions = definitions();
        assert!(definitions.by_name["score"].read_only && !definitions.by_name["amount"].read_only);
    }

    #[test]
    fn a_new_ticket_enters_the_first_stage_that_people_see() {
        let pipelines: Vec<Pipeline> = serde_json::from_value(json!([
            {"id": "9", "displayOrder": 1, "stages": [{"id": "91", "displayOrder": 0}]},
            {"id": "0", "displayOrder": 0, "stages": [{"id": "4", "displayOrder": 3}, {"id": "1", "displayOrder": 0}]},
        ]))
        .expect("pipelines");
        let pipelines = pipelines.into_iter().map(Pipeline::with_stages).collect();
        let definitions = PropertyDefinitions::of(&ObjectType::TICKETS, &[], pipelines);
        let mut properties = BTreeMap::new();
        definitions.set_first_stage(&ObjectType::TICKETS, &mut properties);
        assert_eq!(properties["hs_pipeline"], "0");
        assert_eq!(properties["hs_pipeline_stage"], "1");
    }
}
