//! What a dry run prints: a line for each record that would change the portal.

use std::fmt::Write as _;

use super::groups::RecordGroup;
use super::placeholder::shown as shown_id;
use super::rejection::Rejection;
use super::resolved_line::AssociationLink;
use super::write_step::{Change, WriteAction, WrittenRecord};

/// Longer values are cut in the middle of a sentence anyway.
const MAX_SHOWN: usize = 80;

/// The line of a record; none where nothing would happen.
pub(super) fn line_of(
    group: &RecordGroup,
    written: &WrittenRecord,
    changes: &[Change],
    links: &[AssociationLink],
) -> Option<String> {
    let of = &group.plan.object_type;
    let mut line = match written.action {
        WriteAction::Created => format!("create {of}"),
        WriteAction::Updated => format!("change {of} {}", shown_id(written.id)),
        WriteAction::Unchanged if links.is_empty() => return None,
        WriteAction::Unchanged => format!("associate {of} {}", shown_id(written.id)),
    };
    if let Some(key) = &group.lines[0].desired.key {
        write!(line, " ({key})").expect("writing to a String does not fail");
    }
    let changes = changes.iter().map(|change| match written.action {
        WriteAction::Created => format!("{}: {}", change.property, shown(&change.new)),
        _ => {
            let old = change.old.as_deref().unwrap_or_default();
            format!("{}: {} → {}", change.property, shown(old), shown(&change.new))
        }
    });
    let with = links.iter().map(|link| format!("with {} {}", link.to, shown_id(link.id)));
    let parts: Vec<String> = changes.chain(with).collect();
    write!(line, " {}", parts.join(", ")).expect("writing to a String does not fail");
    Some(line)
}

/// The line of a record that would be rejected.
pub(super) fn line_of_rejected(stream: &str, line: u64, rejection: &Rejection) -> String {
    format!("reject {stream} (line {line}) {}", rejection.reason)
}

fn shown(value: &str) -> String {
    let cut: String = value.chars().take(MAX_SHOWN).collect();
    if cut.len() < value.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}
