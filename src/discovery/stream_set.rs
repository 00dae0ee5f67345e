//! The streams of a run: those of every portal, and one for each object type that is asked for beside them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::streams::{STREAMS, Stream, object_stream};
use crate::catalog::{Catalog, HUBSPOT_OBJECT_TYPE};
use crate::client::ObjectType;

/// The last stream, which tells of all others.
const AUDIT: &str = "sync_audit";

/// The streams of every portal, and those of further object types.
#[derive(Debug, Clone, Default)]
pub struct StreamSet {
    /// In the order in which they are read.
    further: Vec<&'static Stream>,
    /// The streams that the setting `objects` names.
    asked: Vec<&'static str>,
}

impl StreamSet {
    /// Adds the stream of an object type that the setting `objects` names, unless there is one.
    pub fn ask_for(&mut self, name: &str, object_type: &ObjectType) {
        let stream = self.add(name, object_type);
        if !self.asked.contains(&stream.name) {
            self.asked.push(stream.name);
        }
    }

    /// The streams of a catalog, of further object types those that it marks.
    pub fn of_catalog(catalog: &Catalog) -> Self {
        let mut streams = Self::default();
        for entry in &catalog.streams {
            if let Some(object_type) = entry.keyword(&[], HUBSPOT_OBJECT_TYPE).and_then(|one| one.as_str()) {
                streams.add(&entry.stream, &ObjectType::parse(object_type));
            }
        }
        streams
    }

    fn add(&mut self, name: &str, object_type: &ObjectType) -> &'static Stream {
        let of_type = self.iter().find(|stream| stream.object_type.as_ref() == Some(object_type));
        of_type.unwrap_or_else(|| {
            let is_taken = self.find(&stream_name(name)).is_some();
            let name = if is_taken { stream_name(&format!("{name}_{object_type}")) } else { stream_name(name) };
            let stream = made_once(&name, object_type);
            self.further.push(stream);
            stream
        })
    }

    /// All streams, in the order in which they are read.
    pub fn iter(&self) -> impl Iterator<Item = &'static Stream> + '_ {
        let (audit, others): (Vec<_>, Vec<_>) = STREAMS.iter().partition(|stream| stream.name == AUDIT);
        others.into_iter().chain(self.further.iter().copied()).chain(audit)
    }

    /// Their names.
    pub fn names(&self) -> Vec<&'static str> {
        self.iter().map(|stream| stream.name).collect()
    }

    /// The streams of objects.
    pub fn of_objects(&self) -> impl Iterator<Item = (&'static Stream, &'static ObjectType)> + '_ {
        self.iter().filter_map(|stream| Some((stream, stream.object_type.as_ref()?)))
    }

    /// The stream of a name.
    pub fn find(&self, name: &str) -> Option<&'static Stream> {
        self.iter().find(|stream| stream.name == name)
    }

    /// Whether the setting `objects` names a stream.
    pub fn is_asked(&self, stream: &Stream) -> bool {
        self.asked.contains(&stream.name)
    }
}

/// A name that targets take for a table: in `[a-z0-9_]`.
pub(super) fn stream_name(name: &str) -> String {
    let safe = |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '_' };
    name.chars().map(safe).collect()
}

/// The definition of a stream, which lives as long as the process, as those of every portal do. One is made for each object
/// type, however many runs of the process read it.
fn made_once(name: &str, object_type: &ObjectType) -> &'static Stream {
    static MADE: Mutex<BTreeMap<(String, ObjectType), &'static Stream>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry((name.to_owned(), object_type.clone())).or_insert_with(|| {
        let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
        Box::leak(Box::new(object_stream(name, object_type.clone())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_one_stream_and_a_taken_name_gets_the_types_id() {
        let mut streams = StreamSet::default();
        for (name, object_type) in
            [("notes", "0-46"), ("contacts", "contact"), ("p1_A.B", "2-7"), ("p1_a.b", "2-7"), ("p1_a_b", "2-8")]
        {
            streams.ask_for(name, &ObjectType::parse(object_type));
        }
        let added: Vec<&str> = streams.further.iter().map(|stream| stream.name).collect();
        assert_eq!(added, ["notes", "p1_a_b", "p1_a_b_2_8"]);
        assert_eq!(streams.asked, ["notes", "contacts", "p1_a_b", "p1_a_b_2_8"]);
        assert_eq!(streams.names().last(), Some(&"sync_audit"));
        assert!(std::ptr::eq(made_once("notes", &ObjectType::parse("notes")), streams.find("notes").expect("notes")));
    }
}
