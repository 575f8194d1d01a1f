//! What heph makes of files that it, a person, or another release wrote.

use super::*;
use proptest::prelude::*;
use std::fs;

/// Texts that [`check_text`] accepts, full of what quoting gets wrong.
pub(crate) fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ '\"\\\\%$&<>;#!=-]{1,4}",
        "[a-z]{1,3}",
        "(\\$\\{HOME\\}|\\$x|`x`|%h|%%|\\\\n|\\\\x41|&amp;|\\]\\]>|<!--|--|\\{\\{log\\}\\}|é|日本|😀)",
        "\\PC{1,4}",
    ];
    proptest::collection::vec(piece, 1..6)
        .prop_map(|pieces| pieces.concat())
        .prop_filter("only what a generated file carries", |text| {
            check_text("text", text).is_ok()
        })
}

/// A unit-like and an XML format of one text.
const FORMATS: [Format<String>; 2] = [
    Format {
        template: "# Made by heph, template 2. x\n# Made from: {{source}}\n\n{{text}}\n",
        mode: files::SHARED,
        values: |text| Ok(vec![("text", text.clone())]),
        legacy: Some(|text| {
            let last = text.lines().last();
            last.map(str::to_owned).context("it is empty")
        }),
    },
    Format {
        template: "<?xml?>\n<!-- Made by heph, template 2. -->\n<!-- Made from: {{source}} -->\n<a>{{text}}</a>\n",
        mode: files::SHARED,
        values: |text| Ok(vec![("text", text.clone())]),
        legacy: None,
    },
];

#[test]
fn the_marker_is_found_near_the_top_only() {
    let deep = "\n\n\n\n# Made by heph, template 1.\n";
    let comment = "# Made by heph, template 12. Edits …\n";
    assert_eq!(version(comment), Some(12));
    let xml = "<?xml?>\n<!-- Made by heph, template 3. x -->";
    assert_eq!(version(xml), Some(3));
    let not_ours = ["", "[Service]\n", deep, "# Made by heph, template x."];
    for hand_made in not_ours {
        assert_eq!(version(hand_made), None, "{hand_made:?}");
    }
}

#[test]
fn a_line_is_repeated_for_each_value_and_values_are_not_filled_again() {
    let template = "a\n x={{x}};\n{{y}}\nb\n";
    let values = [("x", "{{y}}".to_owned()), ("x", "2".to_owned())];
    assert_eq!(fill(template, &values), "a\n x={{y}};\n x=2;\nb\n");
}

#[test]
fn a_file_is_compared_with_what_its_source_renders_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let [format, _] = FORMATS;
    let text = format.render(&"one".to_owned()).unwrap();
    let cases = [
        (text.clone(), FileState::Current, Some("one")),
        (
            text.replace("\none", "\ntwo"),
            FileState::Edited,
            Some("one"),
        ),
        (
            text.replace("\"one\"", "\"two\""),
            FileState::Edited,
            Some("two"),
        ),
        (text.replace("\"one\"", "one"), FileState::Edited, None),
        (
            text.replace("Made from", "From"),
            FileState::Edited,
            Some("one"),
        ),
        (
            text.replace("template 2", "template 1"),
            FileState::OlderTemplate,
            Some("one"),
        ),
        (
            text.replace("template 2", "template 3"),
            FileState::NewerTemplate,
            Some("one"),
        ),
        (
            "# Made by heph, template 1. x\n\nold\n".to_owned(),
            FileState::OlderTemplate,
            Some("old"),
        ),
        (text.replace("Made by", "By"), FileState::HandMade, None),
    ];
    for (text, state, source) in cases {
        fs::write(&path, &text).unwrap();
        let on_disk = format.read(&path).unwrap();
        assert_eq!(on_disk.state, state, "{text}");
        assert_eq!(on_disk.source.ok().as_deref(), source, "{text}");
    }
    fs::write(&path, b"# Made by heph, template 2.\n\xff").unwrap();
    assert_eq!(format.read(&path).unwrap().state, FileState::HandMade);
    fs::remove_file(&path).unwrap();
    assert_eq!(format.read(&path).unwrap().state, FileState::Absent);
}

