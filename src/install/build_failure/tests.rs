//! Tests of what the output of cargo shows, with outputs as cargo, git and rustc print them.

use proptest::prelude::*;

use super::BuildFailure::{self, *};
use super::*;
use crate::error::Exit;

/// What cargo says when a package cannot be compiled.
fn with_end(output: &str) -> String {
    format!(
        "   Compiling tool v1.1.0 (/c/git/checkouts/tool-0/ab)\n{output}\n\
         error: failed to compile `tool v1.1.0 (https://f.example/tool?tag=v1.1.0#ab)`, intermediate artifacts can be found \
         at `/b`.\nTo reuse those artifacts with a future compilation, set the environment variable `CARGO_BUILD_BUILD_DIR` to \
         that path."
    )
}

/// What cargo says when it cannot fetch, for this last cause.
fn cannot_fetch(cause: &str) -> String {
    format!(
        "    Updating git repository `https://f.example/tool`\n\
         warning: spurious network error (3 tries remaining): failed to connect to f.example: Connection refused\n\
         error: failed to clone into: /c/git/db/tool-1\n\nCaused by:\n  network failure seems to have happened\n  if a proxy or \
         similar is necessary `net.git-fetch-with-cli` may help here\n  \
         https://doc.rust-lang.org/cargo/reference/config.html#netgit-fetch-with-cli\n\nCaused by:\n  {cause}"
    )
}

/// What cargo says when the git command cannot fetch, which prints this.
fn git_cannot_fetch(said: &str) -> String {
    format!(
        "    Updating git repository `https://f.example/tool`\n{said}\n\
         error: failed to clone into: /c/git/db/tool-1\n\nCaused by:\n  process didn't exit successfully: `git fetch --no-tags \
         'https://f.example/tool' '+refs/tags/v1.1.0:refs/remotes/origin/tags/v1.1.0'` (exit status: 128)"
    )
}

#[test]
fn a_host_that_cannot_be_reached_is_the_network() {
    for output in [
        cannot_fetch("failed to connect to 127.0.0.1: Connection refused; class=Os (2)"),
        cannot_fetch("failed to resolve address for f.example: Name or service not known; class=Net (12)"),
        cannot_fetch("unexpected http status code: 503; class=Http (34)"),
        cannot_fetch("unexpected http status code: 429; class=Http (34)"),
        cannot_fetch("the SSL certificate is invalid; class=Ssl (16); code=Certificate (-17)"),
        git_cannot_fetch(
            "fatal: unable to access 'https://f.example/tool/': Failed to connect to f.example port 443 after 0 ms: Couldn't \
             connect to server",
        ),
        git_cannot_fetch("fatal: unable to access 'https://f.example/tool/': The requested URL returned error: 503"),
        git_cannot_fetch("fatal: unable to access 'https://f.example/tool/': Empty reply from server"),
        git_cannot_fetch("ssh: connect to host f.example port 22: Connection refused\nfatal: Could not read from remote repository."),
        "error: failed to compile `tool v1.1.0`, intermediate artifacts can be found at `/b`.\n\nCaused by:\n  failed to download \
         from `https://static.crates.io/x`\n\nCaused by:\n  [6] Could not resolve hostname (Could not resolve host: x)"
            .to_owned(),
        "error: failed to compile `tool v1.1.0`, intermediate artifacts can be found at `/b`.\n\nCaused by:\n  failed to get \
         successful HTTP response from `https://index.crates.io/x` (1.2.3.4), got 502\n  body:\n  Bad Gateway"
            .to_owned(),
        "error: failed to fetch into: /c/git/db/tool-1\n\nCaused by:\n  process didn't exit successfully: `git fetch` (exit \
         status: 128)\n  --- stderr\n  fatal: unable to access 'https://f.example/tool/': Could not resolve host: f.example"
            .to_owned(),
        "error: failed to fetch into: /c/git/db/tool-1\n\nCaused by:\n  process didn't exit successfully: `git fetch` (exit \
         status: 128)\n  --- stderr\n  fatal: unable to access 'https://f.example/tool/': The requested URL returned error: 504"
            .to_owned(),
    ] {
        assert_eq!(recognize(&output), Network, "{output}");
    }
}

