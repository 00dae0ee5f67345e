//! Values, options and HubSpot's refusals as text for people.

use serde_json::Value;

/// Characters of a value that are shown.
const MAX_VALUE: usize = 80;
/// Options that are shown; a country list has hundreds.
const MAX_OPTIONS: usize = 20;
/// Characters of HubSpot's words that are shown: it lists every option of a property.
const MAX_WORDS: usize = 600;

/// What to do about HubSpot's own codes.
const HINTS: [(&str, &str); 4] = [
    ("PROPERTY_DOESNT_EXIST", "define the property in HubSpot, or leave the field out"),
    ("READ_ONLY_VALUE", "leave the field out"),
    ("INVALID_EMAIL", "correct the address"),
    ("INVALID_OPTION", "write one of the options, or add it in HubSpot"),
];

/// An option of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PropertyOption {
    pub(super) value: String,
    /// What people see in HubSpot.
    pub(super) label: String,
}

/// A value in quotation marks, cut where it is long.
pub(super) fn quoted(value: &str) -> String {
    let cut: String = value.chars().take(MAX_VALUE).collect();
    if cut.len() < value.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}

/// `a (Label of a), b and 7 more`.
pub(super) fn listed(choices: &[PropertyOption]) -> String {
    let shown: Vec<String> = choices
        .iter()
        .take(MAX_OPTIONS)
        .map(|PropertyOption { value, label }| match label.is_empty() || label == value {
            true => value.clone(),
            false => format!("{value} ({label})"),
        })
        .collect();
    let more = choices.len().saturating_sub(MAX_OPTIONS);
    match more {
        0 => shown.join(", "),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The text of a message of HubSpot's, which holds the faults of a record as JSON: `Property values were not valid: [{…}]`.
/// A message without such a list stays as it is.
pub(super) fn hubspot_words(message: &str) -> String {
    let list = message.find("[{").and_then(|begin| {
        let mut values = serde_json::Deserializer::from_str(&message[begin..]).into_iter::<Vec<Value>>();
        values.next()?.ok()
    });
    let said: Vec<String> = list.iter().flatten().filter_map(fault).collect();
    match said.is_empty() {
        true => cut(message),
        false => cut(&said.join("; ")),
    }
}

fn fault(fault: &Value) -> Option<String> {
    let text = |member: &str| fault[member].as_str().filter(|text| !text.is_empty());
    let words = text("message").or(text("localizedErrorMessage"))?;
    let mut said = match text("name") {
        Some(name) => format!("{name}: {words}"),
        None => words.to_owned(),
    };
    if let Some(code) = text("error") {
        let said_already = said.trim_end_matches('.');
        let hint =
            HINTS.iter().find(|(known, _)| *known == code).map_or_else(String::new, |(_, hint)| format!("; {hint}"));
        said = format!("{said_already} (HubSpot: {code}){hint}");
    }
    Some(said)
}

/// The beginning and the end of a long message: it names the record that has a value already at its end.
fn cut(words: &str) -> String {
    let count = words.chars().count();
    if count <= MAX_WORDS {
        return words.to_owned();
    }
    let begin: String = words.chars().take(MAX_WORDS * 2 / 3).collect();
    let end: String = words.chars().skip(count - MAX_WORDS / 3).collect();
    format!("{begin}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hubspots_faults_are_told_without_their_json() {
        let message = "Property values were not valid: [{\"isValid\":false,\"message\":\"Email address x@ is invalid\",\
                       \"error\":\"INVALID_EMAIL\",\"name\":\"email\"},{\"message\":\"too long.\",\"name\":\"city\"}]";
        assert_eq!(
            hubspot_words(message),
            "email: Email address x@ is invalid (HubSpot: INVALID_EMAIL); correct the address; city: too long."
        );
        for plain in ["Contact already exists. Existing ID: 7", "Duplicate IDs found: [7]", "not valid: []", "[{"] {
            assert_eq!(hubspot_words(plain), plain);
        }
    }

    #[test]
    fn options_are_told_with_their_labels_up_to_twenty() {
        let choice = |value: &str, label: &str| PropertyOption { value: value.to_owned(), label: label.to_owned() };
        assert_eq!(listed(&[choice("1", "New"), choice("HIGH", "HIGH")]), "1 (New), HIGH");
        let many: Vec<PropertyOption> = (0..27).map(|number| choice(&number.to_string(), "")).collect();
        assert!(listed(&many).ends_with("18, 19 and 7 more"), "{}", listed(&many));
    }

    #[test]
    fn long_words_keep_their_beginning_and_their_end() {
        let long = format!("Cannot set {} on 5. 77 already has that value.", "x".repeat(5_000));
        let said = hubspot_words(&long);
        assert!(said.starts_with("Cannot set xx") && said.ends_with("xx on 5. 77 already has that value."), "{said}");
        assert_eq!(said.chars().count(), MAX_WORDS + 1);
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(quoted("a\nb"), r#""a\nb""#);
        assert!(quoted(&"é".repeat(100)).ends_with("é\"…"));
    }
}
