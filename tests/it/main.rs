//! Integration tests, one module a topic.

mod official_client;
mod support;
mod targets;
