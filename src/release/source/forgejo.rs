//! Forgejo and Gitea: `GET /api/v1/repos/{owner}/{repo}/releases/latest` (forgejo.org/docs/latest/user/api-usage).

use jiff::Timestamp;
use serde::Deserialize;

use super::{Entry, LISTED, Question, Repository, assets};
use crate::error::Error;

/// A release as Forgejo, Gitea and GitHub write it.
#[derive(Debug, Deserialize)]
pub(super) struct Published {
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
    /// 0 for a file that is elsewhere, which Forgejo has never seen.
    size: Option<u64>,
    browser_download_url: String,
}

impl From<Published> for Entry {
    fn from(published: Published) -> Entry {
        Entry {
            tag: published.tag_name,
            out: !published.draft,
            prerelease: published.prerelease,
            page: published.html_url,
            published_at: published.published_at,
            assets: assets(published.assets.into_iter().flatten().map(|asset| {
                let size = asset.size.filter(|size| *size > 0);
                (asset.name, asset.browser_download_url, size)
            })),
        }
    }
}

pub(super) fn url(repository: &Repository, question: Question) -> Result<String, Error> {
    let (forge, owner, name) = repository.owner_and_name()?;
    let rest = match question {
        Question::Latest => "/latest".to_owned(),
        Question::List => format!("?draft=false&limit={LISTED}"),
    };
    Ok(format!(
        "{forge}/api/v1/repos/{owner}/{name}/releases{rest}"
    ))
}

/// Returns the address that only Forgejo and Gitea answer with their version, where the repository may be one of theirs.
pub fn version_url(repository: &Repository) -> Option<String> {
    let (forge, ..) = repository.owner_and_name().ok()?;
    Some(format!("{forge}/api/v1/version"))
}

/// Returns whether `body` is what they answer there.
pub(super) fn is_version(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    body.trim_ascii_start().starts_with(b"{")
        && serde_json::from_slice(body).is_ok_and(|answer: Version| !answer.version.is_empty())
}
