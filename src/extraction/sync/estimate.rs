//! What a run would read and what that would cost, told by counts of the search without reading a row.

use crate::client::{Client, ClientError, MAX_BATCH, ObjectType, SearchFilter};
use crate::extraction::plan::bounds::Bounds;
use crate::extraction::plan::object::ObjectPlan;
use crate::extraction::sync::chunk::CHUNK_RECORDS;
use crate::extraction::sync::run::Run;
use crate::extraction::sync::schedule::{
    FirstTask, SEARCH_PAGE_ROWS, changes_by_list, first_task, list_calls, sweep_is_due,
};
use crate::extraction::sync::standing::Standing;

/// Calls by the pools in which HubSpot counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Lists and batch reads.
    pub general: u64,
    /// Searches.
    pub search: u64,
    /// Batch reads of associations.
    pub associations: u64,
}

/// Which rows of a stream a run reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HowRead {
    /// All that there are, in place of those of the last run.
    Replaced,
    /// All.
    AllRows,
    /// Those that were created since an instant.
    New,
    /// Those that changed since the bookmark.
    Changes,
    /// The same, and then all.
    ChangesAndSweep,
}

impl HowRead {
    /// The words for it in the output of `--plan`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::AllRows => "all rows",
            Self::New => "new",
            Self::Changes => "changes",
            Self::ChangesAndSweep => "changes and a sweep",
        }
    }
}

/// What a run would read of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// The stream.
    pub stream: &'static str,
    /// Why so many rows.
    pub how: HowRead,
    /// Rows that the search counts; none where nothing counts them before they are read.
    pub rows: Option<u64>,
    /// Calls that it would take, those of streams that are read with it included.
    pub calls: Calls,
}

/// What it would cost to read associations with a type along with tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationCost {
    /// The type.
    pub object_type: ObjectType,
    /// Whether this run reads it.
    pub included: bool,
    /// Calls for its associations, and for the details of a primary contact or company.
    pub calls: Calls,
}

impl Calls {
    /// Calls of all pools.
    pub fn total(self) -> u64 {
        self.general + self.search + self.associations
    }

    /// The sum of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            general: self.general + other.general,
            search: self.search + other.search,
            associations: self.associations + other.associations,
        }
    }
}

/// How the rows of an object type are read, and how many they are.
#[derive(Debug, Clone, Copy)]
struct Workload {
    /// Rows of the list that are gone through; none: it is not read.
    listed: Option<u64>,
    /// Rows that changed, when changes are read.
    changed: Option<u64>,
    /// Rows that are written.
    rows: u64,
    how: HowRead,
}

impl Run {
    /// How many rows each stream is expected to have, where the search can count them.
    ///
    /// # Errors
    /// When a search fails.
    pub async fn expected_rows(&self, client: &Client) -> Result<Vec<(&'static str, u64)>, ClientError> {
        let mut rows: Vec<_> = self.small.iter().map(|small| (small.stream_name(), small.len())).collect();
        for object in &self.plan.objects {
            let lead = object.streams()[0];
            if object.columns.is_some() {
                rows.push((lead, self.work(client, object).await?.rows));
            }
        }
        Ok(rows)
    }

    /// What each stream would cost.
    ///
    /// # Errors
    /// When a search fails.
    pub async fn estimate(&self, client: &Client) -> Result<Vec<Estimate>, ClientError> {
        let mut estimates: Vec<Estimate> = self
            .small
            .iter()
            .map(|small| Estimate {
                stream: small.stream_name(),
                how: HowRead::Replaced,
                rows: Some(small.len()),
                calls: Calls {
                    general: u64::from(small.stream_name() != "ticket_pipeline_stages"),
                    ..Calls::default()
                },
            })
            .collect();
        for object in &self.plan.objects {
            let work = self.work(client, object).await?;
            let mut calls = self.own_calls(object, work);
            for object_type in &object.types {
                calls =
                    calls.and(association_calls(client, object_type, work.rows, details(object, object_type)).await?);
            }
            for (index, stream) in object.streams().into_iter().enumerate() {
                let is_lead = index == 0;
                let rows = (is_lead && object.columns.is_some()).then_some(work.rows);
                estimates.push(Estimate {
                    stream,
                    how: work.how,
                    rows,
                    calls: if is_lead { calls } else { Calls::default() },
                });
            }
        }
        Ok(estimates)
    }

