//! What is fuzzed: every text that comes from outside, through the function that reads it. None may panic, and what is
//! made of an answer is JSON.

use bytes::Bytes;
use serde_json::Value;
use tap_hubspot_tickets::{catalog, client, config, discovery, extraction, state, target_hubspot};

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// All targets by name; each has a seed corpus in `fuzz/corpus/NAME`.
pub const TARGETS: [(&str, Target); 9] = [
    ("associations", associations),
    ("catalog", catalog),
    ("config", config),
    ("csv", csv),
    ("page", page),
    ("properties", properties),
    ("records", records),
    ("singer", singer),
    ("state", state),
];

/// A config file; what is made of it shows no secret.
pub fn config(bytes: &[u8]) {
    match config::parse(bytes) {
        Ok(loaded) => {
            let _ = (loaded.config.credentials(), loaded.config.association_types(), loaded.config.sweep_hours());
            let shown = format!("{:?}", loaded.config);
            assert!(loaded.config.access_token.is_none() || shown.contains("REDACTED"));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A state file, taken over by a run of portal 1; what goes out of it is what came in.
pub fn state(bytes: &[u8]) {
    let Ok(state::Incoming::State(incoming)) = state::parse(bytes) else { return };
    let streams = discovery::StreamSet::default().names();
    let Ok(mut state) = state::State::of(Some(incoming), "1", &streams) else { return };
    for stream in streams {
        let bookmark = state.bookmark(stream);
        state.forget(stream);
        if let Some(bookmark) = bookmark {
            state.set(stream, &bookmark);
            assert!(state.bookmark(stream) == Some(bookmark));
        }
    }
}

/// A catalog file, planned as a run would plan it.
pub fn catalog(bytes: &[u8]) {
    let Ok(catalog) = catalog::Catalog::parse(bytes) else { return };
    let _ = catalog.check(&discovery::StreamSet::default().names(), "1");
    let types = [client::ObjectType::CONTACTS, client::ObjectType::COMPANIES];
    let settings = extraction::AssociationSettings { types: types.to_vec(), chosen: false };
    let (access, privacy) = (discovery::Access::default(), extraction::Privacy::default());
    let _ = extraction::Plan::new(&catalog, &settings, &access, &state::State::empty("1"), &privacy);
}

/// An answer with property definitions.
pub fn properties(bytes: &[u8]) {
    for property in client::decode_properties(Bytes::copy_from_slice(bytes)).unwrap_or_default() {
        let column = tap_hubspot_tickets::property::column_name(&property.name);
        assert!(column.len() <= 63 && !column.contains(['"', '%', '\0']), "{column:?}");
    }
}

/// A page of tickets: each becomes a JSON object with its id, whatever its values are.
pub fn page(bytes: &[u8]) {
    for record in extraction::encode_answer(Bytes::copy_from_slice(bytes)).unwrap_or_default() {
        let record: Value = serde_json::from_slice(&record).expect("a record is JSON");
        assert!(record["id"].is_string());
        assert!(!record.to_string().contains('\0'));
    }
}

/// An answer with associations.
pub fn associations(bytes: &[u8]) {
    if let Ok(found) = client::decode_associations(&Bytes::copy_from_slice(bytes)) {
        let types = found.types.len();
        assert!(found.links.iter().all(|link| (link.association_type as usize) < types));
    }
}

/// Singer messages for `target-hubspot`.
pub fn singer(bytes: &[u8]) {
    input(target_hubspot::InputForm::Singer, bytes);
}

/// JSON objects for `target-hubspot --stream`: each line is taken or rejected once.
pub fn records(bytes: &[u8]) {
    let blank = |line: &&[u8]| !line.trim_ascii().is_empty();
    let lines = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).split(|byte| *byte == b'\n').filter(blank).count();
    if let Some(numbers) = input(target_hubspot::InputForm::Records, bytes) {
        assert_eq!(numbers.len(), lines);
    }
}

/// A CSV file for `target-hubspot --stream --csv`.
pub fn csv(bytes: &[u8]) {
    input(target_hubspot::InputForm::Csv, bytes);
}

/// Reads to the end. No line is told twice, all in their order; what ends a run is told in a sentence.
fn input(form: target_hubspot::InputForm, bytes: &[u8]) -> Option<Vec<u64>> {
    match target_hubspot::check_input(form, bytes) {
        Ok(numbers) => {
            assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
            Some(numbers)
        }
        Err(sentence) => {
            assert!(!sentence.is_empty());
            None
        }
    }
}
