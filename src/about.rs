//! `--about`: a program and its settings, from the structs that define them.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};

use clap::ValueEnum;

/// The heading of [`Program::choosing`], here and in the README.
const CHOOSING: &str = "Choose streams and columns";

/// A program, as it describes itself.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// What it can, in the words of Meltano's SDK.
    pub capabilities: &'static [&'static str],
    /// How streams and columns are chosen, in Markdown; empty where there is nothing to choose.
    pub choosing: &'static str,
    /// What it is to Meltano.
    pub plugin: Plugin,
    /// The JSON Schema of its settings.
    pub schema: &'static Value,
}

/// A program as a plugin of Meltano's.
#[derive(Debug, Clone, Copy)]
pub struct Plugin {
    /// `extractors` or `loaders`.
    pub kind: &'static str,
    /// Its name for people.
    pub label: &'static str,
}

/// How `--about` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AboutFormat {
    /// For people.
    Text,
    /// For programs, in the SDK's shape.
    Json,
    /// For documentation.
    Markdown,
    /// The plugin definition for `meltano add --from-ref`.
    Meltano,
}

impl Program {
    /// Writes the description in the form asked for to stdout.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub fn describe(&self, format: AboutFormat) -> io::Result<()> {
        let text = match format {
            AboutFormat::Text => self.as_text(),
            AboutFormat::Json => serde_json::to_string_pretty(&self.as_json()).expect("a description is JSON"),
            AboutFormat::Markdown => self.as_markdown(),
            AboutFormat::Meltano => self.as_meltano(),
        };
        writeln!(io::stdout(), "{}", text.trim_end())
    }

    /// Writes `name v1.2.3` to stdout.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub fn write_version(&self) -> io::Result<()> {
        writeln!(io::stdout(), "{} v{}", self.name, env!("CARGO_PKG_VERSION"))
    }

    fn as_json(&self) -> Value {
        json!({
            "name": self.name,
            "description": self.description,
            "version": env!("CARGO_PKG_VERSION"),
            "sdk_version": null,
            "supported_python_versions": null,
            "capabilities": self.capabilities,
            "settings": self.schema,
        })
    }

    fn as_text(&self) -> String {
        let Self { name, description, .. } = self;
        let capabilities = self.capabilities.join(", ");
        let mut text =
            format!("{name} {}\n{description}\n\nCapabilities: {capabilities}\n\n", env!("CARGO_PKG_VERSION"));
        if !self.choosing.is_empty() {
            writeln!(text, "{CHOOSING}:\n\n{}\n", self.choosing).expect("writing to a String does not fail");
        }
        text.push_str("Settings:\n");
        for setting in self.settings() {
            writeln!(text, "  {} ({}{})", setting.name, setting.kind, setting.default_words())
                .expect("writing to a String does not fail");
            writeln!(text, "      {}", setting.description).expect("writing to a String does not fail");
        }
        text
    }

    fn as_markdown(&self) -> String {
        let mut text = format!("# {}\n\n{}\n\n## Capabilities\n\n", self.name, self.description);
        for capability in self.capabilities {
            writeln!(text, "- `{capability}`").expect("writing to a String does not fail");
        }
        if !self.choosing.is_empty() {
            write!(text, "\n## {CHOOSING}\n\n{}\n", self.choosing).expect("writing to a String does not fail");
        }
        text.push_str("\n## Settings\n\n");
        text.push_str(&self.settings_table());
        text
    }

    /// The plugin definition that `meltano add --from-ref` takes.
    fn as_meltano(&self) -> String {
        let Self { name, description, plugin: Plugin { kind, label }, .. } = self;
        let mut text = format!(
            "# Made by {name} --about --format=meltano; meltano add {name} --from-ref takes it.\n\
             plugin_type: {kind}\nname: {name}\nnamespace: {}\nvariant: rust\nlabel: {label}\n\
             description: {description:?}\nexecutable: {name}\ncapabilities: [{}]\n{}settings:\n",
            name.replace('-', "_"),
            self.capabilities.join(", "),
            self.groups(),
        );
        for (name, definition) in self.schema["properties"].as_object().into_iter().flatten() {
            text.push_str(&meltano_setting(name, definition));
        }
        text
    }

    /// Which settings Meltano asks for, of a program that speaks to HubSpot.
    fn groups(&self) -> &'static str {
        match self.schema["properties"].get("access_token") {
            None => "",
            Some(_) => "settings_group_validation:\n- [access_token]\n- [client_id, client_secret, refresh_token]\n",
        }
    }

    /// The settings as a Markdown table; the pages in `docs/` have the same ones, as tests show.
    fn settings_table(&self) -> String {
        let mut table = "| Setting | Type | Default | Description |\n|---|---|---|---|\n".to_owned();
        for setting in self.settings() {
            let default = setting.default.map_or_else(String::new, |default| format!("`{default}`"));
            let secret = if setting.secret { " (secret)" } else { "" };
            let Setting { name, kind, description, .. } = setting;
            writeln!(table, "| `{name}` | {kind}{secret} | {default} | {description} |")
                .expect("writing to a String does not fail");
        }
        table
    }

    fn settings(&self) -> impl Iterator<Item = Setting<'static>> {
        self.schema["properties"].as_object().into_iter().flatten().map(|(name, definition)| Setting {
            name,
            kind: kind(definition),
            default: definition.get("default").filter(|default| !default.is_null()),
            secret: definition["secret"] == true,
            description: definition["description"].as_str().unwrap_or_default().replace('\n', " "),
        })
    }
}

