//! Lists: pages of all objects of a type, by ascending id, over HubSpot's strongly consistent path.
//!
//! An answer of the list is held against what was asked: an end that contradicts a cursor is asked for again, a URL or a
//! page that is too large for HubSpot is made smaller, archived records among live ones are left out.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::client::{Client, ClientError, ListRequest, Malformed, ObjectId, ObjectType, PageCursor, encode_properties};
use crate::extraction::read::batch::{Accounted, BatchReader};
use crate::extraction::read::layout::Layout;
use crate::extraction::read::page::{Page, Row};
use crate::extraction::read::tombstone::MERGED_IDS;
use crate::state::List;

/// Longer lists of property names do not fit a URL: connectors in wide use send 15,000 characters, 16 KB is where the
/// edge answers 414.
const MAX_URL_PROPERTIES: usize = 15_000;
/// A shorter list of names is not why a request is refused: proxies let URLs of 2 KB through.
const MIN_LONG_URL: usize = 1_500;
/// A page that is read for its ids names this property, which keeps the default ones out.
pub(crate) const ID_PROPERTY: &str = "hs_object_id";
/// Pages are not made smaller than this.
const MIN_PAGE: u32 = 10;
/// Pages that are read before larger ones are tried again.
const PAGES_TO_GROW: u32 = 20;

/// Records that the state names because they could not be read; more of them are a failure.
const MAX_UNREAD: usize = 1000;

/// Reads objects of one type.
#[derive(Debug)]
pub(crate) struct ObjectReader {
    pub(crate) client: Arc<Client>,
    pub(crate) object_type: ObjectType,
    layout: Layout,
    properties: String,
    /// Records a page, as the settings have it.
    pub(crate) page_size: u32,
    /// Records a page that HubSpot gives in time, and pages since that was found out.
    limit: AtomicU32,
    pages: AtomicU32,
    /// The properties' names do not fit a URL: the list gives ids, a batch read the records.
    wide: AtomicBool,
    greatest: OnceCell<Option<ObjectId>>,
    /// Records of the list that HubSpot says nothing about otherwise.
    unread: Mutex<BTreeSet<ObjectId>>,
    has_warned: AtomicBool,
}

impl ObjectReader {
    /// A reader of the properties that `layout` keeps.
    pub(crate) fn new(client: Arc<Client>, object_type: ObjectType, layout: Layout, page_size: u32) -> Self {
        let properties = encode_properties(layout.properties());
        let wide = AtomicBool::new(properties.len() > MAX_URL_PROPERTIES);
        Self {
            client,
            object_type,
            layout,
            properties,
            page_size,
            limit: AtomicU32::new(page_size),
            pages: AtomicU32::new(0),
            wide,
            greatest: OnceCell::new(),
            unread: Mutex::default(),
            has_warned: AtomicBool::new(false),
        }
    }

    /// A page of a list; archived records for their ids and those of the records merged into them, in the one slot. An
    /// end of the list is believed when the answer does not contradict a cursor that HubSpot gave, or does so twice.
    pub(crate) async fn list(&self, list: List, after: Option<&PageCursor>) -> Result<Page, ClientError> {
        let (mut page, limit) = self.list_once(list, after).await?;
        if page.next.is_some() {
            return Ok(page);
        }
        if page.len() == 0 && (after.is_some() || list == List::Live) {
            return Ok(self.list_once(list, after).await?.0);
        }
        if u32::try_from(page.len()).is_ok_and(|length| length >= limit) {
            page.next = self.next_of_full(list, after, &page).await?;
        }
        Ok(page)
    }

    /// A page of a list at a cursor that HubSpot did not give.
    pub(crate) async fn list_guess(&self, list: List, after: &PageCursor) -> Result<Page, ClientError> {
        self.list_once(list, Some(after)).await.map(|(page, _)| page)
    }

