//! The order in which modules may import, and the bounds that the sources keep.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::pages::{first_code_spans, read};

/// A module imports from those before it, never from those behind it.
const LAYERS: [&str; 15] = [
    "hex",
    "disk",
    "config",
    "catalog",
    "state",
    "client",
    "property",
    "discovery",
    "extraction",
    "exit",
    "session",
    "messages",
    "stdout",
    "about",
    "log",
];
/// Stand behind all layers, side by side: none imports another.
const FACES: [&str; 4] = ["airbyte", "tap", "target_hubspot", "target_pg"];
/// Of a file of the product, of its tests and of its benchmarks.
const MAX_LINES: usize = 500;
/// Of a file of the sandbox.
const MAX_SANDBOX_LINES: usize = 300;

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The module of the library that this file belongs to; none for `lib.rs`, `main.rs` and the programs in `bin`.
    fn module(&self) -> Option<&str> {
        let first = self.path.iter().next()?.to_str()?;
        let name = first.trim_end_matches(".rs");
        (!["lib", "main", "bin"].contains(&name)).then_some(name)
    }

    /// The modules that this file imports, in any form: `use crate::x`, `use crate::{x, y::z}`, `crate::x::y` in code, and
    /// `tap_hubspot_tickets::x`.
    fn imports(&self) -> BTreeSet<String> {
        let code: String = self.text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
        let mut found = BTreeSet::new();
        for root in ["crate::", "tap_hubspot_tickets::"] {
            for (at, _) in code.match_indices(root) {
                found.extend(first_names(&code[at + root.len()..]));
            }
        }
        found
    }
}

