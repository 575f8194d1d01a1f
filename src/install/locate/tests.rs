//! Every clue and every refusal, on paper and with real files.

use super::*;
use std::os::unix::fs::symlink;

fn path(path: &str) -> Option<PathBuf> {
    Some(PathBuf::from(path))
}

/// What is known of a heph that is called by its name from `/home/me/.cargo/bin`.
fn usual() -> Clues {
    Clues {
        running: path("/home/me/.cargo/bin/heph"),
        found: path("/home/me/.cargo/bin"),
        versions: PathBuf::from("/data/versions"),
        cargo: PathBuf::from("/home/me/.cargo/bin"),
        ..Clues::default()
    }
}

#[test]
fn the_best_clue_decides() {
    let in_slot = Clues {
        running: path("/data/versions/1.0.0/bin/heph"),
        ..usual()
    };
    for (expected, clues) in [
        ("/home/me/.cargo/bin", usual()),
        (
            "/opt/b",
            Clues {
                setting: path("/opt/b"),
                adopted: path("/a"),
                ..usual()
            },
        ),
        (
            "/a",
            Clues {
                adopted: path("/a"),
                ..usual()
            },
        ),
        (
            "/l",
            Clues {
                found: path("/l"),
                ..in_slot.clone()
            },
        ),
        (
            "/c",
            Clues {
                found: None,
                cargo: "/c".into(),
                ..in_slot
            },
        ),
        (
            "/x",
            Clues {
                running: path("/x/heph"),
                found: None,
                ..usual()
            },
        ),
        (
            "/c",
            Clues {
                running: None,
                found: None,
                cargo: "/c".into(),
                ..usual()
            },
        ),
        (
            "/usr/local/bin",
            Clues {
                running: path("/usr/local/bin/heph"),
                found: None,
                ..usual()
            },
        ),
    ] {
        assert_eq!(choose(&clues).unwrap(), Path::new(expected), "{clues:?}");
    }
}

#[test]
fn what_others_update_is_refused_unless_the_setting_names_another_folder() {
    let built = Clues {
        running: path("/src/target/debug/heph"),
        in_target_folder: true,
        ..usual()
    };
    let managed = |running: &str| Clues {
        running: path(running),
        found: None,
        ..usual()
    };
    for (words, clues) in [
        ("Cargo target folder", built.clone()),
        (
            "Cargo target folder",
            Clues {
                adopted: path("/a"),
                ..built
            },
        ),
        ("package manager", managed("/usr/bin/heph")),
        ("package manager", managed("/bin/heph")),
        (
            "package manager",
            managed("/nix/store/x-heph-1.0.0/bin/heph"),
        ),
        (
            "package manager",
            managed("/opt/homebrew/Cellar/heph/1.0.0/bin/heph"),
        ),
        ("package manager", managed("/snap/heph/7/bin/heph")),
    ] {
        let error = choose(&clues).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.hint().unwrap().contains("bin-dir"));
        let setting = Clues {
            setting: path("/home/me/bin"),
            ..clues
        };
        assert_eq!(choose(&setting).unwrap(), Path::new("/home/me/bin"));
    }
    for folder in ["/usr/bin", "/nix/store/x/bin"] {
        assert!(check_unmanaged(Path::new(folder)).is_err(), "{folder}");
    }
    assert!(check_unmanaged(Path::new("/usr/local/bin")).is_ok());
}

#[test]
fn a_managed_folder_is_refused_however_it_is_spelled() {
    let (_folder, paths, _) = home();
    let find = |setting: &Path| {
        let invocation = Invocation::default();
        find_from(&invocation, Some(setting), &[], &paths)
    };
    let link = paths.home.join("bin of mine");
    fs::create_dir_all(&paths.home).unwrap();
    std::os::unix::fs::symlink("/usr/bin", &link).unwrap();
    let up: PathBuf = paths.home.ancestors().skip(1).map(|_| "..").collect();
    for managed in [
        PathBuf::from("/usr/bin"),
        link.clone(),
        paths.home.join(&up).join("usr/bin"),
        paths.home.join("new/..").join(&up).join("usr/bin"),
        link.join("../lib/x"),
    ] {
        let error = find(&managed).unwrap_err().to_string();
        assert!(error.contains("package manager"), "{error}");
    }
    // And what only looks like one is not.
    let own = Path::new("/usr/bin")
        .join("../..")
        .join(paths.home.strip_prefix("/").unwrap());
    assert!(find(&own.join("bin")).is_ok());
    assert!(find(&paths.home.join("new/bin")).is_ok());
}

/// Returns the bin-dir that is found, with the default settings.
fn found(invocation: &Invocation, paths: &Paths) -> PathBuf {
    find_from(invocation, None, &["heph".to_owned()], paths)
        .unwrap()
        .path
}

/// A home, and a heph in its `.cargo/bin`.
fn home() -> (tempfile::TempDir, Paths, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let home = fs::canonicalize(folder.path()).unwrap();
    let paths = Paths::in_home(&home);
    let heph = home.join(".cargo/bin/heph");
    put(&heph);
    (folder, paths, heph)
}

