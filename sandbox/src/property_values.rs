//! The values of a record as JSON fragments.

/// Index of a property definition within its object type.
pub(crate) type PropertySlot = u16;

#[derive(Clone, Copy, Debug)]
struct Span {
    slot: PropertySlot,
    start: u32,
    end: u32,
}

/// The values a record has, each a JSON string with its quotes and escapes, or `@` and epoch
/// milliseconds for a value that counts the time since then whenever it is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct PropertyValues {
    spans: Vec<Span>,
    text: Vec<u8>,
}

/// Marks a fragment whose value is the time since the instant that follows.
pub(crate) const SINCE: u8 = b'@';

impl PropertyValues {
    pub(crate) fn get(&self, slot: PropertySlot) -> Option<&[u8]> {
        let at = self.spans.binary_search_by_key(&slot, |span| span.slot).ok()?;
        Some(self.slice(self.spans[at]))
    }

    /// The value as text, escapes resolved; lone surrogates become U+FFFD.
    pub(crate) fn text(&self, slot: PropertySlot) -> Option<String> {
        self.get(slot).map(decode)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PropertySlot, &[u8])> {
        self.spans.iter().map(|span| (span.slot, self.slice(*span)))
    }

    /// Appends without looking for an older value; `sort` must follow before any read.
    pub(crate) fn push(&mut self, slot: PropertySlot, fragment: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(fragment);
        self.spans.push(span(slot, start, self.text.len()));
    }

    /// Appends what `write` writes, a whole fragment.
    pub(crate) fn push_with(&mut self, slot: PropertySlot, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.text.len();
        write(&mut self.text);
        self.spans.push(span(slot, start, self.text.len()));
    }

    pub(crate) fn push_text(&mut self, slot: PropertySlot, value: &str) {
        let start = self.text.len();
        write_json_text(&mut self.text, value);
        self.spans.push(span(slot, start, self.text.len()));
    }

    pub(crate) fn sort(&mut self) {
        self.spans.sort_unstable_by_key(|span| span.slot);
        self.spans.dedup_by_key(|span| span.slot);
    }

    pub(crate) fn set(&mut self, slot: PropertySlot, fragment: Option<&[u8]>) {
        let mut fresh = Self::default();
        for (other, bytes) in self.iter().filter(|(other, _)| *other != slot) {
            fresh.push(other, bytes);
        }
        if let Some(bytes) = fragment {
            fresh.push(slot, bytes);
        }
        fresh.sort();
        *self = fresh;
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.text[span.start as usize..span.end as usize]
    }
}

fn span(slot: PropertySlot, start: usize, end: usize) -> Span {
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span { slot, start: place(start), end: place(end) }
}

pub(crate) fn json_text(value: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 2);
    write_json_text(&mut out, value);
    out
}

pub(crate) fn write_json_text(out: &mut Vec<u8>, value: &str) {
    let plain = value.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    } else if let Ok(text) = serde_json::to_string(value) {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Resolves a JSON string fragment; escapes that are no Unicode become U+FFFD.
pub(crate) fn decode(fragment: &[u8]) -> String {
    if let Ok(text) = serde_json::from_slice::<String>(fragment) {
        return text;
    }
    let raw = String::from_utf8_lossy(fragment);
    let mut fixed = String::with_capacity(raw.len());
    let mut rest = raw.as_ref();
    // Only surrogate escapes make a fragment unreadable, so pairs are kept and the rest replaced.
    while let Some(at) = rest.find('\\') {
        fixed.push_str(&rest[..at]);
        let escape = &rest[at..];
        let length = if escape.starts_with("\\u") { 6 } else { 2 }.min(escape.len());
        let pair = escape.get(..12).filter(|pair| is_pair(pair));
        if let Some(pair) = pair {
            fixed.push_str(pair);
            rest = &escape[12..];
        } else {
            let lone = escape.get(2..3).is_some_and(|c| c.eq_ignore_ascii_case("d"))
                && escape.get(3..4).is_some_and(|c| "89abcdefABCDEF".contains(c));
            fixed.push_str(if length == 6 && lone { "\\ufffd" } else { &escape[..length] });
            rest = &escape[length..];
        }
    }
    fixed.push_str(rest);
    serde_json::from_str(&fixed).unwrap_or_default()
}

fn is_pair(text: &str) -> bool {
    text.starts_with("\\u")
        && text[6..].starts_with("\\u")
        && serde_json::from_str::<String>(&format!("\"{text}\"")).is_ok()
        && text[2..3].eq_ignore_ascii_case("d")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_kept() {
        assert_eq!(decode(br#""a\ud800b""#), "a\u{fffd}b");
        assert_eq!(decode(br#""\ud83d\ude00\udc00\n""#), "\u{1f600}\u{fffd}\n");
    }

    #[test]
    fn a_value_set_again_replaces_the_old_one() {
        let mut values = PropertyValues::default();
        values.push_text(3, "three");
        values.push_text(1, "one");
        values.sort();
        values.set(3, Some(&json_text("drei \"x\"")));
        values.set(1, None);
        assert_eq!(values.get(1), None);
        assert_eq!(values.text(3).as_deref(), Some("drei \"x\""));
    }
}
