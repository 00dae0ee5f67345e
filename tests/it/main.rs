//! Integration tests, one module a topic.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of rows that Postgres gives as i64 are small and not negative"
)]

mod access;
mod airbyte;
mod answers;
mod bad_input;
mod cache;
mod cli;
mod clusters;
mod deletions;
mod discovery;
mod documents;
mod doubt;
mod drift;
mod endings;
mod evidence;
mod faults;
mod fuzzing;
mod history;
mod hostile;
mod ids;
mod isolation;
mod layers;
mod logs;
mod meltano;
mod objects;
mod official_client;
mod one_process;
mod packages;
mod performance;
mod plan;
mod primaries;
mod privilege;
mod processes;
mod quota;
mod ranges;
mod report;
mod rooms;
mod secrets;
mod selection;
mod settings;
mod sides;
mod source_figures;
mod storm;
mod support;
mod sweep;
mod sync;
mod target_hubspot;
mod target_pg;
mod targets;
mod tenants;
mod tokens;
mod transport;
mod views;
mod windows;
