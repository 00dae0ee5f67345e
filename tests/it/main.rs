//! Integration tests, one module a topic.

mod bad_input;
mod cache;
mod cli;
mod deletions;
mod discovery;
mod documents;
mod history;
mod layers;
mod official_client;
mod selection;
mod support;
mod sweep;
mod sync;
mod target;
mod targets;
mod transport;
mod windows;
