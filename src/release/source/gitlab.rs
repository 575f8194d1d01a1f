//! GitLab: `GET /api/v4/projects/{path}/releases/permalink/latest`, which redirects to the release
//! (docs.gitlab.com/api/releases). The path may have any number of groups, so a GitLab below a path of its own cannot be
//! told from a group; such an installation is reached as a plain git remote.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Entry, LISTED, Question, Repository, assets};

/// A response header that every answer of GitLab carries.
pub const HEADER: &str = "x-gitlab-meta";

/// A release as GitLab writes it. GitLab has no drafts and no mark for pre-releases, but releases of the future.
#[derive(Debug, Deserialize)]
pub(super) struct Published {
    tag_name: String,
    #[serde(default)]
    upcoming_release: bool,
    released_at: Option<Timestamp>,
    #[serde(rename = "_links", default)]
    links: Links,
    assets: Option<Attached>,
}

/// What is attached to a release: links to files elsewhere, and archives of the sources, which are of no use here.
#[derive(Debug, Default, Deserialize)]
struct Attached {
    links: Option<Vec<Link>>,
}

#[derive(Debug, Deserialize)]
struct Link {
    name: String,
    url: String,
    /// The address below the release, which stays when the file moves.
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
        let links = links.unwrap_or_default();
        Entry {
            tag: published.tag_name,
            out: !published.upcoming_release,
            prerelease: false,
            page: published.links.page,
            published_at: published.released_at,
            assets: assets(links.into_iter().map(|link| {
                let url = link.direct_asset_url.unwrap_or(link.url);
                (link.name, url, None)
            })),
        }
    }
}

pub(super) fn url(repository: &Repository, question: Question) -> String {
    let project = repository.path().replace('/', "%2F");
    let rest = match question {
        Question::Latest => "/permalink/latest".to_owned(),
        Question::List => format!("?per_page={LISTED}"),
    };
    format!(
        "{}/api/v4/projects/{project}/releases{rest}",
        repository.root()
    )
}
