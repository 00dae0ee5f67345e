//! Brings lines of one type into the portal: what they refer to is looked up, then they themselves, then what differs is
//! written, then they are associated.

use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, stream};

use super::accounts::{Accounts, not_taken};
use super::chunk::{Change, Context, How, Ready, Step, Written, creation, step};
use super::exit::TargetError;
use super::field::Mark;
use super::groups::{Group, Wave, form, identity};
use super::identity::{Token, folded};
use super::known::{Known, mark_token};
use super::linking::{Linked, Unlinked, link, would_link};
use super::lookups::REQUESTS_AT_ONCE;
use super::matching::{Found, find};
use super::plan::{Match, StreamPlan};
use super::preview;
use super::references::{Resolved, resolve};
use super::settling::{Batch, deliver};
use super::waiting::Waiting;
use super::wanted::Wanted;
use super::writing::{Operation, Pending, Refusal};
use crate::client::{MAX_ASSOCIATIONS, MAX_BATCH, ObjectId, ObjectType};

/// Writes lines, and remembers what later ones may refer to.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) context: Context,
    pub(super) accounts: Accounts,
    pub(super) waiting: Waiting,
    known: Known,
}

/// A record of a wave that is in the portal.
struct Done {
    /// Its place in the wave.
    at: usize,
    group: Group,
    written: Written,
    changes: Vec<Change>,
}

impl Writer {
    pub(super) fn new(context: Context, accounts: Accounts) -> Self {
        Self { context, accounts, waiting: Waiting::default(), known: Known::default() }
    }

    /// Writes lines of one type, which stand in the order of the input. `last` says that no line comes any more that they
    /// could wait for.
    ///
    /// # Errors
    /// What is about none of the records.
    pub(super) async fn deliver(&mut self, lines: Vec<Wanted>, last: bool) -> Result<(), TargetError> {
        let mut ready = Vec::with_capacity(lines.len());
        for resolved in resolve(&self.context, &mut self.known, lines, last).await? {
            match resolved {
                Resolved::Ready(one) => ready.push(one),
                Resolved::Refused(wanted, refusal) => self.accounts.reject_wanted(&wanted, None, &refusal)?,
            }
        }
        while !ready.is_empty() {
            let found = self.find(&ready).await?;
            let lines: Vec<(Ready, Found)> = ready.into_iter().zip(found).collect();
            let lines = if last { lines } else { self.let_wait(lines)? };
            let Wave { groups, refused, later } = form(lines);
            for (one, refusal) in refused {
                self.accounts.reject_wanted(&one.wanted, None, &refusal)?;
            }
            ready = later;
            ready.extend(self.write(groups).await?);
            ready.sort_by_key(|one| one.wanted.source.line);
        }
        Ok(())
    }

    /// Looks for the records of lines of any streams; the answer is in their order.
    async fn find(&self, ready: &[Ready]) -> Result<Vec<Found>, TargetError> {
        let mut found = vec![Found::Absent; ready.len()];
        let mut plans: Vec<&Arc<StreamPlan>> = Vec::new();
        for one in ready {
            if !plans.iter().any(|plan| Arc::ptr_eq(plan, &one.wanted.plan)) {
                plans.push(&one.wanted.plan);
            }
        }
        for plan in plans {
            // Who a ticket is depends on its line alone, so that one that waits need not be looked for.
            let asks = |one: &Ready| one.awaited.is_none() || !matches!(plan.matched, Match::Once(_) | Match::DealName);
            let places: Vec<usize> =
                (0..ready.len()).filter(|at| Arc::ptr_eq(&ready[*at].wanted.plan, plan) && asks(&ready[*at])).collect();
            let of_plan: Vec<&Ready> = places.iter().map(|at| &ready[*at]).collect();
            for (at, one) in places.into_iter().zip(find(&self.context, plan, &of_plan).await?) {
                found[at] = one;
            }
        }
        Ok(found)
    }

    /// Takes out the lines that wait for what they refer to, and those behind them.
    fn let_wait(&mut self, lines: Vec<(Ready, Found)>) -> Result<Vec<(Ready, Found)>, TargetError> {
        let mut kept = Vec::with_capacity(lines.len());
        for (ready, found) in lines {
            let identity = identity(&ready, &found);
            let behind = identity.iter().any(|token| self.waiting.holds(*token));
            if ready.awaited.is_some() || behind {
                self.waiting.add(ready.wanted, identity, ready.awaited.unwrap_or_default())?;
            } else {
                kept.push((ready, found));
            }
        }
        Ok(kept)
    }

