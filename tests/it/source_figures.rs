//! How long the functions and files of the product are, and in which shape its imports: the figures of one look.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::layers::{doubled_type_names, imports_against_the_order};
use crate::rooms::circles;
use crate::support::figures::tell;

/// Of the lines of the product's functions.
const MAX_MEDIAN_LINES: usize = 10;

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The lines of each function outside unit tests, from its header to its closing brace, as rustfmt indents them.
fn functions(source: &str) -> Vec<usize> {
    let code = source.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let header = line.trim_start();
        let before = header.split_once("fn ").map(|(before, _)| before);
        let is_function = before.is_some_and(|before| {
            before.split_whitespace().all(|word| word.starts_with("pub") || ["async", "const"].contains(&word))
        });
        if !is_function || line.trim_end().ends_with(';') {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - header.len()]);
        let length = lines[at..].iter().position(|line| *line == end);
        found.extend((!line.ends_with('}')).then_some(length).flatten().map(|length| length + 1));
    }
    found
}

/// Median, 90th percentile and maximum.
fn spread(mut lengths: Vec<usize>) -> [usize; 3] {
    lengths.sort_unstable();
    let last = lengths.len() - 1;
    [lengths[last / 2], lengths[last * 9 / 10], lengths[last]]
}

#[test]
fn functions_are_short_and_the_figures_of_the_sources_are_told() {
    let mut paths = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut paths);
    paths.retain(|path| !path.ends_with("tests.rs") && path.iter().all(|part| part != "tests"));
    let sources: Vec<String> = paths.iter().map(|path| fs::read_to_string(path).expect("a source")).collect();
    let lengths: Vec<usize> = sources.iter().flat_map(|source| functions(source)).collect();
    assert!(lengths.len() > 1_000, "{} functions", lengths.len());
    let ([median, ninetieth, longest], [file_median, file_ninetieth, longest_file]) =
        (spread(lengths), spread(sources.iter().map(|source| source.lines().count()).collect()));
    tell(
        "sources",
        &format!(
            "{} files of src; lines of a function: median {median}, 90th percentile {ninetieth}, at most {longest}; of a \
             file: median {file_median}, 90th percentile {file_ninetieth}, at most {longest_file}; type names that are \
             there twice: {}; folders with circles of imports: {}; imports against the order: {}",
            sources.len(),
            doubled_type_names().len(),
            circles().len(),
            imports_against_the_order().len(),
        ),
    );
    assert!(median <= MAX_MEDIAN_LINES, "the median function has {median} lines");
}

#[test]
fn functions_are_measured_in_every_form() {
    let source = "fn a() {\n    1\n}\n\nimpl X {\n    pub(crate) async fn b(\n        one: u8,\n    ) -> u8 {\n        let f = || {\n        };\n        \
        1\n    }\n\n    fn c() {}\n}\n\ntrait Y {\n    fn d();\n}\n\n#[cfg(test)]\nmod tests {\n    fn e() {\n        1\n    }\n}\n";
    assert_eq!(functions(source), [3, 7]);
    assert_eq!(spread(vec![5, 1, 9]), [5, 5, 9]);
    assert_eq!(BTreeSet::from(spread((1..=100).collect())), BTreeSet::from([50, 90, 100]));
}
