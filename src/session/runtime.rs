//! The tokio runtime of a program.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Threads that read and parse answers, beside the one that encodes records and the one that writes. HubSpot's quota keeps
/// each of them busy for a small part of the time, and each more costs memory: the allocator keeps some for each thread.
const WORKERS: usize = 1;

/// The runtime of a program, the same on every machine.
///
/// # Errors
/// When the operating system gives no threads.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()
}
