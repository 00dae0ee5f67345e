//! Batch reads for several chunks at once.
//!
//! Each chunk in flight says which records it wants. What fills requests is asked for at once; the rest waits until another
//! chunk adds to it, or until no chunk in flight can add any more. So hardly a request goes out half empty, and each chunk
//! has all that it wants before any of its rows is written.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::client::{MAX_BATCH, ObjectId};
use crate::extraction::enrich::details::{DetailCache, Details};

/// Reads the details of records of one type for all chunks.
#[derive(Debug, Default)]
pub(crate) struct DetailLoader {
    cache: Mutex<DetailCache>,
    requests: watch::Sender<Requests>,
}

/// Which records are wanted and not in the cache.
#[derive(Debug, Default)]
struct Requests {
    /// Not asked for yet.
    wanted: BTreeSet<ObjectId>,
    /// Being asked for, by one of the chunks.
    asked: HashSet<ObjectId>,
    /// Chunks that have not said yet which records they want.
    announced: usize,
}

/// A chunk that has not said yet which records it wants. When this is dropped it wants none.
#[derive(Debug)]
pub(crate) struct Announcement {
    loader: Arc<DetailLoader>,
    has_said: bool,
}

/// Records that a chunk is asking for; when this is dropped they are asked for no more, whatever came of it.
struct Asked<'l> {
    loader: &'l DetailLoader,
    ids: BTreeSet<ObjectId>,
}

impl DetailLoader {
    /// Announces a chunk, so that others wait for what it wants.
    pub(crate) fn announce(self: &Arc<Self>) -> Announcement {
        self.requests.send_modify(|requests| requests.announced += 1);
        Announcement { loader: Arc::clone(self), has_said: false }
    }

    /// The details of these records, by `fetch` where the cache does not have them.
    ///
    /// # Errors
    /// Those of `fetch`, when this chunk is the one that asked.
    pub(crate) async fn load<E, Fetch: Future<Output = Result<Details, E>>>(
        &self,
        mut missing: BTreeSet<ObjectId>,
        announcement: Announcement,
        fetch: impl Fn(Vec<ObjectId>) -> Fetch,
    ) -> Result<Details, E> {
        let mut details = Details::default();
        let mut announcement = Some(announcement);
        let mut changes = self.requests.subscribe();
        loop {
            // What changes from here on wakes this chunk again.
            changes.mark_unchanged();
            self.with_cache(|cache| missing.retain(|id| !cache.copy(*id, &mut details)));
            let asked = self.next_requests(&missing, announcement.take());
            if asked.ids.is_empty() {
                if missing.is_empty() {
                    return Ok(details);
                }
                // No error: the sender lives as long as this.
                let _ = changes.changed().await;
                continue;
            }
            let fetched = fetch(asked.ids.iter().copied().collect()).await?;
            self.with_cache(|cache| {
                for id in &asked.ids {
                    let text = fetched.get(*id).unwrap_or_default();
                    cache.insert(*id, text);
                    if missing.remove(id) {
                        details.insert(*id, text);
                    }
                }
            });
        }
    }

