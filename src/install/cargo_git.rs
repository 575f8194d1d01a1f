//! The git that cargo fetches with: the user's settings of the network, and none of the user's passwords.
//!
//! Whatever cargo fetches with by itself (libgit2) answers a 401 with what the user's credential helpers hold, and hands it
//! to another host after a redirect. So cargo runs git, as `net.git-fetch-with-cli` makes it, in an environment without
//! credential helpers, prompts, cookies and headers: git reads no settings but those in a file that heph writes, with the
//! settings of the user that [`is_kept`] admits. An allow-list, since git gains ways to authenticate with time.
//!
//! Two ways remain, and HOME closes both where they are open: curl inside git reads `~/.netrc` whatever git's settings say, and a
//! git before 2.32 reads `~/.gitconfig` in any case, as does libgit2, which cargo uses where there is no git. In these
//! cases cargo, and with it the build, gets heph's folder for HOME. Toolchains and registries stay where they are.
//!
//! ssh is left to ssh: its keys and agent prove who the user is to a host that is known, and reveal nothing to another.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::toolchain::{self, USUAL_PATH, Variables, value_of};
use crate::error::{Error, Result, ResultExt};
use crate::os::files;
use crate::os::process::Run;

/// The first git that reads its settings from where GIT_CONFIG_GLOBAL says.
const GIT_CONFIG_GLOBAL_SINCE: (u32, u32) = (2, 32);
/// The settings of `http.*` and `http.<url>.*` that concern the way to a host, and not who the user is there.
const KEPT_OF_HTTP: &[&str] = &[
    "lowspeedlimit",
    "lowspeedtime",
    "pinnedpubkey",
    "postbuffer",
    "proxy",
    "proxyauthmethod",
    "proxysslcainfo",
    "sslbackend",
    "sslcainfo",
    "sslcapath",
    "sslversion",
    "version",
];
/// What git, libgit2 and cargo say where a password is needed and it is missing, in lower case.
const NEEDS_PASSWORD: &[&str] = &[
    "terminal prompts disabled",
    "could not read username",
    "could not read password",
    "authentication failed for",
    "failed to authenticate when downloading",
    "failed to acquire username/password",
    "no authentication methods succeeded",
];

/// What helps where a build needs a password of the user.
pub(crate) const WITHOUT_PASSWORDS: &str = "heph gives no password of yours to a forge: no credential helper, no ~/.netrc, no \
    header or cookie of git's settings; make the repository readable without one, or let an ssh key open it \
    (`url.<base>.insteadOf` with an ssh address)";

/// A setting of git: its key as `git config --list` prints it, and its value.
type Setting = (String, String);

/// Returns whether `output` of cargo says that a password is needed.
pub(crate) fn needs_password(output: &str) -> bool {
    let output = output.to_lowercase();
    NEEDS_PASSWORD.iter().any(|phrase| output.contains(phrase))
}

/// Returns `variables` as they are for a cargo that gives no password of the user to a forge. `folder` receives the settings of
/// its git.
///
/// # Errors
///
/// git cannot read the user's settings, or those for cargo cannot be written.
pub(crate) fn without_passwords(
    variables: &Variables,
    home: &Path,
    folder: &Path,
) -> Result<Variables> {
    let git = Git::find(variables);
    let settings = match &git {
        Some(git) => git.settings(variables)?,
        None => Vec::new(),
    };
    let home = value_of(variables, "HOME").map_or_else(|| home.to_owned(), PathBuf::from);
    let file = folder.join(".gitconfig");
    let chooses_ssh = ["GIT_SSH", "GIT_SSH_COMMAND"].map(|name| value_of(variables, name));
    let text = render(&settings, chooses_ssh.iter().all(Option::is_none));
    files::write_atomic(&file, text.as_bytes(), files::PRIVATE)?;
    let is_there = |path: PathBuf| path.symlink_metadata().is_ok();
    let hidden = match &git {
        Some(git) => !git.reads_named_settings || is_there(home.join(".netrc")),
        None => {
            let xdg = value_of(variables, "XDG_CONFIG_HOME").map(PathBuf::from);
            let xdg = xdg.unwrap_or_else(|| home.join(".config"));
            is_there(home.join(".gitconfig")) || is_there(xdg.join("git/config"))
        }
    };
    Ok(environment(
        variables,
        git.is_some(),
        &file,
        hidden.then_some((folder, &home)),
    ))
}