struct Setting<'s> {
    name: &'s str,
    kind: String,
    default: Option<&'s Value>,
    secret: bool,
    description: String,
}

impl Setting<'_> {
    fn default_words(&self) -> String {
        self.default.map_or_else(String::new, |default| format!(", default {default}"))
    }
}

/// The type in a word or two: `string`, `integer 1-100`, `columns or object`.
fn kind(definition: &Value) -> String {
    if let Some(choices) = definition["oneOf"].as_array() {
        let names: Vec<&str> = choices.iter().filter_map(|choice| choice["const"].as_str()).collect();
        return names.join(" or ");
    }
    let names: Vec<&str> = match &definition["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
        _ => Vec::new(),
    };
    let name = names.join(" or ");
    let name = if definition["format"] == "date-time" { "date-time".to_owned() } else { name };
    match (definition["minimum"].as_f64(), definition["maximum"].as_f64()) {
        (Some(minimum), Some(maximum)) if maximum < 4e9 => format!("{name} {minimum}-{maximum}"),
        (Some(minimum), _) if minimum > 0.0 => format!("{name} from {minimum}"),
        _ => name,
    }
}

/// One setting; its default stays the tap's own, so that the definition need not change with it.
fn meltano_setting(name: &str, definition: &Value) -> String {
    let kind = match meltano_kind(definition) {
        "options" => {
            let choices = definition["oneOf"].as_array().into_iter().flatten();
            let choices: Vec<String> = choices
                .map(|choice| format!("\n  - {{label: {0}, value: {0}}}", choice["const"].as_str().unwrap_or("")))
                .collect();
            format!("options\n  options:{}", choices.concat())
        }
        kind => kind.to_owned(),
    };
    let sensitive = if definition["secret"] == true { "\n  sensitive: true" } else { "" };
    let description = definition["description"].as_str().unwrap_or_default().replace('\n', " ");
    // JSON's strings are YAML's.
    format!("- name: {name}\n  kind: {kind}{sensitive}\n  description: {}\n", Value::from(description))
}

fn meltano_kind(definition: &Value) -> &'static str {
    let is = |name: &str| match &definition["type"] {
        Value::String(one) => one == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    };
    match () {
        () if definition["oneOf"].is_array() => "options",
        () if definition["format"] == "date-time" => "date_iso8601",
        () if is("array") => "array",
        () if is("boolean") => "boolean",
        () if is("object") => "object",
        () if is("string") => "string",
        () if is("integer") => "integer",
        () => "decimal",
    }
}
