//! Lists: pages of all objects of a type, by ascending id, over HubSpot's strongly consistent path.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::try_join_all;
use tokio::sync::OnceCell;

use super::page::{Layout, Page, Row};
use super::tombstone::{MERGED_IDS, Tombstone, merged_ids};
use crate::client::{
    Client, ClientError, ListRequest, MAX_BATCH, MAX_SHORT_PROPERTIES, Malformed, ObjectId, ObjectType, PageCursor,
    encode_properties,
};
use crate::state::List;

/// Longer lists of property names do not fit a URL: connectors in wide use send 15,000 characters, 16 KB is where the
/// edge answers 414.
const MAX_URL_PROPERTIES: usize = 15_000;
/// A page that is read for its ids names this property, which keeps the default ones out.
pub(super) const ID_PROPERTY: &str = "hs_object_id";

/// Reads objects of one type.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) client: Arc<Client>,
    pub(super) object_type: ObjectType,
    layout: Layout,
    properties: String,
    /// Records a page.
    pub(super) page_size: u32,
    /// The properties' names do not fit a URL: the list gives ids, a batch read the records.
    wide: AtomicBool,
    greatest: OnceCell<Option<ObjectId>>,
}

impl Reader {
    /// A reader of the properties that `layout` keeps.
    pub(super) fn new(client: Arc<Client>, object_type: ObjectType, layout: Layout, page_size: u32) -> Self {
        let properties = encode_properties(layout.properties());
        let wide = AtomicBool::new(properties.len() > MAX_URL_PROPERTIES);
        Self { client, object_type, layout, properties, page_size, wide, greatest: OnceCell::new() }
    }

    /// A page of a list; archived records for their ids and those of the records merged into them, in the one slot.
    pub(super) async fn list(&self, list: List, after: Option<&PageCursor>) -> Result<Page, ClientError> {
        let ids_alone = || Layout::new([]);
        if list == List::Archived {
            return self.list_page(true, after, MERGED_IDS, &Layout::new([MERGED_IDS])).await;
        }
        if !self.wide.load(Ordering::Relaxed) {
            match self.list_page(false, after, &self.properties, &self.layout).await {
                Err(error) if self.is_of_length(&error) => {
                    tracing::info!(
                        "the properties' names are too long for HubSpot's list; reading ids, then records ({error})"
                    );
                    self.wide.store(true, Ordering::Relaxed);
                }
                answer => return answer,
            }
        }
        let listed = self.list_page(false, after, ID_PROPERTY, &ids_alone()).await?;
        if listed.ids().is_empty() {
            return Ok(listed);
        }
        let mut page = self.batch_read(listed.ids()).await?;
        page.arrange(listed.ids());
        page.next = listed.next;
        Ok(page)
    }

    /// Whether a page may have failed for its URL's length.
    fn is_of_length(&self, error: &ClientError) -> bool {
        let is_long = self.properties.len() > MAX_SHORT_PROPERTIES;
        error.status() == Some(414) || is_long && error.may_be_of_length()
    }

    /// Up to 100 records by id, with all properties; records that are gone are missing.
    pub(super) async fn batch_read(&self, ids: &[ObjectId]) -> Result<Page, ClientError> {
        let properties: Vec<&str> = self.layout.properties().collect();
        let read = |body| Page::read(body, &self.layout);
        let mut page = self.client.batch_read_objects(&self.object_type, ids, &properties, read).await?;
        // A merged record answers with its winner, which is found under its own id.
        page.retain(|id| ids.contains(&id));
        Ok(page)
    }

    /// Which of these records are live; and tombstones of those that were merged, which answer with their winner.
    pub(super) async fn live(&self, ids: &[ObjectId]) -> Result<(Vec<ObjectId>, Vec<Tombstone>), ClientError> {
        let layout = Layout::new([MERGED_IDS]);
        let reads = ids.chunks(MAX_BATCH).map(|batch| {
            let read = |body| Page::read(body, &layout);
            self.client.batch_read_objects(&self.object_type, batch, &[MERGED_IDS], read)
        });
        let pages = try_join_all(reads).await?;
        let now = self.client.server_now();
        let (mut live, mut merged) = (Vec::new(), Vec::new());
        for row in pages.iter().flat_map(Page::rows).filter(|row| !row.archived()) {
            live.push(row.id());
            merged.extend(merged_ids(row.property(0)).map(|loser| Tombstone::merged(loser, row, now)));
        }
        Ok((live, merged))
    }

    /// About the greatest id of all live objects, as it was when it was asked for first; none when that cannot be told.
    pub(super) async fn greatest_id(&self) -> Option<ObjectId> {
        let ask = || async { self.client.greatest_id(&self.object_type).await.ok().flatten() };
        *self.greatest.get_or_init(ask).await
    }

    /// A page that leads back is asked for again: it can only come from a cache between.
    async fn list_page(
        &self,
        archived: bool,
        after: Option<&PageCursor>,
        properties: &str,
        layout: &Layout,
    ) -> Result<Page, ClientError> {
        let object_type = &self.object_type;
        let request = ListRequest { object_type, archived, after, limit: self.page_size, properties };
        let read = |body| {
            let page = Page::read(body, layout)?;
            if !archived && page.rows().any(Row::archived) {
                return Err(Malformed::new("the list of live records holds archived ones".to_owned()));
            }
            match (&page.next, after) {
                (Some(next), Some(after)) if !goes_on(after, next) => {
                    Err(Malformed::new(format!("the page after {} leads back to {}", after.0, next.0)))
                }
                _ => Ok(page),
            }
        };
        self.client.list_objects(request, read).await
    }
}

/// Whether a cursor lies behind another one; of cursors that are no numbers, whether it is another one.
fn goes_on(from: &PageCursor, to: &PageCursor) -> bool {
    match (from.0.parse::<u64>(), to.0.parse::<u64>()) {
        (Ok(from), Ok(to)) => to > from,
        _ => from != to,
    }
}
