//! Everything behind the programs of this package: HubSpot's API, discovery, extraction, and the faces that speak the
//! protocols of others. The fake HubSpot that tests run against is a package of its own, in `sandbox/`.
//!
//! Data flows downwards, and a module imports only from those above it or to its left:
//!
//! ```text
//!   hex, disk                                    digits of bytes; files that are replaced whole
//!   config, catalog, state                       what comes in: settings, the selection, what earlier runs have read
//!        │
//!   client                                       HubSpot's API: one HTTP path with budgets, tokens and retries
//!        │
//!   property, discovery                          what a portal has, and the columns and the catalog made of it
//!        │
//!   extraction                                   pages become encoded records, with checkpoints between them
//!        │
//!   exit, session                                exit codes; how a run is prepared, stopped, reported and ended
//!        │
//!   messages, stdout                             Singer messages, and the one writer of them
//!   about, log                                   `--about`, and the log on stderr
//!        │
//!   airbyte │ tap │ target_hubspot │ target_pg   the faces, side by side: none imports another
//! ```
//!
//! `docs/architecture.md` follows a ticket through them. `tests/it/layers.rs` fails on an import against this order.

pub mod about;
pub mod airbyte;
pub mod catalog;
pub mod client;
pub mod config;
pub mod discovery;
pub mod disk;
pub mod exit;
pub mod extraction;
mod hex;
pub mod log;
pub mod messages;
pub mod property;
pub mod session;
pub mod state;
pub mod stdout;
pub mod tap;
pub mod target_hubspot;
pub mod target_pg;
