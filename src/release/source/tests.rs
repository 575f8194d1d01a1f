//! Tests of the sources: addresses, and answers good and bad.

use super::*;
use crate::release::asset::Asset;
use proptest::prelude::*;
use semver::{Version, VersionReq};

use crate::release::{Release, asset};

fn repository(url: &str) -> Repository {
    url.parse().unwrap()
}

const V: ReleaseFilter = ReleaseFilter {
    prefix: "v",
    prereleases: false,
    pin: None,
    ripe: None,
};
const ALL: ReleaseFilter = ReleaseFilter {
    prereleases: true,
    ..V
};

/// Returns the version that an answer leads to, in words.
fn read(kind: Forge, question: Question, body: &str, wanted: &ReleaseFilter) -> String {
    match (kind.source().parse)(question, body.as_bytes(), wanted) {
        Ok(Some(choice)) => choice
            .latest
            .map_or("none".to_owned(), |release| release.version.to_string()),
        Ok(None) => "list".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn each_forge_has_its_address() {
    let url = |kind: Forge, url| {
        let repository = repository(url);
        [Question::Latest, Question::List].map(|question| kind.url(&repository, question).unwrap())
    };
    assert_eq!(
        url(
            Forge::Forgejo,
            "https://forge.example:3000/git/eblume/heph/"
        ),
        [
            "https://forge.example:3000/git/api/v1/repos/eblume/heph/releases/latest",
            "https://forge.example:3000/git/api/v1/repos/eblume/heph/releases?draft=false&limit=50",
        ]
    );
    assert_eq!(
        url(Forge::Github, "https://github.com/eblume/heph.git"),
        [
            "https://api.github.com/repos/eblume/heph/releases/latest",
            "https://api.github.com/repos/eblume/heph/releases?per_page=50",
        ]
    );
    assert_eq!(
        url(Forge::Github, "https://git.corp.example/eblume/heph")[0],
        "https://git.corp.example/api/v3/repos/eblume/heph/releases/latest"
    );
    assert_eq!(
        url(Forge::Gitlab, "https://gitlab.example/group/sub/heph"),
        [
            "https://gitlab.example/api/v4/projects/group%2Fsub%2Fheph/releases/permalink/latest",
            "https://gitlab.example/api/v4/projects/group%2Fsub%2Fheph/releases?per_page=50",
        ]
    );
    assert_eq!(
        url(Forge::Git, "http://127.0.0.1:8080/heph.git")[0],
        "http://127.0.0.1:8080/heph.git/info/refs?service=git-upload-pack"
    );
    assert!(
        Forge::Forgejo
            .url(&repository("https://forge.example/heph"), Question::Latest)
            .is_err()
    );
}

#[test]
fn the_kind_of_a_forge_is_known_by_its_host_or_its_answer() {
    let known = |url| Forge::Auto.known(&repository(url));
    assert_eq!(known("https://github.com/a/b"), Some(Forge::Github));
    assert_eq!(known("https://GitLab.com/a/b"), Some(Forge::Gitlab));
    assert_eq!(known("https://codeberg.org/a/b"), Some(Forge::Forgejo));
    assert_eq!(known("https://forge.example/a/b"), None);
    let from_probe = |body: &[u8], gitlab| {
        let mut headers = HeaderMap::new();
        if gitlab {
            headers.insert("x-gitlab-meta", "{}".parse().unwrap());
        }
        Forge::from_probe(&headers, body)
    };
    assert_eq!(
        from_probe(br#"{"version":"9.0.3+gitea-1.22.0"}"#, false),
        Forge::Forgejo
    );
    assert_eq!(from_probe(b"", true), Forge::Gitlab);
    for body in ["", "<html>", "{}", r#"{"version":1}"#, r#"["1.0"]"#, "null"] {
        assert_eq!(from_probe(body.as_bytes(), false), Forge::Git, "{body}");
    }
}

#[test]
fn the_files_of_a_release_are_read_as_the_forge_writes_them() {
    let forgejo = r#"{"tag_name":"v1.2.3","assets":[
        {"id":1,"name":"a.tar.gz","size":7,"browser_download_url":"https://f.example/a.tar.gz","uuid":"x","type":"attachment"},
        {"id":2,"name":"b.tar.gz","size":0,"browser_download_url":"https://elsewhere.example/b","type":"external"},
        {"id":3,"name":"../c","size":7,"browser_download_url":"https://f.example/c"},
        {"id":4,"name":"d","size":7,"browser_download_url":"http://f.example/d"}]}"#;
    let asset = |name: &str, url: &str, size| Asset {
        name: name.to_owned(),
        url: url.to_owned(),
        size,
    };
    let expected = [
        asset("a.tar.gz", "https://f.example/a.tar.gz", Some(7)),
        asset("b.tar.gz", "https://elsewhere.example/b", None),
    ];
    for kind in [Forge::Forgejo, Forge::Github] {
        assert_eq!(
            (kind.source().assets)(forgejo.as_bytes()).unwrap(),
            expected
        );
    }
    let gitlab = r#"{"tag_name":"v1.2.3","assets":{"count":2,"sources":[{"format":"zip","url":"https://f.example/s.zip"}],
        "links":[{"id":1,"name":"a.tar.gz","url":"https://elsewhere.example/a","direct_asset_url":"https://f.example/-/a"},
        {"id":2,"name":"b.tar.gz","url":"https://elsewhere.example/b"}]}}"#;
    let expected = [
        asset("a.tar.gz", "https://f.example/-/a", None),
        asset("b.tar.gz", "https://elsewhere.example/b", None),
    ];
    assert_eq!(
        (Forge::Gitlab.source().assets)(gitlab.as_bytes()).unwrap(),
        expected
    );
    for none in [
        r#"{"tag_name":"v1.2.3"}"#,
        r#"{"tag_name":"v1.2.3","assets":null}"#,
    ] {
        for kind in [Forge::Forgejo, Forge::Github, Forge::Gitlab] {
            assert_eq!((kind.source().assets)(none.as_bytes()), Ok(Vec::new()));
        }
    }
    let many: Vec<_> = (0..1000)
        .map(|n| format!(r#"{{"name":"a{n}","browser_download_url":"https://f.example/{n}"}}"#))
        .collect();
    let many = format!(r#"{{"tag_name":"v1.2.3","assets":[{}]}}"#, many.join(","));
    let kept = (Forge::Forgejo.source().assets)(many.as_bytes())
        .unwrap()
        .len();
    assert_eq!(kept, asset::MOST);
}

#[test]
fn a_release_that_is_named_is_asked_for_by_its_tag() {
    let tag = Tag::try_from("heph/v1.2.3".to_owned()).unwrap();
    let url = |kind: Forge| kind.tagged_url(&repository("https://f.example/a/b"), &tag);
    let forgejo = "https://f.example/api/v1/repos/a/b/releases/tags/heph%2Fv1.2.3";
    assert_eq!(url(Forge::Forgejo).as_deref(), Some(forgejo));
    let gitlab = "https://f.example/api/v4/projects/a%2Fb/releases/heph%2Fv1.2.3";
    assert_eq!(url(Forge::Gitlab).as_deref(), Some(gitlab));
    assert_eq!(url(Forge::Git), None);
}

#[test]
fn the_latest_release_is_read_as_the_forge_writes_it() {
    let forgejo = r#"{"id":7,"tag_name":"v1.2.3","target_commitish":"main","name":"1.2.3","draft":false,"prerelease":false,
        "html_url":"https://forge.example/a/b/releases/tag/v1.2.3","published_at":"2026-01-02T03:04:05+02:00","assets":[]}"#;
    let expected = Release {
        version: "1.2.3".parse().unwrap(),
        tag: Tag::try_from("v1.2.3".to_owned()).unwrap(),
        url: Some("https://forge.example/a/b/releases/tag/v1.2.3".to_owned()),
        published_at: Some("2026-01-02T01:04:05Z".parse().unwrap()),
        assets: Vec::new(),
    };
    let found = Some(Selection {
        latest: Some(expected.clone()),
        highest: Some(expected),
        lasting: true,
    });
    for kind in [Forge::Forgejo, Forge::Github] {
        assert_eq!(
            (kind.source().parse)(Question::Latest, forgejo.as_bytes(), &V).unwrap(),
            found
        );
    }
    let gitlab = r#"{"tag_name":"v1.2.3","released_at":"2026-01-02T01:04:05.000Z","upcoming_release":false,
        "_links":{"self":"https://forge.example/a/b/releases/tag/v1.2.3"}}"#;
    assert_eq!(
        (Forge::Gitlab.source().parse)(Question::Latest, gitlab.as_bytes(), &V).unwrap(),
        found
    );
}

