//! Everything behind the binaries: the HubSpot client, discovery, extraction and the faces. The fake HubSpot that tests run
//! against is a package of its own, in `sandbox/`.
//!
//! Data flows, and modules import, in one direction: `hex`, [`disk`], [`config`], [`catalog`], [`state`] → [`client`] → [`property`],
//! [`discovery`] → [`extraction`] → [`exit`] → [`session`] → [`messages`] → [`stdout`] → [`about`], [`log`] → the faces
//! [`tap`] | [`airbyte`] | [`target_hubspot`] | [`target_pg`].

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
