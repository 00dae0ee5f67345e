//! Brings lines of one type into the portal: what they refer to is looked up, then they themselves, then what differs is
//! written, then they are associated.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, stream};

use super::associate::{
    AssociationOutcomes, PendingAssociations, associate, is_created_with_links, pending_associations,
};
use super::deferred::DeferredRecords;
use super::desired::DesiredRecord;
use super::dry_run;
use super::error::TargetError;
use super::field::LookupBy;
use super::foreseen::ForeseenRecords;
use super::groups::{LineHashes, RecordGroup, Wave, form};
use super::identity::{KeyHash, folded};
use super::lookups::REQUESTS_AT_ONCE;
use super::matching::{Lookup, companies_by_id, find, names_of};
use super::outcome_log::{OutcomeLog, not_taken};
use super::placeholder::is_placeholder;
use super::plan::{MatchBy, StreamPlan};
use super::record_index::{RecordIndex, lookup_key};
use super::references::{Resolution, resolve};
use super::rejection::Rejection;
use super::resolved_line::ResolvedLine;
use super::write_batch::{WriteBatch, deliver};
use super::write_context::WriteContext;
use super::write_step::{WriteAction, WriteStep, WrittenGroup, WrittenRecord, step};
use super::writing::PendingInput;
use crate::client::{MAX_ASSOCIATIONS, MAX_BATCH, ObjectId, ObjectType};

/// Writes lines, and indexes the records that later ones may refer to.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) context: WriteContext,
    pub(super) outcome_log: OutcomeLog,
    pub(super) deferred: DeferredRecords,
    index: RecordIndex,
    foreseen: ForeseenRecords,
}

impl Writer {
    pub(super) fn new(context: WriteContext, outcome_log: OutcomeLog) -> Self {
        let (deferred, index, foreseen) = Default::default();
        Self { context, outcome_log, deferred, index, foreseen }
    }

    /// Writes lines of one type, in the order of the input. `last`: the input has ended, so that no line can be deferred.
    ///
    /// # Errors
    /// Errors that concern no single record.
    pub(super) async fn deliver(&mut self, lines: Vec<DesiredRecord>, last: bool) -> Result<(), TargetError> {
        let mut ready = Vec::with_capacity(lines.len());
        for resolved in resolve(&self.context, &mut self.index, lines, last).await? {
            match resolved {
                Resolution::Resolved(one) => ready.push(one),
                Resolution::Rejected(desired, rejection) => {
                    self.outcome_log.reject_record(&desired, None, &rejection)?
                }
            }
        }
        let mut limit = usize::MAX;
        while !ready.is_empty() {
            // Where each line depends on the one before it, not all of them are looked for again and again.
            let behind = ready.split_off(limit.min(ready.len()));
            let taken = ready.len();
            let found = self.find(&ready).await?;
            let lines: Vec<(ResolvedLine, Lookup)> = ready.into_iter().zip(found).collect();
            let lines = if last { lines } else { self.defer(lines)? };
            let Wave { groups, refused, later } = form(lines);
            for (one, rejection) in refused {
                self.outcome_log.reject_record(&one.desired, None, &rejection)?;
            }
            ready = later;
            ready.extend(self.write(groups).await?);
            ready.sort_by_key(|one| one.desired.source.line);
            limit = MAX_BATCH.max(taken.saturating_sub(ready.len()).saturating_mul(4));
            ready.extend(behind);
        }
        Ok(())
    }

    /// Looks for the records of lines of any streams; the results are in their order.
    async fn find(&self, ready: &[ResolvedLine]) -> Result<Vec<Lookup>, TargetError> {
        let mut found = vec![Lookup::Absent; ready.len()];
        let mut plans: Vec<&Arc<StreamPlan>> = Vec::new();
        for one in ready {
            if !plans.iter().any(|plan| Arc::ptr_eq(plan, &one.desired.plan)) {
                plans.push(&one.desired.plan);
            }
        }
        for plan in plans {
            // The identity of a ticket depends on its line alone, so that a deferred one need not be looked up.
            let asks = |one: &ResolvedLine| {
                one.awaited.is_none() || !matches!(plan.match_by, MatchBy::DeliveryKey(_) | MatchBy::DealName)
            };
            let places: Vec<usize> = (0..ready.len())
                .filter(|at| Arc::ptr_eq(&ready[*at].desired.plan, plan) && asks(&ready[*at]))
                .collect();
            let of_plan: Vec<&ResolvedLine> = places.iter().map(|at| &ready[*at]).collect();
            for (at, one) in places.into_iter().zip(find(&self.context, plan, &of_plan).await?) {
                found[at] = one;
            }
        }
        self.find_companies_of_run(ready, &mut found).await?;
        if self.context.dry {
            dry_run::find_foreseen(&self.foreseen, ready, &mut found)?;
        }
        Ok(found)
    }

