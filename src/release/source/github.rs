//! GitHub: `GET https://api.github.com/repos/{owner}/{repo}/releases/latest`; an Enterprise Server has its API below
//! `/api/v3` (docs.github.com/rest/releases).

use super::{LISTED, Question, Repository};
use crate::error::Error;

pub(super) fn url(repository: &Repository, question: Question) -> Result<String, Error> {
    let (forge, owner, name) = repository.owner_and_name()?;
    let api = match repository.host() {
        "github.com" | "www.github.com" => "https://api.github.com".to_owned(),
        _ => format!("{forge}/api/v3"),
    };
    let rest = match question {
        Question::Latest => "/latest".to_owned(),
        Question::List => format!("?per_page={LISTED}"),
    };
    Ok(format!("{api}/repos/{owner}/{name}/releases{rest}"))
}
