//! A fake HubSpot portal that behaves as the real one is known to: a realistic default for demos,
//! tests and benchmarks.
//!
//! It is written from HubSpot's documented and observed behaviour alone and shares nothing with the
//! rest of the package, so that a misspelt field cannot pass on both sides. [`Sandbox::start`] runs
//! one in the process; the `hubspot-sandbox` program runs one on its own, moved by its
//! `/_sandbox/...` control paths.

mod associations;
mod behaviours;
pub mod cli;
mod clock;
mod control;
mod cursor;
mod faults;
mod filters;
mod founding;
mod handle;
mod hostile;
mod journal;
mod limits;
mod link_writes;
mod links;
mod oauth;
mod object_type;
mod objects;
mod options;
mod outgoing;
mod owners;
mod pipelines;
mod portal;
mod properties;
mod record;
mod render;
mod reply;
mod request;
mod routes;
mod schema;
mod search;
mod seed;
mod seeded_values;
mod server;
mod service;
mod table;
mod truth;
mod unique;
mod validation;
mod wire;
mod wording;
mod writes;

#[cfg(test)]
mod tests;

pub use behaviours::{BEHAVIOURS, Behaviour};
pub use faults::{Fault, FaultRule, Storm};
pub use handle::Sandbox;
pub use options::{CursorStyle, ExtraToken, Limits, OAuthApp, Options, Stranger, read_scopes, write_scopes};
pub use properties::PropertyDef;
pub use reply::Limit;
pub use request::Request;
