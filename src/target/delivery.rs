//! A delivery: lines are collected into a segment, a segment is brought into the portal type by type, and only then the
//! STATE that came with it goes out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::value::RawValue;

use super::chunk::{self, Context, Done, How, Ready, Settled};
use super::definitions::Definitions;
use super::exit::TargetError;
use super::field::Mark;
use super::input::{InputError, Line, Message, Record, parse};
use super::known::{Fresh, Known};
use super::linking::link;
use super::plan::{Match, StreamPlan, object_type_of};
use super::portal::{Session, define_key};
use super::preview;
use super::references::resolve;
use super::rejects::{Rejected, Rejects};
use super::summary::Summary;
use super::wanted::{Manner, Reading, Source, Wanted, read};
use super::writing::Refusal;
use crate::client::{MAX_BATCH, ObjectId, ObjectType};
use crate::config::TargetConfig;

/// The order in which types are written: a record refers to those of types before its own.
pub(super) const ORDER: [ObjectType; 4] =
    [ObjectType::COMPANIES, ObjectType::CONTACTS, ObjectType::DEALS, ObjectType::TICKETS];
/// Records of a segment; 100 batches keep the budget busy while the last ones of a type come in.
const SEGMENT_RECORDS: usize = 10_000;
/// Bytes of a segment's lines; a ticket may hold a megabyte.
const SEGMENT_BYTES: usize = 32 << 20;
/// Chunks on their way at once. At 19 requests a second each may take half a second without a pause.
const CHUNKS_AT_ONCE: usize = 10;

/// Rejected records that are told in the log; all of them stand in the file of rejects.
const MAX_TOLD: u64 = 100;

/// The place of a type in [`ORDER`].
pub(super) fn rank(object_type: &ObjectType) -> usize {
    ORDER.iter().position(|one| one == object_type).unwrap_or(usize::MAX)
}

/// A delivery under way.
#[derive(Debug)]
pub(super) struct Delivery {
    config: TargetConfig,
    portal_id: String,
    context: Context,
    definitions: HashMap<ObjectType, Arc<Definitions>>,
    /// None: the config leaves the stream out.
    plans: HashMap<String, Option<Arc<StreamPlan>>>,
    /// The SCHEMA line of each stream.
    schemas: HashMap<String, String>,
    /// Types whose unique property for delivery keys was seen to.
    keyed: HashSet<ObjectType>,
    known: Known,
    rejects: Rejects,
    summary: Summary,
    /// What a dry run prints of the segment, by line.
    preview: BTreeMap<(u64, usize), String>,
    segment: Vec<Wanted>,
    bytes: usize,
    state: Option<Box<RawValue>>,
}

impl Delivery {
    /// A delivery that has not begun.
    ///
    /// # Errors
    /// When the file of rejects cannot be opened.
    pub(super) fn new(session: Session, dry: bool) -> Result<Self, TargetError> {
        let Session { config, client, portal_id, .. } = session;
        let path = config.rejects_path.as_deref().filter(|_| !dry);
        let rejects = Rejects::open(path).map_err(TargetError::Rejects)?;
        let context = Context {
            client,
            dry,
            keyless: HashSet::new(),
            next_fake: AtomicU64::new(u64::MAX),
            fresh: Fresh::default(),
        };
        Ok(Self {
            config,
            portal_id,
            context,
            definitions: HashMap::new(),
            plans: HashMap::new(),
            schemas: HashMap::new(),
            keyed: HashSet::new(),
            known: Known::default(),
            rejects,
            summary: Summary::default(),
            preview: BTreeMap::new(),
            segment: Vec::new(),
            bytes: 0,
            state: None,
        })
    }

    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Whether there is nothing to deliver.
    pub(super) fn is_empty(&self) -> bool {
        self.segment.is_empty() && self.state.is_none()
    }

    /// Whether the segment should be delivered before more is taken.
    pub(super) fn is_full(&self) -> bool {
        self.segment.len() >= SEGMENT_RECORDS || self.bytes >= SEGMENT_BYTES
    }

