//! The dependency rule of `src/lib.rs`, held against the sources themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a layer may import of this crate, or must not.
enum Rule {
    /// These modules and its own, and nothing else.
    Only(&'static [&'static str]),
    /// Anything but these.
    Not(&'static [&'static str]),
}

const RULES: [(&str, Rule); 11] = [
    ("error", Rule::Only(&[])),
    ("flags", Rule::Only(&["error"])),
    ("paths", Rule::Only(&["error", "os"])),
    ("config", Rule::Only(&["error", "os", "paths"])),
    ("os", Rule::Only(&["error"])),
    ("client", Rule::Only(&["error", "os"])),
    ("login", Rule::Only(&["error", "os"])),
    (
        "hephd",
        Rule::Only(&["client", "error", "flags", "login", "os", "paths"]),
    ),
    (
        "release",
        Rule::Not(&["install", "update", "platform", "cli", "hephd"]),
    ),
    (
        "install",
        Rule::Not(&["update", "platform", "cli", "hephd"]),
    ),
    (
        "platform",
        Rule::Only(&["client", "config", "error", "flags", "os", "paths"]),
    ),
];

/// Crates that only the update side needs; hephd has no business with them.
const UPDATE_CRATES: [&str; 11] = [
    "semver",
    "toml",
    "which",
    "shlex",
    "strsim",
    "sha2",
    "lzma_rust2",
    "minisign_verify",
    "rawzip",
    "ruzstd",
    "tar",
];

