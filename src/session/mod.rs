//! What all faces of the engine share: from settings, a catalog and a state to a run that is ready, and how runs end.

mod access;
mod drift;
mod ending;
mod exit;
mod lock;
mod portal;
mod prepare;
mod report;
mod runtime;
mod stop;

pub use access::{Check, Checked, Problem};
pub use ending::{Written, carry_out, unbroken};
pub use exit::{Consequence, TapError};
pub use lock::Lock;
pub use portal::Session;
pub use prepare::{Assignment, Prepared, prepare};
pub use report::Report;
pub use runtime::runtime;
pub use stop::{Stop, StopSignal};
