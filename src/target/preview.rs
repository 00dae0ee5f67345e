//! What a dry run prints: a line for each record that would change the portal.

use std::fmt::Write as _;

use super::chunk::{Done, How, is_fake};
use super::writing::Refusal;

/// Longer values are cut in the middle of a sentence anyway.
const MAX_SHOWN: usize = 80;

/// The line of a record; none where nothing would happen.
pub(super) fn line_of(done: &Done) -> Option<String> {
    let wanted = &done.ready.wanted;
    let of = &wanted.plan.object_type;
    let mut line = match done.how {
        How::Created => format!("create {of}"),
        How::Updated => format!("change {of} {}", done.id),
        How::Unchanged => return None,
    };
    if let Some(key) = &wanted.key {
        write!(line, " ({key})").expect("writing to a String does not fail");
    }
    let changes: Vec<String> = done
        .changes
        .iter()
        .map(|change| match done.how {
            How::Created => format!("{}: {}", change.property, shown(&change.new)),
            _ => format!(
                "{}: {} → {}",
                change.property,
                shown(change.old.as_deref().unwrap_or_default()),
                shown(&change.new)
            ),
        })
        .collect();
    write!(line, " {}", changes.join(", ")).expect("writing to a String does not fail");
    for link in &done.ready.links {
        let id = if is_fake(link.id) { "(new)".to_owned() } else { link.id.to_string() };
        write!(line, ", with {} {id}", link.to).expect("writing to a String does not fail");
    }
    Some(line)
}

/// The line of a record that would be rejected.
pub(super) fn line_of_rejected(stream: &str, line: u64, refusal: &Refusal) -> String {
    format!("reject {stream} (line {line}) {}", refusal.reason)
}

fn shown(value: &str) -> String {
    let cut: String = value.chars().take(MAX_SHOWN).collect();
    if cut.len() < value.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}
