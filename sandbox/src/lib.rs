//! A fake HubSpot portal that behaves as the real one is known to: a realistic default for demos,
//! tests and benchmarks.
//!
//! It is written from HubSpot's documented and observed behaviour alone and shares nothing with the
//! programs that are tested against it, so that a misspelt field cannot pass on both sides.
//! [`Sandbox::start`] runs one in the process; the `hubspot-sandbox` program runs one on its own,
//! moved by its `/_sandbox/...` control paths.
//!
//! A request goes downwards, its response back up:
//!
//! ```text
//!   server, fault_stream                TCP and HTTP; connections that a fault resets
//!        │                  ╲
//!   service                  control    faults, access, limits, then the endpoint; the paths below /_sandbox/
//!        │
//!   routes, dispatch                    which endpoint a path names, in the spelling of every API version
//!        │
//!   object_*, search, association_*,    the endpoints, one file for each family
//!   property_endpoints, metadata, ...
//!        │
//!   portal, record_table                records, definitions, owners and associations of the one portal
//!        │
//!   fixtures, splitmix                  the data at the start, made from a seed
//! ```
//!
//! [`BEHAVIOURS`] and [`FaultRule`] change what the service does with a request or with its response.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "figures of a fake portal are small"
)]

mod active_faults;
mod api_request;
mod api_response;
mod association_reads;
mod association_store;
mod association_writes;
mod behaviours;
pub mod cli;
mod clock;
mod control;
mod cursor;
mod dispatch;
mod error_responses;
mod fault_rules;
mod fault_stream;
mod faults;
mod filter_matching;
mod fixtures;
mod handle;
mod http_response;
mod metadata;
mod oauth;
mod object_reads;
mod object_type;
mod object_writes;
mod options;
mod owners;
mod pipelines;
mod pool;
mod portal;
mod property_definition;
mod property_definitions;
mod property_endpoints;
mod property_history;
mod property_values;
mod rate_limiter;
mod record;
mod record_table;
mod render;
mod request_context;
mod request_log;
mod response_faults;
mod routes;
mod schemas;
mod search;
mod search_filters;
mod server;
mod service;
mod splitmix;
mod truth;
mod unique_values;
mod validation;
mod write_plan;

#[cfg(test)]
mod tests;

pub use active_faults::RandomFaults;
pub use behaviours::{BEHAVIOURS, Behaviour};
pub use fault_rules::FaultRule;
pub use faults::Fault;
pub use handle::Sandbox;
pub use options::{CursorStyle, ExtraToken, OAuthApp, Options, RateLimits, UnknownCursor, read_scopes, write_scopes};
pub use pool::RateLimitKind;
pub use property_definition::PropertyDef;
pub use request_log::LoggedRequest;
