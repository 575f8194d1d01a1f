//! Settings files that are wrong: each is refused with exit code 2, the line, and words that help.

use heph::config::Config;
use heph::error::Exit;

/// A settings file, the line that is wrong, and words that the error must have.
type Case = (&'static str, usize, &'static [&'static str]);

const CASES: &[Case] = &[
    // Keys.
    (
        "[self-update]\nkeep = 1\n\nsetle = '10s'",
        4,
        &[
            "unknown key 'setle' in [self-update]",
            "did you mean 'settle'?",
        ],
    ),
    (
        "[self-update]\nhealth_timeout = '10s'",
        2,
        &["'health_timeout'", "did you mean 'health-timeout'?"],
    ),
    (
        "[self-update]\nPackages = ['heph']",
        2,
        &["did you mean 'packages'?"],
    ),
    (
        "[self-update]\npackage = ['heph']",
        2,
        &["did you mean 'packages'?"],
    ),
    (
        "[self-update]\non-failure = ['x']",
        2,
        &["did you mean 'on-failed'?"],
    ),
    (
        "[self-update]\nbuild-limit = 1",
        2,
        &["did you mean 'build-folder-limit'?"],
    ),
    (
        "[self-update]\nzzz = 1",
        2,
        &[
            "unknown key 'zzz'",
            "valid keys: repository, forge, packages",
        ],
    ),
    (
        "[self-update]\nkeep = 1\n\"b\\u001b\" = 1",
        3,
        &["unknown key 'b\\u{1b}'"],
    ),
    ("[self-update]\n\"\" = 1", 2, &["unknown key ''"]),
    (
        "every = '6h'",
        1,
        &[
            "unknown key 'every' at the top",
            "belongs below [self-update]",
        ],
    ),
    (
        "[self-update]\nservice-manager = 'none'",
        2,
        &["belongs at the top of the file"],
    ),
    (
        "[selfupdate]\nkeep = 1",
        1,
        &["unknown key 'selfupdate'", "did you mean 'self-update'?"],
    ),
    (
        "[self_update]\nkeep = 1",
        1,
        &["did you mean 'self-update'?"],
    ),
    (
        "[self-update.hooks]\non-failed = ['x']",
        1,
        &["unknown key 'hooks'"],
    ),
    (
        "[[self-update]]\nkeep = 1",
        1,
        &["'self-update' must be a table"],
    ),
    (
        "self-update = true",
        1,
        &["'self-update' must be a table", "[self-update]"],
    ),
    // TOML itself.
    ("[self-update]\nkeep = 1\nkeep = 2", 3, &["duplicate key"]),
    ("[self-update]\nkeep = ", 2, &[]),
    ("[self-update\nkeep = 1", 1, &[]),
    ("[self-update]\nmode = apply", 2, &[]),
    ("[self-update]\nmode = 'apply", 2, &[]),
    ("keep: 1", 1, &[]),
    ("{\"self-update\": {}}", 1, &[]),
    ("[self-update]\n[self-update]", 2, &["duplicate key"]),
    // Types.
    (
        "service-manager = true",
        1,
        &["'service-manager' must be one of", "not true"],
    ),
    (
        "[self-update]\nrepository = 1",
        2,
        &["'repository' must be the URL", "not the number 1"],
    ),
    (
        "[self-update]\nforge = ['git']",
        2,
        &["'forge'", "not this list"],
    ),
    (
        "[self-update]\npackages = 'heph'",
        2,
        &["'packages' must be a list", "not \"heph\""],
    ),
    (
        "[self-update]\npackages = [1]",
        2,
        &["'packages'", "not the number 1"],
    ),
    (
        "[self-update]\nevery = 6",
        2,
        &[
            "'every' must be a length of time",
            "\"6h\"",
            "not the number 6",
        ],
    ),
    (
        "[self-update]\nsettle = 2020-01-01",
        2,
        &["'settle'", "not a date"],
    ),
    (
        "[self-update]\nprereleases = 'yes'",
        2,
        &["'prereleases' must be true or false", "not \"yes\""],
    ),
    (
        "[self-update]\nkeep = '2'",
        2,
        &["'keep' must be a whole number from 0 to 100", "not \"2\""],
    ),
    (
        "[self-update]\nkeep = 1.5",
        2,
        &["'keep'", "not the number 1.5"],
    ),
    (
        "[self-update]\npin = 1",
        2,
        &["'pin' must be a semver requirement"],
    ),
    (
        "[self-update]\non-battery = true",
        2,
        &["'on-battery' must be \"skip\" or \"run\""],
    ),
    (
        "[self-update]\ndelivery = 'binary'",
        2,
        &["'delivery' must be one of \"auto\", \"cargo\", \"prebuilt\""],
    ),
    (
        "[self-update]\non-failed = 'notify-send heph'",
        2,
        &["'on-failed' must be a list of strings (a command and its arguments"],
    ),
    (
        "[self-update]\non-failed = { command = 'x' }",
        2,
        &["'on-failed'", "not a table"],
    ),
    // Values.
    (
        "service-manager = 'upstart'",
        1,
        &[
            "\"auto\", \"systemd\", \"launchd\", \"none\"",
            "not \"upstart\"",
        ],
    ),
    (
        "[self-update]\nforge = 'gitea'",
        2,
        &["\"forgejo\"", "not \"gitea\""],
    ),
    (
        "[self-update]\nforge = 'GitHub'",
        2,
        &["\"github\"", "not \"GitHub\""],
    ),
    (
        "[self-update]\nmode = 'auto'",
        2,
        &["'mode' must be \"apply\" or \"notify\""],
    ),
    (
        "[self-update]\nevery = '30s'",
        2,
        &["'every' must be at least 1m, not \"30s\""],
    ),
    (
        "[self-update]\nevery = '6 hours'",
        2,
        &["'every'", "\"6h\""],
    ),
    (
        "[self-update]\ncooldown = '-1d'",
        2,
        &["'cooldown' must be a length of time"],
    ),
    (
        "[self-update]\nsettle = '2h'",
        2,
        &["'settle' must be at most 1h"],
    ),
    (
        "[self-update]\nhealth-timeout = '0s'",
        2,
        &["'health-timeout' must be at least 1s"],
    ),
    ("[self-update]\nkeep = 101", 2, &["from 0 to 100"]),
    ("[self-update]\nkeep = -1", 2, &["not the number -1"]),
    (
        "[self-update]\nkeep = 99999999999999999999999",
        2,
        &["'keep'"],
    ),
    (
        "[self-update]\nbuild-folder-limit = '2GB'",
        2,
        &["\"2GiB\"", "not \"2GB\""],
    ),
    (
        "[self-update]\nbuild-folder-limit = -5",
        2,
        &["'build-folder-limit'"],
    ),
    (
        "[self-update]\npin = 'latest'",
        2,
        &["'pin'", "not \"latest\""],
    ),
    ("[self-update]\npin = ''", 2, &["'pin'"]),
    (
        "[self-update]\npackages = []",
        2,
        &["'packages'", "not empty"],
    ),
    (
        "[self-update]\npackages = [\n'heph',\n'--config=x',\n]",
        4,
        &["not starting with '-'", "--config=x"],
    ),
    ("[self-update]\npackages = ['a b']", 2, &["package names"]),
    ("[self-update]\npackages = ['']", 2, &["package names"]),
    ("[self-update]\npackages = ['../x']", 2, &["package names"]),
    ("[self-update]\npackages = ['x@1']", 2, &["package names"]),
    (
        "[self-update]\npackages = ['heph', 'heph']",
        2,
        &["'heph' twice"],
    ),
    ("[self-update]\ntag-prefix = '-v'", 2, &["'tag-prefix'"]),
    ("[self-update]\ntag-prefix = 'v '", 2, &["'tag-prefix'"]),
    ("[self-update]\ntag-prefix = '../v'", 2, &["'tag-prefix'"]),
    ("[self-update]\ntag-prefix = 'x;y'", 2, &["'tag-prefix'"]),
    ("[self-update]\ntag-prefix = 'a//v'", 2, &["'tag-prefix'"]),
    (
        "[self-update]\nrepository = 'http://forge.example/a/b'",
        2,
        &["https"],
    ),
    (
        "[self-update]\nrepository = 'forge.example/a/b'",
        2,
        &["\"https://forge.example/owner/name\""],
    ),
    (
        "[self-update]\nrepository = 'git@forge.example:a/b.git'",
        2,
        &["must be"],
    ),
    (
        "[self-update]\nrepository = 'ssh://forge.example/a/b'",
        2,
        &["it is not an https URL"],
    ),
    (
        "[self-update]\nrepository = 'https://forge.example'",
        2,
        &["no repository"],
    ),
    (
        "[self-update]\nbin-dir = 'bin'",
        2,
        &["'bin-dir' must be an absolute path", "not \"bin\""],
    ),
    ("[self-update]\nbin-dir = '~me/bin'", 2, &["'bin-dir'"]),
    ("[self-update]\nbin-dir = ''", 2, &["'bin-dir'"]),
    (
        "[self-update]\nbin-dir = \"/a\\nb\"",
        2,
        &["control characters"],
    ),
    ("[self-update]\non-failed = []", 2, &["not empty"]),
    ("[self-update]\non-failed = ['']", 2, &["name of a command"]),
    (
        "[self-update]\non-failed = ['./notify']",
        2,
        &["absolute path or the name of a command"],
    ),
    (
        "[self-update]\non-failed = ['a', 1]",
        2,
        &["list of strings", "not the number 1"],
    ),
    (
        "[self-update]\non-failed = ['a', \"b\\u0000\"]",
        2,
        &["character 0"],
    ),
];

fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, bytes).unwrap();
    let error = match Config::load(&file) {
        Ok(_) => panic!("taken: {}", String::from_utf8_lossy(bytes)),
        Err(error) => error,
    };
    assert_eq!(error.exit(), Exit::Usage, "{error:#}");
    format!("{error:#}").replace(&file.display().to_string(), "FILE")
}

