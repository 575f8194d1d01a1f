//! GitLab: `GET /api/v4/projects/{path}/releases/permalink/latest`, which redirects to the release
//! (docs.gitlab.com/api/releases). The path may have any number of groups, so a GitLab below a path of its own looks like a
//! group: which it is, only the answers tell ([`Forge::bases`](crate::config::Forge)).

use jiff::Timestamp;
use serde::Deserialize;

use super::published::{PublishedRelease, Source, list, one, usable};

pub(crate) const SOURCE: Source = Source {
    hosts: &["gitlab.com"],
    accept: "application/json",
    // Every answer of GitLab carries it.
    answers_probe: |headers, _| headers.contains_key("x-gitlab-meta"),
    releases: |repository, base| {
        let path = repository.path();
        let below = base.trim_start_matches('/');
        let project = path.strip_prefix(below).unwrap_or(path);
        let project = project.trim_start_matches('/').replace('/', "%2F");
        let root = repository.root();
        Ok(format!("{root}{base}/api/v4/projects/{project}/releases"))
    },
    latest: "/permalink/latest",
    latest_is_by_date: true,
    page: |size, number| format!("?per_page={size}&page={number}"),
    by_tag: "/",
    one: one::<Published>,
    list: list::<Published>,
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

impl From<Published> for PublishedRelease {
    fn from(published: Published) -> PublishedRelease {
        let links = published.assets.and_then(|assets| assets.links);
        PublishedRelease {
            tag: published.tag_name,
            is_public: !published.upcoming_release,
            is_prerelease: false,
            page: published.links.page,
            at: published.released_at,
            assets: usable(links.unwrap_or_default().into_iter().map(|link| {
                let url = link.direct_asset_url.unwrap_or(link.url);
                (link.name, url, None)
            })),
        }
    }
}
