//! Where an issuer's endpoints and keys are (OpenID Connect Discovery 1.0): for the login and for the hub.

use serde::Deserialize;

use super::{lenient, quoted};
use crate::error::{Error, Kind, Result, ResultExt, ensure};
use crate::os::http::{self, Get, Limits};

/// What heph and hephd use of an issuer's metadata (section 3; RFC 8414; RFC 8628, section 4). Every endpoint is an https
/// URL, or an http one on loopback if the issuer is, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Metadata {
    /// What the issuer calls itself: exactly what was asked for.
    pub(crate) issuer: String,
    #[serde(default, deserialize_with = "lenient::text")]
    pub(crate) jwks_uri: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    pub(crate) device_authorization_endpoint: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    token_endpoint: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    pub(crate) revocation_endpoint: Option<String>,
    #[serde(default, deserialize_with = "lenient::words")]
    code_challenge_methods_supported: Vec<String>,
    /// Empty where the issuer does not say.
    #[serde(default, deserialize_with = "lenient::words")]
    pub(super) scopes_supported: Vec<String>,
}

impl Metadata {
    /// Returns whether the issuer supports PKCE by the method S256.
    pub(super) fn has_pkce(&self) -> bool {
        let methods = &self.code_challenge_methods_supported;
        methods.iter().any(|method| method == super::pkce::METHOD)
    }

    pub(super) fn token_endpoint(&self) -> Result<&str> {
        self.token_endpoint
            .as_deref()
            .with_context(|| format!("the issuer '{}' names no token endpoint", self.issuer))
    }
}

/// Fetches the metadata of `issuer`.
pub(crate) fn discover(issuer: &str, limits: &Limits) -> Result<Metadata> {
    let url = metadata_url(issuer)?;
    let metadata = fetch(&url, limits).and_then(|document| read(issuer, &document));
    metadata.with_context(|| format!("cannot discover the issuer '{issuer}'"))
}

/// Returns where the metadata of `issuer` is (section 4.1).
fn metadata_url(issuer: &str) -> Result<String> {
    check(issuer).map_err(|error| {
        Error::usage(format!("'{}' is not an issuer: {error}", quoted(issuer)))
            .with_hint("write it like https://id.example.org")
    })?;
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    Ok(format!("{base}/.well-known/openid-configuration"))
}

/// Checks that `issuer` can be one (section 3). The message, a clause, never quotes it.
pub(crate) fn check(issuer: &str) -> Result<()> {
    http::check(issuer)?;
    ensure!(!issuer.contains(['?', '#']), "it has a query or a fragment");
    Ok(())
}

/// Fetches a document that an issuer publishes.
pub(crate) fn fetch(url: &str, limits: &Limits) -> Result<Vec<u8>> {
    let request = Get {
        url,
        accept: "application/json",
        ..Get::default()
    };
    let answer = http::get(&request, limits)?;
    if answer.status == 200 {
        return Ok(answer.body);
    }
    let failure = answer.failure();
    if failure.kind() == Kind::Unreachable {
        return Err(failure);
    }
    let failed = Error::new(format!("cannot fetch '{}'", quoted(url)));
    let hint = "compare the URL of the issuer with its own documentation";
    Err(failure.context(failed.with_hint(hint)))
}

/// Reads the metadata that `issuer` answered with, and checks that it is that issuer's and its endpoints are safe to use. Pure.
pub(crate) fn read(issuer: &str, document: &[u8]) -> Result<Metadata> {
    let mut metadata: Metadata =
        serde_json::from_slice(document).context("the answer is not the metadata of an issuer")?;
    // Section 4.3: exactly, or one issuer, or one tenant of a provider, could pass for another.
    ensure!(
        metadata.issuer == issuer,
        "the metadata is of another issuer, '{}'; the two must match exactly",
        quoted(&metadata.issuer)
    );
    let endpoints = [
        &mut metadata.jwks_uri,
        &mut metadata.device_authorization_endpoint,
        &mut metadata.token_endpoint,
        &mut metadata.revocation_endpoint,
    ];
    for endpoint in endpoints.into_iter().flatten() {
        *endpoint = absolute(issuer, endpoint);
        let unsafe_endpoint = || format!("the endpoint '{}' is unsafe", quoted(endpoint));
        let uri = http::check(endpoint).with_context(unsafe_endpoint)?;
        if issuer.starts_with("https:") && uri.scheme_str() != Some("https") {
            return Err(Error::new("it is plain http, but the issuer is https"))
                .with_context(unsafe_endpoint);
        }
    }
    Ok(metadata)
}

