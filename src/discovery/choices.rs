//! What the settings say of a catalog: which streams and columns are selected by default, and which may be at all.

use wildmatch::WildMatch;

use super::{Stream, StreamSet};
use crate::catalog::Catalog;
use crate::client::{ObjectType, Property};
use crate::config::{ConfigError, nearest_of};
use crate::property::Kind;

/// The object type that a property name without one before it is about.
const TICKETS: &str = "tickets";

/// Properties of e-mails that `hs_email_text` makes up for.
const HEAVY: [&str; 2] = ["hs_email_headers", "hs_email_html"];

/// What is in the catalog and selected by default.
#[derive(Debug, Default)]
pub struct Choices {
    /// Stream names or globs; none: what [`Stream::selected_by_default`] says.
    pub streams: Option<Vec<String>>,
    /// Property names or globs, of tickets unless an object type stands before; none: all but the clock-driven ones.
    pub properties: Option<Vec<String>>,
    /// Names or globs of sensitive properties that are read like others; without an object type before it, of all.
    pub sensitive_properties: Vec<String>,
    /// Object types whose associations are offered.
    pub associations: Vec<ObjectType>,
    /// Whether the user named those.
    pub associations_chosen: bool,
    /// The streams that there are.
    pub known: StreamSet,
    /// All properties in one JSON column.
    pub one_column: bool,
}

impl Choices {
    /// Refuses a name or glob of `streams` that no stream has.
    ///
    /// # Errors
    /// With the nearest name.
    pub fn check_streams(&self) -> Result<(), ConfigError> {
        let names = || self.known.iter().map(|stream| stream.name);
        let unknown = self.streams.iter().flatten().find(|pattern| !names().any(|name| matches(pattern, name)));
        let Some(unknown) = unknown else { return Ok(()) };
        let nearest = nearest_of(unknown, names()).map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
        let known = names().collect::<Vec<_>>().join(", ");
        let constraint = format!("{unknown:?} is no stream and matches none{nearest} The streams are {known}");
        Err(ConfigError::Invalid { field: "streams".to_owned(), constraint })
    }

    /// Whether a stream is selected by default.
    pub fn selects(&self, stream: &Stream) -> bool {
        match &self.streams {
            Some(patterns) => patterns.iter().any(|pattern| matches(pattern, stream.name)),
            None => stream.selected_by_default || self.known.is_asked(stream),
        }
    }

    /// Whether a stream is named, not only matched: the user wants it, whatever it lacks.
    pub(super) fn names(&self, stream: &Stream) -> bool {
        self.streams.iter().flatten().any(|name| name == stream.name)
    }

    /// A sentence where a catalog, which decides, selects other streams than the setting.
    pub fn difference(&self, catalog: &Catalog) -> Option<String> {
        self.streams.as_ref()?;
        let differs = |stream: &&'static Stream| catalog.selects(stream.name) != self.selects(stream);
        let (more, less): (Vec<&Stream>, Vec<&Stream>) =
            self.known.iter().filter(differs).partition(|stream| catalog.selects(stream.name));
        let list = |streams: &[&Stream]| streams.iter().map(|stream| stream.name).collect::<Vec<_>>().join(", ");
        let parts = [("reads", more), ("leaves out", less)];
        let parts = parts.iter().filter(|(_, streams)| !streams.is_empty());
        let parts: Vec<String> = parts.map(|(what, streams)| format!("{what} {}", list(streams))).collect();
        let sentence = "the catalog decides which streams are read; other than the setting streams it";
        (!parts.is_empty()).then(|| format!("{sentence} {}", parts.join(" and ")))
    }

    /// Whether a property of a stream is selected by default.
    pub(super) fn selects_property(&self, stream: &str, property: &Property) -> bool {
        if self.is_unsupported(stream, property) {
            return false;
        }
        let Some(patterns) = &self.properties else { return is_selected_by_default(property) };
        let mut of_stream = patterns.iter().filter_map(|pattern| of_type(pattern, stream, Some(TICKETS))).peekable();
        // A list that is about other object types says nothing of this one.
        if of_stream.peek().is_none() && !(stream == TICKETS && patterns.is_empty()) {
            return is_selected_by_default(property);
        }
        of_stream.any(|pattern| matches(pattern, &property.name))
    }

    /// Whether no selection reads a property: it is sensitive, and neither allowed nor named.
    pub fn is_unsupported(&self, stream: &str, property: &Property) -> bool {
        let allowed = self.sensitive_properties.iter().filter_map(|pattern| of_type(pattern, stream, None));
        let named = self.properties.iter().flatten().filter_map(|name| of_type(name, stream, Some(TICKETS)));
        property.is_sensitive()
            && !allowed.into_iter().any(|pattern| matches(pattern, &property.name))
            && !named.into_iter().any(|name| name == property.name)
    }

