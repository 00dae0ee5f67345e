//! A dry run: what HubSpot would answer, foreseen from the portal and from the lines before.

use std::collections::{BTreeMap, BTreeSet};

use super::associate::{AssociationOutcomes, pending_associations, preview_associations};
use super::error::TargetError;
use super::foreseen::{ForeseenRecords, StoredProperties, ValueHolder};
use super::groups::{LineHashes, ONE_WAY, RecordGroup};
use super::identity::{KeyHash, folded};
use super::lookups;
use super::matching::{Lookup, StoredRecord};
use super::outcome_log::OutcomeLog;
use super::placeholder::{is_placeholder, shown};
use super::plan::MatchBy;
use super::preview;
use super::rejection::Rejection;
use super::resolved_line::ResolvedLine;
use super::write_context::WriteContext;
use super::write_step::{Change, WriteAction, WrittenGroup, WrittenRecord};
use crate::client::{ObjectId, ObjectType};

/// What was found for lines, with what the lines before them would have made of it.
///
/// # Errors
/// When a temporary file cannot be read.
pub(super) fn find_foreseen(
    foreseen: &ForeseenRecords,
    ready: &[ResolvedLine],
    found: &mut [Lookup],
) -> Result<(), TargetError> {
    for (line, found) in ready.iter().zip(found) {
        let of = &line.desired.plan.object_type;
        let is_by_value = matches!(line.desired.plan.match_by, MatchBy::UniqueProperty(_));
        for hash in LineHashes::of(line, &Lookup::Absent).identity {
            match foreseen.holder(hash)? {
                ValueHolder::Nobody if is_by_value => *found = Lookup::Absent,
                ValueHolder::Record(id) if is_by_value || matches!(found, Lookup::Absent | Lookup::AbsentUnder(_)) => {
                    *found = Lookup::Found(StoredRecord { id, properties: StoredProperties::new() });
                }
                _ => {}
            }
        }
        if let Lookup::Found(stored) = found
            && let Some(properties) = foreseen.properties(of, stored.id)?
        {
            stored.properties.extend(properties);
        }
    }
    Ok(())
}

/// The records whose unique values belong to others in the portal or by the lines before: HubSpot would refuse them.
///
/// # Errors
/// Errors that concern no single record.
pub(super) async fn conflicts(
    context: &WriteContext,
    foreseen: &ForeseenRecords,
    groups: &[RecordGroup],
    changes: &[Vec<Change>],
) -> Result<BTreeMap<usize, Rejection>, TargetError> {
    let mut asked: BTreeMap<&str, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    for (at, (group, changes)) in groups.iter().zip(changes).enumerate() {
        let is_key = |name: &str| group.stored.is_none() && group.plan.key_property() == Some(name);
        for Change { property, new, .. } in changes {
            let definition = group.plan.definitions.by_name.get(property);
            if definition.is_some_and(|definition| definition.unique) && !new.is_empty() && !is_key(property) {
                asked.entry(property).or_default().entry(folded(new)).or_default().push(at);
            }
        }
    }
    let Some(of) = groups.first().map(|group| &group.plan.object_type) else { return Ok(BTreeMap::new()) };
    let mut conflicts = BTreeMap::new();
    for (property, places) in asked {
        let holders = holders(context, of, property, places.keys().cloned().collect()).await?;
        for (value, places) in places {
            let holder = match foreseen.holder(KeyHash::of_value(of, property, &value))? {
                ValueHolder::AsInPortal => holders.get(&value).copied(),
                ValueHolder::Nobody => None,
                ValueHolder::Record(id) => Some(id),
            };
            let Some(holder) = holder else { continue };
            for at in places {
                if groups[at].stored.as_ref().is_none_or(|stored| stored.id != holder) {
                    let (holder, key) = (shown(holder), groups[at].lines[0].desired.key.clone().unwrap_or_default());
                    let reason = format!(
                        "{property} {value:?} belongs to {of} {holder}, which is not the record that this line is about \
                         ({key:?})"
                    );
                    conflicts.insert(at, Rejection::new(reason));
                }
            }
        }
    }
    Ok(conflicts)
}