fn put(file: &Path) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, "").unwrap();
}

fn process(executable: &Path, called: &Path, path: &[&Path]) -> Invocation {
    Invocation {
        executable: Some(executable.to_owned()),
        called: Some(called.into()),
        path: Some(std::env::join_paths(path).unwrap()),
        ..Invocation::default()
    }
}

#[test]
fn a_heph_is_found_by_its_path_by_path_and_through_links() {
    let (_folder, paths, heph) = home();
    let bin = heph.parent().unwrap();
    let find = |process: &Invocation| found(process, &paths);
    let other = paths.home.join("other");
    put(&other.join("heph"));
    let by_name = Path::new("heph");
    assert_eq!(find(&process(&heph, &heph, &[])), bin);
    assert_eq!(find(&process(&heph, by_name, &[&other, bin])), bin);

    // A link of the user's own leads to the folder of the file.
    let own = paths.home.join("own");
    fs::create_dir(&own).unwrap();
    symlink("../.cargo/bin/heph", own.join("heph")).unwrap();
    assert_eq!(find(&process(&heph, &own.join("heph"), &[&own, bin])), bin);

    // heph's link into its data folder leads no further.
    let in_slot = paths.versions().join("1.0.0/bin/heph");
    put(&in_slot);
    symlink("versions/1.0.0", paths.current()).unwrap();
    fs::remove_file(&heph).unwrap();
    symlink(paths.current().join("bin/heph"), &heph).unwrap();
    assert_eq!(find(&process(&in_slot, by_name, &[&other, &own])), bin);
    assert_eq!(find(&process(&in_slot, &in_slot, &[&other, bin])), bin);

    // Called by the path of the slot, with nothing on PATH: cargo's folder.
    let mut alone = process(&in_slot, &in_slot, &[]);
    assert_eq!(find(&alone), bin);
    alone.cargo_home = path("/cargo-home");
    assert_eq!(find(&alone), Path::new("/cargo-home/bin"));
    alone.cargo_install_root = path("/root");
    assert_eq!(find(&alone), Path::new("/root/bin"));
}

#[test]
fn a_folder_inside_a_release_is_refused_however_it_is_spelled() {
    let (_folder, paths, heph) = home();
    let in_slot = paths.versions().join("1.0.0/bin/heph");
    put(&in_slot);
    symlink("versions/1.0.0", paths.current()).unwrap();
    let process = process(&heph, &heph, &[]);
    for folder in [
        paths.versions().join("1.0.0/bin"),
        paths.current().join("bin"),
    ] {
        let error = find_from(&process, Some(&folder), &[], &paths).unwrap_err();
        assert!(error.to_string().contains("is inside a release"), "{error}");
    }
    // A slot's own path as the name it is called by tells nothing, through another name of the home either.
    let other = paths.home.with_file_name(format!(
        "{}-other",
        paths.home.file_name().unwrap().display()
    ));
    symlink(&paths.home, &other).unwrap();
    let called = other.join("data/versions/1.0.0/bin/heph");
    let found = found(
        &Invocation {
            executable: Some(in_slot),
            called: Some(called.into()),
            ..Invocation::default()
        },
        &paths,
    );
    fs::remove_file(&other).unwrap();
    assert_eq!(found, paths.home.join(".cargo/bin"));
}

#[test]
fn an_adopted_bin_dir_is_found_while_a_command_is_in_it() {
    let (_folder, paths, heph) = home();
    let adopted = paths.home.join("adopted");
    put(&adopted.join("heph"));
    BinDir::at(adopted.clone(), &[], &paths).record().unwrap();
    let find = || found(&process(&heph, &heph, &[]), &paths);
    assert_eq!(find(), adopted);
    fs::remove_file(adopted.join("heph")).unwrap();
    assert_eq!(find(), heph.parent().unwrap());
    for text in [
        "",
        "{",
        r#"{"schema":2,"bin_dir":"/x"}"#,
        r#"{"schema":1,"bin_dir":"x"}"#,
    ] {
        fs::write(record_of(&paths), text).unwrap();
        assert_eq!(find(), heph.parent().unwrap(), "{text}");
    }
}

#[test]
fn a_target_folder_is_known_by_what_cargo_keeps_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = |path: &str| {
        let path = folder.path().join(path);
        put(&path);
        path
    };
    file("t/debug/.cargo-lock");
    fs::write(
        file("u/CACHEDIR.TAG"),
        "# This file is a cache directory tag created by cargo.",
    )
    .unwrap();
    for (executable, expected) in [
        ("t/debug/heph", true),
        ("t/debug/deps/heph-1", true),
        ("u/x86_64-unknown-linux-musl/release/heph", true),
        ("u/debug/examples/heph", true),
        ("u/demo/bin/heph", false),
        ("target/debug/heph", false),
        (".cargo/bin/heph", false),
    ] {
        assert_eq!(
            in_target_folder(&file(executable)),
            expected,
            "{executable}"
        );
    }
    let this_test = std::env::current_exe().unwrap();
    assert!(in_target_folder(&this_test));
}
