//! Property definitions of one object type, HubSpot's own and the portal's.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clock::{Millis, instant_text, parse_instant};
use crate::object_type::ObjectType;
use crate::pipelines::Stage;
use crate::record::Slot;

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
    pairs.iter().filter_map(|pair| pair.split_once('=')).map(own).collect()
}

fn own((value, label): (&str, &str)) -> (String, String) {
    (value.to_owned(), label.to_owned())
}

/// All definitions of one object type. A slot is never reused: a property defined again after it
/// was archived has a new one, so that old values do not show through.
#[derive(Clone, Debug)]
pub(crate) struct Properties {
    defs: Vec<PropertyDef>,
    by_name: HashMap<String, Slot>,
}

impl Properties {
    pub(crate) fn hubspot_defined(kind: ObjectType) -> Self {
        let table = match kind {
            ObjectType::Tickets => include_str!("definitions/tickets.tsv"),
            ObjectType::Contacts => include_str!("definitions/contacts.tsv"),
            ObjectType::Companies => include_str!("definitions/companies.tsv"),
            ObjectType::Deals => include_str!("definitions/deals.tsv"),
            _ => include_str!("definitions/engagements.tsv"),
        };
        let mut properties = Self { defs: Vec::new(), by_name: HashMap::new() };
        let rows = table.lines().filter(|line| !line.starts_with('#'));
        for (order, row) in rows.enumerate() {
            properties.define(table_row(kind, order, row));
        }
        properties
    }

    pub(crate) fn define(&mut self, def: PropertyDef) -> Slot {
        let slot = Slot::try_from(self.defs.len()).unwrap_or(Slot::MAX);
        self.by_name.insert(def.name.clone(), slot);
        self.defs.push(def);
        slot
    }

    pub(crate) fn slot(&self, name: &str) -> Option<Slot> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn def(&self, slot: Slot) -> &PropertyDef {
        &self.defs[usize::from(slot)]
    }

    pub(crate) fn named_mut(&mut self, name: &str) -> Option<&mut PropertyDef> {
        let slot = self.slot(name)?;
        self.defs.get_mut(usize::from(slot))
    }

    pub(crate) fn len(&self) -> usize {
        self.defs.len()
    }

    pub(crate) fn archive(&mut self, name: &str, at: Millis) -> bool {
        let Some(slot) = self.by_name.remove(name) else {
            return false;
        };
        self.defs[usize::from(slot)].archived_at = Some(at);
        true
    }

    /// Definitions in the order they were made, with their slots: those in force or the archived.
    pub(crate) fn iter(&self, archived: bool) -> impl Iterator<Item = (Slot, &PropertyDef)> {
        (0..).zip(&self.defs).filter(move |(_, def)| def.archived_at.is_some() == archived)
    }

    /// The seven properties that HubSpot adds for each stage of a ticket pipeline.
    pub(crate) fn define_stage(&mut self, stage: &Stage, pipeline_label: &str, at: Option<Millis>) {
        let described = format!("{} ({pipeline_label})", stage.label);
        for (prefix, label, kind, field_type) in [
            ("hs_date_entered", "Date entered", "datetime", "calculation_read_time"),
            ("hs_date_exited", "Date exited", "datetime", "calculation_read_time"),
            ("hs_time_in", "Time in", "number", "calculation_read_time"),
            ("hs_v2_cumulative_time_in", "Cumulative time in", "number", "number"),
            ("hs_v2_date_entered", "Date entered", "datetime", "date"),
            ("hs_v2_date_exited", "Date exited", "datetime", "date"),
            ("hs_v2_latest_time_in", "Latest time in", "number", "number"),
        ] {
            let mut def = PropertyDef::new(&format!("{prefix}_{}", stage.id), kind, field_type);
            def.label = format!("{label} '{described}'");
            def.group_name = "ticketstages".to_owned();
            def.calculated = field_type.starts_with("calculation");
            def.read_only = true;
            def.hubspot_defined = true;
            def.hidden = prefix.contains("v2");
            (def.created_at, def.updated_at) = (at, at);
            self.define(def);
        }
    }
}

fn table_row(kind: ObjectType, order: usize, row: &str) -> PropertyDef {
    let mut fields = row.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    let (name, label, value_type, field_type) = (next(), next(), next(), next());
    let (flags, referenced, listed) = (next(), next(), next());
    let mut def = PropertyDef::new(name, value_type, field_type);
    label.clone_into(&mut def.label);
    def.description = format!("{label} of the {}.", kind.singular());
    def.group_name = format!("{}information", kind.singular());
    def.options = listed.split(';').filter_map(|pair| pair.split_once('=')).map(own).collect();
    def.calculated = flags.contains('c');
    def.hidden = flags.contains('h');
    def.external_options = flags.contains('x');
    def.read_only = flags.contains('r');
    def.has_unique_value = flags.contains('u');
    def.hubspot_defined = true;
    def.referenced_object_type = Some(referenced.to_owned()).filter(|text| !text.is_empty());
    // A few of HubSpot's own definitions carry no instants.
    if order % 24 != 23 {
        def.created_at = parse_instant("2019-08-06T02:43:01.930Z").map(|at| at + order as i64 * 17);
        def.updated_at = parse_instant("2025-04-18T15:56:34.089Z").map(|at| at + order as i64 * 911);
    }
    def
}