#[test]
fn no_layer_imports_what_is_above_it() {
    let mut broken = Vec::new();
    for (layer, rule) in &RULES {
        for (file, source) in sources(layer) {
            for module in imported(&source) {
                let allowed = match rule {
                    Rule::Only(modules) => module == *layer || modules.contains(&module.as_str()),
                    Rule::Not(modules) => !modules.contains(&module.as_str()),
                };
                if !allowed {
                    broken.push(format!("{} imports {module}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn hephd_uses_no_crate_of_the_update_side() {
    for (file, source) in sources("hephd") {
        let source = without_comments(&source);
        let knows_slots = source.contains("paths::Paths");
        assert!(
            !knows_slots,
            "{} knows the paths of updates",
            file.display()
        );
        for name in UPDATE_CRATES {
            let used = words_before(&source, "::").any(|word| word == name);
            assert!(!used, "{} uses the crate {name}", file.display());
        }
    }
}

#[test]
fn other_layers_are_named_from_the_root() {
    // `super::super::…` up to the root would get around the rule above without a word of it.
    for (layer, _) in &RULES {
        for (file, source) in sources(layer) {
            let source = without_comments(&source);
            let outside_tests = source.split("#[cfg(test)]").next().unwrap();
            let inside = file.strip_prefix(src()).unwrap();
            let name = inside.file_stem().unwrap();
            let depth = inside.components().count() - usize::from(name == "mod");
            let reaches_root = outside_tests.contains(&"super::".repeat(depth));
            assert!(!reaches_root, "{} climbs to the root", file.display());
        }
    }
}

#[test]
fn every_module_of_the_crate_is_under_a_rule_or_on_top() {
    let ruled: BTreeSet<&str> = RULES.iter().map(|(layer, _)| *layer).collect();
    let library = fs::read_to_string(src().join("lib.rs")).unwrap();
    for line in library.lines() {
        let Some((_, module)) = line.split_once("mod ").filter(|_| line.starts_with("pub")) else {
            continue;
        };
        let module = module.trim_end_matches(';');
        assert!(
            ruled.contains(module) || ["cli", "update"].contains(&module),
            "{module} has no rule"
        );
    }
}

#[test]
fn no_modules_import_each_other() {
    // A child may use what its parent declares, so imports of an ancestor are not followed.
    let modules: BTreeMap<Vec<String>, PathBuf> = files_below(&src())
        .into_iter()
        .filter(|file| !file.ends_with("tests.rs") && !file.iter().any(|part| part == "tests"))
        .map(|file| (module_of(&file), file))
        .collect();
    let mut imports: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
    for (module, file) in &modules {
        let source = without_comments(&fs::read_to_string(file).unwrap());
        let source = source.split("#[cfg(test)]").next().unwrap();
        for path in used_paths(module, source) {
            let known = (1..=path.len()).rev().map(|length| &path[..length]);
            let found = known
                .into_iter()
                .find_map(|known| modules.get_key_value(known));
            if let Some((other, _)) = found
                && !module.starts_with(other)
            {
                imports.entry(module).or_default().insert(other);
            }
        }
    }
    let mut circles = BTreeSet::new();
    for (module, others) in &imports {
        for other in others {
            if imports.get(other).is_some_and(|back| back.contains(module)) {
                circles.insert(format!("{} <-> {}", module.join("::"), other.join("::")));
            }
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

/// Returns the path of the module in `file`, without `crate`.
fn module_of(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(src()).unwrap().with_extension("");
    let parts = inside.iter().map(|part| part.to_str().unwrap().to_owned());
    parts
        .filter(|part| part != "mod" && part != "lib")
        .collect()
}

/// Returns the paths that the `use` declarations of `source`, the text of `module`, name, without `crate`.
fn used_paths(module: &[String], source: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("use ") {
        if source[..at].ends_with(is_word) {
            continue;
        }
        let tree = source[at + "use ".len()..].split(';').next().unwrap();
        for path in expand(tree) {
            let mut parts = path.split("::").map(str::trim);
            let mut base = match parts.next() {
                Some("crate") => Vec::new(),
                Some("self") => module.to_vec(),
                Some("super") => module[..module.len().saturating_sub(1)].to_vec(),
                Some(first) => [module, &[first.to_owned()]].concat(),
                None => continue,
            };
            for part in parts {
                match part {
                    "super" => drop(base.pop()),
                    "self" => {}
                    part => base.push(part.split(' ').next().unwrap().to_owned()),
                }
            }
            found.push(base);
        }
    }
    found
}

/// Returns the single paths of a tree of imports: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let Some((before, rest)) = tree.split_once('{') else {
        return vec![tree.trim().to_owned()];
    };
    let mut members = vec![String::new()];
    let mut depth = 1;
    for c in rest.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            _ if depth == 0 => break,
            ',' if depth == 1 => members.push(String::new()),
            c => members.last_mut().unwrap().push(c),
        }
    }
    let members = members.iter().flat_map(|member| expand(member));
    members
        .map(|member| format!("{}{member}", before.trim()))
        .collect()
}

#[test]
fn trees_of_imports_are_expanded() {
    assert_eq!(
        expand("crate::a::{b, c::{d, self}}"),
        ["crate::a::b", "crate::a::c::d", "crate::a::c::self"]
    );
    let module = ["x".to_owned(), "y".to_owned()];
    let found = used_paths(&module, "pub use super::z::{A, B as C};");
    assert_eq!(found, [["x", "z", "A"], ["x", "z", "B"]]);
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns the files of a layer, with their text: `src/<layer>.rs` and all below `src/<layer>/`.
fn sources(layer: &str) -> Vec<(PathBuf, String)> {
    let mut files = files_below(&src().join(layer));
    files.extend(files_below(&src().join(format!("{layer}.rs"))));
    assert!(!files.is_empty(), "there is no layer {layer}");
    let text = |file: PathBuf| (file.clone(), fs::read_to_string(file).unwrap());
    files.into_iter().map(text).collect()
}

/// Returns the Rust files below `path`, or `path` itself if it is one.
fn files_below(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(path).unwrap();
            left.extend(entries.map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") && path.exists() {
            found.push(path);
        }
    }
    found
}

/// Returns the top-level modules of this crate that `source` names: in `crate::x` and in `crate::{x, y::z}`.
fn imported(source: &str) -> BTreeSet<String> {
    let source = without_comments(source);
    let mut found = BTreeSet::new();
    for (at, _) in source.match_indices("crate::") {
        if source[..at].ends_with(is_word) {
            continue;
        }
        let rest = &source[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.extend(first_word(rest)),
            Some(group) => found.extend(group_members(group)),
        }
    }
    found
}

/// Returns the first word of each member of a group of imports, whose opening brace is gone already.
fn group_members(group: &str) -> Vec<String> {
    let mut members = Vec::new();
    let mut depth = 1;
    let mut member = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            members.extend(first_word(member.trim()));
            member.clear();
        } else {
            member.push(c);
        }
        if depth == 0 {
            break;
        }
    }
    members
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| is_word(*c)).collect();
    (!word.is_empty()).then_some(word)
}

fn words_before<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(mark).map(move |(at, _)| {
        let before = &text[..at];
        let start = before
            .char_indices()
            .rfind(|(_, c)| !is_word(*c))
            .map_or(0, |(place, c)| place + c.len_utf8());
        &before[start..]
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn without_comments(source: &str) -> String {
    let lines = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn imports_are_found_in_all_their_forms() {
    let found = |source| imported(source).into_iter().collect::<Vec<_>>();
    assert_eq!(found("use crate::os::files;"), ["os"]);
    assert_eq!(
        found("use crate::{\n    os::{files, lock},\n    error::Error,\n};"),
        ["error", "os"]
    );
    assert_eq!(
        found("fn f() { crate::update::run(); mycrate::cli::x(); }"),
        ["update"]
    );
    assert_eq!(found("pub(crate) fn f() {}"), Vec::<String>::new());
    assert_eq!(
        found("// use crate::cli;\n/// [`crate::cli`]"),
        Vec::<String>::new()
    );
}
