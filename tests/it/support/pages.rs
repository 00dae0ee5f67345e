//! The pages of the documentation, and what stands in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The pages outside `docs/` whose links and names are checked.
const OTHER_PAGES: [&str; 5] = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "sandbox/README.md"];

pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the repository.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The pages in `docs/`, by their path in the repository.
pub(crate) fn docs() -> BTreeSet<String> {
    let entries = fs::read_dir(repository("docs")).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let pages = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.map(|path| format!("docs/{}", path.file_name().expect("a name").to_string_lossy())).collect()
}

/// All pages.
pub(crate) fn pages() -> Vec<String> {
    OTHER_PAGES.map(str::to_owned).into_iter().chain(docs()).collect()
}

/// The README, then the pages in `docs/` in the order in which its last section links them.
pub(crate) fn in_reading_order() -> Vec<String> {
    let readme = read("README.md");
    let next = readme.split("\n## Where to go next\n").nth(1).expect("the section");
    let linked = links(next).into_iter().filter(|link| link.starts_with("docs/"));
    ["README.md".to_owned()].into_iter().chain(linked).collect()
}

/// The blocks of one language in a page.
pub(crate) fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let text = read(page);
    text.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The text without its blocks.
pub(crate) fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// Where the links of a text lead.
pub(crate) fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect()
}

/// The short code spans of a text.
pub(crate) fn code_spans(text: &str) -> Vec<String> {
    prose(text).split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The anchors of a page's headings, as forges form them.
pub(crate) fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |one: &char| one.is_alphanumeric() || [' ', '-', '_'].contains(one);
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

/// The rows of the table that begins with a header, cell by cell.
pub(crate) fn rows(text: &str, header: &str) -> Vec<Vec<String>> {
    let table = text.split(header).nth(1).unwrap_or_else(|| panic!("no table {header}"));
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    lines.map(cells).collect()
}

/// The code spans in the first cells of a table.
pub(crate) fn first_code_spans(text: &str, header: &str) -> Vec<String> {
    rows(text, header).iter().flat_map(|row| code_spans(&row[0])).collect()
}
