//! Tests of the sources: addresses, and answers good and bad.

use super::*;
use crate::release::asset::{self, Asset};
use crate::release::sightings::Sightings;
use git::{Advertised, Listing, RefsReader};
use jiff::Timestamp;
use proptest::prelude::*;
use semver::{Version, VersionReq};

use crate::error::Error;
use crate::release::Release;

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

fn source(kind: Forge) -> &'static Source {
    kind.source().unwrap()
}

fn version(selection: &Selection) -> String {
    let latest = selection.latest.as_ref();
    latest.map_or("none".to_owned(), |release| release.version.to_string())
}

fn words(read: Result<String>) -> String {
    read.unwrap_or_else(|error| format!("error: {error}"))
}

/// Returns the version that an answer for the latest release leads to, in words.
fn latest(kind: Forge, body: &str, filter: &ReleaseFilter) -> String {
    words((source(kind).one)(body.as_bytes()).map(|published| {
        let is_marked = published.is_prerelease;
        let release = Some(published).filter(|published| published.is_public);
        let release = release.and_then(|published| published.into_release(filter.prefix));
        let counts = release.filter(|release| filter.counts(release, is_marked));
        counts.map_or("list".to_owned(), |release| release.version.to_string())
    }))
}

/// Returns what a list leads to, page by page.
fn select_from(kind: Forge, pages: &[&str], filter: &ReleaseFilter) -> Result<Selection> {
    let mut gathered = Gathered::new(*filter);
    let mut sightings = Sightings::default();
    for page in pages {
        let page = (source(kind).list)(page.as_bytes())?;
        gathered.add(page, &mut sightings, Timestamp::UNIX_EPOCH);
    }
    if !gathered.has_releases() && !gathered.foreign.is_empty() {
        return Err(gathered.foreign.error(filter.prefix));
    }
    Ok(gathered.selection(&sightings))
}

fn list(kind: Forge, page: &str, filter: &ReleaseFilter) -> String {
    words(select_from(kind, &[page], filter).map(|selection| version(&selection)))
}

/// Returns the tags in an answer that arrives in pieces of this size.
fn tags_in(mut reader: RefsReader, body: &[u8], size: usize) -> Result<Vec<Advertised>> {
    for piece in body.chunks(size) {
        reader.push(piece)?;
    }
    match reader.finish()? {
        Listing::Refs(refs) => Ok(refs.tags),
        Listing::OnCommand { object_format } => {
            Err(Error::new(format!("on command, {object_format:?}")))
        }
    }
}

/// Returns the version that an advertisement leads to, in words.
fn advertised(body: &str, filter: &ReleaseFilter) -> String {
    let reader = RefsReader::of_advertisement(filter.prefix, None);
    words(tags_in(reader, body.as_bytes(), 1000).map(|tags| {
        let mut releases: Vec<Release> = tags.into_iter().map(Release::from).collect();
        releases.retain(|release| filter.counts(release, false));
        version(&select(&releases, filter, &Sightings::default()))
    }))
}

#[test]
fn each_forge_has_its_address() {
    let url = |kind: Forge, url| {
        let releases = (source(kind).releases)(&repository(url), "").unwrap();
        let page = (source(kind).page)(30, 2);
        [source(kind).latest, &page].map(|end| format!("{releases}{end}"))
    };
    assert_eq!(
        url(
            Forge::Forgejo,
            "https://forge.example:3000/git/eblume/heph/"
        ),
        [
            "https://forge.example:3000/git/api/v1/repos/eblume/heph/releases/latest",
            "https://forge.example:3000/git/api/v1/repos/eblume/heph/releases?draft=false&limit=30&page=2",
        ]
    );
    assert_eq!(
        url(Forge::Github, "https://github.com/eblume/heph.git"),
        [
            "https://api.github.com/repos/eblume/heph/releases/latest",
            "https://api.github.com/repos/eblume/heph/releases?per_page=30&page=2",
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
            "https://gitlab.example/api/v4/projects/group%2Fsub%2Fheph/releases?per_page=30&page=2",
        ]
    );
    assert_eq!(
        git::url(&repository("http://127.0.0.1:8080/heph.git")),
        "http://127.0.0.1:8080/heph.git/info/refs?service=git-upload-pack"
    );
    let nameless = repository("https://forge.example/heph");
    assert!((source(Forge::Forgejo).releases)(&nameless, "").is_err());
}