#[test]
fn what_was_made_or_edited_by_hand_is_not_replaced() {
    let path = Path::new("/x");
    for (state, words) in [
        (FileState::HandMade, "not made by heph"),
        (FileState::Edited, "edited by hand"),
    ] {
        let error = state.check_replaceable(path, "use --force").unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.hint(), Some("use --force"));
    }
    for state in [
        FileState::Absent,
        FileState::Current,
        FileState::OlderTemplate,
        FileState::NewerTemplate,
    ] {
        assert!(state.check_replaceable(path, "").is_ok());
    }
}

#[test]
fn only_a_file_whose_text_or_mode_differs_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let [format, _] = FORMATS;
    let plan = || [format.plan(path.clone(), &"x".to_owned()).unwrap()];
    assert!(write(&plan()).unwrap());
    assert!(!write(&plan()).unwrap(), "nothing is left to do");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(write(&plan()).unwrap(), "the mode is part of it");
    assert!(remove(&path).unwrap());
    assert!(!remove(&path).unwrap());
}

#[test]
fn a_link_is_in_the_way_only_where_the_file_has_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let [kept, path] = ["dotfile", "file"].map(|name| folder.path().join(name));
    let [format, _] = FORMATS;
    let plan = |text: &str| [format.plan(path.clone(), &text.to_owned()).unwrap()];
    fs::write(&kept, format.render(&"x".to_owned()).unwrap()).unwrap();
    fs::set_permissions(&kept, fs::Permissions::from_mode(files::SHARED)).unwrap();
    std::os::unix::fs::symlink(&kept, &path).unwrap();
    check_links(&plan("x"), "").unwrap();
    assert!(!write(&plan("x")).unwrap());
    let error = check_links(&plan("y"), "or else").unwrap_err();
    let leads_to = format!("is a link to '{}'", kept.display());
    assert!(error.to_string().ends_with(&leads_to), "{error}");
    assert!(error.hint().unwrap().ends_with("or else"));
}

#[test]
fn files_are_put_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let [format, other] = FORMATS;
    let plan = |text: &str| {
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        [
            format.plan(one, &text.to_owned()).unwrap(),
            other.plan(two, &text.to_owned()).unwrap(),
        ]
    };
    let path = folder.path().join("one");
    fs::write(&path, "by hand").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let former = as_they_are(&plan("x"));
    assert_eq!(former.len(), 1, "the other does not exist");
    write(&plan("x")).unwrap();
    write(&former).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "by hand");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn what_no_generated_file_can_carry_is_rejected() {
    use std::os::unix::ffi::OsStrExt;
    let latin1 = Path::new(std::ffi::OsStr::from_bytes(b"/h\xf6me"));
    let cases = [
        (Path::new("heph"), "relative"),
        (Path::new("/a\nb"), "character"),
        (Path::new("/a\u{ffff}b"), "character"),
        (latin1, "UTF-8"),
    ];
    for (path, cause) in cases {
        let error = check_path("it", path).unwrap_err().to_string();
        assert!(error.contains(cause), "{error}");
    }
}

proptest! {
    #[test]
    fn every_source_is_read_back_from_one_line(text in any_text()) {
        for format in FORMATS {
            let file = format.render(&text).unwrap();
            prop_assert_eq!(format.source(&file).unwrap(), text.clone());
        }
        let xml = FORMATS[1].render(&text).unwrap();
        let comment = xml.lines().nth(2).unwrap();
        let inside = comment.strip_prefix("<!-- ").unwrap().strip_suffix(" -->").unwrap();
        prop_assert!(!inside.contains("--"), "{}", comment);
    }

    #[test]
    fn no_text_panics(text in "(?s)(# )?(Made from: )?.*") {
        for format in FORMATS {
            let _ = format.source(&text);
        }
    }
}
