//! Side streams: what is read of owners, pipelines, stages and property definitions, and what is made of answers that are
//! failures, empty, or shorter than before. None of that keeps tickets from being read.

use std::collections::HashMap;

use futures_util::future::{OptionFuture, join, join3};
use serde_json::{Map, Value};

use crate::client::{Client, ClientError, ObjectType, Owner, Pipeline};
use crate::discovery::{Definitions, discover_properties};
use crate::extraction::plan::Plan;
use crate::extraction::sync::small_streams::{
    SmallRecords, owner_record, pipeline_record, property_record, stage_record,
};
use crate::state::State;

const OWNERS: &str = "owners";
const PIPELINES: &str = "ticket_pipelines";
const STAGES: &str = "ticket_pipeline_stages";
const PROPERTIES: &str = "ticket_properties";

/// A selected stream of which not everything was read; its table keeps what it has.
#[derive(Debug)]
pub struct KeptStream {
    /// The stream.
    pub stream: &'static str,
    /// The failure that decides how the run ends; none where a warning is enough.
    pub failure: Option<ClientError>,
}

/// What was read of the side streams.
#[derive(Debug, Default)]
pub struct Sides {
    /// The streams that have records.
    pub records: Vec<SmallRecords>,
    /// Those of which not everything was read.
    pub kept: Vec<KeptStream>,
}

/// The rows of a stream, as far as they could be read.
struct SideRows {
    stream: &'static str,
    records: Vec<Map<String, Value>>,
    /// Why these may not be all rows; none: they are.
    doubt: Option<Doubt>,
}