/// The git command that cargo would run.
struct Git {
    program: PathBuf,
    reads_named_settings: bool,
}

impl Git {
    /// Finds it; one that does not start counts as missing.
    fn find(variables: &Variables) -> Option<Git> {
        let path = value_of(variables, "PATH").unwrap_or(OsStr::new(USUAL_PATH));
        let program = which::which_in("git", Some(path), "/").ok()?;
        let run = Run::new(&program).only_env(variables.iter().cloned());
        let said = run.arg("--version").success().ok()?.text();
        let reads_named_settings =
            version(&said).is_some_and(|version| version >= GIT_CONFIG_GLOBAL_SINCE);
        Some(Git {
            program,
            reads_named_settings,
        })
    }

    /// Returns the settings of the user and the system.
    fn settings(&self, variables: &Variables) -> Result<Vec<Setting>> {
        let outside = variables
            .iter()
            .filter(|(name, _)| !matches!(name.to_str(), Some("GIT_DIR" | "GIT_CONFIG")))
            .cloned();
        let listed = Run::new(&self.program)
            .only_env(outside)
            .dir("/")
            .args(["config", "--list", "-z"])
            .success()
            .with_context(|| {
                Error::new("cannot read the settings of git, which fetches the sources")
                    .with_hint("correct the file that git names; `git config --list` reads it")
            })?;
        Ok(parse(&listed.text()))
    }
}

