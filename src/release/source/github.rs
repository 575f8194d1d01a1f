//! GitHub: `GET https://api.github.com/repos/{owner}/{repo}/releases/latest`; an Enterprise Server has its API below
//! `/api/v3` (docs.github.com/rest/releases).

use super::forgejo;
use super::selection::Source;

pub(crate) const SOURCE: Source = Source {
    hosts: &["github.com", "www.github.com"],
    accept: "application/vnd.github+json",
    answers_probe: |_, _| false,
    releases: |repository| {
        let (forge, owner, name) = repository.owner_and_name()?;
        let api = if SOURCE.hosts.contains(&repository.host()) {
            "https://api.github.com".to_owned()
        } else {
            format!("{forge}/api/v3")
        };
        Ok(format!("{api}/repos/{owner}/{name}/releases"))
    },
    latest: "/latest",
    list: "?per_page=50",
    by_tag: Some("/tags/"),
    // Forgejo imitates the fields of GitHub's releases.
    ..forgejo::SOURCE
};
