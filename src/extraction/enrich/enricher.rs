//! What the records of some pages need beside their own values: associations, and the details of their primaries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::{try_join, try_join_all};

use crate::client::{Associations, Client, ClientError, ObjectId, ObjectType};
use crate::extraction::cache::entry::CachedRow;
use crate::extraction::cache::{Cache, CacheView};
use crate::extraction::enrich::associations::AssociationIndex;
use crate::extraction::enrich::enriched::{EnrichedPages, FilteredPage, PageWithAssociations};
use crate::extraction::enrich::loader::Announcement;
use crate::extraction::enrich::primaries::Primaries;
use crate::extraction::error::ExtractError;
use crate::extraction::event::PageCounter;
use crate::extraction::plan::object::ObjectPlan;
use crate::extraction::read::batch::LiveCheck;
use crate::extraction::read::memory::MemoryPermit;
use crate::extraction::read::page::Page;
use crate::extraction::read::tombstone::{Tombstone, merged_away_ids};

/// All that enriching a chunk needs; shared by the workers.
#[derive(Debug)]
pub(crate) struct Enricher {
    client: Arc<Client>,
    /// The stream that pages are counted for.
    pub(crate) parent_stream: &'static str,
    object_type: ObjectType,
    pub(crate) types: Vec<ObjectType>,
    /// The slot of the ids that were merged into a record; none: tombstones of those are not written.
    merged_slot: Option<usize>,
    pub(crate) cache: Option<Arc<Cache>>,
    /// Contacts and companies.
    pub(crate) primaries: [Primaries; 2],
    pages: PageCounter,
}

impl Enricher {
    pub(crate) fn new(
        client: Arc<Client>,
        plan: &ObjectPlan,
        merged_slot: Option<usize>,
        cache: Option<Arc<Cache>>,
        pages: PageCounter,
    ) -> Self {
        let columns = plan.columns.as_ref();
        let primaries = [
            Primaries::contacts(columns.and_then(|columns| columns.primary_contact), &plan.privacy),
            Primaries::companies(columns.and_then(|columns| columns.primary_company), &plan.privacy),
        ];
        Self {
            client,
            parent_stream: plan.streams()[0],
            object_type: plan.object_type.clone(),
            types: plan.types.clone(),
            merged_slot,
            cache,
            primaries,
            pages,
        }
    }

    /// A page that was read, with the rows of it that are to be written.
    pub(crate) fn filtered_page(
        &self,
        page: Page,
        rows: Vec<usize>,
        extracted_at: DateTime<Utc>,
        held: Option<MemoryPermit>,
    ) -> FilteredPage {
        FilteredPage { page, rows, number: self.pages.next(), extracted_at, held }
    }

    /// Looks up all that live records need.
    ///
    /// # Errors
    /// When HubSpot does not give it.
    pub(crate) async fn enrich(
        &self,
        chunk: Vec<FilteredPage>,
        announcement: [Announcement; 2],
        cache_view: Option<CacheView>,
    ) -> Result<EnrichedPages, ExtractError> {
        let merged_away: Vec<ObjectId> = self.merged_away(&chunk).collect::<BTreeSet<_>>().into_iter().collect();
        let related = async {
            let links = Arc::new(self.links(&chunk).await?);
            let (client, ids) = (&self.client, || chunk.iter().flat_map(FilteredPage::ids));
            let ([contacts, companies], [of_contacts, of_companies]) = (&self.primaries, announcement);
            let contacts = contacts.load(client, ids(), &links, of_contacts);
            let details = try_join(contacts, companies.load(client, ids(), &links, of_companies)).await?;
            Ok((links, details))
        };
        // A ticket says of another one that it was merged away; that one itself may say otherwise.
        let live_check = LiveCheck::of(&self.client, &self.object_type, &merged_away);
        let ((links, details), live_check) = try_join(related, live_check).await?;
        let live_merged_away = live_check.kept;
        let with_links = |kept| PageWithAssociations { kept, links: Arc::clone(&links) };
        let pages: Vec<PageWithAssociations> = chunk.into_iter().map(with_links).collect();
        let ids = pages.iter().flat_map(PageWithAssociations::ids);
        let known = self.known(ids.chain(merged_away), cache_view)?;
        Ok(EnrichedPages { pages, details: details.into(), known, live_merged_away })
    }

    /// Announces a chunk that is in flight or will be, so that others wait for the records that it wants.
    pub(crate) fn announce(&self) -> [Announcement; 2] {
        self.primaries.each_ref().map(|primaries| primaries.loader.announce())
    }

    /// Leaves out tombstones that the target has.
    pub(crate) fn skip_known_tombstones(
        &self,
        tombstones: &mut Vec<Tombstone>,
        cache_view: Option<CacheView>,
    ) -> Result<(), ExtractError> {
        let known = self.known(tombstones.iter().map(|tombstone| tombstone.id), cache_view)?;
        tombstones
            .retain(|tombstone| known.get(&tombstone.id).is_none_or(|known| !known.is_tombstoned(tombstone.hash())));
        Ok(())
    }

    /// The records that were merged into those of a chunk.
    fn merged_away<'c>(&'c self, chunk: &'c [FilteredPage]) -> impl Iterator<Item = ObjectId> + 'c {
        let rows = chunk.iter().flat_map(|kept| kept.rows.iter().map(|row| kept.page.row(*row)));
        rows.flat_map(|row| self.merged_slot.into_iter().flat_map(move |slot| merged_away_ids(row, slot)))
    }

    /// What the cache knows of these records.
    pub(crate) fn known(
        &self,
        ids: impl Iterator<Item = ObjectId>,
        cache_view: Option<CacheView>,
    ) -> Result<BTreeMap<ObjectId, CachedRow>, ExtractError> {
        match (&self.cache, cache_view) {
            (Some(cache), Some(cache_view)) => Ok(cache.get(self.parent_stream, ids, cache_view)?),
            _ => Ok(BTreeMap::new()),
        }
    }

    /// The associations of a chunk's rows, by type.
    async fn links(&self, chunk: &[FilteredPage]) -> Result<Vec<AssociationIndex>, ClientError> {
        let ids: Vec<ObjectId> = chunk.iter().flat_map(FilteredPage::ids).collect();
        let ids = &ids;
        try_join_all(self.types.iter().map(|object_type| async move {
            if ids.is_empty() {
                return Ok(AssociationIndex::new(Associations::default()));
            }
            self.client.batch_read_associations(&self.object_type, object_type, ids).await.map(AssociationIndex::new)
        }))
        .await
    }
}
