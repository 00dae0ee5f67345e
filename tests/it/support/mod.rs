//! What the topic modules share: a portal, the tap as a program, real targets, a real Postgres, and the truth to hold
//! their tables against.

pub(crate) mod catalogs;
pub(crate) mod cell;
pub(crate) mod clients;
pub(crate) mod delivery;
pub(crate) mod figures;
pub(crate) mod imports;
pub(crate) mod loader;
pub(crate) mod messages;
pub(crate) mod own_server;
pub(crate) mod pages;
pub(crate) mod pipeline;
pub(crate) mod portal;
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod selected;
pub(crate) mod source;
pub(crate) mod swept;
pub(crate) mod tables;
pub(crate) mod tap;
pub(crate) mod targets;
pub(crate) mod tls_way;
pub(crate) mod truth;
pub(crate) mod values;