    /// Writes records; returns the lines that have to be written one by one.
    async fn write(&mut self, groups: Vec<Group>) -> Result<Vec<Ready>, TargetError> {
        let mut outcomes: Vec<Option<Result<Written, Refusal>>> = groups.iter().map(|_| None).collect();
        let mut changes = Vec::with_capacity(groups.len());
        let (mut updates, mut creates) = (Vec::new(), Vec::new());
        for (at, group) in groups.iter().enumerate() {
            let (step, changed) = step(&self.context, group, at);
            changes.push(changed);
            let foreseen = |id, how| Some(Ok(Written::new(id, how)));
            match step {
                Step::Nothing(id) => outcomes[at] = foreseen(id, How::Unchanged),
                Step::Update(_) if self.context.dry => {
                    let id = group.stored.as_ref().map_or(ObjectId(0), |stored| stored.id);
                    outcomes[at] = foreseen(id, How::Updated);
                }
                Step::Create(_) if self.context.dry => outcomes[at] = foreseen(self.context.fake_id(), How::Created),
                Step::Update(pending) => updates.push(pending),
                Step::Create(pending) => creates.push(pending),
            }
        }
        let mut linked = Linked::default();
        let sent = match self.context.dry {
            true => Ok(()),
            false => self.send(&groups, updates, creates, &mut outcomes, &mut linked).await,
        };
        let (mut done, mut again) = (Vec::new(), Vec::new());
        for (at, ((group, outcome), changes)) in groups.into_iter().zip(outcomes).zip(changes).enumerate() {
            match outcome {
                Some(Ok(written)) => {
                    if !matches!(written.how, How::Created | How::Updated) || self.context.dry {
                        self.accounts.written(&group.plan.stream, written.how, group.lines.len());
                    }
                    done.push(Done { at, group, written, changes });
                }
                Some(Err(_)) if group.lines.len() > 1 => {
                    again.extend(group.lines.into_iter().map(|line| Ready { alone: true, ..line }));
                }
                Some(Err(refusal)) => self.accounts.reject_wanted(&group.lines[0].wanted, None, &refusal)?,
                // Only after an error, which ends the run.
                None => {}
            }
        }
        sent?;
        for one in &done {
            self.learn(one)?;
        }
        match self.context.dry {
            true => self.foresee(&done).await?,
            false => self.tell(&done, linked)?,
        }
        Ok(again)
    }

