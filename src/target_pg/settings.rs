//! The settings: those of meltanolabs' target-postgres under the same names, and a few more.

use std::sync::LazyLock;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::exit::LoadError;
use crate::config::{ConfigError, ConfigSource, load_settings};

/// Prefix of the program's own environment variables, as Meltano's SDK forms it.
const PREFIX: &str = "TARGET_PG_";
/// The schema of the tables when the settings name none: meltanolabs' default.
const DEFAULT_SCHEMA: &str = "melty";
/// With rows of a kilobyte the bytes of a batch bound it first; small rows are bounded by this.
const BATCH_SIZE_ROWS: u64 = 50_000;
/// A row of a slow source is in its table within five seconds; one of them is left for the load itself.
const BATCH_WAIT_SECONDS: f64 = 4.0;

/// Settings of one run into one database.
///
/// Every field's comment is its description in `--about`, its attributes are its default, bounds and secrecy.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Settings {
    /// Host of the server, or the folder of its Unix socket. Default: PGHOST.
    #[schemars(length(min = 1))]
    pub(super) host: Option<String>,

    /// Port of the server. Default: PGPORT, else 5432.
    pub(super) port: Option<u16>,

    /// User to connect as. Default: PGUSER, else the user of the process.
    #[schemars(length(min = 1))]
    pub(super) user: Option<String>,

    /// Password of the user. Default: PGPASSWORD, else the file PGPASSFILE.
    #[schemars(with = "Option<String>", extend("secret" = true, "writeOnly" = true))]
    pub(super) password: Option<SecretString>,

    /// Database to load into. Default: PGDATABASE, else the name of the user.
    #[schemars(length(min = 1))]
    pub(super) database: Option<String>,

    /// URL of the database, such as `postgresql://user:password@host:5432/database?sslmode=verify-full`; host, port, user,
    /// password, database and the ssl settings are then ignored. A driver as SQLAlchemy writes it
    /// (`postgresql+psycopg://`) may stand in it.
    #[schemars(with = "Option<String>", length(min = 1), extend("secret" = true, "writeOnly" = true))]
    pub(super) sqlalchemy_url: Option<SecretString>,

    /// Schema of the tables; it is created when missing. When it is empty, a stream `schema-table` goes to that schema,
    /// any other stream to the first schema of the search path.
    #[serde(default = "default_schema")]
    pub(super) default_target_schema: String,

    /// Add the columns `_sdc_extracted_at`, `_sdc_received_at`, `_sdc_batched_at`, `_sdc_deleted_at`, `_sdc_sequence`,
    /// `_sdc_table_version` and `_sdc_sync_started_at`.
    #[serde(default = "yes")]
    pub(super) add_record_metadata: bool,

    /// Mark or delete what is no longer there when an ACTIVATE_VERSION message comes; needs add_record_metadata.
    #[serde(default = "yes")]
    pub(super) activate_version: bool,

    /// Delete rows at ACTIVATE_VERSION instead of setting `_sdc_deleted_at`.
    #[serde(default)]
    pub(super) hard_delete: bool,

    /// Store U+FFFD for the character NUL and for half surrogate pairs, which Postgres cannot store; otherwise a record
    /// that has one ends the run.
    #[serde(default)]
    pub(super) sanitize_null_text_characters: bool,

    /// Store text whose schema has the contentEncoding base16 as bytea.
    #[serde(default)]
    pub(super) interpret_content_encoding: bool,

    /// Rows of all streams after which a batch is written.
    #[serde(default = "default_batch_size_rows")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) batch_size_rows: u64,

    /// Seconds after which a batch is written though it is not full.
    #[serde(default = "default_batch_wait_limit_seconds")]
    #[schemars(range(min = 0.1, max = 3600))]
    pub(super) batch_wait_limit_seconds: f64,

    /// Use TLS as ssl_mode says. Otherwise it is used where the server has it, and its certificate is not verified.
    #[serde(default)]
    pub(super) ssl_enable: bool,

    /// disable, allow, prefer, require, verify-ca or verify-full.
    #[serde(default = "default_ssl_mode")]
    #[schemars(regex(pattern = "^(disable|allow|prefer|require|verify-ca|verify-full)$"))]
    pub(super) ssl_mode: String,

    /// Certificate of the authority that signed the server's, as PEM text or a file, or `system` for those of the machine.
    #[serde(default = "default_ssl_certificate_authority")]
    #[schemars(length(min = 1))]
    pub(super) ssl_certificate_authority: String,

    /// Show the server a certificate.
    #[serde(default)]
    pub(super) ssl_client_certificate_enable: bool,

    /// Certificate to show to the server, as PEM text or a file.
    #[serde(default = "default_ssl_client_certificate")]
    pub(super) ssl_client_certificate: String,

    /// Private key of ssl_client_certificate, as PEM text or a file.
    #[serde(default = "default_ssl_client_private_key")]
    #[schemars(with = "String", extend("secret" = true, "writeOnly" = true))]
    pub(super) ssl_client_private_key: SecretString,

    /// Ignored: PEM text is used from memory.
    #[serde(rename = "ssl_storage_directory")]
    _ssl_storage_directory: Option<String>,

    /// Ignored: values are held against their columns' types, always.
    #[serde(rename = "validate_records")]
    _validate_records: Option<bool>,

    /// Ignored: rows always go by COPY.
    #[serde(rename = "use_copy")]
    _use_copy: Option<bool>,

    /// Ignored: there is one driver.
    #[serde(rename = "dialect+driver")]
    _dialect_driver: Option<String>,

    /// Ignored, as meltanolabs' target-postgres does: streams with a key are upserted, others appended to.
    #[serde(rename = "load_method")]
    _load_method: Option<String>,

    /// Not supported, and refused when enabled.
    ssh_tunnel: Option<Map<String, Value>>,

    /// Not supported, and refused when set.
    stream_maps: Option<Map<String, Value>>,

    /// Not supported, and refused when true.
    #[serde(default)]
    flattening_enabled: bool,
}