#[test]
fn a_latest_that_does_not_count_sends_to_the_list() {
    let latest = |body| read(Forge::Forgejo, Question::Latest, body, &V);
    assert_eq!(latest(r#"{"tag_name":"v1.0.0-rc.1"}"#), "list");
    assert_eq!(latest(r#"{"tag_name":"v1.0.0","prerelease":true}"#), "list");
    assert_eq!(latest(r#"{"tag_name":"v1.0.0","draft":true}"#), "list");
    let upcoming = r#"{"tag_name":"v1.0.0","upcoming_release":true}"#;
    assert_eq!(read(Forge::Gitlab, Question::Latest, upcoming, &V), "list");
}

#[test]
fn the_highest_that_counts_is_chosen_from_a_list() {
    let list = r#"[
        {"tag_name":"v3.0.0","draft":true},
        {"tag_name":"v2.1.0-rc.1"},
        {"tag_name":"v2.0.9","prerelease":true},
        {"tag_name":"nightly"},
        {"tag_name":"v1.9.0"},
        {"tag_name":"v1.10.0"}
    ]"#;
    let chosen = |wanted: &ReleaseFilter| read(Forge::Forgejo, Question::List, list, wanted);
    assert_eq!(chosen(&V), "1.10.0");
    assert_eq!(chosen(&ALL), "2.1.0-rc.1");
    let pin: VersionReq = "~1.9".parse().unwrap();
    assert_eq!(
        chosen(&ReleaseFilter {
            pin: Some(&pin),
            ..V
        }),
        "1.9.0"
    );
    let pin: VersionReq = "^0.1".parse().unwrap();
    assert_eq!(
        chosen(&ReleaseFilter {
            pin: Some(&pin),
            ..V
        }),
        "1.10.0"
    );
    assert_eq!(read(Forge::Forgejo, Question::List, "[]", &V), "none");
    let foreign = read(
        Forge::Forgejo,
        Question::List,
        r#"[{"tag_name":"nightly"}]"#,
        &V,
    );
    assert!(foreign.contains("error: the tag \"nightly\""), "{foreign}");
}

#[test]
fn a_release_that_has_to_ripen_lets_an_older_one_go_first() {
    let list = r#"[
        {"tag_name":"v1.2.0","published_at":"2026-01-03T00:00:00Z"},
        {"tag_name":"v1.1.0","published_at":"2026-01-02T00:00:00Z"},
        {"tag_name":"v1.0.0","published_at":"2026-01-01T00:00:00Z"}
    ]"#;
    let choose = |ripe: &str, pin: &str| {
        let pin: VersionReq = pin.parse().unwrap();
        let wanted = ReleaseFilter {
            ripe: Some(ripe.parse().unwrap()),
            pin: Some(&pin),
            ..V
        };
        let found = (Forge::Forgejo.source().parse)(Question::List, list.as_bytes(), &wanted);
        let Ok(Some(choice)) = found else {
            panic!("{found:?}");
        };
        let version = |release: Option<Release>| release.unwrap().version.to_string();
        (
            version(choice.latest),
            version(choice.highest),
            choice.lasting,
        )
    };
    let expect = |latest: &str, lasting| (latest.to_owned(), "1.2.0".to_owned(), lasting);
    assert_eq!(choose("2026-01-03T00:00:00Z", "*"), expect("1.2.0", true));
    assert_eq!(choose("2026-01-02T00:00:00Z", "*"), expect("1.1.0", false));
    assert_eq!(choose("2025-01-01T00:00:00Z", "*"), expect("1.2.0", false));
    assert_eq!(
        choose("2026-01-01T00:00:00Z", ">=1.1"),
        expect("1.2.0", false)
    );
    assert_eq!(
        choose("2026-01-01T00:00:00Z", "=1.1.0"),
        expect("1.1.0", false)
    );
}

#[test]
fn a_page_that_could_play_tricks_is_left_out() {
    for page in [
        "javascript:alert(1)",
        "https://a.example/\\u001b[2J",
        "https://a.example/ x",
        "",
    ] {
        let body = format!(r#"{{"tag_name":"v1.0.0","html_url":"{page}"}}"#);
        let found = (Forge::Github.source().parse)(Question::Latest, body.as_bytes(), &V);
        let Ok(Some(choice)) = found else {
            panic!("{page}: {found:?}");
        };
        assert_eq!(choice.latest.unwrap().url, None, "{page}");
    }
}

const OID: &str = "95d09f2b10159347eece71399a7e2e907ea3df4f";

/// Returns an advertisement of `refs`, as `git http-backend` writes it.
fn advertisement(refs: &[&str]) -> String {
    let line = |text: String| format!("{:04x}{text}", text.len() + 4);
    let mut body = line("# service=git-upload-pack\n".to_owned()) + "0000";
    for (number, name) in refs.iter().enumerate() {
        let capabilities = if number == 0 {
            "\0multi_ack side-band-64k"
        } else {
            ""
        };
        body += &line(format!("{OID} {name}{capabilities}\n"));
    }
    body + "0000"
}

#[test]
fn the_highest_tag_of_a_git_remote_is_its_newest_release() {
    let tags = advertisement(&[
        "HEAD",
        "refs/heads/v9.9.9",
        "refs/tags/nightly",
        "refs/tags/v1.10.0",
        "refs/tags/v1.10.0^{}",
        "refs/tags/v1.9.0",
        "refs/tags/v2.0.0-rc.1",
        "refs/tags/v../../3.0.0",
        "refs/tags/v4.0.0;rm",
    ]);
    let found = |body: &str, wanted| read(Forge::Git, Question::Latest, body, wanted);
    assert_eq!(found(&tags, &V), "1.10.0");
    assert_eq!(found(&tags, &ALL), "2.0.0-rc.1");
    let older = tags.replacen("0000", "0000000eversion 1\n", 1);
    assert_eq!(found(&older, &V), "1.10.0", "protocol version 1");
    let plain = &tags[tags.find("0000").unwrap() + 4..];
    assert_eq!(found(plain, &V), "1.10.0", "without the service line");
    // What `git http-backend` answers for a repository without commits.
    assert_eq!(found("001e# service=git-upload-pack\n00000000", &V), "none");
    let zero = "0".repeat(40);
    let empty = format!("{zero} capabilities^{{}}\0agent=git/2");
    let empty = format!("{:04x}{empty}0000", empty.len() + 4);
    assert_eq!(found(&empty, &V), "none");
}

#[test]
fn an_advertisement_that_is_none_says_why() {
    let tags = advertisement(&["HEAD", "refs/tags/v1.0.0"]);
    let cases = [
        ("", "ends too early"),
        ("<html>", "not an advertisement"),
        ("00", "not an advertisement"),
        ("+00a", "not an advertisement"),
        ("0003", "impossible length"),
        ("0001", "impossible length"),
        ("fff0abc", "middle of a line"),
        ("0008spam", "\"spam\" is not a ref"),
        ("001eERR repository not found\n0000", "repository not found"),
        ("000eversion 2\n0000", "version 2"),
        (&tags[..tags.len() - 4], "ends too early"),
        (&tags[..tags.len() - 9], "middle of a line"),
    ];
    for (body, words) in cases {
        let wrong = read(Forge::Git, Question::Latest, body, &V);
        assert!(
            wrong.starts_with("error:") && wrong.contains(words),
            "{body:?}: {wrong}"
        );
    }
}

#[test]
fn a_named_release_is_found_exactly_or_its_neighbours_are_named() {
    let tags = advertisement(&[
        "refs/tags/v1.0.0",
        "refs/tags/v1.2.0",
        "refs/tags/v2.0.0-rc.1",
    ]);
    let named = |version: &str| {
        let all = git::advertised(tags.as_bytes(), "v").unwrap();
        git::find(all, &version.parse().unwrap())
            .map(|found| found.tag.as_str().to_owned())
            .map_err(|near| near.iter().map(Tag::as_str).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(named("1.2.0"), Ok("v1.2.0".to_owned()));
    assert_eq!(named("2.0.0-rc.1"), Ok("v2.0.0-rc.1".to_owned()));
    assert_eq!(named("1.1.0"), Err("v1.0.0 v1.2.0".to_owned()));
    assert_eq!(named("0.1.0"), Err("v1.0.0".to_owned()));
    assert_eq!(named("2.0.0"), Err("v2.0.0-rc.1".to_owned()));
}

proptest! {
    #[test]
    fn no_answer_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for kind in [Forge::Forgejo, Forge::Github, Forge::Gitlab, Forge::Git] {
            let _ = (kind.source().parse)(Question::Latest, &body, &V);
            let _ = (kind.source().parse)(Question::List, &body, &ALL);
        }
    }

    #[test]
    fn no_damaged_advertisement_panics(
        at in 0usize..200,
        byte: u8,
        cut in 0usize..400,
    ) {
        let mut body = advertisement(&["HEAD", "refs/tags/v1.0.0", "refs/tags/v1.0.0^{}", "refs/tags/v2.0.0"]).into_bytes();
        let at = at % body.len();
        body[at] = byte;
        body.truncate(cut);
        let _ = (Forge::Git.source().parse)(Question::Latest, &body, &V);
        let all = git::advertised(&body, "v").unwrap_or_default();
        let _ = git::find(all, &Version::new(1, 1, 0));
    }

    #[test]
    fn whatever_a_tag_is_called_the_error_is_one_short_line(name in ".*") {
        let body = serde_json::json!({ "tag_name": name }).to_string();
        if let Err(error) = (Forge::Forgejo.source().parse)(Question::Latest, body.as_bytes(), &V) {
            let text = format!("{error:#}");
            prop_assert!(text.len() < 1000 && !text.contains(char::is_control), "{}", text);
        }
    }
}
