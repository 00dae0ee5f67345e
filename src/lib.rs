//! Everything behind the binaries: the HubSpot client, discovery, extraction and the Singer face, and, apart from them,
//! the sandbox portal that stands in for HubSpot.
//!
//! Data flows, and modules import, in one direction: [`config`], [`catalog`], [`state`] → [`client`] → [`property`],
//! [`discovery`] → [`extraction`] → [`messages`] → [`stdout`] → [`tap`].

pub mod catalog;
pub mod client;
pub mod config;
pub mod discovery;
pub mod extraction;
pub mod messages;
pub mod property;
pub mod sandbox;
pub mod state;
pub mod stdout;
pub mod tap;
