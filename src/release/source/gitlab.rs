//! GitLab: `GET /api/v4/projects/{path}/releases/permalink/latest`, which redirects to the release
//! (docs.gitlab.com/api/releases). The path may have any number of groups, so a GitLab below a path of its own looks
//! like a group; such an installation is read as a plain git remote.

use jiff::Timestamp;
use serde::Deserialize;

use super::selection::{Entry, Source, assets_in_json, parse_json, usable};

pub(crate) const SOURCE: Source = Source {
    hosts: &["gitlab.com"],
    accept: "application/json",
    // Every answer of GitLab carries it.
    answers_probe: |headers, _| headers.contains_key("x-gitlab-meta"),
    releases: |repository| {
        let project = repository.path().replace('/', "%2F");
        let root = repository.root();
        Ok(format!("{root}/api/v4/projects/{project}/releases"))
    },
    latest: "/permalink/latest",
    list: "?per_page=50",
    by_tag: Some("/"),
    parse: parse_json::<Published>,
    assets: assets_in_json::<Published>,
};

/// A release of GitLab, which knows neither drafts nor pre-releases, but releases of the future.
#[derive(Debug, Deserialize)]
struct Published {
    tag_name: String,
    #[serde(default)]
    upcoming_release: bool,
    released_at: Option<Timestamp>,
    #[serde(rename = "_links", default)]
    links: Links,
    assets: Option<Attached>,
}

/// Links to files elsewhere. Archives of the sources are attached as well and ignored.
#[derive(Debug, Default, Deserialize)]
struct Attached {
    links: Option<Vec<Link>>,
}

#[derive(Debug, Deserialize)]
struct Link {
    name: String,
    url: String,
    /// The URL below the release, which stays when the file moves.
    direct_asset_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Links {
    #[serde(rename = "self")]
    page: Option<String>,
}

impl From<Published> for Entry {
    fn from(published: Published) -> Entry {
        let links = published.assets.and_then(|assets| assets.links);
        Entry {
            tag: published.tag_name,
            published: !published.upcoming_release,
            prerelease: false,
            page: published.links.page,
            published_at: published.released_at,
            assets: usable(links.unwrap_or_default().into_iter().map(|link| {
                let url = link.direct_asset_url.unwrap_or(link.url);
                (link.name, url, None)
            })),
        }
    }
}
