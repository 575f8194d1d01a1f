//! Which proxy a request takes. Pure.

use std::net::IpAddr;

use ureq::Proxy;
use ureq::http::Uri;

use super::url::{is_loopback, literal_address};

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
    // Only a hub on a network of one's own is contacted over plain http, and a token for it goes nowhere else.
    if uri.scheme_str() == Some("http") {
        return Ok(None);
    }
    if is_loopback(host)
        || first(&["no_proxy", "NO_PROXY"]).is_some_and(|list| is_listed(&list, host))
    {
        return Ok(None);
    }
    first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
        .map(|value| Proxy::new(&as_curl_means(&value)))
        .transpose()
}

/// Returns the proxy of the environment for `uri`, in words without user name and password; `None` without one.
pub(super) fn named(uri: &Uri, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let proxy = of(uri, variable).ok()??;
    let port = proxy.port();
    Some(format!("{}:{port}", proxy.host()))
}

/// `socks` without a number is version 4 for curl, and version 5 for the HTTP library.
fn as_curl_means(proxy: &str) -> String {
    match proxy.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("socks") => format!("socks4://{rest}"),
        _ => proxy.to_owned(),
    }
}

/// Returns whether a `NO_PROXY` list covers `host`: `*`, the host itself, a domain above it, or a network that holds it, in
/// the notation of CIDR. A leading `*.` or dot, and a final dot, mean nothing; an entry with a port matches nothing.
fn is_listed(list: &str, host: &str) -> bool {
    let address = literal_address(host);
    let name = host.strip_suffix('.').unwrap_or(host);
    let mut entries = list
        .split([',', ' ', '\t', '\n', '\r'])
        .filter(|entry| !entry.is_empty());
    entries.any(|entry| {
        entry == "*"
            || match address {
                Some(address) => is_in_network(entry, address),
                None => is_domain_of(entry, name),
            }
    })
}

fn is_domain_of(entry: &str, name: &str) -> bool {
    let entry = entry.strip_prefix('*').unwrap_or(entry);
    let entry = entry.strip_prefix('.').unwrap_or(entry);
    let entry = entry.strip_suffix('.').unwrap_or(entry);
    let Some(start) = name.len().checked_sub(entry.len()) else {
        return false;
    };
    let (above, domain) = name.as_bytes().split_at(start);
    !entry.is_empty()
        && domain.eq_ignore_ascii_case(entry.as_bytes())
        && (above.is_empty() || above.ends_with(b"."))
}

fn is_in_network(entry: &str, address: IpAddr) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, Some(bits)),
        None => (entry, None),
    };
    let (Some(network), Some(bits)) = (
        literal_address(network),
        bits.map_or(Some(128), |bits| bits.parse::<u32>().ok()),
    ) else {
        return false;
    };
    // Of as many bits as the longer kind of address has.
    let (network, address, bits) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => (
            u128::from(network.to_bits()) << 96,
            u128::from(address.to_bits()) << 96,
            bits,
        ),
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), bits),
        _ => return false,
    };
    bits == 0 || (network ^ address) >> (128 - bits.min(128)) == 0
}
