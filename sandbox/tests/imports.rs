//! The files of this package import one another without circles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by their path below the crate's root, such as `portal::values`, and the modules that each imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a readable folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}

/// The modules by their source; the crate's root, the program and the tests are none of them.
fn modules() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    for file in rust_files(&root) {
        let below = file.strip_prefix(&root).expect("below src").with_extension("");
        let name = below.iter().filter_map(|part| part.to_str()).collect::<Vec<_>>().join("::");
        let name = name.trim_end_matches("::mod").to_owned();
        if !["lib", "main"].contains(&name.as_str()) && !name.starts_with("tests") {
            modules.insert(name, fs::read_to_string(&file).expect("a readable source"));
        }
    }
    modules
}

/// The module that a path leads to: the longest beginning of it that is one.
fn module_of(path: &str, is_module: impl Fn(&str) -> bool) -> Option<String> {
    let segments: Vec<&str> = path.split("::").collect();
    (1..=segments.len()).rev().map(|length| segments[..length].join("::")).find(|name| is_module(name))
}

fn imports() -> Imports {
    let modules = modules();
    assert!(modules.len() > 40, "{} modules", modules.len());
    let mut imports = Imports::new();
    for (name, source) in &modules {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        assert!(!code.contains("super::"), "{name} imports by `super::`, which is not followed");
        let paths = code.match_indices("crate::").map(|(at, root)| {
            let rest = &code[at + root.len()..];
            rest.split(|one: char| !one.is_alphanumeric() && one != '_' && one != ':').next().unwrap_or_default()
        });
        let imported = paths.map(|path| {
            let path = path.trim_end_matches(':');
            module_of(path, |known| modules.contains_key(known)).unwrap_or_else(|| panic!("{name}: no module {path}"))
        });
        imports.insert(name.clone(), imported.filter(|import| import != name).collect());
    }
    imports
}

/// What is left after all modules are taken away that import nothing that is left: circles, and who imports them.
fn in_circles(mut imports: Imports) -> Imports {
    loop {
        let done: Vec<String> =
            imports.iter().filter(|(_, imported)| imported.is_empty()).map(|(name, _)| name.clone()).collect();
        if done.is_empty() {
            return imports;
        }
        for name in done {
            imports.remove(&name);
            imports.values_mut().for_each(|imported| imported.retain(|import| *import != name));
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = in_circles(imports());
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str, imported: &[&str]| {
        (name.to_owned(), imported.iter().map(|import| (*import).to_owned()).collect::<BTreeSet<_>>())
    };
    let imports = Imports::from([module("a", &["b"]), module("b", &["c"]), module("c", &["b"]), module("d", &[])]);
    assert_eq!(in_circles(imports).into_keys().collect::<Vec<_>>(), ["a", "b", "c"]);
}
