//! Passwords of the user: no forge gets one, by whatever way git would find it.

use super::place::Place;
use crate::support::files::{outer, script};
use crate::support::forge::{Forge, PROJECT};
use crate::support::http::{Reply, Request, Server};

const SECRET: &str = "SECRET-TOKEN";

/// What a forge says to whom it does not know.
fn who_are_you() -> Reply {
    Reply::with(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b"")
}

/// From now on, the forge answers heph, which looks up the tag first, and then so.
fn answers_cargo(place: &Place, reply: Reply) {
    let path = format!("/{PROJECT}/info/refs");
    place.forge.scripts(&path, vec![Reply::Normal, reply]);
    place.forge.forget();
}

/// Returns what of the requests proves who the user is.
fn betrayed(requests: Vec<Request>) -> Vec<String> {
    let proof = |request: Request| {
        let told = request.headers.into_iter().find(|(name, value)| {
            matches!(name.as_str(), "authorization" | "cookie") || value.contains(SECRET)
        })?;
        Some(format!("{}: {told:?}", request.path))
    };
    requests.into_iter().filter_map(proof).collect()
}

/// A way by which git finds a password: lays it out in the home, given the address of the forge.
struct Way {
    name: &'static str,
    lay: fn(&mut Place, &str),
}

const WAYS: &[Way] = &[
    Way {
        name: "a credential helper",
        lay: |place, host| {
            place.write(".gitconfig", "[credential]\n\thelper = store\n");
            let host = host.replace(':', "%3a");
            let line = format!("http://alice:{SECRET}@{host}\n");
            place.write(".git-credentials", line);
        },
    },
    Way {
        name: "a helper of one host, in git's second file of settings",
        lay: |place, host| {
            let helper = format!("!f() {{ echo username=alice; echo password={SECRET}; }}; f");
            let settings = format!("[credential \"http://{host}\"]\n\thelper = \"{helper}\"\n");
            place.write(".config/git/config", settings);
        },
    },
    Way {
        name: "netrc",
        lay: |place, host| {
            let (host, _) = host.split_once(':').unwrap();
            let line = format!("machine {host} login alice password {SECRET}\n");
            place.write(".netrc", line);
        },
    },
    Way {
        name: "an address with a token",
        lay: |place, host| {
            place.write(
                ".gitconfig",
                format!("[url \"http://alice:{SECRET}@{host}/\"]\n\tinsteadOf = http://{host}/\n"),
            );
        },
    },
    Way {
        name: "headers and cookies",
        lay: |place, host| {
            let jar = place.write(
                "cookies",
                format!("127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\t{SECRET}\n"),
            );
            let jar = jar.display().to_string().replace('\\', "\\\\");
            place.write(
                ".gitconfig",
                format!(
                    "[http]\n\textraHeader = \"Authorization: Basic {SECRET}\"\n\tcookieFile = \"{}\"\n\
                     [http \"http://{host}/\"]\n\textraHeader = \"X-Token: {SECRET}\"\n",
                    jar.replace('"', "\\\"")
                ),
            );
        },
    },
    Way {
        name: "a program that asks, and settings of the environment",
        lay: |place, _| {
            let ask = place.path.join("ask");
            script(&ask, &format!("echo {SECRET}"));
            for name in ["GIT_ASKPASS", "SSH_ASKPASS"] {
                place.home.set(name, &ask);
            }
            place.home.set("GIT_CONFIG_COUNT", "1");
            place.home.set("GIT_CONFIG_KEY_0", "http.extraHeader");
            place
                .home
                .set("GIT_CONFIG_VALUE_0", format!("X-Token: {SECRET}"));
        },
    },
];

#[test]
fn a_forge_that_asks_for_a_password_gets_none_by_any_way_of_git() {
    for way in WAYS {
        let mut place = Place::new();
        let host = place.forge.address.to_string();
        (way.lay)(&mut place, &host);
        place.unsigned("1.1.0");
        answers_cargo(&place, who_are_you());
        let ended = place.heph("self-update apply").ends();
        assert_ne!(ended.code, 0, "{}: {ended}", way.name);
        let seen = place.forge.seen();
        assert!(seen.len() >= 3, "{}: cargo asked", way.name);
        assert_eq!(betrayed(seen), [""; 0], "{}", way.name);
        assert_eq!(place.installed(), "tiny 1.0.0");
        ended.complains("hint: ").complains("no password of yours");
    }
}

