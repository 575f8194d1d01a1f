//! Which URLs may be requested, and where a redirect leads. Pure.

use std::net::IpAddr;

use ureq::http::{HeaderMap, Uri, header};

use crate::error::{Error, Result, ResultExt, bail};

/// Checks that `url` is https, or http on loopback, with a host and without a user name or password. The message, a clause,
/// never quotes the URL.
pub(crate) fn check(url: &str) -> Result<Uri> {
    let uri: Uri = url
        .parse()
        .map_err(|error| Error::new(format!("it is not a URL: {error}")))?;
    let host = uri
        .host()
        .filter(|host| !host.is_empty())
        .context("it names no host")?;
    if authority(&uri).contains('@') {
        bail!("it has a user name or password, which heph never sends");
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_loopback(host) => Ok(uri),
        Some("http") => bail!("plain http is for loopback only"),
        _ => bail!("it is not an https URL"),
    }
}

/// Returns the host of `uri`, with its port.
pub(crate) fn authority(uri: &Uri) -> &str {
    uri.authority().map_or("", |all| all.as_str())
}

/// Returns whether `host`, as it stands in a URL, is this machine: `localhost`, 127.0.0.0/8 or `[::1]`.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || literal_address(host).is_some_and(|address| address.is_loopback())
}

/// Returns the address that `host`, as it stands in a URL, is written as; `None` for a name.
pub(super) fn literal_address(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

/// Returns where a redirect leads.
pub(super) fn redirect(from: &Uri, headers: &HeaderMap) -> Result<Uri> {
    let location = headers
        .get(header::LOCATION)
        .context("it names no target")?
        .to_str()
        .map_err(|_| Error::new("its target is not a URL"))?;
    let to = check(&join(from, location)).context("its target is unsafe")?;
    if from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
        bail!("the redirect downgrades https to http");
    }
    Ok(to)
}

/// Resolves a `Location` against the URL it came from (RFC 3986, section 5.2, but for dot segments, which the server
/// resolves itself).
pub(super) fn join(from: &Uri, location: &str) -> String {
    let location = location.split('#').next().unwrap_or_default();
    let scheme = from.scheme_str().unwrap_or("https");
    let authority = authority(from);
    if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{}{location}", from.path())
    } else {
        let folder = from
            .path()
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    }
}
