//! The address of the repository that publishes the releases.

use crate::os::http;

/// The longest URL, in bytes.
const LONGEST_URL: usize = 2000;

/// Returns `url` without trailing slashes, or why it is not usable. Never quotes it: it may hold a password.
pub fn check(url: &str) -> Result<String, String> {
    let invalid = |why: &str| {
        Err(format!(
            "must be a URL such as \"https://forge.example/owner/name\"; {why}"
        ))
    };
    let url = url.trim_end_matches('/');
    if url.len() > LONGEST_URL {
        return invalid("this is too long for one");
    }
    if url.contains(['?', '#']) {
        return invalid("it must not have a query ('?') or a fragment ('#')");
    }
    let uri = match http::check(url) {
        Ok(uri) => uri,
        Err(why) => return invalid(&why.one_line()),
    };
    if uri
        .authority()
        .is_none_or(|authority| authority.as_str().ends_with(':'))
    {
        return invalid("a port is missing");
    }
    let segments: Vec<&str> = uri.path().split('/').skip(1).collect();
    if segments == [""] {
        return invalid("this names a host but no repository on it");
    }
    // As an argument, in a request line and in a path of an API, each segment must stay what it is.
    let plain = |segment: &str| {
        !segment.is_empty()
            && !matches!(segment, "." | "..")
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%+@:,=".contains(&byte))
    };
    if !segments.iter().all(|segment| plain(segment)) {
        return invalid("its path must be plain names between single slashes");
    }
    Ok(url.to_owned())
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
            assert_eq!(check(url), Ok(url.to_owned()));
            assert_eq!(check(&format!("{url}//")), Ok(url.to_owned()));
        }
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
            "https://host/a b",
            "https://host/a\nb",
            "https://host/a;b",
            "https://host/$(a)",
            "https://hóst/a",
            "--config=x",
        ] {
            let refused = check(url).expect_err(url);
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
