//! Which proxy a request takes.

use ureq::Proxy;
use ureq::http::Uri;

use super::is_loopback;

/// Returns the proxy that the environment names for `uri`, as curl(1) reads it: never for loopback, never for a host in
/// `NO_PROXY`. `http_proxy` is ignored, since plain http is for loopback only.
pub(super) fn of(
    uri: &Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, ureq::Error> {
    let first = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()))
    };
    let host = uri.host().unwrap_or_default();
    if is_loopback(host)
        || first(&["no_proxy", "NO_PROXY"]).is_some_and(|list| is_listed(&list, host))
    {
        return Ok(None);
    }
    first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
        .map(|value| {
            let proxy = Proxy::new(&value)?;
            match proxy.protocol() {
                ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https => Ok(proxy),
                _ => Err(ureq::Error::InvalidProxyUrl),
            }
        })
        .transpose()
}

/// Returns whether a `NO_PROXY` list covers `host`: `*`, the host itself, or a domain above it.
fn is_listed(list: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    list.split([',', ' ']).any(|entry| {
        let entry = entry
            .trim()
            .trim_start_matches("*.")
            .trim_start_matches('.');
        let entry = entry.to_ascii_lowercase();
        entry == "*"
            || entry == host
            || (!entry.is_empty()
                && host
                    .strip_suffix(&entry)
                    .is_some_and(|above| above.ends_with('.')))
    })
}