    /// Looks by id for companies that this run wrote through another stream: the search by domain lags.
    async fn find_companies_of_run(&self, ready: &[ResolvedLine], found: &mut [Lookup]) -> Result<(), TargetError> {
        let mut written: BTreeMap<usize, String> = BTreeMap::new();
        for (at, line) in ready.iter().enumerate() {
            if let (MatchBy::CompanyDomain(_), Lookup::Absent | Lookup::AbsentUnder(_), Some(domain)) =
                (&line.desired.plan.match_by, &found[at], &line.desired.key)
                && let Some(id) = self.index.company(domain)?.filter(|id| !is_placeholder(*id))
            {
                written.insert(at, id.to_string());
            }
        }
        if written.is_empty() {
            return Ok(());
        }
        let lines: Vec<&ResolvedLine> = written.keys().map(|at| &ready[*at]).collect();
        let ids = written.values().cloned().collect();
        let companies = companies_by_id(&self.context.client, &ids, names_of(&lines)).await?;
        for (at, id) in written {
            let domain = ready[at].desired.key.as_deref().unwrap_or_default();
            if let Some(company) = companies.get(&id).filter(|company| company.has_domain(domain)) {
                found[at] = Lookup::Found(company.clone());
            }
        }
        Ok(())
    }

    /// Takes out and defers the lines whose references do not exist yet, and later lines of the same records.
    fn defer(&mut self, lines: Vec<(ResolvedLine, Lookup)>) -> Result<Vec<(ResolvedLine, Lookup)>, TargetError> {
        let mut kept = Vec::with_capacity(lines.len());
        for (ready, found) in lines {
            let hashes: Vec<KeyHash> = LineHashes::of(&ready, &found).all().copied().collect();
            let behind = hashes.iter().any(|hash| self.deferred.holds(*hash));
            if ready.awaited.is_some() || behind {
                self.deferred.add(ready.desired, hashes, ready.awaited.unwrap_or_default())?;
            } else {
                kept.push((ready, found));
            }
        }
        Ok(kept)
    }

    /// Writes records; returns the lines that have to be written one by one.
    async fn write(&mut self, groups: Vec<RecordGroup>) -> Result<Vec<ResolvedLine>, TargetError> {
        let mut outcomes: Vec<Option<Result<WrittenRecord, Rejection>>> = groups.iter().map(|_| None).collect();
        let mut changes = Vec::with_capacity(groups.len());
        let (mut updates, mut creates) = (Vec::new(), Vec::new());
        for (at, group) in groups.iter().enumerate() {
            for line in &group.lines {
                let hashes = LineHashes::of(line, &Lookup::Absent);
                self.context.note_values(&group.plan.object_type, &hashes.claims);
            }
            let (step, changed) = step(&self.context, group, at);
            changes.push(changed);
            let foreseen = |id, action| Some(Ok(WrittenRecord::new(id, action)));
            match step {
                WriteStep::Nothing(id) => outcomes[at] = foreseen(id, WriteAction::Unchanged),
                WriteStep::Update(_) if self.context.dry => {
                    let id = group.stored.as_ref().map_or(ObjectId(0), |stored| stored.id);
                    outcomes[at] = foreseen(id, WriteAction::Updated);
                }
                WriteStep::Create(_) if self.context.dry => {
                    outcomes[at] = foreseen(self.context.placeholder_id(), WriteAction::Created)
                }
                WriteStep::Update(pending) => updates.push(pending),
                WriteStep::Create(pending) => creates.push(pending),
            }
        }
        if self.context.dry {
            for (at, rejection) in dry_run::conflicts(&self.context, &self.foreseen, &groups, &changes).await? {
                outcomes[at] = Some(Err(rejection));
            }
            for ((outcome, group), changes) in outcomes.iter_mut().zip(&groups).zip(&changes) {
                if let Some(Ok(written)) = outcome {
                    written.kept = dry_run::kept(group, changes);
                }
            }
        }
        let mut associated_outcomes = AssociationOutcomes::default();
        let sent = match self.context.dry {
            true => Ok(()),
            false => self.send(&groups, updates, creates, &mut outcomes, &mut associated_outcomes).await,
        };
        let (mut done, mut again) = (Vec::new(), Vec::new());
        let mut ended = Ok(());
        for (at, ((group, outcome), changes)) in groups.into_iter().zip(outcomes).zip(changes).enumerate() {
            match outcome {
                Some(Ok(written)) => {
                    if !matches!(written.action, WriteAction::Created | WriteAction::Updated) || self.context.dry {
                        self.outcome_log.written(&group.plan.stream, written.action, group.lines.len());
                    }
                    done.push(WrittenGroup { at, group, written, changes });
                }
                Some(Err(_)) if group.lines.len() > 1 => {
                    again.extend(group.lines.into_iter().map(|line| ResolvedLine { alone: true, ..line }));
                }
                Some(Err(rejection)) => {
                    let told = self.outcome_log.reject_record(&group.lines[0].desired, None, &rejection);
                    ended = ended.and(told);
                }
                // Only after an error, which ends the run.
                None => {}
            }
        }
        for one in &done {
            self.learn(one)?;
        }
        // Also of a run that ends here each record that was written has its result.
        let is_whole = sent.is_ok();
        if self.context.dry {
            dry_run::note(&mut self.foreseen, &done)?;
            let Self { context, outcome_log, foreseen, .. } = self;
            associated_outcomes = dry_run::preview(context, outcome_log, foreseen, &done).await?;
        }
        let told = self.log_outcomes(&done, associated_outcomes, is_whole);
        sent.and(ended).and(told).map(|()| again)
    }

