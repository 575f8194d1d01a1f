//! Where an issuer's endpoints are (OpenID Connect Discovery 1.0).

use serde::Deserialize;

use super::{ask, no_answer, quoted};
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::http::{self, Get};

/// What heph and hephd use of an issuer's metadata (section 3; RFC 8414; RFC 8628, section 4). Every endpoint is an https
/// address, or an http one on loopback where the issuer is one, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    /// What the issuer calls itself: what was asked for.
    pub issuer: String,
    /// Where its keys are.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// Where a device asks for a code.
    #[serde(default)]
    pub device_authorization_endpoint: Option<String>,
    /// Where tokens come from.
    #[serde(default)]
    pub token_endpoint: Option<String>,
    /// Where tokens are given back.
    #[serde(default)]
    pub revocation_endpoint: Option<String>,
    /// The methods of PKCE that it knows.
    #[serde(default)]
    pub code_challenge_methods_supported: Vec<String>,
}

impl Metadata {
    /// Returns whether it knows PKCE by the method S256.
    pub fn has_pkce(&self) -> bool {
        let methods = &self.code_challenge_methods_supported;
        methods.iter().any(|method| method == super::pkce::METHOD)
    }

    /// Returns the endpoint for tokens.
    pub(super) fn tokens(&self) -> Result<&str, Error> {
        let missing = || {
            Error::new(format!(
                "the issuer '{}' names no token endpoint",
                self.issuer
            ))
        };
        self.token_endpoint.as_deref().ok_or_else(missing)
    }
}

/// Asks `issuer` for its metadata.
///
/// # Errors
///
/// It is no address that may be asked, it cannot be reached ([`crate::error::Exit::TryLater`]), or what answers is not that
/// issuer.
pub fn discover(issuer: &str) -> Result<Metadata> {
    let url = address(issuer)?;
    let request = Get {
        url: &url,
        accept: "application/json",
        ..Get::default()
    };
    let failed = || format!("cannot ask the issuer '{issuer}' what it offers");
    let answer =
        http::get(&request, &ask::LIMITS).map_err(|failure| no_answer(failed(), &failure))?;
    match answer.status {
        200 => read(issuer, &answer.body).with_context(failed),
        status @ (429 | 500..) => Err(super::away(format!("{}: it answers {status}", failed()))),
        status => Err(
            Error::new(format!("{}: '{url}' answers {status}", failed())).with_hint(
                "compare the address of the issuer with what its own documentation says",
            ),
        ),
    }
}

/// Returns where the metadata of `issuer` is (section 4.1).
///
/// # Errors
///
/// It is no https address, nor an http one on loopback, or has a part that no issuer has.
fn address(issuer: &str) -> Result<String, Error> {
    let wrong = |why: String| {
        Error::usage(format!("'{}' is no issuer: {why}", quoted(issuer)))
            .with_hint("an issuer is an address such as https://id.example.org")
    };
    http::check(issuer).map_err(|error| wrong(error.one_line()))?;
    if issuer.contains(['?', '#']) {
        return Err(wrong("it has a query or a fragment".to_owned()));
    }
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    Ok(format!("{base}/.well-known/openid-configuration"))
}

/// Reads the metadata that `issuer` answered with. Pure.
///
/// # Errors
///
/// It is none, it is that of another issuer, or an endpoint is not safe to ask.
pub fn read(issuer: &str, body: &[u8]) -> Result<Metadata> {
    let metadata: Metadata =
        serde_json::from_slice(body).context("its answer is no metadata of an issuer")?;
    // Section 4.3: exactly, or an issuer could pass for another.
    if metadata.issuer != issuer {
        bail!(
            "it calls itself '{}': that has to be the same, to the letter",
            quoted(&metadata.issuer)
        );
    }
    let endpoints = [
        &metadata.jwks_uri,
        &metadata.device_authorization_endpoint,
        &metadata.token_endpoint,
        &metadata.revocation_endpoint,
    ];
    for endpoint in endpoints.into_iter().flatten() {
        let uri = http::check(endpoint).map_err(|wrong| {
            Error::new(format!(
                "its endpoint '{}' will not do: {wrong}",
                quoted(endpoint)
            ))
        })?;
        if issuer.starts_with("https:") && uri.scheme_str() != Some("https") {
            bail!("its endpoint '{}' is not https", quoted(endpoint));
        }
    }
    Ok(metadata)
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
                "it calls itself 'https://evil.example'",
            ),
            (
                ISSUER,
                json!({ "issuer": "https://id.example/" }),
                "to the letter",
            ),
            (
                ISSUER,
                json!({ "issuer": ISSUER, token: "http://id.example/token" }),
                "plain http is for loopback only",
            ),
            (
                ISSUER,
                json!({ "issuer": ISSUER, token: "http://127.0.0.1/token" }),
                "is not https",
            ),
            (
                ISSUER,
                json!({ "issuer": ISSUER, token: "file:///etc/passwd" }),
                "will not do",
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
            (ISSUER, json!({ "issuer": "\u{1b}[2J" }), "'\\u{1b}[2J'"),
            (ISSUER, json!({ "issuer": ISSUER, token: 7 }), "no metadata"),
            (ISSUER, json!([]), "no metadata"),
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
    fn an_issuer_is_an_https_address_without_query_or_fragment() {
        assert_eq!(
            address("https://id.example/realms/a/").unwrap(),
            "https://id.example/realms/a/.well-known/openid-configuration"
        );
        for bad in [
            "http://id.example",
            "id.example",
            "https://id.example?x",
            "https://id.example/#x",
            "",
        ] {
            let error = address(bad).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{bad}: {error}");
        }
    }
}
