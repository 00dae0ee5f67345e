//! Pages as HubSpot gives them: lists read in ranges side by side, windows of search, records by id; parsed once, within a
//! budget of memory.

pub(crate) mod batch;
mod cuts;
pub(crate) mod id_range;
pub(crate) mod layout;
pub(crate) mod list;
pub(crate) mod memory;
pub(crate) mod page;
mod parse;
mod prefetch;
pub(crate) mod ranges;
pub(crate) mod span;
pub(crate) mod tombstone;
pub(crate) mod window;