    /// Takes one line.
    ///
    /// # Errors
    /// When the line is no message, or its stream cannot be written.
    pub(super) async fn take(&mut self, line: Line) -> Result<(), TargetError> {
        match parse(&line)? {
            Message::Schema { stream, key_properties } => {
                self.schemas.insert(stream.clone(), line.text);
                self.plan(&stream, key_properties).await
            }
            Message::Record(record) => self.take_record(record, line).await,
            Message::State(value) => {
                self.state = Some(value);
                Ok(())
            }
            Message::ActivateVersion => {
                self.summary.activate_versions += 1;
                Ok(())
            }
            Message::Unreadable(bad) => {
                self.reject(&bad.stream, line.number, &bad.text, None, &Refusal::new(bad.reason))
            }
        }
    }

    async fn plan(&mut self, stream: &str, key_properties: Vec<String>) -> Result<(), TargetError> {
        let of_stream = |reason| TargetError::Stream { stream: stream.to_owned(), reason };
        let known = self.plans.get(stream).and_then(Option::as_ref);
        if known.is_some_and(|plan| plan.key_properties == key_properties) {
            return Ok(());
        }
        let Some(object_type) = object_type_of(stream, &self.config).map_err(of_stream)? else {
            self.plans.insert(stream.to_owned(), None);
            return Ok(());
        };
        let definitions = self.definitions(&object_type).await?;
        let plan = StreamPlan::new(stream, object_type, key_properties, definitions, &self.config);
        self.plans.insert(stream.to_owned(), Some(Arc::new(plan.map_err(of_stream)?)));
        Ok(())
    }

    async fn definitions(&mut self, object_type: &ObjectType) -> Result<Arc<Definitions>, TargetError> {
        if let Some(known) = self.definitions.get(object_type) {
            return Ok(known.clone());
        }
        let mut read = Definitions::read(&self.context.client, object_type).await?;
        if self.context.dry {
            // A run leaves them to HubSpot, which may know of newer ones.
            read.learn_portal_rules(&self.context.client, object_type).await?;
        }
        let read = Arc::new(read);
        if self.context.client.has_no_objects(object_type).await? {
            self.context.fresh.is_empty_of(object_type);
        }
        self.definitions.insert(object_type.clone(), read.clone());
        Ok(read)
    }

    async fn take_record(&mut self, record: Record, line: Line) -> Result<(), TargetError> {
        let number = line.number;
        let plan = match self.plans.get(&record.stream) {
            Some(Some(plan)) => plan.clone(),
            Some(None) => {
                self.summary.left_out += 1;
                return Ok(());
            }
            None => return Err(InputError::NoSchema { line: number, stream: record.stream }.into()),
        };
        self.see_to_key(&plan).await?;
        let bytes = line.text.len();
        let manner = Manner {
            clear_nulls: self.config.clear_nulls,
            delivery_id: self.config.delivery_id.as_deref(),
            portal_id: &self.portal_id,
        };
        let source = Source { line: number, text: line.text.clone() };
        match read(&plan, &record, source, manner) {
            Reading::Wanted(wanted) => {
                self.segment.push(*wanted);
                self.bytes += bytes;
                Ok(())
            }
            Reading::Archived => {
                self.summary.of(&plan.stream).archived += 1;
                Ok(())
            }
            Reading::Faulty(reason) => {
                let refusal = Refusal::new(reason);
                // Its position in the delivery is lost in the file of rejects.
                let key = match (&plan.matched, plan.key_properties.is_empty(), &record.delivery_key) {
                    (Match::Once(_), true, None) => {
                        self.config.delivery_id.as_ref().map(|delivery| format!("{delivery}/{number}"))
                    }
                    (.., key) => key.clone(),
                };
                self.reject(&plan.stream, number, &line.text, key.as_deref(), &refusal)
            }
        }
    }

    /// Creates the unique property for delivery keys on first use.
    async fn see_to_key(&mut self, plan: &StreamPlan) -> Result<(), TargetError> {
        let (Match::Once(name) | Match::Domain(name)) = &plan.matched else { return Ok(()) };
        if !self.keyed.insert(plan.object_type.clone()) {
            return Ok(());
        }
        let of_stream = |reason| TargetError::Stream { stream: plan.stream.clone(), reason };
        match plan.definitions.by_name.get(name) {
            Some(definition) if definition.unique => Ok(()),
            Some(_) => Err(of_stream(format!("the property {name} is there, but its values are not unique"))),
            None if self.context.dry => {
                self.context.keyless.insert(plan.object_type.clone());
                Ok(())
            }
            None => define_key(&self.context.client, &plan.object_type, name).await?.map_err(of_stream),
        }
    }