/// The first name of a path, or of each path in a group.
fn first_names(rest: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim().chars().take_while(|one| one.is_alphanumeric() || *one == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut depth, mut names, mut begin) = (0, Vec::new(), 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(name(&group[begin..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(name(&group[begin..at]));
                begin = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn without_comment(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// The files of the product.
fn sources() -> Vec<Source> {
    sources_of("src")
}

/// The files of a folder of the repository.
fn sources_of(folder: &str) -> Vec<Source> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).expect("a readable source"),
        path: path.strip_prefix(&root).expect("below the folder").to_owned(),
    };
    let sources: Vec<Source> = paths.into_iter().map(read).collect();
    assert!(sources.len() > 30, "{} files", sources.len());
    sources
}

fn layer(module: &str) -> Option<usize> {
    let is_face = FACES.contains(&module).then_some(LAYERS.len());
    LAYERS.iter().position(|layer| *layer == module).or(is_face)
}

/// The imports of modules that stand behind the one that imports, and of other faces.
pub(crate) fn imports_against_the_order() -> Vec<String> {
    let mut found = Vec::new();
    for source in sources() {
        let Some(module) = source.module() else { continue };
        let own = layer(module).unwrap_or_else(|| panic!("{module} has no place among the layers"));
        for import in source.imports() {
            let Some(other) = layer(&import) else {
                panic!("{} imports {import}, which is no module", source.path.display());
            };
            let is_other_face = other == LAYERS.len() && import != module;
            if other > own || is_other_face {
                found.push(format!("{} imports {import}", source.path.display()));
            }
        }
    }
    found
}

#[test]
fn modules_import_only_from_their_left() {
    assert_eq!(imports_against_the_order(), [""; 0]);
}

#[test]
fn the_librarys_documentation_and_the_page_on_architecture_have_the_layers_in_this_order() {
    let layers: Vec<&str> = LAYERS.into_iter().chain(FACES).collect();
    let library = read("src/lib.rs");
    let drawing: Vec<&str> = library.split("```").nth(1).expect("the drawing").lines().collect();
    // Names stand first, the rest of a line says what they are.
    let names = drawing.iter().filter_map(|line| line.strip_prefix("//!   ")?.split("  ").next());
    let words = names.flat_map(|names| names.split([',', ' ', '│'])).filter(|word| !word.is_empty());
    assert_eq!(words.collect::<Vec<_>>(), layers);
    assert_eq!(first_code_spans(&read("docs/architecture.md"), "| module | what it is |"), layers);
}

#[test]
fn the_library_lists_its_modules() {
    let modules: BTreeSet<String> = sources().iter().filter_map(|source| source.module().map(str::to_owned)).collect();
    let expected: BTreeSet<String> = LAYERS.into_iter().chain(FACES).map(str::to_owned).collect();
    assert_eq!(modules, expected);
}

/// A program that needed it would ship a fake HubSpot; and what the two shared could be misspelt on both sides.
#[test]
fn the_sandbox_is_a_dependency_of_tests_alone() {
    let manifest = |folder: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("Cargo.toml");
        fs::read_to_string(path).expect("a readable manifest")
    };
    let section = |manifest: &str, header: &str| {
        let rest = manifest.split_once(&format!("\n[{header}]\n")).expect("the section").1.to_owned();
        rest.split("\n[").next().expect("a section").to_owned()
    };
    let (ours, sandbox) = (manifest(""), manifest("sandbox"));
    assert!(!section(&ours, "dependencies").contains("hubspot-sandbox"));
    assert!(section(&ours, "dev-dependencies").contains("\nhubspot-sandbox = "));
    assert!(!sandbox.contains("tap-hubspot-tickets"));
}

#[test]
fn nothing_is_unsafe() {
    for source in sources_of("src").into_iter().chain(sources_of("sandbox/src")) {
        let code = source.text.lines().map(without_comment);
        let unsafe_lines = code
            .filter(|line| line.split(|one: char| !one.is_alphanumeric() && one != '_').any(|word| word == "unsafe"));
        assert_eq!(unsafe_lines.count(), 0, "{}", source.path.display());
    }
}

#[test]
fn files_are_short_enough_to_be_read() {
    for (folder, max) in [("src", MAX_LINES), ("tests", MAX_LINES), ("sandbox/src", MAX_SANDBOX_LINES)] {
        let long = |source: &Source| source.text.lines().count() > max;
        let found: Vec<_> = sources_of(folder).into_iter().filter(long).map(|source| source.path).collect();
        assert!(found.is_empty(), "{folder}: over {max} lines: {found:?}");
    }
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::client::{Client, ObjectId};\nuse crate::{config::Config, state::{State, Part},\n  tap};\n\
        // crate::nothing\nlet x = crate::property::column_name(y); // crate::nothing\nlet url = \"https://crate\";";
    let source = Source { path: "messages.rs".into(), text: text.to_owned() };
    let expected = ["client", "config", "property", "state", "tap"].map(str::to_owned);
    assert_eq!(source.imports(), BTreeSet::from(expected));
}

/// Names that two public types share: none may be added.
const SHARED_NAMES: [&str; 1] = ["Part"];

/// The public types that a file defines outside its tests.
fn public_types(text: &str) -> Vec<String> {
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let name_of = |line: &str| {
        let rest = line.trim_start().strip_prefix("pub")?;
        let rest = rest.strip_prefix('(').map_or(Some(rest), |scope| scope.split_once(')').map(|(_, rest)| rest))?;
        let (kind, rest) = rest.trim_start().split_once(' ')?;
        let name: String = rest.chars().take_while(|one| one.is_alphanumeric() || *one == '_').collect();
        ["struct", "enum", "trait", "type"].contains(&kind).then_some(name)
    };
    code.lines().map(without_comment).filter_map(name_of).collect()
}

/// The names of public types that stand in several files, with those files.
pub(crate) fn doubled_type_names() -> BTreeMap<String, Vec<PathBuf>> {
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let is_test = |path: &Path| path.ends_with("tests.rs") || path.iter().any(|part| part == "tests");
    for source in sources() {
        if is_test(&source.path) {
            continue;
        }
        for name in public_types(&source.text) {
            files.entry(name).or_default().push(source.path.clone());
        }
    }
    assert!(files.len() > 150, "{} types", files.len());
    files.retain(|_, files| files.len() > 1);
    files
}

#[test]
fn no_two_public_types_share_a_name() {
    let mut doubled = doubled_type_names();
    doubled.retain(|name, _| !SHARED_NAMES.contains(&name.as_str()));
    assert!(doubled.is_empty(), "{doubled:?}");
}

#[test]
fn public_types_are_found_in_every_form() {
    let text = "pub struct A;\n    pub(super) enum B {\npub(in crate::x) type C<'a> = D;\npub(crate) trait E {\nstruct F;\n\
        pub fn g() {}\n// pub struct H;\n\n#[cfg(test)]\nmod tests {\n    pub struct I;\n";
    assert_eq!(public_types(text), ["A", "B", "C", "E"]);
}
