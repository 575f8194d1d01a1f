//! What Forgejo, GitHub and GitLab answer about releases.

use serde_json::{Value, json};

use super::PROJECT;

/// Whose interface the forge speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    Forgejo,
    Github,
    Gitlab,
    /// Nothing but git.
    Git,
}

/// A release on the forge.
#[derive(Clone, Debug)]
pub struct Published {
    pub tag: String,
    pub draft: bool,
    pub prerelease: bool,
    /// RFC 3339.
    pub at: String,
    pub assets: Vec<Attached>,
}

/// A file of a release.
#[derive(Clone, Debug)]
pub struct Attached {
    pub name: String,
    pub url: String,
    pub size: Option<u64>,
}

impl Published {
    pub fn new(tag: &str) -> Published {
        Published {
            tag: tag.to_owned(),
            draft: false,
            prerelease: false,
            at: "2026-01-01T00:00:00Z".to_owned(),
            assets: Vec::new(),
        }
    }
}

/// One page of a list, and whether another one follows.
pub fn page(speaks: Speaks, list: &[Value], query: &str) -> (Value, Option<usize>) {
    let parameter = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    let (name, most) = match speaks {
        Speaks::Forgejo => ("limit", 50),
        _ => ("per_page", 100),
    };
    let size: usize = parameter(name).unwrap_or(30).min(most);
    let number: usize = parameter("page").unwrap_or(1);
    let rest = list.iter().skip((number - 1) * size);
    let follows = rest.clone().count() > size;
    let page: Value = rest.take(size).cloned().collect();
    (page, follows.then_some(number + 1))
}

fn encoded(tag: &str) -> String {
    tag.replace('@', "%40").replace('/', "%2F")
}

fn decoded(tag: &str) -> String {
    tag.replace("%40", "@")
        .replace("%2F", "/")
        .replace("%2B", "+")
}

/// Returns what the interface of the forge, which is below a path of its host, answers at `path`.
pub fn releases(speaks: Speaks, releases: &[Published], below: &str, path: &str) -> Option<Value> {
    let latest = || releases.iter().rev().find(|r| !r.draft && !r.prerelease);
    let like_forgejo = |release: &Published| {
        json!({
            "tag_name": release.tag, "name": release.tag, "draft": release.draft,
            "prerelease": release.prerelease, "published_at": release.at,
            "html_url": format!("https://forge.example/{PROJECT}/releases/tag/{}", release.tag),
            "assets": release.assets.iter().map(|asset| json!({
                "id": 1, "name": asset.name, "size": asset.size, "browser_download_url": asset.url,
            })).collect::<Vec<_>>(),
        })
    };
    let like_gitlab = |release: &Published| {
        json!({
            "tag_name": release.tag, "released_at": release.at, "upcoming_release": release.draft,
            "_links": { "self": format!("https://forge.example/{PROJECT}/-/releases/{}", release.tag) },
            "assets": {
                "count": release.assets.len(), "sources": [{ "format": "zip", "url": "https://forge.example/x.zip" }],
                "links": release.assets.iter().map(|asset| json!({
                    "id": 1, "name": asset.name, "url": "https://elsewhere.example/moved",
                    "direct_asset_url": asset.url, "link_type": "other",
                })).collect::<Vec<_>>(),
            },
        })
    };
    let out = |release: &&Published| !release.draft;
    match speaks {
        Speaks::Forgejo | Speaks::Github => {
            let version = if speaks == Speaks::Forgejo {
                "v1"
            } else {
                "v3"
            };
            let base = format!("/api/{version}/repos/{PROJECT}/releases");
            match path.strip_prefix(&base) {
                Some("/latest") => latest().map(like_forgejo),
                Some("") => Some(
                    releases
                        .iter()
                        .rev()
                        .filter(out)
                        .map(like_forgejo)
                        .collect(),
                ),
                Some(path) if path.starts_with("/tags/") => {
                    let tag = decoded(path.trim_start_matches("/tags/"));
                    releases.iter().find(|r| r.tag == tag).map(like_forgejo)
                }
                _ if path == "/api/v1/version" && speaks == Speaks::Forgejo => {
                    Some(json!({ "version": "11.0.0+gitea-1.22.0" }))
                }
                _ => None,
            }
        }
        Speaks::Gitlab => {
            let base = format!("/api/v4/projects/{}/releases", PROJECT.replace('/', "%2F"));
            match path.strip_prefix(&base)? {
                "" => Some(releases.iter().rev().map(like_gitlab).collect()),
                "/permalink/latest" => {
                    let tag = encoded(&releases.last()?.tag);
                    Some(json!({ "redirect": format!("{below}{base}/{tag}") }))
                }
                tag => {
                    let tag = decoded(tag.trim_start_matches('/'));
                    releases.iter().find(|r| r.tag == tag).map(like_gitlab)
                }
            }
        }
        Speaks::Git => None,
    }
}