/// Who has values of a unique property in the portal. A contact has each of its addresses.
async fn holders(
    context: &WriteContext,
    of: &ObjectType,
    property: &str,
    values: BTreeSet<String>,
) -> Result<BTreeMap<String, ObjectId>, TargetError> {
    let names = [property, "hs_additional_emails"];
    let names = if property == "email" { &names[..] } else { &names[..1] };
    let read = lookups::read(&context.client, of, Some(property), &values, names).await?;
    let mut holders = BTreeMap::new();
    for object in read.found {
        for text in names.iter().filter_map(|name| object.properties.get(*name)?.as_deref()) {
            holders.extend(text.split(';').map(|value| (folded(value), object.id)));
        }
    }
    Ok(holders)
}

/// The values that HubSpot would not take: a lifecycle stage before the one that the record has.
pub(super) fn kept(group: &RecordGroup, changes: &[Change]) -> Vec<Change> {
    let moves_back = |change: &&Change| {
        let definition = group.plan.definitions.by_name.get(ONE_WAY).filter(|_| change.property == ONE_WAY);
        definition
            .is_some_and(|definition| definition.is_before(&change.new, change.old.as_deref().unwrap_or_default()))
    };
    changes.iter().filter(moves_back).cloned().collect()
}

/// Notes what a wave would have written.
///
/// # Errors
/// When a temporary file cannot be written.
pub(super) fn note(foreseen: &mut ForeseenRecords, done: &[WrittenGroup]) -> Result<(), TargetError> {
    for WrittenGroup { group, written, changes, .. } in done {
        let of = &group.plan.object_type;
        let found = group.stored.clone().map_or(Lookup::Absent, Lookup::Found);
        for line in &group.lines {
            let LineHashes { identity, claims, freed, names } = LineHashes::of(line, &found);
            for hash in freed {
                foreseen.free(hash)?;
            }
            for hash in identity.into_iter().chain(claims).chain(names) {
                foreseen.find_by(hash, written.id)?;
            }
        }
        if written.action == WriteAction::Unchanged {
            continue;
        }
        let mut properties = group.stored.as_ref().map(|stored| stored.properties.clone()).unwrap_or_default();
        for Change { property, old, new } in changes.iter().filter(|one| !is_kept(written, one)) {
            let several = group.plan.definitions.by_name.get(property).is_some_and(|definition| definition.several);
            let added = new.strip_prefix(';').filter(|_| several);
            let value = match (old.as_deref().filter(|old| !old.is_empty()), added) {
                (Some(old), Some(added)) => format!("{old};{added}"),
                _ => new.clone(),
            };
            properties.insert(property.clone(), Some(value));
        }
        foreseen.set(of, written.id, &properties)?;
    }
    Ok(())
}

fn is_kept(written: &WrittenRecord, change: &Change) -> bool {
    written.kept.iter().any(|kept| kept.property == change.property)
}

/// Adds what a dry run would do to the preview, and returns the associations that it would make.
///
/// # Errors
/// Errors that concern no single record.
pub(super) async fn preview(
    context: &WriteContext,
    outcome_log: &mut OutcomeLog,
    foreseen: &mut ForeseenRecords,
    done: &[WrittenGroup],
) -> Result<AssociationOutcomes, TargetError> {
    let mut outcomes = AssociationOutcomes::default();
    let Some(first) = done.first() else { return Ok(outcomes) };
    let of = &first.group.plan.object_type;
    let pending: Vec<_> = done.iter().map(|one| (one.at, pending_associations(&one.group, &one.written))).collect();
    let mut missing = preview_associations(&context.client, of, &pending).await?;
    for WrittenGroup { at, group, written, changes } in done {
        let mut links = Vec::new();
        for link in missing.remove(at).unwrap_or_default() {
            if foreseen.associate(of, written.id, &link)? {
                links.push(link);
            }
        }
        outcomes.created.insert(*at, u64::try_from(links.len()).unwrap_or(0));
        // A record that a line before would have created was shown there.
        let is_shown = written.action == WriteAction::Unchanged && is_placeholder(written.id) && links.is_empty();
        let line = preview::line_of(group, written, changes, &links).filter(|_| !is_shown);
        outcome_log.preview(group.lines[0].desired.source.line, line);
    }
    Ok(outcomes)
}