impl Settings {
    /// Reads the settings, and says what there is to say about them; without any source all are their defaults.
    ///
    /// # Errors
    /// When a source cannot be read, a value breaks its constraint, or a setting is not supported.
    pub(super) fn load(sources: &[ConfigSource]) -> Result<(Self, Vec<String>), LoadError> {
        let (settings, warnings): (Self, _) = match sources {
            [] => (serde_json::from_value(Value::Object(Map::new())).expect("every setting has a default"), Vec::new()),
            sources => load_settings(sources, settings_schema(), PREFIX)?,
        };
        settings.refuse_what_is_not_supported()?;
        Ok((settings, warnings))
    }

    fn refuse_what_is_not_supported(&self) -> Result<(), ConfigError> {
        let enabled = |tunnel: &Map<String, Value>| tunnel.get("enable").is_some_and(|enable| enable == true);
        let refusals = [
            (
                !self.add_record_metadata && self.activate_version,
                "activate_version",
                "needs add_record_metadata; set activate_version to false, or add_record_metadata to true",
            ),
            (
                self.ssh_tunnel.as_ref().is_some_and(enabled),
                "ssh_tunnel",
                "is not supported; open the tunnel with `ssh -L` and connect to its end",
            ),
            (
                self.stream_maps.as_ref().is_some_and(|maps| !maps.is_empty()),
                "stream_maps",
                "is not supported; map the streams in the tap or between it and target-pg",
            ),
            (
                self.flattening_enabled,
                "flattening_enabled",
                "is not supported; flatten in the tap, or read the jsonb columns in a view",
            ),
        ];
        match refusals.into_iter().find(|(refused, ..)| *refused) {
            None => Ok(()),
            Some((_, field, constraint)) => {
                Err(ConfigError::Invalid { field: field.to_owned(), constraint: constraint.to_owned() })
            }
        }
    }
}

/// The JSON Schema of the settings, made from [`Settings`].
pub(super) fn settings_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Settings).to_value());
    &SCHEMA
}

fn yes() -> bool {
    true
}

fn default_schema() -> String {
    DEFAULT_SCHEMA.to_owned()
}

fn default_batch_size_rows() -> u64 {
    BATCH_SIZE_ROWS
}

fn default_batch_wait_limit_seconds() -> f64 {
    BATCH_WAIT_SECONDS
}

fn default_ssl_mode() -> String {
    "verify-full".to_owned()
}

fn default_ssl_certificate_authority() -> String {
    "~/.postgresql/root.crt".to_owned()
}

fn default_ssl_client_certificate() -> String {
    "~/.postgresql/postgresql.crt".to_owned()
}

fn default_ssl_client_private_key() -> SecretString {
    "~/.postgresql/postgresql.key".into()
}
