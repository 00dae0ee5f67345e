//! One property definition, and its JSON in HubSpot's API.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clock::instant_text;

/// One property definition. Fields that are not set take what HubSpot gives a new custom property.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PropertyDef {
    /// Internal name, the key in `properties`.
    pub name: String,
    /// Name shown to people.
    pub label: String,
    /// `string`, `number`, `bool`, `enumeration`, `date`, `datetime`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// `text`, `select`, `calculation_equation`, ...
    pub field_type: String,
    /// Help text.
    pub description: String,
    /// Property group.
    pub group_name: String,
    /// Value and label of each option.
    pub options: Vec<(String, String)>,
    /// Computed by HubSpot.
    pub calculated: bool,
    /// Options live elsewhere (owners, pipelines).
    pub external_options: bool,
    /// No two records share a value.
    pub has_unique_value: bool,
    /// Not shown in the user interface.
    pub hidden: bool,
    /// Defined by HubSpot rather than by the portal.
    pub hubspot_defined: bool,
    /// Cannot be written.
    pub read_only: bool,
    /// `non_sensitive`, `sensitive` or `highly_sensitive`.
    pub data_sensitivity: String,
    /// `OWNER`, `COMPANY`, ...
    pub referenced_object_type: Option<String>,
    /// Type and arguments of each validation rule that the portal's admins set: `MIN_LENGTH` and `["3"]`.
    pub validations: Vec<(String, Vec<String>)>,
    /// Whether the property was archived, and when (epoch milliseconds).
    #[serde(skip)]
    pub archived_at: Option<i64>,
    /// When it was defined (epoch milliseconds); missing on some of HubSpot's own.
    #[serde(skip)]
    pub created_at: Option<i64>,
    /// When the definition last changed (epoch milliseconds).
    #[serde(skip)]
    pub updated_at: Option<i64>,
}

impl Default for PropertyDef {
    fn default() -> Self {
        Self {
            name: String::new(),
            label: String::new(),
            kind: "string".to_owned(),
            field_type: "text".to_owned(),
            description: String::new(),
            group_name: String::new(),
            options: Vec::new(),
            calculated: false,
            external_options: false,
            has_unique_value: false,
            hidden: false,
            hubspot_defined: false,
            read_only: false,
            data_sensitivity: "non_sensitive".to_owned(),
            referenced_object_type: None,
            validations: Vec::new(),
            archived_at: None,
            created_at: None,
            updated_at: None,
        }
    }
}

impl PropertyDef {
    /// A custom property with a label made from its name.
    pub fn new(name: &str, kind: &str, field_type: &str) -> Self {
        let mut label = name.replace('_', " ");
        if let Some(first) = label.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        let boolean = kind == "bool";
        Self {
            name: name.to_owned(),
            label,
            kind: kind.to_owned(),
            field_type: field_type.to_owned(),
            options: if boolean { options(&["true=True", "false=False"]) } else { Vec::new() },
            ..Self::default()
        }
    }

    /// The same property with these `value=label` options.
    #[must_use]
    pub fn with_options(mut self, pairs: &[&str]) -> Self {
        self.options = options(pairs);
        self
    }

    pub(crate) fn to_json(&self, display_order: usize) -> Value {
        let mut out = Map::new();
        if let Some(at) = self.updated_at {
            out.insert("updatedAt".to_owned(), json!(instant_text(at)));
        }
        if let Some(at) = self.created_at {
            out.insert("createdAt".to_owned(), json!(instant_text(at)));
        }
        let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
        put("name", json!(self.name));
        put("label", json!(self.label));
        put("type", json!(self.kind));
        put("fieldType", json!(self.field_type));
        put("description", json!(self.description));
        put("groupName", json!(self.group_name));
        put("options", self.options_json());
        if let Some(referenced) = &self.referenced_object_type {
            put("referencedObjectType", json!(referenced));
        }
        put("displayOrder", if self.hidden { json!(-1) } else { json!(display_order) });
        put("calculated", json!(self.calculated));
        put("externalOptions", json!(self.external_options));
        // Definitions in force come without the member.
        if let Some(at) = self.archived_at {
            put("archived", json!(true));
            put("archivedAt", json!(instant_text(at)));
        }
        put("hasUniqueValue", json!(self.has_unique_value));
        put("hidden", json!(self.hidden));
        put("hubspotDefined", json!(self.hubspot_defined));
        if self.group_name == "ticketinformation" && self.name.contains("amount") {
            put("showCurrencySymbol", json!(true));
        }
        let mut metadata = json!({
            "archivable": true,
            "readOnlyDefinition": self.hubspot_defined,
        });
        if self.kind == "enumeration" && !self.external_options {
            metadata["readOnlyOptions"] = json!(self.read_only);
        }
        metadata["readOnlyValue"] = json!(self.read_only);
        put("modificationMetadata", metadata);
        put("formField", json!(!self.hubspot_defined));
        if self.calculated && self.field_type == "calculation_equation" {
            put("calculationFormula", json!("null"));
        }
        put("dataSensitivity", json!(self.data_sensitivity));
        Value::Object(out)
    }

    fn options_json(&self) -> Value {
        let options = self.options.iter().enumerate().map(|(order, (value, label))| {
            json!({"label": label, "value": value, "description": "", "displayOrder": order, "hidden": false})
        });
        Value::Array(options.collect())
    }
}

fn options(pairs: &[&str]) -> Vec<(String, String)> {
    pairs.iter().filter_map(|pair| pair.split_once('=')).map(owned).collect()
}

pub(crate) fn owned((value, label): (&str, &str)) -> (String, String) {
    (value.to_owned(), label.to_owned())
}
