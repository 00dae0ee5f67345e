//! What all faces of the engine share: from settings, a catalog and a state to a run that is ready, and how runs end.

mod exit;
mod portal;
mod prepare;

pub use exit::{TapError, USAGE};
pub use portal::Session;
pub use prepare::{Assignment, prepare};