/// Returns `url`, which the issuer sent; one that begins with a single `/` is relative to the host of the issuer.
pub(super) fn absolute(issuer: &str, url: &str) -> String {
    let is_relative = url.starts_with('/') && !url.starts_with("//");
    match issuer.split_once("://") {
        Some((scheme, rest)) if is_relative => {
            let host = rest.split('/').next().unwrap_or_default();
            format!("{scheme}://{host}{url}")
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;
    use serde_json::{Value, json};

    const ISSUER: &str = "https://id.example";

    fn reading(issuer: &str, document: &Value) -> String {
        match read(issuer, document.to_string().as_bytes()) {
            Ok(_) => "fine".to_owned(),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn metadata_is_that_of_the_issuer_or_none() {
        let token = "token_endpoint";
        for (issuer, document, said) in [
            (
                ISSUER,
                json!({ "issuer": ISSUER, token: "https://id.example/token" }),
                "fine",
            ),
            (
                ISSUER,
                json!({ "issuer": ISSUER, token: "https://elsewhere.example/token" }),
                "fine",
            ),
            (
                ISSUER,
                json!({ "issuer": "https://evil.example" }),
                "another issuer, 'https://evil.example'",
            ),
            (
                ISSUER,
                json!({ "issuer": "https://id.example/" }),
                "must match exactly",
            ),
            (
                ISSUER,
                json!({ "issuer": ISSUER, token: "http://id.example/token" }),
                "plain http is for loopback only",
            ),
            (
                ISSUER,
                json!({ "issuer": ISSUER, token: "http://127.0.0.1/token" }),
                "plain http, but the issuer is https",
            ),
            (
                ISSUER,
                json!({ "issuer": ISSUER, token: "file:///etc/passwd" }),
                "the endpoint 'file:///etc/passwd' is unsafe",
            ),
            (
                ISSUER,
                json!({ "issuer": ISSUER, token: "https://a:b@id.example/" }),
                "user name or password",
            ),
            (
                ISSUER,
                json!({ "issuer": ISSUER, "jwks_uri": "http://evil.example/" }),
                "plain http is for loopback only",
            ),
            (
                ISSUER,
                json!({ "issuer": ISSUER, "jwks_uri": "http://127.0.0.1/keys" }),
                "the endpoint 'http://127.0.0.1/keys' is unsafe: it is plain http, but the issuer is https",
            ),
            (ISSUER, json!({ "issuer": "\u{1b}[2J" }), "'\\u{1b}[2J'"),
            (
                ISSUER,
                json!({ "issuer": ISSUER, token: 7 }),
                "not the metadata",
            ),
            (ISSUER, json!([]), "not the metadata"),
            (
                "http://127.0.0.1:1",
                json!({ "issuer": "http://127.0.0.1:1", token: "http://127.0.0.1:1/t" }),
                "fine",
            ),
        ] {
            let heard = reading(issuer, &document);
            assert!(heard.contains(said), "{document}: {heard}");
        }
    }

    #[test]
    fn what_is_a_little_off_is_read_and_stays_safe() {
        let metadata = json!({
            "issuer": ISSUER, "jwks_uri": "/keys", "token_endpoint": "https://id.example/token",
            "device_authorization_endpoint": null, "revocation_endpoint": "",
            "code_challenge_methods_supported": null, "scopes_supported": "openid profile",
        });
        let metadata = read(ISSUER, metadata.to_string().as_bytes()).unwrap();
        assert_eq!(metadata.jwks_uri.unwrap(), "https://id.example/keys");
        assert_eq!(metadata.device_authorization_endpoint, None);
        assert_eq!(metadata.revocation_endpoint, None);
        assert!(metadata.code_challenge_methods_supported.is_empty());
        assert_eq!(metadata.scopes_supported, ["openid", "profile"]);
    }

    #[test]
    fn only_a_path_is_relative_to_the_issuer() {
        for (url, resolved) in [
            ("/device", "https://id.example:8443/device"),
            ("//evil.example/device", "//evil.example/device"),
            ("https://id.example/device", "https://id.example/device"),
            ("javascript:alert(1)", "javascript:alert(1)"),
            ("device", "device"),
            ("", ""),
        ] {
            assert_eq!(absolute("https://id.example:8443/realms/a", url), resolved);
        }
    }

    #[test]
    fn pkce_is_used_where_its_method_is_offered() {
        let offering = |methods: &[&str]| Metadata {
            code_challenge_methods_supported: methods.iter().map(ToString::to_string).collect(),
            ..Metadata::default()
        };
        assert!(offering(&["plain", "S256"]).has_pkce());
        assert!(!offering(&["plain"]).has_pkce());
        assert!(!offering(&[]).has_pkce());
    }

    #[test]
    fn an_issuer_is_an_https_url_without_query_or_fragment() {
        assert_eq!(
            metadata_url("https://id.example/realms/a/").unwrap(),
            "https://id.example/realms/a/.well-known/openid-configuration"
        );
        for bad in [
            "http://id.example",
            "id.example",
            "https://id.example?x",
            "https://id.example/#x",
            "",
        ] {
            let error = metadata_url(bad).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{bad}: {error}");
        }
    }
}
