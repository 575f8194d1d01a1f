//! The dependency rule of `src/lib.rs`, held against the sources themselves.

use std::collections::BTreeSet;
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
    ("interval", Rule::Only(&["error"])),
    ("paths", Rule::Only(&["error", "os"])),
    ("config", Rule::Only(&["error", "interval", "os", "paths"])),
    ("os", Rule::Only(&["error"])),
    ("client", Rule::Only(&["error", "os"])),
    ("login", Rule::Only(&["error", "os", "paths"])),
    (
        "hephd",
        Rule::Only(&["client", "error", "login", "os", "paths"]),
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
        Rule::Only(&["client", "config", "error", "interval", "os", "paths"]),
    ),
];

/// Crates that only the update side needs; hephd has no business with them.
const UPDATE_CRATES: [&str; 12] = [
    "semver",
    "toml",
    "which",
    "shlex",
    "strsim",
    "roxmltree",
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

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns the files of a layer, with their text: `src/<layer>.rs` and all below `src/<layer>/`.
fn sources(layer: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut left = vec![src().join(format!("{layer}.rs")), src().join(layer)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") && path.exists() {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    assert!(!found.is_empty(), "there is no layer {layer}");
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