/// Returns major and minor version in what `git --version` prints.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Parses what `git config --list -z` prints. A setting without a value is true.
fn parse(listed: &str) -> Vec<Setting> {
    let entries = listed.split('\0').filter(|entry| !entry.is_empty());
    entries
        .map(|entry| entry.split_once('\n').unwrap_or((entry, "true")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Splits a key into section, subsection and name (git-config(1)).
fn parts(key: &str) -> Option<(&str, Option<&str>, &str)> {
    let (section, rest) = key.split_once('.')?;
    Some(match rest.rsplit_once('.') {
        Some((subsection, name)) => (section, Some(subsection), name),
        None => (section, None, rest),
    })
}

/// Returns whether a setting is about the way to a repository, without a password for it.
fn is_kept(key: &str) -> bool {
    match parts(key) {
        Some(("http", _, name)) => KEPT_OF_HTTP.contains(&name),
        Some(("url", Some(base), "insteadof")) => !has_password(base),
        Some(("core", None, "sshcommand") | ("ssh", None, "variant")) => true,
        Some(("safe", None, "directory") | ("protocol", _, "allow")) => true,
        _ => false,
    }
}

/// Returns whether an address carries what opens a forge. The name in one of ssh does not.
fn has_password(address: &str) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    !scheme.to_ascii_lowercase().contains("ssh") && authority.contains('@')
}

/// Returns the file of the settings for cargo's git. `batch`: ssh gets the option not to prompt.
fn render(settings: &[Setting], batch: bool) -> String {
    let mut text = String::from(
        "# Made by heph, for the git that cargo runs: your settings of the network, and no passwords.\n\
         [credential]\n\thelper =\n[http]\n\temptyAuth = false\n",
    );
    let kept = settings.iter().filter(|(key, _)| is_kept(key));
    let batch = batch && !settings.iter().any(|(key, _)| key == "core.sshcommand");
    let batch = batch.then(|| {
        (
            "core.sshcommand".to_owned(),
            "ssh -o BatchMode=yes".to_owned(),
        )
    });
    for (key, value) in kept.chain(&batch) {
        let Some((section, subsection, name)) = parts(key).filter(|_| !key.contains('\n')) else {
            continue;
        };
        let subsection = subsection.map_or(String::new(), |subsection| {
            format!(" {}", quoted(subsection))
        });
        let value = quoted(value).replace('\n', "\\n");
        text.push_str(&format!("[{section}{subsection}]\n\t{name} = {value}\n"));
    }
    text
}

/// Returns `text` in quotes, as git reads subsections and values.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Returns the variables of a cargo whose git reads `file`. `hidden`: the folder that takes the place of the home folder, and
/// the home folder.
fn environment(
    variables: &Variables,
    has_git: bool,
    file: &Path,
    hidden: Option<(&Path, &Path)>,
) -> Variables {
    let misleads = |name: &str| {
        name.starts_with("GIT_CONFIG") || matches!(name, "GIT_ASKPASS" | "SSH_ASKPASS" | "NETRC")
    };
    let mut variables: Variables = variables
        .iter()
        .filter(|(name, _)| !name.to_str().is_some_and(misleads))
        .cloned()
        .collect();
    let mut set = |name: &str, value: &OsStr| toolchain::set(&mut variables, name, value);
    let with_git = if has_git { "true" } else { "false" };
    set("CARGO_NET_GIT_FETCH_WITH_CLI", with_git.as_ref());
    set("GIT_CONFIG_GLOBAL", file.as_os_str());
    set("GIT_CONFIG_NOSYSTEM", "1".as_ref());
    // Set and empty: git looks no further for a program to ask.
    set("GIT_ASKPASS", "".as_ref());
    set("SSH_ASKPASS_REQUIRE", "never".as_ref());
    if let Some((folder, home)) = hidden {
        for (name, usual) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if value_of(&variables, name).is_none() {
                variables.push((name.into(), home.join(usual).into()));
            }
        }
        variables.retain(|(name, _)| name != "XDG_CONFIG_HOME");
        toolchain::set(&mut variables, "HOME", folder.as_os_str());
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn setting(key: &str, value: &str) -> Setting {
        (key.to_owned(), value.to_owned())
    }

    fn given(pairs: &[(&str, &str)]) -> Variables {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn settings_of_the_network_are_kept_and_whatever_authenticates_is_not() {
        for kept in [
            "http.proxy",
            "http.https://forge.example/.proxy",
            "http.https://forge.example/a.b/.sslcainfo",
            "url.https://mirror.example/.insteadof",
            "url.ssh://git@forge.example/.insteadof",
            "url.git@forge.example:.insteadof",
            "core.sshcommand",
            "safe.directory",
            "protocol.file.allow",
        ] {
            assert!(is_kept(kept), "{kept}");
        }
        for dropped in [
            "credential.helper",
            "credential.https://forge.example.helper",
            "credential.username",
            "core.askpass",
            "http.extraheader",
            "http.https://forge.example/.extraheader",
            "http.cookiefile",
            "http.savecookies",
            "http.emptyauth",
            "http.proactiveauth",
            "http.delegation",
            "http.sslcert",
            "http.sslkey",
            "http.sslverify",
            "http.followredirects",
            "url.https://me:secret@forge.example/.insteadof",
            "url.https://token@forge.example/.insteadof",
            "url.https://forge.example/.pushinsteadof",
            "core.hookspath",
            "include.path",
            "alias.x",
            "http",
            "",
        ] {
            assert!(!is_kept(dropped), "{dropped}");
        }
    }

    #[test]
    fn the_file_starts_without_helpers_and_ssh_does_not_prompt_unless_it_was_chosen() {
        let settings = [
            setting("user.name", "me"),
            setting("http.proxy", "http://p:1"),
            setting("url.https://m.example/\"x\\.insteadof", "a \"b\" \\c\n;d"),
        ];
        let head = "# Made by heph, for the git that cargo runs: your settings of the network, and no passwords.\n\
            [credential]\n\thelper =\n[http]\n\temptyAuth = false\n[http]\n\tproxy = \"http://p:1\"\n\
            [url \"https://m.example/\\\"x\\\\\"]\n\tinsteadof = \"a \\\"b\\\" \\\\c\\n;d\"\n";
        assert_eq!(render(&settings, false), head);
        let batch = format!("{head}[core]\n\tsshcommand = \"ssh -o BatchMode=yes\"\n");
        assert_eq!(render(&settings, true), batch);
        let own = [setting("core.sshcommand", "ssh -i key")];
        assert!(!render(&own, true).contains("BatchMode"));
    }

    #[test]
    fn the_environment_has_no_way_to_a_password() {
        let from = given(&[
            ("HOME", "/home/me"),
            ("XDG_CONFIG_HOME", "/home/me/.c"),
            ("CARGO_HOME", "/cargo"),
            ("GIT_ASKPASS", "/usr/bin/ask"),
            ("SSH_ASKPASS", "/usr/bin/ask"),
            ("NETRC", "/n"),
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "credential.helper"),
            ("GIT_CONFIG_VALUE_0", "store"),
            ("GIT_CONFIG_PARAMETERS", "'x.y=z'"),
            ("SSH_AUTH_SOCK", "/agent"),
        ]);
        let file = Path::new("/cache/git/.gitconfig");
        let common = [
            ("GIT_CONFIG_GLOBAL", "/cache/git/.gitconfig"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_ASKPASS", ""),
            ("SSH_ASKPASS_REQUIRE", "never"),
        ];
        let open = [
            &[
                ("HOME", "/home/me"),
                ("XDG_CONFIG_HOME", "/home/me/.c"),
                ("CARGO_HOME", "/cargo"),
                ("SSH_AUTH_SOCK", "/agent"),
                ("CARGO_NET_GIT_FETCH_WITH_CLI", "true"),
            ],
            &common[..],
        ]
        .concat();
        assert_eq!(environment(&from, true, file, None), given(&open));
        let hidden = [
            &[
                ("CARGO_HOME", "/cargo"),
                ("SSH_AUTH_SOCK", "/agent"),
                ("CARGO_NET_GIT_FETCH_WITH_CLI", "false"),
            ],
            &common[..],
            &[("RUSTUP_HOME", "/home/me/.rustup"), ("HOME", "/cache/git")],
        ]
        .concat();
        let folders = (Path::new("/cache/git"), Path::new("/home/me"));
        assert_eq!(
            environment(&from, false, file, Some(folders)),
            given(&hidden)
        );
    }

    #[test]
    fn versions_of_git_are_read_as_vendors_print_them() {
        for (said, expected) in [
            ("git version 2.47.3\n", Some((2, 47))),
            ("git version 2.39.5 (Apple Git-154)", Some((2, 39))),
            ("git version 2.32.0.windows.1", Some((2, 32))),
            ("git version next", None),
            ("", None),
        ] {
            assert_eq!(version(said), expected, "{said}");
        }
    }

    #[test]
    fn the_need_of_a_password_is_recognised_in_the_words_of_each_tool() {
        for said in [
            "fatal: could not read Username for 'https://forge.example': terminal prompts disabled",
            "fatal: Authentication failed for 'https://forge.example/a/b/'",
            "  failed to authenticate when downloading repository",
        ] {
            assert!(needs_password(said), "{said}");
        }
        assert!(!needs_password("error: could not compile `tool`"));
    }

    proptest! {
        #[test]
        fn what_git_reads_back_is_what_was_rendered(base in "[ -~]{1,20}", value in "[ -~\n\t]{0,20}") {
            // The interpreter of the tests: git itself is asked in tests/trust.
            let key = format!("url.https://h/{}.insteadof", base.replace('@', ""));
            let text = render(&[(key.clone(), value.clone())], false);
            let (_, shown) = text.rsplit_once("insteadof = \"").unwrap();
            let shown = shown.strip_suffix("\"\n").unwrap();
            let mut read = String::new();
            let mut letters = shown.chars();
            while let Some(letter) = letters.next() {
                read.push(match letter {
                    '\\' => match letters.next().unwrap() { 'n' => '\n', other => other },
                    '"' => panic!("an open quote in {text}"),
                    other => other,
                });
            }
            prop_assert_eq!(read, value);
            prop_assert_eq!(text.matches("\n[url").count(), 1);
        }
    }
}
