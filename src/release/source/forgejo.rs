//! Forgejo and Gitea: `GET /api/v1/repos/{owner}/{repo}/releases/latest` (forgejo.org/docs/latest/user/api-usage). A page of
//! the list has at most as many releases as the instance allows, 50 unless it says otherwise; the header `Link` says whether
//! another one follows.

use jiff::Timestamp;
use serde::Deserialize;

use super::published::{PublishedRelease, Source, list, one, usable};

pub(crate) const SOURCE: Source = Source {
    hosts: &["codeberg.org"],
    accept: "application/json",
    answers_probe: |_, body| is_version(body),
    releases: |repository, _| {
        let (forge, owner, name) = repository.owner_and_name()?;
        Ok(format!("{forge}/api/v1/repos/{owner}/{name}/releases"))
    },
    latest: "/latest",
    latest_is_by_date: true,
    page: |size, number| format!("?draft=false&limit={size}&page={number}"),
    by_tag: "/tags/",
    one: one::<Published>,
    list: list::<Published>,
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

impl From<Published> for PublishedRelease {
    fn from(published: Published) -> PublishedRelease {
        PublishedRelease {
            tag: published.tag_name,
            is_public: !published.draft,
            is_prerelease: published.prerelease,
            page: published.html_url,
            at: published.published_at,
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
