//! What a portal lets into one property.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::date_time;
use super::scalars::{boolean, number};
use super::wording::{PropertyOption, listed, quoted};
use crate::client::{ObjectType, Property};
use crate::property::Kind;

/// Characters of a text property.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide>
const MAX_TEXT: usize = 65_536;

/// One property.
#[derive(Debug, Clone)]
pub(super) struct PropertyDefinition {
    pub(super) kind: Kind,
    /// Holds any number of its options.
    pub(super) several: bool,
    /// Holds JSON.
    pub(super) structured: bool,
    /// Holds text of several lines, where spaces at the ends may be wanted.
    pub(super) multiline: bool,
    /// HubSpot folds its case.
    pub(super) folded: bool,
    pub(super) read_only: bool,
    pub(super) unique: bool,
    /// Holds digits that are no number: 15550100.0 is 15550100.
    pub(super) phone: bool,
    /// What people see in HubSpot.
    pub(super) label: String,
    pub(super) options: Options,
}

/// What may be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Options {
    /// Any text.
    Free,
    /// Something that is listed elsewhere, such as owners.
    Elsewhere,
    /// One of these.
    Listed(Vec<PropertyOption>),
}

impl PropertyDefinition {
    pub(super) fn of(object_type: &ObjectType, property: &Property) -> Self {
        let other = |name: &str| property.other.get(name).unwrap_or(&Value::Null);
        let is_email = property.name == "email" && *object_type == ObjectType::CONTACTS;
        let hubspot_type = property.hubspot_type.as_str();
        let options: Vec<PropertyOption> =
            other("options").as_array().into_iter().flatten().filter_map(choice).collect();
        // Old checkboxes are enumerations of true and false.
        let truths = property.field_type == "booleancheckbox"
            && options.iter().all(|option| ["true", "false"].contains(&option.value.as_str()));
        let kind = match hubspot_type {
            "enumeration" if truths => Kind::Boolean,
            _ => Kind::of_hubspot(hubspot_type),
        };
        let options = match hubspot_type {
            "enumeration" if other("externalOptions") == true || options.is_empty() => Options::Elsewhere,
            "enumeration" if kind != Kind::Boolean => Options::Listed(options),
            _ => Options::Free,
        };
        Self {
            kind,
            several: hubspot_type == "enumeration" && property.field_type == "checkbox",
            structured: matches!(hubspot_type, "json" | "object_coordinates"),
            multiline: matches!(property.field_type.as_str(), "textarea" | "html"),
            folded: is_email,
            read_only: other("calculated") == true || other("modificationMetadata")["readOnlyValue"] == true,
            unique: other("hasUniqueValue") == true || is_email,
            phone: hubspot_type == "phone_number" || property.field_type == "phonenumber",
            label: property.label.clone(),
            options,
        }
    }

    /// Whether a text is one of the options, or may be one of those that are listed elsewhere.
    pub(super) fn is_option(&self, text: &str) -> bool {
        match &self.options {
            Options::Free => false,
            Options::Elsewhere => text.bytes().all(|byte| byte.is_ascii_digit()),
            Options::Listed(choices) => choices.iter().any(|choice| choice.value == text),
        }
    }

    /// Whether one option is listed before another.
    pub(super) fn is_before(&self, one: &str, other: &str) -> bool {
        let Options::Listed(choices) = &self.options else { return false };
        let place = |value: &str| choices.iter().position(|choice| choice.value == value);
        matches!((place(one), place(other)), (Some(one), Some(other)) if one < other)
    }

    /// What is wrong with a value, and what to write instead.
    pub(super) fn fault(&self, value: &str) -> Option<String> {
        let shown = quoted(value);
        match self.kind {
            Kind::Number => number(value)
                .is_none()
                .then(|| format!("{shown} is no number; write digits, with a point before decimals, such as 1234.5")),
            Kind::Boolean => {
                boolean(value).is_none().then(|| format!("{shown} is neither true nor false; write one of them"))
            }
            Kind::Date => date_time::date(value).err().map(|reason| format!("{shown} {reason}")),
            Kind::DateTime => date_time::instant(value).err().map(|reason| format!("{shown} {reason}")),
            _ => self.fault_of_text(value),
        }
    }

    fn fault_of_text(&self, value: &str) -> Option<String> {
        if let Options::Listed(choices) = &self.options {
            let members: Vec<&str> = match self.several {
                true => value.split(';').map(str::trim).filter(|member| !member.is_empty()).collect(),
                false => vec![value],
            };
            let unknown = members.into_iter().find(|member| !self.is_option(member))?;
            return Some(format!("{} is none of its options; write one of {}", quoted(unknown), listed(choices)));
        }
        if self.folded && !is_address(value) {
            return Some(format!("{} is no e-mail address; write it such as name@example.com", quoted(value)));
        }
        let length = value.chars().count();
        (length > MAX_TEXT)
            .then(|| format!("{} has {length} characters, and HubSpot takes {MAX_TEXT}; shorten it", quoted(value)))
    }
}

fn choice(option: &Value) -> Option<PropertyOption> {
    let label = option["label"].as_str().unwrap_or_default();
    Some(PropertyOption { value: option["value"].as_str()?.to_owned(), label: label.to_owned() })
}

fn is_address(text: &str) -> bool {
    static ADDRESS: LazyLock<Validator> = LazyLock::new(|| {
        let schema = json!({"type": "string", "format": "email"});
        jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema of plain parts")
    });
    // A name in front (`Ann <ann@example.com>`) is an address to the standard, not to HubSpot.
    !text.contains(['<', '>', ' ']) && ADDRESS.is_valid(&Value::from(text))
}
