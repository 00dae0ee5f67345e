//! The settings of the tap: one struct that feeds the parser, the JSON Schema, `--about` and the documentation.

mod credential;
mod date_time;
mod defaults;
mod environment;
mod error;
mod load;
mod settings;
mod sources;
mod target;
mod unknown;
mod value;

pub use error::ConfigError;
pub use load::{Loaded, LoadedTarget, load, load_settings, load_target, parse};
pub use settings::{Config, Credentials, PropertiesLayout, settings_schema};
pub use sources::ConfigSource;
pub use target::{MaxRejects, StreamConfig, TargetConfig, UnknownFields, target_schema};
pub use unknown::nearest_of;
