//! singer-io's HubSpot tap, in Python, on the work that ours does.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::floor::TOKEN;
use super::portal::Portal;
use super::process::{Cost, measure};
use super::tap::Work;

/// The version that `tests/tools/requirements/singer-io.txt` names.
pub(crate) const VERSION: &str = "4.5.0";

/// Reads all tickets of the portal with the properties that `catalog.json` selects; panics unless it wrote as many.
pub(crate) fn run(work: &Work, portal: &Portal) -> Cost {
    let python = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients/singer-io/bin/python");
    assert!(python.exists(), "{} is missing: run `make bench`, which installs it", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/singer_io.py");
    let arguments = [
        script.to_str().expect("UTF-8").to_owned(),
        portal.url.clone(),
        TOKEN.to_owned(),
        json!(chosen(work)).to_string(),
    ];
    measure(&python, &arguments, &work.path("singer-io.jsonl"), &work.path("singer-io.log"))
}

/// HubSpot's names of the properties that are selected.
fn chosen(work: &Work) -> Vec<String> {
    let catalog: Value = work.read("catalog.json");
    let streams = catalog["streams"].as_array().expect("streams");
    let tickets = streams.iter().find(|stream| stream["stream"] == "tickets").expect("tickets");
    let metadata = tickets["metadata"].as_array().expect("metadata").iter();
    let selected = metadata.filter(|entry| entry["metadata"]["selected"] == true);
    selected.filter_map(|entry| entry["metadata"]["hubspot-property"].as_str().map(str::to_owned)).collect()
}