    /// Sends what there is to send, batches side by side, and associates what is written while others are on their way.
    /// What was written is counted at once, however the run ends.
    async fn send(
        &mut self,
        groups: &[RecordGroup],
        updates: Vec<PendingInput>,
        creates: Vec<PendingInput>,
        outcomes: &mut [Option<Result<WrittenRecord, Rejection>>],
        associated_outcomes: &mut AssociationOutcomes,
    ) -> Result<(), TargetError> {
        let Some(from) = groups.first().map(|group| &group.plan.object_type) else { return Ok(()) };
        let (context, outcome_log) = (&self.context, &mut self.outcome_log);
        let batches = batches(groups, updates, creates);
        let mut sending =
            stream::iter(batches).map(|batch| deliver(context, groups, batch)).buffer_unordered(REQUESTS_AT_ONCE);
        let mut linking = FuturesUnordered::new();
        let there = |(at, outcome): (usize, &Option<Result<WrittenRecord, Rejection>>)| {
            Some((at, pending_associations(&groups[at], outcome.as_ref()?.as_ref().ok()?)))
        };
        let mut waiting: Vec<(usize, PendingAssociations<'_>)> =
            outcomes.iter().enumerate().filter_map(there).collect();
        let mut is_sending = true;
        let mut failed = Ok(());
        while is_sending || !linking.is_empty() {
            // Counted in records, so that the call of each type of association is full; what is left follows the last batch.
            if failed.is_ok() && waiting.len() >= MAX_ASSOCIATIONS {
                linking.push(associate(&context.client, from, std::mem::take(&mut waiting)));
            }
            tokio::select! {
                settled = sending.next(), if is_sending => match settled {
                    None => {
                        is_sending = false;
                        if failed.is_ok() {
                            linking.push(associate(&context.client, from, std::mem::take(&mut waiting)));
                        }
                    }
                    // The first of several errors is why the run ends.
                    Some(Err(error)) => failed = failed.and(Err(error)),
                    Some(Ok(settled)) => {
                        for (at, outcome) in settled {
                            if let Ok(written) = &outcome {
                                if written.action != WriteAction::Unchanged {
                                    outcome_log.written(&groups[at].plan.stream, written.action, groups[at].lines.len());
                                }
                                waiting.push((at, pending_associations(&groups[at], written)));
                            }
                            outcomes[at] = Some(outcome);
                        }
                    }
                },
                Some(made) = linking.next(), if !linking.is_empty() => match made {
                    Ok(made) => associated_outcomes.add(made),
                    Err(error) => failed = failed.and(Err(error)),
                },
            }
        }
        failed
    }

    /// Indexes a record by everything that a later line may refer to it by.
    fn learn(&mut self, done: &WrittenGroup) -> Result<(), TargetError> {
        let WrittenGroup { group, written, .. } = done;
        let (of, id) = (&group.plan.object_type, written.id);
        let value = |name: &str| group.properties.get(name).filter(|value| !value.trim().is_empty());
        let mut tokens = vec![lookup_key(of, LookupBy::Id, &id.to_string())];
        match of.as_str() {
            "contacts" => tokens.extend(value("email").map(|email| lookup_key(of, LookupBy::Email, &folded(email)))),
            "companies" => {
                tokens.extend(value("domain").map(|domain| lookup_key(of, LookupBy::Domain, &folded(domain))))
            }
            "deals" => {
                if let Some(name) = value("dealname") {
                    self.index.learn_deal_name(name.trim(), id)?;
                }
                let contacts = group.links.iter().filter(|link| link.to == ObjectType::CONTACTS);
                for contact in contacts.map(|link| link.id).chain(group.contacts()) {
                    tokens.extend(value("dealname").map(|name| KeyHash::of_deal(contact, name.trim())));
                }
            }
            _ => {}
        }
        // Of several deals of one name the oldest is meant, which only the portal knows.
        let asked_for = *of == ObjectType::DEALS && group.plan.match_by != MatchBy::DealName && !self.context.dry;
        for (at, token) in tokens.into_iter().enumerate() {
            if at == 0 || !asked_for {
                self.index.learn(token, id)?;
            }
            self.deferred.arrive(token);
        }
        Ok(())
    }

    /// Logs the outcome of each line. `is_whole`: nothing ended the run before all associations were made.
    ///
    /// # Errors
    /// When a file cannot be written, or too many records are rejected; the outcomes of all lines are logged before.
    fn log_outcomes(
        &mut self,
        done: &[WrittenGroup],
        mut associated_outcomes: AssociationOutcomes,
        is_whole: bool,
    ) -> Result<(), TargetError> {
        let mut ended = Ok(());
        for WrittenGroup { at, group, written, .. } in done {
            let stream = &group.plan.stream;
            let made = associated_outcomes.created.remove(at).unwrap_or(0);
            let unassociated = associated_outcomes.refused.remove(at).unwrap_or_default();
            let is_created_with_links = is_created_with_links(group, written);
            self.outcome_log.summary.of(stream).associated += match (unassociated.is_empty(), is_created_with_links) {
                (true, true) => u64::try_from(group.links.len()).unwrap_or(0),
                _ => made,
            };
            let mut refused = 0;
            for (nth, line) in group.lines.iter().enumerate() {
                let desired = &line.desired;
                let kept = written.kept.iter().find(|kept| desired.properties.get(&kept.property) == Some(&kept.new));
                let lacking = unassociated.iter().find(|(link, _)| line.links.contains(link));
                let rejection = lacking.map(|(_, rejection)| rejection.clone()).or_else(|| kept.map(not_taken));
                if let Some(rejection) = rejection {
                    refused += 1;
                    ended = ended.and(self.outcome_log.reject_record(desired, Some(written.id), &rejection));
                } else {
                    // The first line created the record, the others changed it; a ticket is never changed.
                    let action = match (&group.plan.match_by, written.action) {
                        (MatchBy::DeliveryKey(_), WriteAction::Created) if nth > 0 => WriteAction::Unchanged,
                        (_, WriteAction::Created) if nth > 0 => WriteAction::Updated,
                        (_, action) => action,
                    };
                    let links = if is_whole || is_created_with_links { &line.links[..] } else { &[] };
                    self.outcome_log.done(desired, written.id, action, links);
                }
            }
            self.outcome_log.count_rejected(stream, written.action, group.lines.len(), refused);
        }
        ended
    }
}

/// Inputs in batches of one stream and operation.
fn batches<'g>(
    groups: &'g [RecordGroup],
    updates: Vec<PendingInput>,
    creates: Vec<PendingInput>,
) -> Vec<WriteBatch<'g>> {
    let mut batches: Vec<WriteBatch<'g>> = Vec::new();
    for (creates, inputs) in [(false, updates), (true, creates)] {
        for input in inputs {
            let plan: &StreamPlan = &groups[input.at].plan;
            let open = batches.iter_mut().rev().find(|batch| {
                batch.creates == creates && std::ptr::eq(batch.plan, plan) && batch.inputs.len() < MAX_BATCH
            });
            match open {
                Some(batch) => batch.inputs.push(input),
                None => batches.push(WriteBatch { plan, creates, inputs: vec![input] }),
            }
        }
    }
    batches
}
