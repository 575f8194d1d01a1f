//! Forgejo and Gitea: `GET /api/v1/repos/{owner}/{repo}/releases/latest` (forgejo.org/docs/latest/user/api-usage).

use jiff::Timestamp;
use serde::Deserialize;

use super::selection::{Entry, Source, assets_in_json, parse_json, usable};

pub(crate) const SOURCE: Source = Source {
    hosts: &["codeberg.org"],
    accept: "application/json",
    answers_probe: |_, body| is_version(body),
    releases: |repository| {
        let (forge, owner, name) = repository.owner_and_name()?;
        Ok(format!("{forge}/api/v1/repos/{owner}/{name}/releases"))
    },
    latest: "/latest",
    list: "?draft=false&limit=50",
    by_tag: Some("/tags/"),
    parse: parse_json::<Published>,
    assets: assets_in_json::<Published>,
};

#[derive(Debug, Deserialize)]
struct Published {
    tag_name: String,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    prerelease: bool,
    html_url: Option<String>,
    published_at: Option<Timestamp>,
    assets: Option<Vec<Attached>>,
}

#[derive(Debug, Deserialize)]
struct Attached {
    name: String,
    /// 0 for a file on another host, whose size Forgejo does not know.
    size: Option<u64>,
    browser_download_url: String,
}

impl From<Published> for Entry {
    fn from(published: Published) -> Entry {
        Entry {
            tag: published.tag_name,
            published: !published.draft,
            prerelease: published.prerelease,
            page: published.html_url,
            published_at: published.published_at,
            assets: usable(published.assets.into_iter().flatten().map(|asset| {
                let size = asset.size.filter(|size| *size > 0);
                (asset.name, asset.browser_download_url, size)
            })),
        }
    }
}

fn is_version(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    body.trim_ascii_start().starts_with(b"{")
        && serde_json::from_slice(body).is_ok_and(|answer: Version| !answer.version.is_empty())
}
