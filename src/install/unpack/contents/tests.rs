//! What is a command, and what is malicious, by table and by property.

use super::*;
use crate::error::Kind;
use proptest::prelude::*;

const ELF: &[u8] = b"\x7fELF and more";

/// Adds files with their modes; returns the names of the commands.
fn found(files: &[(&str, u32, &[u8])]) -> Result<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let installed = ["heph".to_owned(), "hephd".to_owned()];
    let mut contents = Contents::new("heph", &installed, folder.path());
    for (path, mode, content) in files {
        let size = content.len() as u64;
        contents.file(path.as_bytes(), *mode, size, &mut &content[..])?;
    }
    let names = contents.commands()?;
    let mut written: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    written.sort_unstable();
    assert_eq!(written, names);
    Ok(names)
}

#[test]
fn commands_are_found_as_they_are_usually_laid_out() {
    for path in [
        "heph",
        "./heph",
        "bin/hephd",
        "usr/local/bin/hephd",
        "heph-x86_64-unknown-linux-gnu/heph",
        "Heph-v1.2.3-x86_64/bin/heph_2",
        "heph-1//heph",
        "heph-1\\heph",
    ] {
        for (mode, content) in [(0o755, &b"any"[..]), (0o644, b"#!/bin/sh"), (0, ELF)] {
            assert!(found(&[(path, mode, content)]).is_ok(), "{path} {mode:o}");
        }
        assert!(found(&[(path, 0o644, b"any")]).is_err(), "{path}");
    }
    for path in [
        "man/heph",
        "share/heph",
        "bin/sub/heph",
        "heph-1/completions/_heph",
        "install.sh",
        "README",
        "LICENSE-MIT",
        "-heph",
        ".heph",
        "heph\u{e9}",
        "heph\n",
    ] {
        assert!(found(&[(path, 0o755, b"#!/bin/sh")]).is_err(), "{path}");
    }
}

#[test]
fn a_known_program_is_found_in_any_folder_unless_a_better_place_has_it() {
    let names = |files: &[(&str, u32, &[u8])]| found(files).map(|names| names.join(" "));
    let build = ("target/x/release/heph", 0o644, ELF);
    let daemon = ("target/x/release/hephd", 0o644, ELF);
    let other = ("target/x/release/other", 0o755, ELF);
    let usual = ("bin/heph", 0o755, &b"it"[..]);
    assert_eq!(names(&[build, daemon, other]), Ok("heph hephd".to_owned()));
    assert_eq!(names(&[build, usual]), Ok("heph".to_owned()));
    assert_eq!(names(&[usual, build]), Ok("heph".to_owned()));
    let elsewhere = ("arm/heph", 0o755, ELF);
    assert_eq!(names(&[build, elsewhere, usual]), Ok("heph".to_owned()));
    let error = names(&[build, elsewhere]).unwrap_err();
    assert!(error.to_string().contains("two commands"), "{error}");
}

#[test]
fn paths_stay_inside() {
    for path in [
        "/etc/passwd",
        "../heph",
        "a/../../b",
        "..",
        "..\\b",
        "a\\..\\..\\b",
        "\\\\server\\b",
        "C:\\b",
        "c:/b",
        "/",
    ] {
        let error = parts(path).expect_err(path);
        assert_eq!(error.kind(), Kind::Unfit);
    }
    assert_eq!(parts("./a/./b/").unwrap(), ["a", "b"]);
    assert_eq!(parts("a/../b//c").unwrap(), ["b", "c"]);
    assert!(parts("./").unwrap().is_empty());
}