#[test]
fn a_request_that_is_rejected_is_not_the_network() {
    for output in [
        cannot_fetch("unexpected http status code: 404; class=Http (34)"),
        cannot_fetch("unexpected http status code: 403; class=Http (34)"),
        cannot_fetch("too many redirects or authentication replays; class=Http (34)\n  authentication required but no callback set"),
        cannot_fetch("unknown object format 'sha256'; class=Net (12)"),
        git_cannot_fetch(
            "warning: spurious network error (1 try remaining): connection reset\nfatal: repository 'https://f.example/tool/' not found",
        ),
        git_cannot_fetch("fatal: could not read Username for 'https://f.example': terminal prompts disabled"),
        git_cannot_fetch("fatal: unable to access 'https://f.example/tool/': The requested URL returned error: 403"),
        git_cannot_fetch("fatal: mismatched algorithms: client sha1; server sha256"),
        "error: failed to fetch into: /c/git/db/tool-1\n\nCaused by:\n  failed to authenticate when downloading repository\n\n  * \
         attempted to find username/password via git's `credential.helper` support, but failed\n\nCaused by:\n  connection closed"
            .to_owned(),
        "error: failed to fetch into: /c/git/db/tool-1\n\nCaused by:\n  process didn't exit successfully: `git fetch` (exit \
         status: 128)\n  --- stderr\n  git@f.example: Permission denied (publickey).\n  fatal: Could not read from remote repository."
            .to_owned(),
        "error: failed to fetch into: /c/git/db/tool-1\n\nCaused by:\n  process didn't exit successfully: `git fetch` (exit \
         status: 128)\n  --- stderr\n  remote: Not Found\n  fatal: repository 'https://f.example/tool/' not found"
            .to_owned(),
        "error: failed to fetch into: /c/git/db/tool-1\n\nCaused by:\n  process didn't exit successfully: `git fetch` (exit \
         status: 128)\n  --- stderr\n  fatal: unable to access 'https://f.example/': CONNECT tunnel failed, response 407"
            .to_owned(),
    ] {
        assert_ne!(recognize(&output), Network, "{output}");
        let error = recognize(&output).error("v1.1.0", "https://f.example/tool", &output);
        assert_eq!((error.kind(), error.exit()), (Kind::Build, Exit::Failed));
    }
}

#[test]
fn what_compilers_scripts_and_warnings_say_is_not_the_network() {
    for (output, expected) in [
        (
            with_end(
                "error: could not resolve host\n --> src/lib.rs:1:1\nerror: could not compile `tool` (lib) due to 1 previous error",
            ),
            Compile,
        ),
        (
            with_end(
                "error: failed to run custom build command for `foo-sys v0.1.0`\n\nCaused by:\n  process didn't exit successfully: \
                 `/b/build-script-build` (exit status: 101)\n  --- stderr\n  cannot download the library: Connection refused \
                 (os error 111)",
            ),
            Script,
        ),
        (
            "warning: spurious network error (2 tries remaining): [28] Timeout was reached\n\
             error: could not find `tool` in https://f.example/tool?tag=v1.1.0 with version `*`"
                .to_owned(),
            Package,
        ),
        (
            with_end(
                "error: could not compile `tool` (bin \"tool\")\n\nCaused by:\n  process didn't exit successfully: `sccache rustc` \
                 (exit status: 254)\n  --- stderr\n  sccache: error: connection reset",
            ),
            Compile,
        ),
    ] {
        assert_eq!(recognize(&output), expected, "{output}");
    }
}

