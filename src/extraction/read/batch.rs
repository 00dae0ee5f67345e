//! Records by id, each of them accounted for.
//!
//! A batch read may leave records out. One that the answer calls absent is gone; one that it does not mention is asked for
//! again with the others, then alone, then by its own endpoint. What HubSpot still says nothing about is open: nobody may
//! take it for gone. A batch that is refused is cut in halves, down to the record that is the reason.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use futures_util::future::try_join_all;
use serde_json::Value;

use crate::client::{Client, ClientError, MAX_BATCH, Malformed, ObjectId, ObjectType, encode_properties};
use crate::extraction::read::layout::Layout;
use crate::extraction::read::page::{Page, Row};
use crate::extraction::read::tombstone::{MERGED_IDS, Tombstone, merged_ids};

/// How often records are asked for together before each is asked for alone.
const TOGETHER: usize = 2;

/// Records of one call that HubSpot may refuse one by one before the refusal counts for all.
const MAX_REFUSED: usize = 20;

/// Names of properties that fit the URL of one request, however long they are: HubSpot's bound is a name of 100 bytes.
const NAMES_A_URL: usize = 100;

/// Reads records of one type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchReader<'b> {
    pub(crate) client: &'b Client,
    pub(crate) object_type: &'b ObjectType,
    pub(crate) layout: &'b Layout,
}

/// What became of the records that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Accounted {
    /// Live records, and no others, in no order.
    pub(crate) pages: Vec<Page>,
    /// The records that others were merged into, where the answers have them in their place.
    pub(crate) winners: Vec<Page>,
    /// Records that HubSpot says nothing about, however it is asked.
    pub(crate) open: Vec<ObjectId>,
}