    fn reject(
        &mut self,
        stream: &str,
        line: u64,
        text: &str,
        delivery_key: Option<&str>,
        refusal: &Refusal,
    ) -> Result<(), TargetError> {
        let Refusal { reason, category, correlation_id } = refusal;
        let mut said = format!("line {line} of {stream} is rejected: {reason}");
        if !category.is_empty() || !correlation_id.is_empty() {
            said.push_str(&format!(" ({category}; correlationId {correlation_id})"));
        }
        match self.summary.rejected() {
            told if told < MAX_TOLD => tracing::warn!("{said}"),
            MAX_TOLD => tracing::warn!("{MAX_TOLD} records are rejected; further ones are counted, not told"),
            _ => {}
        }
        self.summary.first_rejection.get_or_insert(said);
        self.summary.of(stream).rejected += 1;
        if self.context.dry {
            let place = self.preview.len();
            self.preview.insert((line, place), preview::line_of_rejected(stream, line, refusal));
        }
        let schema = self.schemas.get(stream).map_or("", String::as_str);
        self.rejects
            .add(&Rejected { line, text, stream, schema, delivery_key, refusal })
            .map_err(TargetError::Rejects)?;
        self.check_rejects()
    }

    fn check_rejects(&self) -> Result<(), TargetError> {
        let rejected = self.summary.rejected();
        match self.config.max_rejects() {
            Some(allowed) if rejected > allowed && !self.context.dry => Err(TargetError::TooManyRejects {
                rejected,
                allowed,
                first: self.summary.first_rejection.clone().unwrap_or_default(),
            }),
            _ => Ok(()),
        }
    }

    fn reject_wanted(&mut self, wanted: &Wanted, refusal: &Refusal) -> Result<(), TargetError> {
        let key = matches!(wanted.plan.matched, Match::Once(_)).then(|| wanted.key.clone()).flatten();
        for source in &wanted.sources {
            self.reject(&wanted.plan.stream, source.line, &source.text, key.as_deref(), refusal)?;
        }
        Ok(())
    }

    /// Brings everything taken so far into the portal, then lets the STATE out that came with it.
    ///
    /// # Errors
    /// What is about no single record, and too many rejected ones; then no STATE goes out.
    pub(super) async fn deliver(&mut self) -> Result<(), TargetError> {
        let mut by_type: BTreeMap<usize, Vec<Wanted>> = BTreeMap::new();
        for wanted in std::mem::take(&mut self.segment) {
            by_type.entry(rank(&wanted.plan.object_type)).or_default().push(wanted);
        }
        self.bytes = 0;
        let mut outcome = Ok(());
        for (_, wanted) in by_type {
            outcome = self.deliver_type(wanted).await;
            if outcome.is_err() {
                break;
            }
        }
        // Even of a run that fails the reasons are kept.
        self.rejects.flush().map_err(TargetError::Rejects)?;
        self.print_preview()?;
        outcome?;
        // Too many rejects of earlier lines end the run before a STATE covers them.
        self.check_rejects()?;
        if let Some(state) = self.state.take().filter(|_| !self.context.dry) {
            // Safe here: every record before it is in the portal or among the rejects.
            let mut out = io::stdout().lock();
            writeln!(out, "{}", state.get()).and_then(|()| out.flush()).map_err(TargetError::Output)?;
        }
        Ok(())
    }

    fn print_preview(&mut self) -> Result<(), TargetError> {
        let mut out = io::stdout().lock();
        for (_, line) in std::mem::take(&mut self.preview) {
            writeln!(out, "{line}").map_err(TargetError::Output)?;
        }
        out.flush().map_err(TargetError::Output)
    }