    /// Sends what there is to send, batches side by side, and associates what is written while others are on their way.
    /// What was written is counted at once, however the run ends.
    async fn send(
        &mut self,
        groups: &[Group],
        updates: Vec<Pending>,
        creates: Vec<Pending>,
        outcomes: &mut [Option<Result<Written, Refusal>>],
        linked: &mut Linked,
    ) -> Result<(), TargetError> {
        let Some(from) = groups.first().map(|group| &group.plan.object_type) else { return Ok(()) };
        let (context, accounts) = (&self.context, &mut self.accounts);
        let batches = batches(groups, updates, creates);
        let mut sending =
            stream::iter(batches).map(|batch| deliver(context, groups, batch)).buffer_unordered(REQUESTS_AT_ONCE);
        let mut linking = FuturesUnordered::new();
        let there = |(at, outcome): (usize, &Option<Result<Written, Refusal>>)| {
            Some((at, unlinked(&groups[at], outcome.as_ref()?.as_ref().ok()?)))
        };
        let mut waiting: Vec<(usize, Unlinked<'_>)> = outcomes.iter().enumerate().filter_map(there).collect();
        let mut is_sending = true;
        let mut failed = Ok(());
        while is_sending || !linking.is_empty() {
            // Counted in records, so that the call of each type of association is full; what is left follows the last batch.
            if failed.is_ok() && waiting.len() >= MAX_ASSOCIATIONS {
                linking.push(link(&context.client, from, std::mem::take(&mut waiting)));
            }
            tokio::select! {
                settled = sending.next(), if is_sending => match settled {
                    None => {
                        is_sending = false;
                        if failed.is_ok() {
                            linking.push(link(&context.client, from, std::mem::take(&mut waiting)));
                        }
                    }
                    // Of several errors the first one says why the run ends.
                    Some(Err(error)) => failed = failed.and(Err(error)),
                    Some(Ok(settled)) => {
                        for (at, outcome) in settled {
                            if let Ok(written) = &outcome {
                                if written.how != How::Unchanged {
                                    accounts.written(&groups[at].plan.stream, written.how, groups[at].lines.len());
                                }
                                waiting.push((at, unlinked(&groups[at], written)));
                            }
                            outcomes[at] = Some(outcome);
                        }
                    }
                },
                Some(made) = linking.next(), if !linking.is_empty() => match made {
                    Ok(made) => linked.add(made),
                    Err(error) => failed = failed.and(Err(error)),
                },
            }
        }
        failed
    }

    /// Remembers a record by everything that a later line may refer to it by.
    fn learn(&mut self, done: &Done) -> Result<(), TargetError> {
        let Done { group, written, .. } = done;
        let (of, id) = (&group.plan.object_type, written.id);
        let value = |name: &str| group.properties.get(name).filter(|value| !value.trim().is_empty());
        let mut tokens = vec![mark_token(of, Mark::Id, &id.to_string())];
        match of.as_str() {
            "contacts" => tokens.extend(value("email").map(|email| mark_token(of, Mark::Email, &folded(email)))),
            "companies" => tokens.extend(value("domain").map(|domain| mark_token(of, Mark::Domain, &folded(domain)))),
            "deals" => {
                if let Some(name) = value("dealname") {
                    self.known.learn_deal_name(name.trim(), id)?;
                }
                let contacts = group.links.iter().filter(|link| link.to == ObjectType::CONTACTS);
                for contact in contacts.map(|link| link.id).chain(group.contact()) {
                    tokens.extend(value("dealname").map(|name| Token::of_deal(contact, name.trim())));
                }
            }
            _ => {}
        }
        // Of several deals of one name the oldest is meant, which only the portal knows.
        let asked_for = *of == ObjectType::DEALS && group.plan.matched != Match::DealName && !self.context.dry;
        for (at, token) in tokens.into_iter().enumerate() {
            if at == 0 || !asked_for {
                self.known.learn(token, id)?;
            }
            self.waiting.arrive(token);
        }
        Ok(())
    }

    /// Tells what became of the lines of records.
    fn tell(&mut self, done: &[Done], mut linked: Linked) -> Result<(), TargetError> {
        for Done { at, group, written, .. } in done {
            let stream = &group.plan.stream;
            let made = linked.made.remove(at).unwrap_or(0);
            let unassociated = linked.refused.remove(at);
            self.accounts.summary.of(stream).associated += match (&unassociated, is_created_with_links(group, written))
            {
                (None, true) => u64::try_from(group.links.len()).unwrap_or(0),
                _ => made,
            };
            let mut refused = 0;
            for (nth, line) in group.lines.iter().enumerate() {
                let wanted = &line.wanted;
                let kept = written.kept.iter().find(|kept| wanted.properties.get(&kept.property) == Some(&kept.new));
                let refusal = unassociated.clone().filter(|_| !line.links.is_empty()).or_else(|| kept.map(not_taken));
                if let Some(refusal) = refusal {
                    refused += 1;
                    self.accounts.reject_wanted(wanted, Some(written.id), &refusal)?;
                } else {
                    // The first line created the record, the others changed it; a ticket is never changed.
                    let how = match (&group.plan.matched, written.how) {
                        (Match::Once(_), How::Created) if nth > 0 => How::Unchanged,
                        (_, How::Created) if nth > 0 => How::Updated,
                        (_, how) => how,
                    };
                    self.accounts.done(wanted, written.id, how, &line.links);
                }
            }
            self.accounts.not_as_wanted(stream, written.how, group.lines.len(), refused);
        }
        Ok(())
    }

    /// Keeps what a dry run would do to records.
    async fn foresee(&mut self, done: &[Done]) -> Result<(), TargetError> {
        let Some(first) = done.first() else { return Ok(()) };
        let unlinked: Vec<(usize, Unlinked<'_>)> =
            done.iter().map(|one| (one.at, unlinked(&one.group, &one.written))).collect();
        let mut missing = would_link(&self.context.client, &first.group.plan.object_type, &unlinked).await?;
        for Done { at, group, written, changes } in done {
            let links = missing.remove(at).unwrap_or_default();
            self.accounts.summary.of(&group.plan.stream).associated += u64::try_from(links.len()).unwrap_or(0);
            let line = preview::line_of(group, written, changes, &links);
            self.accounts.foresee(group.lines[0].wanted.source.line, line);
        }
        Ok(())
    }
}

/// Inputs in batches of one stream and operation.
fn batches<'g>(groups: &'g [Group], updates: Vec<Pending>, creates: Vec<Pending>) -> Vec<Batch<'g>> {
    let mut batches: Vec<Batch<'g>> = Vec::new();
    for (creates, inputs) in [(false, updates), (true, creates)] {
        for input in inputs {
            let plan: &StreamPlan = &groups[input.at].plan;
            let open = batches.iter_mut().rev().find(|batch| {
                batch.creates == creates && std::ptr::eq(batch.plan, plan) && batch.inputs.len() < MAX_BATCH
            });
            match open {
                Some(batch) => batch.inputs.push(input),
                None => batches.push(Batch { plan, creates, inputs: vec![input] }),
            }
        }
    }
    batches
}

fn unlinked<'g>(group: &'g Group, written: &Written) -> Unlinked<'g> {
    let may_have = written.how != How::Created || is_created_with_links(group, written);
    Unlinked { id: written.id, links: &group.links, may_have }
}

/// Whether the associations were sent together with the new record.
fn is_created_with_links(group: &Group, written: &Written) -> bool {
    written.how == How::Created && matches!(creation(&group.plan), Operation::Create)
}