/// Why rows may be missing.
enum Doubt {
    /// A part could not be read.
    Failed(ClientError),
    /// HubSpot's answer is not credible.
    Odd(&'static str),
}

/// First answers for side streams that need nothing of the portal's description: they come while that is asked for.
#[derive(Debug, Default)]
pub struct SideLists {
    owners: Option<Result<OwnerLists, ClientError>>,
    pipelines: Option<Result<Vec<Pipeline>, ClientError>>,
}

impl SideLists {
    /// Asks for what the selected streams are made of. A failure is kept for [`read_sides`].
    pub async fn ask(client: &Client, is_selected: impl Fn(&str) -> bool) -> Self {
        let asks_for_pipelines = is_selected(PIPELINES) || is_selected(STAGES);
        let owners = OptionFuture::from(is_selected(OWNERS).then(|| OwnerLists::read(client)));
        let pipelines = OptionFuture::from(asks_for_pipelines.then(|| client.list_pipelines(&ObjectType::TICKETS)));
        let (owners, pipelines) = join(owners, pipelines).await;
        Self { owners, pipelines }
    }
}

/// Reads the selected side streams before anything is written. What was asked for already is not asked for again, unless it
/// is less than before.
///
/// # Errors
/// When no other request can succeed either.
pub async fn read_sides(
    client: &Client,
    plan: &Plan,
    state: &State,
    lists: SideLists,
    definitions: Option<Result<Definitions, ClientError>>,
) -> Result<Sides, ClientError> {
    let known = |stream: &str| state.bookmark(stream).and_then(|bookmark| bookmark.rows);
    let owners = async {
        let read = plan.reads_small(OWNERS).then(|| read_owners(client, known(OWNERS), lists.owners));
        answer_of(&[OWNERS], read).await
    };
    let pipelines = async {
        let is_read = plan.reads_small(PIPELINES) || plan.reads_small(STAGES);
        let read = is_read.then(|| read_pipelines(client, known(PIPELINES), known(STAGES), lists.pipelines));
        answer_of(&[PIPELINES, STAGES], read).await
    };
    let properties = async {
        let read = plan.reads_small(PROPERTIES).then(|| read_properties(client, known(PROPERTIES), definitions));
        answer_of(&[PROPERTIES], read).await
    };
    let (owners, pipelines, properties) = join3(owners, pipelines, properties).await;
    let mut sides = Sides::default();
    for rows in owners?.into_iter().chain(pipelines?).chain(properties?) {
        sides.add(rows, plan, state, client);
    }
    Ok(sides)
}

/// The rows of a source of streams; a failure is that of the first one, and leaves the others without rows, too.
async fn answer_of(
    streams: &[&'static str],
    read: Option<impl Future<Output = Result<Vec<SideRows>, ClientError>>>,
) -> Result<Vec<SideRows>, ClientError> {
    let Some(read) = read else { return Ok(Vec::new()) };
    match read.await {
        Err(error) if !error.ends_all() => {
            let mut doubts = vec![Doubt::Failed(error)];
            doubts.resize_with(streams.len(), || Doubt::Odd("the list that holds it cannot be read"));
            let rows =
                |(stream, doubt): (&&'static str, _)| SideRows { stream, records: Vec::new(), doubt: Some(doubt) };
            Ok(streams.iter().zip(doubts).map(rows).collect())
        }
        answer => answer,
    }
}

impl Sides {
    /// Takes the rows of a stream that is selected; they are written in the order of the plan.
    fn add(&mut self, rows: SideRows, plan: &Plan, state: &State, client: &Client) {
        let SideRows { stream: name, records, doubt } = rows;
        let Some((stream, fields)) = plan.small.iter().find(|(stream, _)| stream.name == name) else { return };
        let is_known = state.bookmark(name).is_some_and(|bookmark| bookmark.version.is_some());
        let is_whole = doubt.is_none();
        if let Some(doubt) = doubt {
            let failure = doubt.tell(name, is_known);
            self.kept.push(KeptStream { stream: stream.name, failure });
        }
        if records.is_empty() && !is_whole {
            return;
        }
        let (fields, extracted_at) = (fields.clone(), client.server_now());
        self.records.push(SmallRecords { stream, fields, records, is_whole, extracted_at });
    }
}

impl Doubt {
    /// Warns of it; gives the failure that decides how the run ends. A scope that is missing from the beginning does not.
    fn tell(self, stream: &str, is_known: bool) -> Option<ClientError> {
        let error = match self {
            Self::Odd(why) => {
                tracing::warn!("{stream}: {why}; the rows that its table has are kept");
                return None;
            }
            Self::Failed(error) => error,
        };
        let scope = error.missing_scope();
        match &scope {
            Some(scope) => tracing::warn!(
                "{stream} is left out, since the token lacks the scope {scope}; the rows that its table has are kept ({error})"
            ),
            None => tracing::warn!("{stream} cannot be read now; the rows that its table has are kept: {error}"),
        }
        (is_known || scope.is_none()).then_some(error)
    }
}

/// Reads a list, and once more when it has fewer rows than are known, or none: an answer that is cut short once must not empty
/// a table. The longer answer counts.
async fn read_twice<T>(
    known: Option<u64>,
    count: impl Fn(&T) -> usize,
    read: impl AsyncFn() -> Result<T, ClientError>,
    first: Option<T>,
) -> Result<T, ClientError> {
    let first = match first {
        Some(first) => first,
        None => read().await?,
    };
    let least = known.and_then(|known| usize::try_from(known).ok()).unwrap_or(0).max(1);
    if count(&first) >= least {
        return Ok(first);
    }
    match read().await {
        Ok(second) if count(&second) > count(&first) => Ok(second),
        Err(error) if error.ends_all() => Err(error),
        _ => Ok(first),
    }
}

/// The live owners and the archived ones, and why one of the two lists could not be read.
#[derive(Debug)]
struct OwnerLists {
    live: Vec<Owner>,
    archived: Vec<Owner>,
    failure: Option<ClientError>,
}

impl OwnerLists {
    async fn read(client: &Client) -> Result<Self, ClientError> {
        match join(client.list_owners(false), client.list_owners(true)).await {
            (Ok(live), Ok(archived)) => Ok(Self { live, archived, failure: None }),
            (Err(error), _) | (_, Err(error)) if error.ends_all() => Err(error),
            (Ok(live), Err(error)) => Ok(Self { live, archived: Vec::new(), failure: Some(error) }),
            (Err(error), Ok(archived)) => Ok(Self { live: Vec::new(), archived, failure: Some(error) }),
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// One record for each owner. One that was archived in between stands in both lists; it is archived.
    fn records(self) -> Vec<Map<String, Value>> {
        let lists = [(self.live, false), (self.archived, true)];
        let mut records: Vec<Map<String, Value>> = Vec::new();
        let mut places = HashMap::new();
        for (mut owner, archived) in
            lists.into_iter().flat_map(|(list, archived)| list.into_iter().map(move |one| (one, archived)))
        {
            if !owner.other.get("archived").is_some_and(Value::is_boolean) {
                owner.other.insert("archived".to_owned(), archived.into());
            }
            let is_archived = owner.other["archived"] == true;
            let place = *places.entry(owner.id.clone()).or_insert(records.len());
            match records.get_mut(place) {
                None => records.push(owner_record(owner)),
                Some(record) if is_archived => *record = owner_record(owner),
                Some(_) => {}
            }
        }
        records
    }
}

async fn read_owners(
    client: &Client,
    known: Option<u64>,
    first: Option<Result<OwnerLists, ClientError>>,
) -> Result<Vec<SideRows>, ClientError> {
    // Every portal has a user, so a list without live ones is as good as empty.
    let count = |lists: &OwnerLists| match lists.live.len() {
        0 if lists.failure.is_none() => 0,
        live => live + lists.archived.len(),
    };
    let mut lists = read_twice(known, count, async || OwnerLists::read(client).await, first.transpose()?).await?;
    let doubt = match lists.failure.take() {
        Some(error) => Some(Doubt::Failed(error)),
        None => lists.live.is_empty().then_some(Doubt::Odd("HubSpot gives no owners that exist")),
    };
    Ok(vec![SideRows { stream: OWNERS, records: lists.records(), doubt }])
}

async fn read_pipelines(
    client: &Client,
    known: Option<u64>,
    known_stages: Option<u64>,
    first: Option<Result<Vec<Pipeline>, ClientError>>,
) -> Result<Vec<SideRows>, ClientError> {
    let known = known.unwrap_or(1) + known_stages.unwrap_or(1);
    let count =
        |pipelines: &Vec<Pipeline>| pipelines.len() + pipelines.iter().map(|one| one.stages.len()).sum::<usize>();
    let read = async || client.list_pipelines(&ObjectType::TICKETS).await;
    let pipelines = read_twice(Some(known), count, read, first.transpose()?).await?;
    let stages: Vec<_> =
        pipelines.iter().flat_map(|one| one.stages.iter().map(|stage| stage_record(one, stage))).collect();
    let of_pipelines = pipelines.is_empty().then_some(Doubt::Odd("HubSpot gives no pipelines"));
    let of_stages = if pipelines.iter().any(|one| !one.tells_stages()) {
        Some(Doubt::Odd("HubSpot does not tell the stages of every pipeline"))
    } else {
        stages.is_empty().then_some(Doubt::Odd("HubSpot gives no stages"))
    };
    let records = pipelines.iter().map(pipeline_record).collect();
    Ok(vec![
        SideRows { stream: PIPELINES, records, doubt: of_pipelines },
        SideRows { stream: STAGES, records: stages, doubt: of_stages },
    ])
}

async fn read_properties(
    client: &Client,
    known: Option<u64>,
    definitions: Option<Result<Definitions, ClientError>>,
) -> Result<Vec<SideRows>, ClientError> {
    let count = |definitions: &Definitions| definitions.properties.len();
    let read = async || discover_properties(client).await;
    let definitions = read_twice(known, count, read, definitions.transpose()?).await?;
    let doubt = (!definitions.is_whole).then_some(Doubt::Odd("the sensitive properties cannot be read now"));
    let records = definitions.properties.into_iter().map(property_record).collect();
    Ok(vec![SideRows { stream: PROPERTIES, records, doubt }])
}