#[test]
fn what_has_a_remedy_is_recognized() {
    for (expected, output) in [
        (
            Linker,
            "error: linker `cc` not found\n  |\n  = note: No such file or directory (os error 2)\n\n\
             error: could not compile `tool` (bin \"tool\") due to 1 previous error",
        ),
        (
            Linker,
            "error occurred in cc-rs: failed to find tool \"cc\": No such file or directory (os error 2)\n\
             error: failed to run custom build command for `libsqlite3-sys`",
        ),
        (
            Disk,
            "error: failed to write /c/x.rmeta: No space left on device (os error 28)\nerror: could not compile `tool`",
        ),
        (
            Killed,
            "error: could not compile `tool` (bin \"tool\")\n\nCaused by:\n  process didn't exit successfully: `rustc …` \
             (signal: 9, SIGKILL: kill)",
        ),
        (
            Toolchain,
            "error: cannot install package `tool 0.1.0`, it requires rustc 1.99 or newer, while the currently active rustc \
             version is 1.95.0",
        ),
        (
            Toolchain,
            "error: rustup could not choose a version of cargo to run, because one wasn't specified explicitly, and no default \
             is configured.",
        ),
        (
            Compile,
            "error[E0425]: cannot find value `connection refused`\nerror: could not compile `tool`",
        ),
        (
            Tag,
            "error: failed to find tag `v9`\n\nCaused by:\n  reference 'refs/remotes/origin/tags/v9' not found; \
             class=Reference (4); code=NotFound (-3)",
        ),
        (
            Package,
            "error: could not find `toolx` in https://f.example/a?tag=v1 with version `*`",
        ),
        (
            GitStore,
            "error: failed to load source for dependency\n\nCaused by:\n  object not found - no match for id (ab); \
             class=Odb (9); code=NotFound (-3)",
        ),
        (Unknown, "error: something else"),
        (Unknown, ""),
    ] {
        assert_eq!(recognize(output), expected, "{output}");
    }
    let corrupt = "error: corrupt loose object 'ab'\nfatal: loose object ab is corrupt";
    assert_eq!(recognize(&git_cannot_fetch(corrupt)), GitStore);
}

#[test]
fn the_sentence_names_what_failed_and_quotes_no_compiler() {
    let sentence = |output: &str| {
        let error = recognize(output).error("v1.1.0", "https://f.example/a", output);
        assert!(error.hint().is_some());
        error.one_line()
    };
    let output = with_end(
        "error[E0425]: cannot find value `x`\n --> src/main.rs:1:1\nerror: could not compile `tool` (bin \"tool\") due to 1 previous error",
    );
    assert_eq!(
        sentence(&output),
        "cannot build v1.1.0: compiling `tool` failed"
    );
    let output = with_end(
        "error: failed to run custom build command for `foo-sys v0.1.0 (/c/foo)`\n\nCaused by:\n  x",
    );
    assert_eq!(
        sentence(&output),
        "cannot build v1.1.0: the build script of `foo-sys v0.1.0` failed"
    );
}

#[test]
fn only_an_unreachable_host_is_worth_trying_later_and_no_failure_blames_the_release() {
    for failure in [
        Network, Refused, GitStore, Disk, Linker, Killed, Toolchain, Target, Script, Compile, Tag,
        Package, Manifest, Unknown,
    ] {
        let error = failure.error("v1.0.0", "https://f.example/a", "");
        let expected = match failure {
            Network => (Kind::Unreachable, Exit::TryLater),
            _ => (Kind::Build, Exit::Failed),
        };
        assert_eq!((error.kind(), error.exit()), expected, "{failure:?}");
        assert!(error.to_string().starts_with("cannot build v1.0.0: "));
    }
}

proptest! {
    #[test]
    fn nothing_that_is_printed_before_the_conclusion_makes_it_the_network(before in "(\\PC|\n){0,200}") {
        let output = format!("{before}\nerror: could not find `x` in https://f.example/a with version `*`");
        prop_assert_ne!(recognize(&output), BuildFailure::Network);
    }

    #[test]
    fn no_output_panics(output in "(error: |Caused by:|got |status code: |  |[0-9é`\n])*") {
        let failure = recognize(&output);
        let error = failure.error("v1", "u", &output);
        prop_assert!(error.to_string().starts_with("cannot build v1: "));
    }
}
