//! The part of the daily quota that is kept for other apps.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Admits requests as long as they and those in flight leave the reserve untouched.
#[derive(Debug)]
pub(super) struct DailyReserve {
    /// Share of the daily quota; 0: none.
    share: f64,
    in_flight: Mutex<u64>,
    ended: Notify,
}

/// Counts a request as in flight until it is dropped: HubSpot may have counted it, but no response shows that yet.
#[derive(Debug)]
pub(super) struct InFlightRequest<'r>(&'r DailyReserve);

impl DailyReserve {
    pub(super) fn new(share: f64) -> Self {
        Self { share, in_flight: Mutex::new(0), ended: Notify::new() }
    }

    /// Waits until a request may be sent. `daily` returns the calls left today and the calls a day, as the latest response
    /// reported them; none where no response did.
    ///
    /// # Errors
    /// Both numbers, when only the reserve is left.
    pub(super) async fn acquire(
        &self,
        daily: impl Fn() -> Option<(u64, u64)>,
    ) -> Result<InFlightRequest<'_>, (u64, u64)> {
        loop {
            let mut ended = pin!(self.ended.notified());
            // From here on no notification is missed.
            ended.as_mut().enable();
            {
                let mut in_flight = self.in_flight();
                match daily().filter(|(left, limit)| self.is_reached(left.saturating_sub(*in_flight), *limit)) {
                    None => {
                        *in_flight += 1;
                        return Ok(InFlightRequest(self));
                    }
                    Some(left_and_limit) if *in_flight == 0 => return Err(left_and_limit),
                    // Those in flight may turn out to leave enough.
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

    fn in_flight(&self) -> MutexGuard<'_, u64> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlightRequest<'_> {
    fn drop(&mut self) {
        *self.0.in_flight() -= 1;
        self.0.ended.notify_waiters();
    }
}
