//! Which scopes a login requests. Pure.

/// The identity (OpenID Connect Core 1.0, section 3.1.2.1).
const IDENTITY: &str = "openid";
/// A refresh token (section 11). GitLab and Google do not know it and issue a refresh token without.
const OFFLINE: &str = "offline_access";

/// The scopes of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scopes {
    /// What to request, separated by spaces.
    pub(super) requested: String,
    /// What to request if the issuer refuses these scopes, because the client may not have all that the issuer supports.
    pub(super) fallback: Option<&'static str>,
}

/// Returns the scopes to request from an issuer that says it has the `supported` ones, or says nothing: those that the user
/// `named`, else the identity and, unless the issuer does not know that scope, a refresh token.
pub(super) fn choose(named: Option<&str>, supported: &[String]) -> Scopes {
    if let Some(named) = named {
        return Scopes {
            requested: named.split_whitespace().collect::<Vec<_>>().join(" "),
            fallback: None,
        };
    }
    if supported.is_empty() || supported.iter().any(|scope| scope == OFFLINE) {
        return Scopes {
            requested: format!("{IDENTITY} {OFFLINE}"),
            fallback: Some(IDENTITY),
        };
    }
    Scopes {
        requested: IDENTITY.to_owned(),
        fallback: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_wins_and_else_what_the_issuer_supports() {
        for (named, supported, requested, fallback) in [
            (None, &[][..], "openid offline_access", Some("openid")),
            (
                None,
                &["openid", "offline_access"],
                "openid offline_access",
                Some("openid"),
            ),
            // GitLab.
            (None, &["api", "openid", "email"], "openid", None),
            // Google.
            (None, &["openid", "email", "profile"], "openid", None),
            (
                None,
                &["offline_access"],
                "openid offline_access",
                Some("openid"),
            ),
            // Entra ID, with an API of the hub's own.
            (
                Some(" openid  offline_access api://heph/.default"),
                &["openid"],
                "openid offline_access api://heph/.default",
                None,
            ),
        ] {
            let supported: Vec<String> = supported.iter().map(ToString::to_string).collect();
            let scopes = choose(named, &supported);
            assert_eq!(scopes.requested, requested, "{supported:?}");
            assert_eq!(scopes.fallback, fallback, "{supported:?}");
        }
    }
}
