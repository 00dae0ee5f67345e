//! The memory that the pages of a list may take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What all pages of a pass may take that are asked for, gathered or being completed.
const HELD_BYTES: usize = 12 << 20;

/// What a page is taken to have before the first one came.
const FIRST_GUESS_BYTES: usize = 256 << 10;

/// Memory that a page takes, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct MemoryPermit(OwnedSemaphorePermit);

/// How much memory pages may take; in KiB.
#[derive(Debug, Clone)]
pub(crate) struct MemoryBudget {
    free: Arc<Semaphore>,
    largest: Arc<AtomicUsize>,
}

impl MemoryPermit {
    /// How much it is.
    pub(crate) fn kib(&self) -> usize {
        self.0.num_permits()
    }
}

impl MemoryBudget {
    pub(crate) fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(HELD_BYTES >> 10)),
            largest: Arc::new(AtomicUsize::new(FIRST_GUESS_BYTES)),
        }
    }

    /// What the largest page so far took.
    pub(crate) fn largest(&self) -> usize {
        self.largest.load(Ordering::Relaxed)
    }

    /// Whether what is held leaves no room for one more page.
    pub(crate) fn would_be_exceeded(&self, held_kib: usize) -> bool {
        held_kib + kib(self.largest()) as usize > HELD_BYTES >> 10
    }

    /// Waits for the memory of the largest page so far.
    pub(crate) async fn acquire(&self) -> MemoryPermit {
        let wanted = kib(self.largest.load(Ordering::Relaxed));
        let permit = Arc::clone(&self.free).acquire_many_owned(wanted).await;
        MemoryPermit(permit.expect("the semaphore is never closed"))
    }

    /// Gives back what a page does not need, of which so much was received and so much is kept.
    pub(crate) fn shrink_to(
        &self,
        MemoryPermit(mut permit): MemoryPermit,
        received: usize,
        kept: usize,
    ) -> MemoryPermit {
        self.largest.fetch_max(received, Ordering::Relaxed);
        let spare = permit.num_permits().saturating_sub(kib(kept) as usize);
        drop(permit.split(spare));
        MemoryPermit(permit)
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.min(HELD_BYTES) >> 10).expect("at most what there is").max(1)
}