#[test]
fn another_host_to_which_a_forge_redirects_gets_no_password() {
    for way in &WAYS[..3] {
        let mut place = Place::new();
        let other = Server::start(|_| who_are_you());
        let host = other.address.to_string();
        (way.lay)(&mut place, &host);
        place.unsigned("1.1.0");
        let to = format!(
            "{}/{PROJECT}/info/refs?service=git-upload-pack",
            other.url()
        );
        answers_cargo(&place, Reply::with(302, &[("Location", &to)], b""));
        let ended = place.heph("self-update apply").ends();
        assert_ne!(ended.code, 0, "{}: {ended}", way.name);
        let asked = [place.forge.seen(), other.seen()].concat();
        assert_eq!(betrayed(asked), [""; 0], "{}", way.name);
    }
}

/// Asserts that a forge that asks cargo for a password gets none, and that the build works once it asks no more.
#[track_caller]
fn assert_gives_no_password(place: &Place) {
    answers_cargo(place, who_are_you());
    let ended = place.heph("self-update apply").ends();
    assert_ne!(ended.code, 0, "{ended}");
    assert_eq!(betrayed(place.forge.seen()), [""; 0]);
    answers_cargo(place, Reply::Normal);
    place.self_update("apply").reports(0, "updated");
}

#[test]
fn without_git_heph_builds_and_gives_no_password_either() {
    let mut place = Place::new();
    place.only_programs(&["cargo", "rustc", "cc", "as", "ld", "sh"]);
    let host = place.forge.address.to_string();
    let helper = format!("!f() {{ echo username=alice; echo password={SECRET}; }}; f");
    place.write(
        ".gitconfig",
        format!("[credential]\n\thelper = \"{helper}\"\n"),
    );
    place.write(
        ".netrc",
        format!("machine {host} login alice password {SECRET}\n"),
    );
    place.unsigned("1.1.0");
    assert_gives_no_password(&place);
    assert_eq!(place.installed(), "tiny 1.1.0");
}

#[test]
fn a_git_that_always_reads_the_users_settings_gives_no_password_either() {
    let mut place = Place::new();
    let tools = place.path.join("tools");
    // Before 2.32 there was no GIT_CONFIG_GLOBAL.
    let git = outer("git");
    script(
        &tools.join("git"),
        &format!(
            "[ \"$1\" = --version ] && exec echo git version 2.31.8\nunset GIT_CONFIG_GLOBAL\nexec '{}' \"$@\"",
            git.display()
        ),
    );
    let path = std::env::var("PATH").unwrap();
    place
        .home
        .set("PATH", format!("{}:{path}", tools.display()));
    let host = place.forge.address.to_string();
    (WAYS[0].lay)(&mut place, &host);
    place.unsigned("1.1.0");
    assert_gives_no_password(&place);
}

#[test]
fn an_open_forge_and_the_users_own_mirror_serve_as_before() {
    let place = Place::new();
    place.write(
        ".netrc",
        format!("machine x login alice password {SECRET}\n"),
    );
    place.unsigned("1.1.0");
    place.self_update("apply").reports(0, "updated");

    // The mirror is a setting of the network, and is kept.
    let place = Place::new();
    let mirror = Forge::start();
    place.unsigned("1.1.0");
    mirror.push(&place.tree);
    let (from, to) = (place.forge.url(), mirror.url());
    place.write(
        ".gitconfig",
        format!("[url \"{to}/\"]\n\tinsteadOf = {from}/\n[credential]\n\thelper = store\n"),
    );
    answers_cargo(&place, who_are_you());
    place.self_update("apply").reports(0, "updated");
    assert!(!mirror.seen().is_empty(), "cargo asked the mirror");
}

#[test]
fn settings_that_git_cannot_read_do_not_stop_a_build() {
    let place = Place::new();
    place.write(".gitconfig", "[http\n");
    place.unsigned("1.1.0");
    place.self_update("apply").reports(0, "updated");
    assert_eq!(place.installed(), "tiny 1.1.0");
}
