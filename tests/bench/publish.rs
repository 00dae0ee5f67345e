//! From figures to files: a report is begun, filled, printed and kept; the kept ones become the page.

use std::fs;
use std::path::PathBuf;

use chrono::{SecondsFormat, Utc};

use super::page;
use super::report::{Cell, Column, Report};

impl Report {
    /// An empty one, of this machine and now.
    pub(crate) fn new(bench: &str, input: String, runs: usize, columns: &[(&str, usize)]) -> Self {
        let columns = columns.iter().map(|(head, digits)| Column { head: (*head).to_owned(), digits: *digits });
        Self {
            bench: bench.to_owned(),
            input,
            machine: machine(),
            date: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
            runs,
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, row: Vec<Cell>) {
        assert_eq!(row.len(), self.columns.len(), "a cell a column");
        // Shown as it comes: some benchmarks take minutes.
        eprintln!("  {}", self.shown(&row).join("  "));
        self.rows.push(row);
    }

    /// Prints the table and writes the JSON into the build folder.
    pub(crate) fn publish(&self) {
        println!("\n## {}\n\n{}", self.bench, self.markdown());
        let text = serde_json::to_string_pretty(self).expect("JSON");
        fs::write(folder().join(format!("{}.json", self.bench)), text + "\n").expect("a writable folder");
    }
}

/// Where benchmarks keep what they find.
pub(crate) fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&folder).expect("a writable build folder");
    folder
}

fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", model.trim_start_matches([' ', '\t', ':']))
}

/// Takes over the reports that lie in the build folder, and writes the page and the plot anew.
pub(crate) fn write_page() {
    let mut reports = page::checked_in();
    let found = fs::read_dir(folder()).expect("the reports' folder").map(|entry| entry.expect("an entry").path());
    for path in found.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let report: Report = serde_json::from_slice(&fs::read(&path).expect("a report")).expect("a report");
        reports.retain(|known| known.bench != report.bench);
        reports.push(report);
    }
    reports.sort_by(|one, other| one.bench.cmp(&other.bench));
    let text = page::read("performance.md");
    let save = |name: &str, text: String| fs::write(page::document(name), text).expect("a writable folder");
    save("performance.json", serde_json::to_string_pretty(&reports).expect("JSON") + "\n");
    save("performance.md", page::rendered(&text, &reports));
    save("performance.svg", page::plotted(&reports));
}