#[test]
fn a_gitlab_may_be_below_any_part_of_the_path() {
    let gitlab = repository("https://host.example/git/group/sub/heph");
    let bases = Forge::Gitlab.bases(&gitlab);
    assert_eq!(bases, ["", "/git", "/git/group"]);
    let url = |base: &str| (source(Forge::Gitlab).releases)(&gitlab, base).unwrap();
    assert_eq!(
        url("/git"),
        "https://host.example/git/api/v4/projects/group%2Fsub%2Fheph/releases"
    );
    assert_eq!(
        url("/git/group"),
        "https://host.example/git/group/api/v4/projects/sub%2Fheph/releases"
    );
    let known = repository("https://gitlab.com/group/sub/heph");
    assert_eq!(Forge::Gitlab.bases(&known), [""]);
    assert_eq!(Forge::Forgejo.bases(&gitlab), [""]);
    let deep = repository("https://host.example/a/b/c/d/e/f/g/h");
    assert_eq!(Forge::Gitlab.bases(&deep).len(), MOST_BASES);
}

#[test]
fn the_kind_of_a_forge_is_known_by_its_host_or_its_answer() {
    let known = |url| Forge::of_host(&repository(url));
    assert_eq!(known("https://github.com/a/b"), Some(Forge::Github));
    assert_eq!(known("https://GitLab.com/a/b"), Some(Forge::Gitlab));
    assert_eq!(known("https://codeberg.org/a/b"), Some(Forge::Forgejo));
    assert_eq!(known("https://forge.example/a/b"), None);
    let from_probe = |body: &[u8], header: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(header, "{}".parse().unwrap());
        }
        Forge::from_probe(&headers, body)
    };
    assert_eq!(
        from_probe(br#"{"version":"9.0.3+gitea-1.22.0"}"#, None),
        Some(Forge::Forgejo)
    );
    assert_eq!(from_probe(b"", Some("x-gitlab-meta")), Some(Forge::Gitlab));
    let enterprise = Some("x-github-enterprise-version");
    assert_eq!(from_probe(b"", enterprise), Some(Forge::Github));
    for body in ["", "<html>", "{}", r#"{"version":1}"#, r#"["1.0"]"#, "null"] {
        assert_eq!(from_probe(body.as_bytes(), None), None, "{body}");
    }
    let probes = |url| Forge::probes(&repository(url));
    assert_eq!(
        probes("https://f.example/a/b"),
        [
            "https://f.example/api/v1/version",
            "https://f.example/api/v3/meta"
        ]
    );
    assert_eq!(
        probes("https://f.example/git/group/b"),
        [
            "https://f.example/git/api/v1/version",
            "https://f.example/api/v4/version",
            "https://f.example/api/v3/meta"
        ]
    );
    assert!(probes("https://f.example/b").is_empty());
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
            (source(kind).one)(forgejo.as_bytes()).unwrap().assets,
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
    let published = (source(Forge::Gitlab).one)(gitlab.as_bytes()).unwrap();
    assert_eq!(published.assets, expected);
    for none in [
        r#"{"tag_name":"v1.2.3"}"#,
        r#"{"tag_name":"v1.2.3","assets":null}"#,
    ] {
        for kind in [Forge::Forgejo, Forge::Github, Forge::Gitlab] {
            let published = (source(kind).one)(none.as_bytes()).unwrap();
            assert_eq!(published.assets, []);
        }
    }
    let many: Vec<_> = (0..1000)
        .map(|n| format!(r#"{{"name":"a{n}","browser_download_url":"https://f.example/{n}"}}"#))
        .collect();
    let many = format!(r#"{{"tag_name":"v1.2.3","assets":[{}]}}"#, many.join(","));
    let published = (source(Forge::Forgejo).one)(many.as_bytes()).unwrap();
    assert_eq!(published.assets.len(), asset::MOST);
}

#[test]
fn a_release_that_is_named_is_asked_for_by_its_tag() {
    let url = |kind: Forge, tag: &str| {
        let tag = Tag::try_from(tag.to_owned()).unwrap();
        let repository = repository("https://f.example/a/b");
        source(kind).tagged_url(&repository, "", &tag).unwrap()
    };
    for (tag, encoded) in [
        ("heph/v1.2.3", "heph%2Fv1.2.3"),
        ("@scope/heph@1.2.3", "%40scope%2Fheph%401.2.3"),
        ("v1.2.3+b.1", "v1.2.3%2Bb.1"),
    ] {
        assert_eq!(
            url(Forge::Forgejo, tag),
            format!("https://f.example/api/v1/repos/a/b/releases/tags/{encoded}")
        );
        assert_eq!(
            url(Forge::Gitlab, tag),
            format!("https://f.example/api/v4/projects/a%2Fb/releases/{encoded}")
        );
    }
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
    let read = |kind, body: &str| {
        let published = (source(kind).one)(body.as_bytes()).unwrap();
        published.into_release("v").unwrap()
    };
    for kind in [Forge::Forgejo, Forge::Github] {
        assert_eq!(read(kind, forgejo), expected);
    }
    let gitlab = r#"{"tag_name":"v1.2.3","released_at":"2026-01-02T01:04:05.000Z","upcoming_release":false,
        "_links":{"self":"https://forge.example/a/b/releases/tag/v1.2.3"}}"#;
    assert_eq!(read(Forge::Gitlab, gitlab), expected);
}

#[test]
fn old_answers_with_less_in_them_are_read_too() {
    let forgejo = r#"{"id":1,"tag_name":"v0.0.1","created_at":"2026-01-01T00:00:00Z"}"#;
    assert_eq!(latest(Forge::Forgejo, forgejo, &V), "0.0.1");
    let gitlab = r#"{"tag_name":"v0.1.0","name":"x","description":"y","created_at":"2019-01-03T01:55:18.203Z",
        "assets":{"count":2,"sources":[]}}"#;
    assert_eq!(latest(Forge::Gitlab, gitlab, &V), "0.1.0");
}

#[test]
fn a_latest_that_does_not_count_sends_to_the_list() {
    for body in [
        r#"{"tag_name":"v1.0.0-rc.1"}"#,
        r#"{"tag_name":"v1.0.0","prerelease":true}"#,
        r#"{"tag_name":"v1.0.0","draft":true}"#,
        r#"{"tag_name":"other-v2.0.0"}"#,
        r#"{"tag_name":"other@2.0.0"}"#,
        r#"{"tag_name":"nightly"}"#,
    ] {
        for kind in [Forge::Forgejo, Forge::Github] {
            assert_eq!(latest(kind, body, &V), "list", "{body}");
        }
    }
    let upcoming = r#"{"tag_name":"v1.0.0","upcoming_release":true}"#;
    assert_eq!(latest(Forge::Gitlab, upcoming, &V), "list");
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
    let text = list;
    let chosen = |wanted: &ReleaseFilter| self::list(Forge::Forgejo, text, wanted);
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
    assert_eq!(self::list(Forge::Forgejo, "[]", &V), "none");
    let foreign = self::list(Forge::Forgejo, r#"[{"tag_name":"nightly"}]"#, &V);
    assert!(foreign.contains("error: the tag \"nightly\""), "{foreign}");
}

#[test]
fn pages_are_one_list_that_may_move_between_two_of_them() {
    let pages = [
        r#"[{"tag_name":"other-v9.0.0"},{"tag_name":"v1.2.9","assets":[{"name":"a","browser_download_url":"https://f.example/a"}]}]"#,
        r#"[{"tag_name":"v1.2.9"},{"tag_name":"v1.3.0","assets":[{"name":"b","browser_download_url":"https://f.example/b"}]}]"#,
        r#"[{"tag_name":"v1.1.0"}]"#,
    ];
    for kind in [Forge::Forgejo, Forge::Github] {
        let selection = select_from(kind, &pages, &V).unwrap();
        assert_eq!(version(&selection), "1.3.0");
        assert_eq!(selection.latest.unwrap().assets[0].name, "b");
    }
    let mut gathered = Gathered::new(V);
    let added = pages.map(|page| {
        let page = (source(Forge::Github).list)(page.as_bytes()).unwrap();
        gathered.add(page, &mut Sightings::default(), Timestamp::UNIX_EPOCH)
    });
    assert_eq!(added, [2, 1, 1]);
    assert_eq!(gathered.foreign.in_words(), "\"other-v9.0.0\"");
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
        let filter = ReleaseFilter {
            ripe: Some(ripe.parse().unwrap()),
            pin: Some(&pin),
            ..V
        };
        let mut gathered = Gathered::new(filter);
        let mut sightings = Sightings::default();
        let page = (source(Forge::Forgejo).list)(list.as_bytes()).unwrap();
        gathered.add(
            page,
            &mut sightings,
            "2026-02-01T00:00:00Z".parse().unwrap(),
        );
        let choice = gathered.selection(&sightings);
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
        let published = (source(Forge::Github).one)(body.as_bytes()).unwrap();
        assert_eq!(published.into_release("v").unwrap().url, None, "{page}");
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
    let found = advertised;
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
        ("000eversion 2\n000bls-refs0000", "on command, None"),
        (
            "000eversion 2\n000bls-refs0018object-format=sha2560000",
            "on command, Some(\"sha256\")",
        ),
        (
            "000eversion 2\n000bls-refs0015object-format=a;b0000",
            "not a word",
        ),
        (&tags[..tags.len() - 4], "ends too early"),
        (&tags[..tags.len() - 9], "middle of a line"),
    ];
    for (body, words) in cases {
        let wrong = advertised(body, &V);
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
        let reader = RefsReader::of_advertisement("v", None);
        let all = tags_in(reader, tags.as_bytes(), 1000).unwrap();
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

#[test]
fn a_list_of_version_2_is_the_same_tags_in_fewer_words() {
    let line = |text: String| format!("{:04x}{text}\n", text.len() + 5);
    let commit = "1".repeat(40);
    let body = [
        line(format!("{OID} refs/tags/heph@1.0.0")),
        line(format!("{OID} refs/tags/heph@1.1.0 peeled:{commit}")),
        line(format!("{OID} refs/tags/heph@nightly")),
        line(format!("{OID} refs/heads/heph@9.9.9")),
        line("unborn HEAD symref-target:refs/heads/main".to_owned()),
        "0000".to_owned(),
    ]
    .concat();
    for size in [1, 3, 1000] {
        let mut reader = RefsReader::of_list("heph@", None);
        reader.push(b"").unwrap();
        let tags = tags_in(reader, body.as_bytes(), size).unwrap();
        let shown: Vec<_> = tags
            .iter()
            .map(|tag| (tag.tag.as_str(), tag.commit.as_str(), tag.is_annotated()))
            .collect();
        assert_eq!(
            shown,
            [
                ("heph@1.0.0", OID, false),
                ("heph@1.1.0", commit.as_str(), true)
            ]
        );
    }
    let bad = line(format!("{OID} refs/tags/v1.0.0 peeled:--upload-pack=x")) + "0000";
    let refused = tags_in(RefsReader::of_list("v", None), bad.as_bytes(), 9).unwrap_err();
    assert!(refused.to_string().contains("is not a ref"), "{refused}");
    let twice = line(format!("{OID} refs/tags/v1.0.0")).repeat(2) + "0000";
    let refused = tags_in(RefsReader::of_list("v", None), twice.as_bytes(), 9).unwrap_err();
    assert!(refused.to_string().contains("twice"), "{refused}");
    assert_eq!(
        String::from_utf8(git::Refs::command("refs/tags/heph@", Some("sha256"))).unwrap(),
        "0014command=ls-refs\n0019object-format=sha256\n00010009peel\n001fref-prefix refs/tags/heph@\n0000"
    );
}

#[test]
fn of_very_many_tags_the_highest_and_the_wanted_one_are_kept() {
    let mut reader = RefsReader::of_list("v", None);
    let wanted = Tag::try_from("v1.0.5".to_owned()).unwrap();
    let mut other = RefsReader::of_list("v", Some(&wanted));
    for number in 0..150_000_u32 {
        let text = format!("{OID} refs/tags/v1.0.{number}\n");
        let line = format!("{:04x}{text}", text.len() + 4);
        reader.push(line.as_bytes()).unwrap();
        other.push(line.as_bytes()).unwrap();
    }
    let kept = |mut reader: RefsReader| {
        reader.push(b"0000").unwrap();
        match reader.finish().unwrap() {
            Listing::Refs(refs) => refs.tags,
            listing => panic!("{listing:?}"),
        }
    };
    let tags = kept(reader);
    assert!(tags.len() <= 100_000, "{}", tags.len());
    assert!(git::find(tags, &Version::new(1, 0, 149_999)).is_ok());
    assert!(git::find(kept(other), &Version::new(1, 0, 5)).is_ok());
}

proptest! {
    #[test]
    fn no_answer_panics(body in proptest::collection::vec(any::<u8>(), 0..200), size in 1usize..50) {
        for kind in [Forge::Forgejo, Forge::Github, Forge::Gitlab] {
            let _ = (source(kind).one)(&body);
            let _ = (source(kind).list)(&body);
            let _ = Forge::from_probe(&HeaderMap::new(), &body);
        }
        let _ = tags_in(RefsReader::of_advertisement("v", None), &body, size);
        let _ = tags_in(RefsReader::of_list("v", None), &body, size);
    }

    #[test]
    fn no_damaged_advertisement_panics_however_it_arrives(
        at in 0usize..200,
        byte: u8,
        cut in 0usize..400,
        size in 1usize..100,
    ) {
        let mut body = advertisement(&["HEAD", "refs/tags/v1.0.0", "refs/tags/v1.0.0^{}", "refs/tags/v2.0.0"]).into_bytes();
        let at = at % body.len();
        body[at] = byte;
        body.truncate(cut);
        let read = |size| tags_in(RefsReader::of_advertisement("v", None), &body, size);
        let all = read(size);
        prop_assert_eq!(&all, &read(1000), "in pieces of {}", size);
        let _ = git::find(all.unwrap_or_default(), &Version::new(1, 1, 0));
    }

    #[test]
    fn whatever_a_tag_is_called_the_error_is_one_short_line(name in ".*") {
        let body = serde_json::json!([{ "tag_name": name }]).to_string();
        let text = list(Forge::Forgejo, &body, &V);
        prop_assert!(text.len() < 1000 && !text.contains(char::is_control), "{}", text);
    }
}
