//! The table of promises names tests that exist, and the list of faults names places that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Returns the names of all functions in the Rust files below `folder`.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
                Some(rest[..end].to_owned())
            });
            found.extend(names);
        }
    }
}

#[test]
fn each_promise_is_held_by_three_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    functions(&root.join("src"), &mut known);
    functions(&root.join("tests"), &mut known);
    let table = fs::read_to_string(root.join("tests/promises.md")).unwrap();
    for row in table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| promise"))
    {
        let (promise, tests) = row[2..].split_once(" | ").expect(row);
        let tests: BTreeSet<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(tests.len() >= 3, "fewer than three tests: {promise}");
        for test in tests {
            let name = test.rsplit("::").next().unwrap_or(test);
            assert!(known.contains(name), "{promise}: there is no test '{test}'");
        }
    }
}

/// `make faults` takes hours, so it is not run with each change that moves the code it spoils.
#[test]
fn each_fault_can_be_seeded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("tests/faults/faults.toml")).unwrap();
    let list: toml::Table = list.parse().unwrap();
    let faults = list["fault"].as_array().unwrap();
    assert!(faults.len() > 30, "{}", faults.len());
    for fault in faults {
        let text = |key: &str| fault[key].as_str().unwrap();
        let source = fs::read_to_string(root.join(text("file"))).unwrap();
        let found = source.matches(text("find")).count();
        assert_eq!(found, 1, "{}: 'find' in {}", text("name"), text("file"));
    }
}