    /// Where the list goes on behind a full page that claims to be the last.
    async fn next_of_full(
        &self,
        list: List,
        after: Option<&PageCursor>,
        page: &Page,
    ) -> Result<Option<PageCursor>, ClientError> {
        if let Some(last) = page.ids().iter().max() {
            let behind = PageCursor((last.0 + 1).to_string());
            match self.ids_alone(list, Some(&behind)).await {
                Ok(next) if next.ids().iter().all(|id| id > last) => {
                    return Ok(Some(behind).filter(|_| next.len() > 0));
                }
                // Ids are no cursors here.
                Ok(_) | Err(ClientError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.list_once(list, after).await?.0.next)
    }

    async fn ids_alone(&self, list: List, after: Option<&PageCursor>) -> Result<Page, ClientError> {
        let limit = MIN_PAGE.min(self.page_size);
        self.list_page(list, after, ID_PROPERTY, &Layout::new([]), limit).await
    }

    /// A page as the first answer has it, and how many records it could have had. Where HubSpot does not take the size of
    /// the request, or its answer does not come in time, the request is made smaller.
    async fn list_once(&self, list: List, after: Option<&PageCursor>) -> Result<(Page, u32), ClientError> {
        loop {
            let limit = self.limit.load(Ordering::Relaxed);
            let is_wide = self.wide.load(Ordering::Relaxed);
            let error = match self.list_limited(list, after, limit, is_wide).await {
                Ok(page) => {
                    self.grow(limit);
                    return Ok((page, limit));
                }
                Err(error) => error,
            };
            let has_long_url =
                list == List::Live && !is_wide && (self.properties.len() > MIN_LONG_URL || error.status() == Some(414));
            let smallest = MIN_PAGE.min(self.page_size);
            let is_refused = has_long_url && error.may_be_of_length();
            let is_late = (has_long_url || limit > smallest) && error.may_be_of_size();
            // A small request tells whether the size is the reason.
            let is_of_request = is_refused || (is_late && self.ids_alone(list, after).await.is_ok());
            if !is_of_request {
                return Err(error);
            }
            if has_long_url && let Ok(page) = self.list_limited(list, after, limit, true).await {
                tracing::info!("the properties' names are too long for HubSpot's list; reading ids, then records");
                self.wide.store(true, Ordering::Relaxed);
                return Ok((page, limit));
            }
            if limit == smallest || is_refused {
                return Err(error);
            }
            tracing::info!("pages of {limit} {} do not come ({error}); reading smaller ones", self.object_type);
            self.limit.store((limit / 2).max(smallest), Ordering::Relaxed);
            self.pages.store(0, Ordering::Relaxed);
        }
    }

    fn grow(&self, limit: u32) {
        if limit < self.page_size && self.pages.fetch_add(1, Ordering::Relaxed) + 1 >= PAGES_TO_GROW {
            self.limit.store((limit * 2).min(self.page_size), Ordering::Relaxed);
            self.pages.store(0, Ordering::Relaxed);
        }
    }

    async fn list_limited(
        &self,
        list: List,
        after: Option<&PageCursor>,
        limit: u32,
        is_wide: bool,
    ) -> Result<Page, ClientError> {
        match list {
            List::Archived => self.list_page(list, after, MERGED_IDS, &Layout::new([MERGED_IDS]), limit).await,
            List::Live if is_wide => self.list_wide(after, limit).await,
            List::Live => {
                let page = self.list_page(list, after, &self.properties, &self.layout, limit).await?;
                self.with_values(page).await
            }
        }
    }

    /// A page of ids, and their records by batch read.
    async fn list_wide(&self, after: Option<&PageCursor>, limit: u32) -> Result<Page, ClientError> {
        let listed = self.list_page(List::Live, after, ID_PROPERTY, &Layout::new([]), limit).await?;
        let Accounted { pages, open, .. } = self.batch().read(listed.ids()).await?;
        self.leave_unread(open)?;
        let mut page = Page::gather(&pages, listed.ids()).unwrap_or_else(|| Page::empty(&self.layout));
        page.next = listed.next;
        Ok(page)
    }

    /// The page with records by id in the place of those that came without their values.
    async fn with_values(&self, mut page: Page) -> Result<Page, ClientError> {
        let bare = std::mem::take(&mut page.bare);
        if bare.is_empty() {
            return Ok(page);
        }
        let Accounted { mut pages, open, .. } = self.batch().read(&bare).await?;
        self.leave_unread(open)?;
        let (next, ids) = (page.next.take(), page.ids().to_vec());
        page.retain(|id| !bare.contains(&id));
        pages.push(page);
        let mut page = Page::gather(&pages, &ids).unwrap_or_else(|| Page::empty(&self.layout));
        page.next = next;
        Ok(page)
    }

    /// Reads records by id, with all properties.
    pub(crate) fn batch(&self) -> BatchReader<'_> {
        BatchReader { client: &self.client, object_type: &self.object_type, layout: &self.layout }
    }

    /// Notes records that HubSpot says nothing about.
    ///
    /// # Errors
    /// When they are more than the state can name.
    pub(crate) fn leave_unread(&self, ids: impl IntoIterator<Item = ObjectId>) -> Result<(), ClientError> {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.extend(ids);
        match unread.len() {
            count if count > MAX_UNREAD => Err(ClientError::silent(count, self.object_type.as_str())),
            _ => Ok(()),
        }
    }

    /// Records that exist and could not be read so far.
    pub(crate) fn unread(&self) -> BTreeSet<u64> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|id| id.0).collect()
    }

    /// The same, to be asked for again.
    pub(crate) fn take_unread(&self) -> Vec<ObjectId> {
        std::mem::take(&mut *self.unread.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }

    /// About the greatest id of all live objects, as it was when it was asked for first; none when that cannot be told.
    pub(crate) async fn greatest_id(&self) -> Option<ObjectId> {
        let ask = || async { self.client.max_id(&self.object_type).await.ok().flatten() };
        *self.greatest.get_or_init(ask).await
    }

    /// One answer. A page that leads to itself, or holds the other list, is asked for again: it can only come from a cache
    /// between.
    async fn list_page(
        &self,
        list: List,
        after: Option<&PageCursor>,
        properties: &str,
        layout: &Layout,
        limit: u32,
    ) -> Result<Page, ClientError> {
        let archived = list == List::Archived;
        let request = ListRequest { object_type: &self.object_type, archived, after, limit, properties };
        let belongs = |row: Row<'_>| row.archived() == archived || (archived && !row.archived_at().is_empty());
        let read = |body| {
            let page = Page::read(body, layout)?;
            if page.len() > 0 && !page.rows().any(belongs) {
                return Err(Malformed::new(format!(
                    "it holds no {} record",
                    if archived { "archived" } else { "live" }
                )));
            }
            match (&page.next, after) {
                (Some(next), Some(after)) if next == after => {
                    Err(Malformed::new(format!("the page after {} leads back to it", after.0)))
                }
                _ => Ok(page),
            }
        };
        let mut page = self.client.list_objects(request, read).await?;
        let others: BTreeSet<ObjectId> = page.rows().filter(|row| !belongs(*row)).map(Row::id).collect();
        if !others.is_empty() {
            if !self.has_warned.swap(true, Ordering::Relaxed) {
                tracing::warn!("a list of {} holds records of the other list; they are left out", self.object_type);
            }
            page.retain(|id| !others.contains(&id));
        }
        Ok(page)
    }
}
