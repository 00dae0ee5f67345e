//! When to read what: full loads, changes, sweeps, and the small streams beside them.

mod archive;
pub(crate) mod audit;
mod chunk;
mod completeness;
mod driver;
pub(crate) mod estimate;
mod filter;
mod full;
mod incremental;
mod lookback;
pub(crate) mod object_sync;
mod reconcile;
pub(crate) mod run;
mod schedule;
pub(crate) mod side_streams;
pub(crate) mod small_streams;
mod standing;
mod windows;
