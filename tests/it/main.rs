//! Integration tests, one module a topic.

mod airbyte;
mod bad_input;
mod cache;
mod cli;
mod deletions;
mod discovery;
mod documents;
mod history;
mod layers;
mod meltano;
mod official_client;
mod packages;
mod plan;
mod report;
mod selection;
mod support;
mod sweep;
mod sync;
mod targets;
mod tenants;
mod transport;
mod views;
mod windows;