#[test]
fn a_link_that_leads_out_is_an_alarm_and_one_that_stays_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let mut contents = Contents::new("heph", &[], folder.path());
    for (path, target) in [
        ("doc/a", "../heph"),
        ("doc/a", "b"),
        ("a.txt", "doc/b"),
        ("heph-1/lib/x", "../../other/y"),
    ] {
        contents
            .symlink(path.as_bytes(), target.as_bytes())
            .unwrap();
    }
    contents.hard_link(b"doc/a", b"doc/b").unwrap();
    for (path, target) in [
        ("doc/a", "/etc/passwd"),
        ("doc/a", "../../etc/passwd"),
        ("a", "..\\b"),
        ("../a", "b"),
        ("/a", "b"),
    ] {
        let symlink = contents.symlink(path.as_bytes(), target.as_bytes());
        assert_eq!(symlink.unwrap_err().kind(), Kind::Unfit, "{path} {target}");
    }
    let hard = contents.hard_link(b"doc/a", b"../b").unwrap_err();
    assert_eq!(hard.kind(), Kind::Unfit);
    let command = contents.symlink(b"bin/heph", b"../lib/heph").unwrap_err();
    assert_eq!(command.kind(), Kind::Invalid);
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn there_are_bounds_and_bits_that_nobody_needs() {
    let folder = tempfile::tempdir().unwrap();
    let mut contents = Contents::new("heph", &[], folder.path());
    let said = |result: Result<()>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        error.to_string()
    };
    let setuid = contents.file(b"heph", 0o4755, 0, &mut io::empty());
    assert!(said(setuid).contains("setuid"));
    let large = contents.file(b"large", 0o644, MOST_BYTES + 1, &mut io::empty());
    assert!(said(large).contains("4 GiB"));
    let mut contents = Contents::new("heph", &[], folder.path());
    let short = contents.file(b"short", 0o644, 1, &mut io::empty());
    assert!(said(short).contains("0 bytes, not 1"));
    let mut contents = Contents::new("heph", &[], folder.path());
    for number in 0..MOST_ENTRIES {
        contents.path(number.to_string().as_bytes()).unwrap();
    }
    assert!(said(contents.path(b"more")).contains("more than 10000"));
}

#[test]
fn a_folder_or_a_document_may_be_there_twice_and_a_command_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut contents = Contents::new("heph", &[], folder.path());
    contents.path(b"heph-1/").unwrap();
    contents.path(b"heph-1/").unwrap();
    let mut file = |path: &str| contents.file(path.as_bytes(), 0o755, 1, &mut &b"x"[..]);
    file("heph-1/README").unwrap();
    file("heph-1/README").unwrap();
    file("heph-1/heph").unwrap();
    file("heph-1/HEPH").unwrap();
    let error = contents.commands().unwrap_err();
    assert!(error.to_string().contains("ignores case"), "{error}");
    let twice = [("heph", 0o755, &b"x"[..]), ("bin/heph", 0o755, b"x")];
    let error = found(&twice).unwrap_err();
    assert!(error.to_string().contains("two commands"), "{error}");
}

proptest! {
    #[test]
    fn what_is_written_is_a_plain_name_in_the_folder(
        path in "(heph|bin|\\.\\.|\\.|/|a|\\\\|-|\u{e9}|C:){1,8}",
        target in "(heph|\\.\\.|/|a|\\\\){1,6}",
        mode: u16,
        native: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut contents = Contents::new("heph", &[], folder.path());
        let content: &[u8] = if native { ELF } else { b"x" };
        let _ = contents.symlink(path.as_bytes(), target.as_bytes());
        let _ = contents.file(path.as_bytes(), mode.into(), content.len() as u64, &mut &content[..]);
        let written: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
        prop_assert_eq!(written.len(), contents.commands.len());
        for entry in written {
            prop_assert!(entry.file_type().unwrap().is_file());
            prop_assert!(is_command_name(entry.file_name().to_str().unwrap()));
        }
    }

    #[test]
    fn no_path_or_link_that_climbs_above_the_top_is_accepted(steps in prop::collection::vec(0u8..3, 1..9)) {
        let words: Vec<&str> = steps.iter().map(|step| ["..", "a", "."][usize::from(*step)]).collect();
        let mut depth = 0i32;
        let mut lowest = 0;
        for word in &words {
            depth += match *word { ".." => -1, "a" => 1, _ => 0 };
            lowest = lowest.min(depth);
        }
        let path = words.join("/");
        prop_assert_eq!(parts(&path).is_err(), lowest < 0);
        let folder = tempfile::tempdir().unwrap();
        let mut contents = Contents::new("heph", &[], folder.path());
        let link = contents.symlink(b"x/y.txt", path.as_bytes());
        prop_assert_eq!(link.is_err(), lowest < -1);
    }
}