    /// The names and globs of `properties` about a stream.
    pub fn patterns_of<'c>(&'c self, stream: &'c str) -> impl Iterator<Item = &'c str> {
        self.properties.iter().flatten().filter_map(move |pattern| of_type(pattern, stream, Some(TICKETS)))
    }
}

/// Clock-driven properties differ on every read without a change of the ticket; headers and the raw HTML of e-mails repeat
/// their text at many times its size.
pub fn is_selected_by_default(property: &Property) -> bool {
    property.field_type != "calculation_read_time" && !HEAVY.contains(&property.name.as_str())
}

/// What a property's values are.
pub fn kind_of(property: &Property) -> Kind {
    let refers =
        property.other.get("referencedObjectType").and_then(|one| one.as_str()).is_some_and(|one| !one.is_empty());
    Kind::of_property(&property.name, &property.hubspot_type, refers)
}

/// Whether a property name or glob matches a name.
pub fn matches(pattern: &str, name: &str) -> bool {
    WildMatch::new(pattern).matches(name)
}

/// The part of `contacts.email` behind the point, if it is about this object type. Without a point it is about `default`,
/// and without that about all.
fn of_type<'p>(pattern: &'p str, stream: &str, default: Option<&str>) -> Option<&'p str> {
    match pattern.split_once('.') {
        Some((object_type, name)) => (ObjectType::parse(object_type).as_str() == stream).then_some(name),
        None => default.is_none_or(|default| default == stream).then_some(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::stream;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|one| (*one).to_owned()).collect()
    }

    fn property(name: &str, sensitivity: &str) -> Property {
        let definition = serde_json::json!({"name": name, "type": "string", "dataSensitivity": sensitivity});
        serde_json::from_value(definition).expect("a definition")
    }

    #[test]
    fn streams_are_chosen_by_name_or_glob_and_an_unknown_one_is_answered_with_the_nearest() {
        let choices = Choices { streams: Some(list(&["ticket*", "contacts"])), ..Choices::default() };
        for (name, selected) in [("tickets", true), ("ticket_pipelines", true), ("contacts", true), ("owners", false)] {
            assert_eq!(choices.selects(stream(name)), selected, "{name}");
        }
        assert!(choices.names(stream("contacts")) && !choices.names(stream("tickets")));
        assert!(choices.check_streams().is_ok());
        for (wrong, nearest) in [("ticket", "\"tickets\""), ("contact", "\"contacts\""), ("owner", "\"owners\"")] {
            let choices = Choices { streams: Some(list(&["tickets", wrong])), ..Choices::default() };
            let said = choices.check_streams().expect_err("refused").to_string();
            assert!(said.contains("streams") && said.contains(&format!("did you mean {nearest}?")), "{said}");
        }
        let choices = Choices { streams: Some(list(&["zz*"])), ..Choices::default() };
        assert!(choices.check_streams().is_err());
    }

    #[test]
    fn properties_are_of_tickets_or_of_the_object_type_before_them() {
        let of = |properties: &[&str]| Choices { properties: Some(list(properties)), ..Choices::default() };
        for (properties, stream, selected) in [
            (&["em*"][..], "tickets", true),
            (&["subject"], "tickets", false),
            (&["subject"], "contacts", true),
            (&["contacts.email"], "contacts", true),
            (&["contacts.phone"], "contacts", false),
            (&["contacts.phone"], "tickets", true),
            (&["ticket.email"], "tickets", true),
            (&[], "tickets", false),
            (&[], "contacts", true),
        ] {
            let email = property("email", "non_sensitive");
            assert_eq!(of(properties).selects_property(stream, &email), selected, "{properties:?} {stream}");
        }
    }

    #[test]
    fn sensitive_properties_are_read_where_they_are_allowed_or_named() {
        for (allowed, properties, unsupported, selected) in [
            (&[][..], None, true, false),
            (&["*"], None, false, true),
            (&["contacts.*"], None, true, false),
            (&["tickets.ss*"], None, false, true),
            (&[], Some(&["ssn"][..]), false, true),
            (&[], Some(&["s*"]), true, false),
            (&["ssn"], Some(&["subject"]), false, false),
        ] {
            let choices =
                Choices { sensitive_properties: list(allowed), properties: properties.map(list), ..Choices::default() };
            for level in ["sensitive", "highly_sensitive"] {
                let found = property("ssn", level);
                let is = (choices.is_unsupported("tickets", &found), choices.selects_property("tickets", &found));
                assert_eq!(is, (unsupported, selected), "{allowed:?} {properties:?}");
            }
        }
        assert!(!Choices::default().is_unsupported("tickets", &property("ssn", "non_sensitive")));
    }
}
