//! What records need beside the page that they are on: associations, and the details of primary contacts and companies.

pub(crate) mod associations;
pub(crate) mod details;
pub(crate) mod enriched;
pub(crate) mod enricher;
pub(crate) mod loader;
pub(crate) mod primaries;
