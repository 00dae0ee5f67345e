//! The rooms of the extraction engine, and that no files of the library import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::imports::{circle, code_of, imports, modules};
use crate::support::pages::{first_code_spans, read};

/// A room imports from those before it, never from those behind it; the first four are the ground.
const ROOMS: [&str; 10] = ["cache", "summary", "event", "error", "plan", "read", "enrich", "encode", "emit", "sync"];
const GROUND: usize = 4;

#[test]
fn rooms_of_the_extraction_import_only_from_their_left() {
    let modules = modules();
    let rank = |room: &str| {
        let rank = ROOMS.iter().position(|one| *one == room);
        rank.unwrap_or_else(|| panic!("{room} has no place among the rooms")).saturating_sub(GROUND - 1)
    };
    let mut seen = BTreeSet::new();
    for module in modules.keys().filter(|module| module.len() > 1 && module[0] == "extraction") {
        seen.insert(module[1].as_str());
        for import in imports(&modules, module).iter().filter(|import| import[0] == "extraction") {
            assert!(import.len() > 1, "{} imports from the entry", module.join("::"));
            let stands_before = rank(&import[1]) <= rank(&module[1]);
            assert!(stands_before, "{} imports {}, which stands behind it", module.join("::"), import.join("::"));
        }
    }
    assert_eq!(seen, BTreeSet::from(ROOMS));
}

#[test]
fn the_page_on_architecture_has_the_rooms_in_this_order() {
    assert_eq!(first_code_spans(&read("docs/architecture.md"), "| room | what is in it |"), ROOMS);
}

/// The folders of src in which files import each other in circles, each with one circle.
pub(crate) fn circles() -> BTreeMap<String, Vec<String>> {
    let modules = modules();
    let mut edges: BTreeMap<_, _> = modules.keys().map(|module| (module.clone(), imports(&modules, module))).collect();
    assert!(edges.values().map(BTreeSet::len).sum::<usize>() > 500, "too few imports were found");
    let mut found = BTreeMap::new();
    while let Some(circle) = circle(&edges) {
        let folder = circle[0].split("::").next().unwrap_or_default().to_owned();
        edges.retain(|module, _| module.first() != Some(&folder));
        found.insert(folder, circle);
    }
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let found = circles();
    assert!(found.is_empty(), "circles of imports: {found:?}");
}

#[test]
fn imports_are_followed_to_the_file_that_defines_a_name() {
    let module = |path: &str| path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let sources = [
        ("a", "mod b;\nmod c;\npub use b::{One, Other as Third};\nuse c::help;\nstruct Own;"),
        ("a::b", "use super::Own;\nuse crate::{d::{self, Fourth}, a::c};\npub struct One;\npub enum Other {}"),
        ("a::c", "pub fn help() { super::super::d::Fourth::new() } // super::Own\n"),
        ("d", "use crate::a::One;\npub struct Fourth;\n#[cfg(test)]\nmod tests {\n use crate::a::c::help;\n}"),
    ];
    let modules = sources.map(|(path, source)| (module(path), code_of(source))).into();
    let of = |path: &str| {
        let found = imports(&modules, &module(path));
        found.iter().map(|import| import.join("::")).collect::<Vec<_>>()
    };
    assert_eq!(of("a"), ["a::c"]);
    assert_eq!(of("a::b"), ["a", "a::c", "d"]);
    assert_eq!(of("a::c"), ["d"]);
    assert_eq!(of("d"), ["a::b"]);
    let edges: BTreeMap<_, _> = modules.keys().map(|one| (one.clone(), imports(&modules, one))).collect();
    assert_eq!(circle(&edges).expect("a circle").last().map(String::as_str), Some("a"));
}