    async fn deliver_type(&mut self, wanted: Vec<Wanted>) -> Result<(), TargetError> {
        let (ready, refused) = resolve(&self.context, &mut self.known, wanted).await?;
        for (wanted, refusal) in refused {
            self.reject_wanted(&wanted, &refusal)?;
        }
        let mut by_stream: Vec<(Arc<StreamPlan>, Vec<Ready>)> = Vec::new();
        for ready in ready {
            let plan = ready.wanted.plan.clone();
            match by_stream.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &plan)) {
                Some((_, of_stream)) => of_stream.push(ready),
                None => by_stream.push((plan, vec![ready])),
            }
        }
        for (plan, ready) in by_stream {
            let ready = self.joined(&plan, ready);
            let mut chunks: Vec<Vec<Ready>> = Vec::new();
            for one in ready {
                match chunks.last_mut().filter(|chunk| chunk.len() < MAX_BATCH) {
                    Some(chunk) => chunk.push(one),
                    None => chunks.push(vec![one]),
                }
            }
            let (context, of) = (&self.context, &plan);
            let settled: Vec<Vec<Settled>> = stream::iter(chunks)
                .map(|chunk| chunk::deliver(context, of, chunk))
                .buffered(CHUNKS_AT_ONCE)
                .try_collect()
                .await?;
            self.account(&plan, settled.into_iter().flatten().collect()).await?;
        }
        Ok(())
    }

    /// Joins the records of a segment that mean one in the portal: a later line's values win. Of a ticket the first line
    /// stands.
    fn joined(&mut self, plan: &StreamPlan, ready: Vec<Ready>) -> Vec<Ready> {
        let mut places: HashMap<(Option<ObjectId>, String), usize> = HashMap::new();
        let mut joined: Vec<Ready> = Vec::with_capacity(ready.len());
        for mut one in ready {
            let Some(key) = one.wanted.key.clone() else {
                joined.push(one);
                continue;
            };
            let contact = one.contact().filter(|_| plan.matched == Match::DealName);
            match places.get(&(contact, key.clone())) {
                None => {
                    places.insert((contact, key), joined.len());
                    joined.push(one);
                }
                Some(place) => {
                    let first = &mut joined[*place];
                    self.summary.of(&plan.stream).joined += 1;
                    first.wanted.sources.append(&mut one.wanted.sources);
                    if !matches!(plan.matched, Match::Once(_)) {
                        first.wanted.properties.append(&mut one.wanted.properties);
                    }
                    first.links.append(&mut one.links);
                    first.links.sort();
                    first.links.dedup();
                }
            }
        }
        joined
    }

    /// Counts what became of the records, remembers them for those that refer to them, and associates them.
    async fn account(&mut self, plan: &StreamPlan, settled: Vec<Settled>) -> Result<(), TargetError> {
        let mut done: Vec<Done> = Vec::with_capacity(settled.len());
        for one in settled {
            match one {
                Settled::Done(one) => done.push(one),
                Settled::Refused(ready, refusal) => self.reject_wanted(&ready.wanted, &refusal)?,
            }
        }
        for one in &done {
            self.learn(plan, one);
            if one.linked {
                let links = u64::try_from(one.ready.links.len()).unwrap_or(u64::MAX);
                self.summary.of(&plan.stream).associated += links;
            }
        }
        let mut refused = BTreeMap::new();
        if self.context.dry {
            for one in &done {
                let line = one.ready.wanted.sources[0].line;
                let place = self.preview.len();
                self.preview.extend(preview::line_of(one).map(|text| ((line, place), text)));
            }
        } else {
            let linked = link(&self.context.client, &plan.object_type, &done).await?;
            self.summary.of(&plan.stream).associated += u64::try_from(linked.made.len()).unwrap_or(u64::MAX);
            refused = linked.refused;
        }
        for (index, one) in done.iter().enumerate() {
            match refused.get(&index) {
                Some(refusal) => self.reject_wanted(&one.ready.wanted, refusal)?,
                None => self.summary.count(&plan.stream, one.how),
            }
        }
        Ok(())
    }

    fn learn(&mut self, plan: &StreamPlan, done: &Done) {
        let of = &plan.object_type;
        let value = |name: &str| done.ready.wanted.properties.get(name).map(|value| value.trim());
        self.known.learn(of, Mark::Id, &done.id.to_string(), done.id);
        if let (Some(email), "contacts") = (value("email"), of.as_str()) {
            self.known.learn(of, Mark::Email, &email.to_lowercase(), done.id);
        }
        if let (Some(domain), "companies") = (value("domain"), of.as_str()) {
            self.known.learn(of, Mark::Domain, &domain.to_lowercase(), done.id);
        }
        if let (Some(name), "deals") = (value("dealname"), of.as_str()) {
            self.known.learn(of, Mark::Name, name, done.id);
            if let Some(contact) = done.ready.contact().filter(|_| done.how != How::Unchanged || self.context.dry) {
                self.known.learn_deal(contact, name, done.id);
            }
        }
    }
}