impl BatchReader<'_> {
    /// Reads live records. Those that are archived, merged or gone are missing in the pages.
    ///
    /// # Errors
    /// Any [`ClientError`] but those that say that a record is gone.
    pub(crate) async fn read(&self, ids: &[ObjectId]) -> Result<Accounted, ClientError> {
        let mut accounted = Accounted::default();
        let mut open = ids.to_vec();
        let merged_slot = self.layout.slot(MERGED_IDS);
        let mut refused = BTreeSet::new();
        for _ in 0..TOGETHER {
            let batches = try_join_all(open.chunks(MAX_BATCH).map(|batch| self.read_split(batch))).await?;
            let (pages, alone): (Vec<_>, Vec<_>) = batches.into_iter().unzip();
            refused.extend(alone.into_iter().flatten());
            open = accounted.take(pages.into_iter().flatten().collect(), &open, merged_slot);
            open.retain(|id| !refused.contains(id));
        }
        for id in open {
            let (pages, alone) = self.read_split(&[id]).await?;
            refused.extend(alone.iter().copied());
            let others = pages.iter().flat_map(Page::ids).any(|other| *other != id);
            // The record that it was merged into has answered for it.
            if alone.is_empty() && !others && !accounted.take(pages, &[id], merged_slot).is_empty() {
                refused.insert(id);
            }
        }
        for id in refused {
            self.read_record(id, &mut accounted).await?;
        }
        Ok(accounted)
    }

    /// Reads a batch, in halves where it is refused as a whole; gives back the pages, and the records that are refused
    /// alone.
    async fn read_split(&self, ids: &[ObjectId]) -> Result<(Vec<Page>, Vec<ObjectId>), ClientError> {
        let (mut pages, mut refused) = (Vec::new(), Vec::new());
        let mut batches = vec![ids];
        while let Some(batch) = batches.pop() {
            match self.read_batch(batch).await {
                Ok(page) => pages.push(page),
                Err(error) if batch.len() > 1 && (error.is_of_input() || error.may_be_of_size()) => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    batches.extend([second, first]);
                }
                Err(error) if error.is_of_input() && refused.len() < MAX_REFUSED => refused.extend(batch),
                Err(error) => return Err(error),
            }
        }
        Ok((pages, refused))
    }

    async fn read_batch(&self, ids: &[ObjectId]) -> Result<Page, ClientError> {
        let properties: Vec<&str> = self.layout.properties().collect();
        let read = |body| Page::read(body, self.layout);
        self.client.batch_read_objects(self.object_type, ids, &properties, read).await
    }

    /// Asks for a record by its own endpoint.
    async fn read_record(&self, id: ObjectId, accounted: &mut Accounted) -> Result<(), ClientError> {
        let names: Vec<&str> = self.layout.properties().collect();
        let mut record = Value::Null;
        // The names of a wide portal do not fit one URL.
        for names in names.chunks(NAMES_A_URL) {
            let properties = encode_properties(names.iter().copied());
            let read = |body: Bytes| serde_json::from_slice::<Value>(&body).map_err(|error| Malformed::json(&error));
            match self.client.read_object(self.object_type, id, &properties, read).await {
                Ok(mut part) if record.is_object() => {
                    let values = part["properties"].as_object_mut().map(std::mem::take).unwrap_or_default();
                    if let Some(known) = record["properties"].as_object_mut() {
                        known.extend(values);
                    }
                }
                Ok(part) => record = part,
                Err(ClientError::Refused { status: 404 | 410, .. }) => return Ok(()),
                Err(ClientError::Refused { .. } | ClientError::Malformed { .. } | ClientError::Failing { .. }) => {
                    accounted.open.push(id);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        match Page::read_one(&Bytes::from(record.to_string()), self.layout) {
            Ok(page) if page.ids() == [id] => accounted.pages.push(page),
            Ok(_) => {}
            Err(_) => accounted.open.push(id),
        }
        Ok(())
    }
}

/// Which of some records are live.
#[derive(Debug, Default)]
pub(crate) struct LiveCheck {
    /// Those that are, and those of which HubSpot says nothing.
    pub(crate) kept: BTreeSet<ObjectId>,
    /// Tombstones of those that were merged, which answer with their winner.
    pub(crate) merged: Vec<Tombstone>,
}

impl LiveCheck {
    /// Asks for records whose end another answer tells.
    ///
    /// # Errors
    /// As [`BatchReader::read`].
    pub(crate) async fn of(client: &Client, object_type: &ObjectType, ids: &[ObjectId]) -> Result<Self, ClientError> {
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let layout = Layout::new([MERGED_IDS]);
        let Accounted { pages, winners, open } = BatchReader { client, object_type, layout: &layout }.read(ids).await?;
        let now = client.server_now();
        let mut check = Self { kept: open.into_iter().collect(), merged: Vec::new() };
        check.kept.extend(pages.iter().flat_map(Page::rows).filter(|row| !row.archived()).map(Row::id));
        for row in pages.iter().chain(&winners).flat_map(Page::rows).filter(|row| !row.archived()) {
            check.merged.extend(merged_ids(row.property(0)).map(|loser| Tombstone::merged(loser, row, now)));
        }
        Ok(check)
    }
}

impl Accounted {
    /// Takes the records that were asked for; gives back those that no page mentions.
    fn take(&mut self, pages: Vec<Page>, asked: &[ObjectId], merged_slot: Option<usize>) -> Vec<ObjectId> {
        let wanted: HashSet<ObjectId> = asked.iter().copied().collect();
        let mut answered: HashSet<ObjectId> = HashSet::new();
        for mut page in pages {
            let bare: HashSet<ObjectId> = page.bare.iter().copied().collect();
            page.retain(|id| !bare.contains(&id));
            answered.extend(page.absent.iter().chain(page.ids()));
            // A merged record answers with its winner, which names it.
            if let Some(slot) = merged_slot {
                answered.extend(page.rows().flat_map(|row| merged_ids(row.property(slot))));
            }
            // Under its own id the winner is found where it is asked for.
            let mut others = page.clone();
            others.retain(|id| !wanted.contains(&id));
            page.retain(|id| wanted.contains(&id));
            self.winners.extend(Some(others).filter(|page| page.len() > 0));
            self.pages.extend(Some(page).filter(|page| page.len() > 0));
        }
        asked.iter().filter(|id| !answered.contains(id)).copied().collect()
    }
}
