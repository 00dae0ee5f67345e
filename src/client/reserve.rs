//! The part of the daily quota that is left to others.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Lets requests go as long as they do not use the reserve, those under way counted.
#[derive(Debug)]
pub(super) struct Reserve {
    /// Share of the daily quota; 0: none.
    share: f64,
    under_way: Mutex<u64>,
    ended: Notify,
}

/// A request that may be counted by HubSpot, though its answer does not tell yet; until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay<'r>(&'r Reserve);

impl Reserve {
    pub(super) fn new(share: f64) -> Self {
        Self { share, under_way: Mutex::new(0), ended: Notify::new() }
    }

    /// Waits for leave to send a request, given what is left of the day's calls and how many a day has, as answers told
    /// last; none where none did. Both come back when nothing but the reserve is left.
    pub(super) async fn leave(&self, told: impl Fn() -> Option<(u64, u64)>) -> Result<UnderWay<'_>, (u64, u64)> {
        loop {
            let mut ended = pin!(self.ended.notified());
            // From here on no end is missed.
            ended.as_mut().enable();
            {
                let mut under_way = self.under_way();
                match told().filter(|(left, limit)| self.is_reached(left.saturating_sub(*under_way), *limit)) {
                    None => {
                        *under_way += 1;
                        return Ok(UnderWay(self));
                    }
                    Some(told) if *under_way == 0 => return Err(told),
                    // Those under way may turn out to leave enough.
                    Some(_) => {}
                }
            }
            ended.await;
        }
    }

    fn is_reached(&self, left: u64, limit: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a quota is far below 2^52")]
        let reached = left as f64 <= limit as f64 * self.share;
        self.share > 0.0 && reached
    }

    fn under_way(&self) -> MutexGuard<'_, u64> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.under_way() -= 1;
        self.0.ended.notify_waiters();
    }
}