#[test]
fn each_mistake_is_told_with_file_line_and_remedy() {
    for (text, line, words) in CASES {
        let said = refusal(text.as_bytes());
        let place = format!("line {line}: ");
        assert!(
            said.contains("'FILE'") && said.contains(&place),
            "{text}\n→ {said}"
        );
        for word in *words {
            assert!(said.contains(word), "{text}\n→ {said}\nlacks: {word}");
        }
        assert!(!said.contains('\u{1b}'), "{said}");
    }
}

#[test]
fn many_mistakes_do_not_flood_the_terminal() {
    let text: String = (0..1000).map(|n| format!("key{n} = 1\n")).collect();
    let said = refusal(text.as_bytes());
    assert!(
        said.contains("line 1: ") && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn a_password_in_the_url_is_refused_without_printing_it() {
    let said = refusal(b"[self-update]\nrepository = 'https://me:hunter2@forge.example/a/b'");
    assert!(
        said.contains("password") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn text_in_another_encoding_is_refused_with_its_line() {
    let said = refusal(b"[self-update]\nkeep = 1\nbin-dir = '/caf\xe9'\n");
    assert!(said.contains("line 3: this is not UTF-8"), "{said}");
    refusal(b"\xff\xfea\0");
}

#[test]
fn hostile_nesting_is_refused_without_a_crash() {
    refusal(format!("a = {}", "[".repeat(500_000)).as_bytes());
    refusal(format!("a = {}", "{a=".repeat(300_000)).as_bytes());
    refusal(format!("[{}a]", "a.".repeat(500_000)).as_bytes());
    refusal(format!("{}a = 1", "a.".repeat(500_000)).as_bytes());
}
