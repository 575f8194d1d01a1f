//! GitHub: `GET https://api.github.com/repos/{owner}/{repo}/releases/latest`; an Enterprise Server has its API below
//! `/api/v3`, and says so by the header `X-GitHub-Enterprise-Version` (docs.github.com/rest/releases).

use super::forgejo;
use super::published::Source;

pub(crate) const SOURCE: Source = Source {
    hosts: &["github.com", "www.github.com"],
    accept: "application/vnd.github+json",
    answers_probe: |headers, _| headers.contains_key("x-github-enterprise-version"),
    releases: |repository, _| {
        let (forge, owner, name) = repository.owner_and_name()?;
        let api = if SOURCE.hosts.contains(&repository.host()) {
            "https://api.github.com".to_owned()
        } else {
            format!("{forge}/api/v3")
        };
        Ok(format!("{api}/repos/{owner}/{name}/releases"))
    },
    latest_is_by_date: false,
    page: |size, number| format!("?per_page={size}&page={number}"),
    // Forgejo imitates the fields of GitHub's releases.
    ..forgejo::SOURCE
};
