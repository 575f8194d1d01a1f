//! The address of the repository that publishes the releases.

use std::fmt;
use std::str::FromStr;

use super::values::Text;
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::http;

/// The longest URL, in bytes.
const LONGEST_URL: usize = 2000;

/// Where releases are published: the https URL of a repository (http on loopback only), without a trailing slash and
/// without a user or password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    url: String,
    host: String,
    /// Scheme, host and port.
    root: String,
    path: String,
}

impl Repository {
    /// Returns the URL as the user wrote it: it ends in `.git` only where the user wrote so.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the host, in lower case, without a port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Returns scheme, host and port.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// Returns the path, without slashes around it and without `.git`.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the address of the forge, `owner` and `name`: the last two parts of the path. A forge may live below a path.
    ///
    /// # Errors
    ///
    /// The path has one part only.
    pub(crate) fn owner_and_name(&self) -> Result<(String, &str, &str)> {
        let mut parts = self.path.rsplitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(owner), below) => {
                let below = below.map_or(String::new(), |below| format!("/{below}"));
                Ok((format!("{}{below}", self.root), owner, name))
            }
            _ => {
                let hint =
                    "write it like \"https://forge.example/owner/name\", or set `forge = \"git\"`";
                Err(Error::usage(format!(
                    "cannot ask the forge at '{}': the URL has no owner and name",
                    self.url
                ))
                .with_hint(hint))
            }
        }
    }

    /// Returns a repository on this machine's disk, which no setting can name: for tests of what builds from one.
    #[doc(hidden)]
    pub fn on_disk(url: &str) -> Repository {
        Repository {
            url: url.to_owned(),
            host: String::new(),
            root: String::new(),
            path: String::new(),
        }
    }
}

impl Default for Repository {
    fn default() -> Repository {
        // A test reads it.
        env!("CARGO_PKG_REPOSITORY")
            .parse()
            .expect("the package's own repository is valid")
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// The error says what is wrong, and never quotes the URL: it may hold a password.
impl FromStr for Repository {
    type Err = Error;

    fn from_str(url: &str) -> Result<Repository> {
        let url = url.trim_end_matches('/');
        if url.len() > LONGEST_URL {
            bail!("it is too long");
        }
        if url.contains(['?', '#']) {
            bail!("it must not have a query ('?') or a fragment ('#')");
        }
        let uri = http::check(url)?;
        let authority = uri.authority().context("it names no host")?.as_str();
        if authority.ends_with(':') {
            bail!("a port is missing");
        }
        // As an argument, in a request line and in a path of an API, each segment must stay what it is.
        let plain = |segment: &str| {
            let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%+@:,=".contains(&byte);
            !matches!(segment, "" | "." | "..") && segment.bytes().all(safe)
        };
        let path = uri.path().trim_start_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        if path.is_empty() {
            bail!("it names a host but no repository on it");
        }
        if !uri.path()[1..].split('/').all(plain) || !path.split('/').all(plain) {
            bail!("its path must be plain names between single slashes");
        }
        Ok(Repository {
            host: uri.host().unwrap_or_default().to_ascii_lowercase(),
            root: format!("{}://{authority}", uri.scheme_str().unwrap_or("https")),
            path: path.to_owned(),
            url: url.to_owned(),
        })
    }
}

impl Text for Repository {
    const EXPECTED: &'static str =
        "the URL of a repository such as \"https://forge.example/owner/name\"";

    fn read(url: &str) -> Result<Repository, Option<Error>> {
        url.parse().map_err(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_an_https_url_or_on_loopback() {
        for url in [
            "https://forge.eblu.me/eblume/hephaestus",
            "https://github.com/a/b.git",
            "https://gitlab.example:8443/group/sub-group/pro_ject.x",
            "http://127.0.0.1:8080/a/b",
            "http://[::1]:80/a",
            "http://localhost/a%20b",
        ] {
            for written in [url.to_owned(), format!("{url}//")] {
                assert_eq!(written.parse::<Repository>().unwrap().url(), url);
            }
        }
        assert_eq!(Repository::default().url(), env!("CARGO_PKG_REPOSITORY"));
    }

    #[test]
    fn other_urls_are_refused_and_never_quoted() {
        for url in [
            "",
            "/",
            "forge.eblu.me/a/b",
            "https://",
            "https:///a",
            "https://host",
            "https://host/.git",
            "https://host:/a",
            "http://example.org/a/b",
            "http://127.0.0.1.example.org/a/b",
            "http://10.0.0.1/a/b",
            "ssh://git@host/a",
            "file:///a/b",
            "git@host:a/b",
            "https://me:secret@host/a",
            "https://secret@host/a",
            "https://host/a?token=secret",
            "https://host/a#b",
            "https://host/a/../b",
            "https://host/./b",
            "https://host/a//b",
            "https://host//a/b",
            "https://host/a b",
            "https://host/a\nb",
            "https://host/a;b",
            "https://host/$(a)",
            "https://hóst/a",
            "--config=x",
        ] {
            let refused = url.parse::<Repository>().expect_err(url).to_string();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
