//! What all faces of the engine share: from settings, a catalog and a state to a run that is ready, and how runs end.

mod ending;
mod exit;
mod portal;
mod prepare;
mod report;

pub use ending::{conclude, stop_signal, writer_error};
pub use exit::{Consequence, TapError, USAGE};
pub use portal::Session;
pub use prepare::{Assignment, prepare};
pub use report::{Report, replace_file};
