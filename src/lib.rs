//! Everything behind the binaries: the HubSpot client, discovery, extraction and the Singer face,
//! and, apart from them, the sandbox portal that stands in for HubSpot.

pub mod catalog;
pub mod config;
pub mod property;
pub mod sandbox;
pub mod state;
