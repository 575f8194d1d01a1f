//! Tests of the arguments of cargo, and of builds that fail.

use super::*;
use semver::Version;

const DEFAULT: &BTreeMap<String, Features> = &BTreeMap::new();

fn order<'a>(url: &'a str, tag: &'a Tag, packages: &'a [String]) -> BuildOrder<'a> {
    BuildOrder {
        url,
        tag,
        commit: "6aadeef590353fb7f1a81cc72bc59fe6c0e7627d",
        at: GitRef::Tag(tag.as_str()),
        packages,
        features: DEFAULT,
        root: Path::new("/home/ü %&'\"/versions/1.0.0"),
        build: Path::new("/cache/build"),
    }
}

/// Builds with a `cargo` that notes its start and runs `body`. Returns the error and how often it was started.
fn fails(body: &str, limit: Duration) -> (Error, usize) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let program = home.join("cargo");
    let script = format!("#!/bin/sh\necho >>\"${{0%/*}}/starts\"\n{body}\n");
    files::write_atomic(&program, script.as_bytes(), 0o755).unwrap();
    let variables = vec![("CARGO".into(), program.into())];
    let mut cargo = Cargo::find(&variables, &Paths::in_home(home)).unwrap();
    cargo.limit = limit;
    let (root, build) = (home.join("root"), home.join("build"));
    let log = Progress::Log(home.join("log"));
    let listener = Listener {
        progress: &log,
        note: &|_| {},
        arrived: &|_, _| {},
    };
    let tag = Tag::of("v", &Version::new(1, 0, 0));
    let packages = ["heph".to_owned()];
    let order = BuildOrder {
        root: &root,
        build: &build,
        ..order("https://f.example/a", &tag, &packages)
    };
    let error = cargo.install(&order, &listener).unwrap_err();
    let starts = fs::read_to_string(home.join("starts")).unwrap();
    (error, starts.lines().count())
}

#[test]
fn a_build_that_does_not_end_has_failed_and_is_not_tried_twice() {
    let fresh = r#"echo '{"package_id":"registry+https://x#a@1.0.0","fresh":true}'; exec sleep 60"#;
    let (error, starts) = fails(fresh, Duration::from_millis(400));
    assert_eq!((error.kind(), starts), (Kind::Build, 1));
    let text = error.one_line();
    assert!(text.contains("cannot build v1.0.0: it did not end within 2 hours"));
    assert!(text.contains("/log'"), "{text}");
}

#[test]
fn a_build_that_used_the_cache_and_failed_is_tried_twice() {
    let end = "echo 'error: could not compile `a` (lib)' >&2; exit 101";
    let fresh = r#"echo '{"package_id":"registry+https://x#a@1.0.0","fresh":true}'"#;
    let limit = Duration::from_secs(60);
    let (error, starts) = fails(&format!("{fresh}; {end}"), limit);
    assert_eq!((error.kind(), starts), (Kind::Build, 2));
    let (_, starts) = fails(end, limit);
    assert_eq!(starts, 1, "nothing was there before");
}

#[test]
fn untrusted_text_cannot_become_an_option() {
    let tag = Tag::of("--config=", &Version::new(1, 0, 0));
    let packages = ["heph".to_owned(), "größe_2".to_owned()];
    let words = arguments(&order("--offline", &tag, &packages)).unwrap();
    assert_eq!(
        words,
        [[
            "install",
            "--locked",
            "--message-format=json-render-diagnostics",
            "--git=--offline",
            "--tag=--config=1.0.0",
            "--root=/home/ü %&'\"/versions/1.0.0",
            "--",
            "heph",
            "größe_2"
        ]]
    );
    let by_commit = BuildOrder {
        at: GitRef::Commit("6aadeef590353fb7f1a81cc72bc59fe6c0e7627d"),
        ..order("https://x", &tag, &packages)
    };
    let words = arguments(&by_commit).unwrap();
    assert_eq!(
        words[0][4],
        "--rev=6aadeef590353fb7f1a81cc72bc59fe6c0e7627d"
    );
    for bad in ["", "-f", "--path=/x", "a b", "a/b", "heph@1.0.0", "a\n"] {
        let error = arguments(&order("https://x", &tag, &[bad.to_owned()])).unwrap_err();
        assert_eq!(error.exit().code(), 2, "{bad:?}");
    }
    assert!(arguments(&order("https://x", &tag, &[])).is_err());
}

#[test]
fn features_are_asked_for_and_packages_with_others_are_built_apart() {
    let tag = Tag::of("v", &Version::new(1, 0, 0));
    let packages = ["heph", "tool", "toold"].map(str::to_owned);
    let features = Features {
        features: vec!["-x".to_owned(), "tls".to_owned()],
        ..Features::default()
    };
    let features = BTreeMap::from([("tool".to_owned(), features)]);
    let order = BuildOrder {
        features: &features,
        ..order("https://x", &tag, &packages)
    };
    let words = arguments(&order).unwrap();
    assert_eq!(words.len(), 2);
    assert_eq!(words[0][6..], ["--", "heph", "toold"]);
    assert_eq!(words[1][6..], ["--features=-x,tls", "--", "tool"]);
}