    /// What each association type would cost with the tickets of this run.
    ///
    /// # Errors
    /// When a search fails.
    pub async fn association_costs(
        &self,
        client: &Client,
        types: &[ObjectType],
    ) -> Result<Vec<AssociationCost>, ClientError> {
        let Some(object) = self.plan.objects.iter().find(|object| object.object_type == ObjectType::TICKETS) else {
            return Ok(Vec::new());
        };
        let rows = self.work(client, object).await?.rows;
        let mut costs = Vec::new();
        for object_type in types {
            let included = object.types.contains(object_type);
            let with_details = *object_type == ObjectType::CONTACTS || *object_type == ObjectType::COMPANIES;
            let calls = match association_calls(client, object_type, rows, with_details).await {
                Err(error) if !included && !error.ends_all() => {
                    tracing::warn!("what associations with {object_type} would cost cannot be told: {error}");
                    continue;
                }
                calls => calls?,
            };
            costs.push(AssociationCost { object_type: object_type.clone(), included, calls });
        }
        Ok(costs)
    }

    async fn work(&self, client: &Client, object: &ObjectPlan) -> Result<Workload, ClientError> {
        let bounds = &self.bounds;
        let object_type = &object.object_type;
        if let Some(created) = bounds.created_after {
            let from = [criterion(object_type.created_property(), "GTE", created.timestamp_millis())];
            let rows = client.search_objects(object_type, &from).await?.total;
            return Ok(Workload { listed: None, changed: Some(rows), rows, how: HowRead::New });
        }
        let Standing { bookmark, selection_grew, .. } = Standing::of(object, &self.state, bounds.since);
        let bounded = limits(object_type, bounds);
        let is_bounded = !bounded.is_empty();
        let is_loaded = first_task(bounds, &bookmark, object.full_table) == FirstTask::Changes;
        let Some(begun) = bookmark.replication_key_value.filter(|_| is_loaded) else {
            let all = client.search_objects(object_type, &[]).await?.total;
            let rows = if is_bounded { client.search_objects(object_type, &bounded).await?.total } else { all };
            return Ok(Workload { listed: Some(all), changed: None, rows, how: HowRead::AllRows });
        };
        let mut since = bounded;
        let from = (begun - bounds.lookback).timestamp_millis();
        since.push(criterion(object_type.modified_property(), "GTE", from));
        let changed = client.search_objects(object_type, &since).await?.total;
        if !sweep_is_due(bounds, &bookmark, selection_grew, client.server_now()) {
            return Ok(Workload { listed: None, changed: Some(changed), rows: changed, how: HowRead::Changes });
        }
        let all = client.search_objects(object_type, &[]).await?.total;
        Ok(Workload { listed: Some(all), changed: Some(changed), rows: changed + all, how: HowRead::ChangesAndSweep })
    }

    /// The calls for an object type's own records.
    fn own_calls(&self, object: &ObjectPlan, work: Workload) -> Calls {
        let mut calls = Calls::default();
        calls.general += list_calls(work.listed, self.bounds.page_size).unwrap_or(0);
        if let Some(changed) = work.changed {
            let bookmark = self.state.bookmark(object.streams()[0]).unwrap_or_default();
            let by_list = list_calls(bookmark.rows, self.bounds.page_size);
            if changes_by_list(by_list, Some(changed)) {
                calls.general += by_list.unwrap_or(0);
                calls.search += 1;
            } else {
                // One search counts before the windows are read, and one after.
                calls.search += changed.div_ceil(SEARCH_PAGE_ROWS) + 2;
                calls.general += changed.div_ceil(MAX_BATCH as u64);
            }
        }
        // The archive is a page in most portals.
        calls.general += u64::from(self.bounds.include_archived && self.bounds.created_after.is_none());
        calls
    }
}

/// Whether the details of the primary record of a type are read along.
fn details(object: &ObjectPlan, object_type: &ObjectType) -> bool {
    object.columns.as_ref().is_some_and(|columns| match object_type.as_str() {
        "contacts" => columns.primary_contact.is_some(),
        "companies" => columns.primary_company.is_some(),
        _ => false,
    })
}

async fn association_calls(
    client: &Client,
    object_type: &ObjectType,
    rows: u64,
    details: bool,
) -> Result<Calls, ClientError> {
    let chunks = rows.div_ceil(CHUNK_RECORDS as u64);
    let mut calls = Calls { associations: chunks, ..Calls::default() };
    if details && rows > 0 {
        // Each record is read once, however many tickets it is primary of.
        let all = client.search_objects(object_type, &[]).await?.total;
        calls.general = rows.min(all).div_ceil(MAX_BATCH as u64) + chunks / 2;
    }
    Ok(calls)
}

/// The bounds that the settings put on the modified date.
fn limits(object_type: &ObjectType, bounds: &Bounds) -> Vec<SearchFilter<'static>> {
    let property = object_type.modified_property();
    let since = bounds.since.map(|since| criterion(property, "GTE", since.timestamp_millis()));
    let until = bounds.until.map(|until| criterion(property, "LT", until.timestamp_millis()));
    since.into_iter().chain(until).collect()
}

fn criterion(property: &'static str, operator: &'static str, value: i64) -> SearchFilter<'static> {
    SearchFilter { property, operator, value }
}
