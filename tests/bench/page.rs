//! `docs/performance.md` and the plot in it, from `docs/performance.json`: the figures of the page are never typed.

use std::fs;
use std::path::{Path, PathBuf};

use super::goals;
use super::plot;
use super::report::Report;

/// A file of the documentation.
pub(crate) fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// The text of a file of the documentation.
pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(document(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The reports in `docs/performance.json`.
pub(crate) fn checked_in() -> Vec<Report> {
    serde_json::from_str(&read("performance.json")).expect("reports")
}

/// The page with each report between its markers, `<!-- bench NAME -->` and `<!-- end -->`, and the goals.
pub(crate) fn rendered(page: &str, reports: &[Report]) -> String {
    let mut out = page.to_owned();
    put("<!-- goals -->\n", &goals::markdown(reports), &mut out);
    for report in reports {
        put(&format!("<!-- bench {} -->\n", report.bench), &report.markdown(), &mut out);
    }
    out
}

/// Puts a text between a marker and the next end.
fn put(marker: &str, text: &str, page: &mut String) {
    let Some(begin) = page.find(marker).map(|at| at + marker.len()) else { return };
    let length = page[begin..].find("<!-- end -->").expect("a marker's end");
    page.replace_range(begin..begin + length, &format!("\n{text}\n"));
}

/// The plot of the report on the quota.
pub(crate) fn plotted(reports: &[Report]) -> String {
    let quota = reports.iter().find(|report| report.bench == "quota");
    quota.map(plot::svg).unwrap_or_default()
}
