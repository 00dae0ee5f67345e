//! Which file of the library imports from which, followed through re-exports to the file that defines a name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A file's code, by the path of its module: `["extraction", "plan"]` is `src/extraction/plan/mod.rs`.
pub(crate) type Modules = BTreeMap<Vec<String>, String>;

/// The library's modules, without comments and unit tests.
pub(crate) fn modules() -> Modules {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = Modules::new();
    collect(&root, &[], &mut modules);
    assert!(modules.len() > 50, "{} modules", modules.len());
    modules
}

fn collect(folder: &Path, module: &[String], modules: &mut Modules) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let is_program = module.is_empty() && ["lib", "main", "bin"].contains(&name.as_str());
        if is_program || name == "tests" {
            continue;
        }
        let inside: Vec<String> = module.iter().cloned().chain((name != "mod").then_some(name)).collect();
        if path.is_dir() {
            collect(&path, &inside, modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            modules.insert(inside, code_of(&fs::read_to_string(&path).expect("a readable source")));
        }
    }
}

/// A source without its comments and its unit tests, which stand last.
pub(crate) fn code_of(source: &str) -> String {
    let code = source.split("\n#[cfg(test)]\nmod ").next().unwrap_or(source);
    let lines = code.lines().map(|line| {
        let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
        comment.map_or(line, |(at, _)| &line[..at])
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The files that a module takes names from, each the one that defines the name.
pub(crate) fn imports(modules: &Modules, module: &[String]) -> BTreeSet<Vec<String>> {
    let code = &modules[module];
    let paths = used(code).into_iter().filter(|(_, is_public)| !is_public).map(|(path, _)| path);
    let inline = inline(code);
    let found = paths.chain(inline).filter_map(|path| definition(modules, module, &path, 0));
    found.filter(|other| other != module).collect()
}

/// The module that defines what a path names, seen from `module`; none when it is not of this library.
fn definition(modules: &Modules, module: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
    let mut at = module.to_vec();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => (at, rest) = (Vec::new(), &rest[1..]),
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|name| name == "super") {
                at.pop();
                rest = &rest[1..];
            }
        }
        name => {
            at.push(name.to_owned());
            modules.get(&at)?;
            rest = &rest[1..];
        }
    }
    while let Some(name) = rest.first() {
        at.push(name.clone());
        if !modules.contains_key(&at) {
            at.pop();
            break;
        }
        rest = &rest[1..];
    }
    let (code, Some(name)) = (modules.get(&at)?, rest.first()) else { return Some(at) };
    if depth > 8 || defines(code, name) {
        return Some(at);
    }
    let again = used(code).into_iter().map(|(path, _)| path).find(|path| path.last() == Some(name));
    again.and_then(|path| definition(modules, &at, &path, depth + 1)).or(Some(at))
}

fn defines(code: &str, name: &str) -> bool {
    ["struct", "enum", "fn", "trait", "type", "const", "static", "mod"].into_iter().any(|kind| {
        let header = format!("{kind} {name}");
        code.match_indices(&header).any(|(at, _)| !code[at + header.len()..].starts_with(is_of_name))
    })
}

fn is_of_name(one: char) -> bool {
    one.is_alphanumeric() || one == '_'
}

/// The paths of the `use` statements, and whether each is a re-export.
fn used(code: &str) -> Vec<(Vec<String>, bool)> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].rsplit('\n').next().unwrap_or_default().trim_start();
        if !(before.is_empty() || before.starts_with("pub")) {
            continue;
        }
        let tree = code[at + 4..].split(';').next().unwrap_or_default();
        let mut found = Vec::new();
        expand(&[], tree, &mut found);
        paths.extend(found.into_iter().map(|path| (path, !before.is_empty())));
    }
    paths
}

/// Each path of a tree such as `a::{b, c::{d, e}}`.
fn expand(before: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let tree = tree.split(" as ").next().unwrap_or_default().trim();
    let Some((head, group)) = tree.split_once('{') else {
        let names = tree.split("::").map(str::trim).filter(|name| !name.is_empty() && *name != "self");
        found.push(before.iter().cloned().chain(names.map(str::to_owned)).collect());
        return;
    };
    let names = head.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let before: Vec<String> = before.iter().cloned().chain(names).collect();
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut begin) = (0, 0);
    for (at, one) in group.char_indices().chain([(group.len(), ',')]) {
        match one {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !group[begin..at].trim().is_empty() {
                    expand(&before, &group[begin..at], found);
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
}

/// Paths in the code itself: `crate::client::Client`, `super::store`.
fn inline(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root) {
            let line = code[..at].rsplit('\n').next().unwrap_or_default();
            if line.trim_start().starts_with("use ") || line.contains(" use ") || line.ends_with("::") {
                continue;
            }
            let text = code[at..].split(|one: char| !is_of_name(one) && one != ':').next().unwrap_or_default();
            paths.push(text.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect());
        }
    }
    paths
}

/// The files of a circle of imports, if there is one.
pub(crate) fn circle(edges: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> Option<Vec<String>> {
    let mut left = edges.clone();
    // What imports nothing that is left is in no circle.
    loop {
        let names: BTreeSet<Vec<String>> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, imports| imports.iter().any(|import| names.contains(import)));
        if left.len() == before {
            break;
        }
    }
    let mut way = vec![left.keys().next()?.clone()];
    loop {
        let next = left[way.last()?].iter().find(|import| left.contains_key(*import))?.clone();
        if let Some(begin) = way.iter().position(|one| *one == next) {
            return Some(way[begin..].iter().chain([&next]).map(|one| one.join("::")).collect());
        }
        way.push(next);
    }
}