    /// The records that are to be asked for now: as many as fill requests, or all when no chunk can add any more.
    fn next_requests(&self, missing: &BTreeSet<ObjectId>, announcement: Option<Announcement>) -> Asked<'_> {
        let mut ids = BTreeSet::new();
        self.requests.send_if_modified(|requests| {
            if let Some(mut announcement) = announcement {
                requests.announced -= 1;
                announcement.has_said = true;
            }
            requests.wanted.extend(missing.iter().filter(|id| !requests.asked.contains(id)));
            let count = match requests.announced {
                0 => requests.wanted.len(),
                _ => requests.wanted.len() / MAX_BATCH * MAX_BATCH,
            };
            ids.extend((0..count).map_while(|_| requests.wanted.pop_first()));
            requests.asked.extend(&ids);
            // Nobody has to wake: whatever can be asked for is asked for here.
            false
        });
        Asked { loader: self, ids }
    }

    fn with_cache(&self, with: impl FnOnce(&mut DetailCache)) {
        with(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if !self.has_said {
            self.loader.requests.send_modify(|requests| requests.announced -= 1);
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.ids.is_empty() {
            self.loader.requests.send_modify(|requests| requests.asked.retain(|id| !self.ids.contains(id)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join;
    use tokio::task::yield_now;

    #[derive(Default)]
    struct Portal {
        calls: Mutex<Vec<usize>>,
        fails: Mutex<usize>,
    }

    impl Portal {
        async fn fetch(&self, ids: Vec<ObjectId>) -> Result<Details, &'static str> {
            yield_now().await;
            self.calls.lock().expect("no panic").push(ids.len());
            let mut fails = self.fails.lock().expect("no panic");
            if *fails > 0 {
                *fails -= 1;
                return Err("refused");
            }
            let mut details = Details::default();
            ids.iter().for_each(|id| details.insert(*id, id.to_string().as_bytes()));
            Ok(details)
        }

        fn calls(&self) -> Vec<usize> {
            std::mem::take(&mut self.calls.lock().expect("no panic"))
        }
    }

    fn ids(range: std::ops::Range<u64>) -> BTreeSet<ObjectId> {
        range.map(ObjectId).collect()
    }

    fn assert_has(details: &Details, range: std::ops::Range<u64>) {
        for id in range {
            assert_eq!(details.get(ObjectId(id)), Some(id.to_string().as_bytes()));
        }
    }

    #[tokio::test]
    async fn chunks_in_flight_fill_requests_together() {
        let (loader, portal) = (Arc::new(DetailLoader::default()), Portal::default());
        let (one, other) = (loader.announce(), loader.announce());
        let fetch = |ids| portal.fetch(ids);
        let (one, other) = join(loader.load(ids(0..250), one, fetch), loader.load(ids(200..320), other, fetch)).await;
        assert_has(&one.expect("no failure"), 0..250);
        assert_has(&other.expect("no failure"), 200..320);
        let calls = portal.calls();
        assert_eq!(calls.iter().sum::<usize>(), 320, "{calls:?}");
        assert_eq!(calls.iter().filter(|length| **length % MAX_BATCH != 0).count(), 1, "{calls:?}");
        // The cache has them all.
        let again = loader.load(ids(0..320), loader.announce(), fetch).await.expect("no failure");
        assert_has(&again, 0..320);
        assert!(portal.calls().is_empty());
    }

    #[tokio::test]
    async fn nobody_waits_for_a_chunk_that_ended_without_a_word() {
        let (loader, portal) = (Arc::new(DetailLoader::default()), Portal::default());
        let (one, other) = (loader.announce(), loader.announce());
        let fetch = |ids| portal.fetch(ids);
        let gives_up = async {
            yield_now().await;
            assert!(portal.calls().is_empty(), "a request went out that another chunk could have added to");
            drop(other);
        };
        let (details, ()) = join(loader.load(ids(0..3), one, fetch), gives_up).await;
        assert_has(&details.expect("no failure"), 0..3);
        assert_eq!(portal.calls(), [3]);
    }

    #[tokio::test]
    async fn a_chunk_whose_records_another_one_failed_to_read_asks_again() {
        let (loader, portal) =
            (Arc::new(DetailLoader::default()), Portal { fails: Mutex::new(1), ..Portal::default() });
        let (one, other) = (loader.announce(), loader.announce());
        let fetch = |ids| portal.fetch(ids);
        let (one, other) = join(loader.load(ids(0..3), one, fetch), loader.load(ids(2..5), other, fetch)).await;
        assert_has(&one.expect("it asked itself"), 0..3);
        assert_eq!(other.err(), Some("refused"));
        assert_eq!(portal.calls(), [5, 3]);
    }
}
