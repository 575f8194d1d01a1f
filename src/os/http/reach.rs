//! Which addresses a request may reach.
//!
//! URLs come from strangers: a forge lists files, a Cargo.toml names hosts, a server redirects. None of them may turn heph
//! into a client of services that only this machine can reach, such as a router, a database, or the metadata service of a
//! cloud. So a request is made on behalf of a *base*, the address that the user has chosen. Loopback, link-local and
//! unspecified addresses are reached only where the base itself is, whatever name resolves to them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::url::{authority, is_loopback, literal_address};
use crate::error::{Result, bail};

/// Checks what the URL `to` itself says: it is https if `base` is, and it names no address that only this machine can reach,
/// except that of `base`. The message is a clause.
pub(super) fn check(base: &Uri, to: &Uri) -> Result<()> {
    if base.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
        bail!("it is not https, and '{}' is", authority(base));
    }
    let host = to.host().unwrap_or_default();
    let near = is_loopback(host) || literal_address(host).is_some_and(is_near);
    let base_host = base.host().unwrap_or_default();
    let admitted = is_same_host(base_host, host) || is_loopback(base_host) && is_loopback(host);
    if near && !admitted {
        bail!(
            "only this machine can reach '{host}', and '{}' is elsewhere",
            authority(base)
        );
    }
    Ok(())
}

/// Returns whether an address means another host on each machine, or on each network: loopback, link-local (with the
/// metadata services of clouds), unspecified.
pub(super) fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_link_local() || address.octets()[0] == 0
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unicast_link_local() || address.is_unspecified()
        }
    }
}

/// Returns those of the addresses `found` that may be reached on behalf of a base at the addresses `base`.
fn admitted(found: &[SocketAddr], base: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_loopback = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
    let at_base = |address: &SocketAddr| {
        base.iter().any(|base| base.ip() == address.ip())
            || is_loopback(address) && base.iter().any(is_loopback)
    };
    let admitted = |address: &&SocketAddr| !is_near(address.ip()) || at_base(address);
    found.iter().filter(admitted).copied().collect()
}

fn is_same_host(one: &str, other: &str) -> bool {
    one.trim_end_matches('.')
        .eq_ignore_ascii_case(other.trim_end_matches('.'))
}

/// Resolves names, and leaves out what must not be reached.
pub(super) struct GuardedResolver {
    /// The host that the request is sent to.
    target: String,
    base: Uri,
    resolver: DefaultResolver,
}

impl GuardedResolver {
    pub(super) fn new(target: &Uri, base: &Uri) -> GuardedResolver {
        GuardedResolver {
            target: target.host().unwrap_or_default().to_owned(),
            base: base.clone(),
            resolver: DefaultResolver::default(),
        }
    }
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.resolver.resolve(uri, config, timeout)?;
        // A proxy is where the user says, and so is the base.
        let is_target = is_same_host(uri.host().unwrap_or_default(), &self.target);
        let is_base = is_same_host(&self.target, self.base.host().unwrap_or_default());
        if !is_target || is_base || !found.iter().any(|address| is_near(address.ip())) {
            return Ok(found);
        }
        // A base that does not resolve is at no such address.
        let base = self.resolver.resolve(&self.base, config, timeout);
        let base = base.unwrap_or_else(|_| self.empty());
        let mut kept = self.empty();
        for address in admitted(&found, &base) {
            kept.push(address);
        }
        if kept.is_empty() {
            let near = format!(
                "'{}' is at an address that only this machine can reach, and '{}' is elsewhere",
                self.target,
                authority(&self.base)
            );
            return Err(ureq::Error::Other(near.into()));
        }
        Ok(kept)
    }
}

impl fmt::Debug for GuardedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardedResolver({})", self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_addresses_are_known_in_every_notation() {
        for near in [
            "127.0.0.1",
            "127.255.0.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "::1",
            "::",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
        ] {
            assert!(is_near(near.parse().unwrap()), "{near}");
        }
        for far in [
            "10.0.0.1",
            "192.168.1.1",
            "93.184.216.34",
            "fd00::1",
            "2606:4700::1111",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_near(far.parse().unwrap()), "{far}");
        }
    }

    #[test]
    fn near_addresses_are_for_a_base_that_is_there() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let public = uri("https://forge.example/a/b");
        let local = uri("http://127.0.0.1:80/a/b");
        let link = uri("https://169.254.1.1/a/b");
        for (base, to, admitted) in [
            (&public, "https://forge.example/x", true),
            (&public, "https://cdn.example/x", true),
            (&public, "https://10.0.0.1/x", true),
            (&public, "http://127.0.0.1/x", false),
            (&public, "http://localhost/x", false),
            (&public, "https://127.0.0.1/x", false),
            (&public, "https://LocalHost:8443/x", false),
            (&public, "https://[::1]/x", false),
            (&public, "https://[::ffff:127.0.0.1]/x", false),
            (&public, "https://[fe80::1]/x", false),
            (&public, "https://169.254.169.254/latest", false),
            (&public, "https://0.0.0.0/x", false),
            (&local, "http://127.0.0.1:99/x", true),
            (&local, "http://localhost/x", true),
            (&local, "https://[::1]/x", true),
            (&local, "https://cdn.example/x", true),
            (&local, "https://169.254.169.254/x", false),
            (&local, "https://0.0.0.0/x", false),
            (&link, "https://169.254.1.1:8443/x", true),
            (&link, "https://169.254.169.254/x", false),
            (&link, "https://127.0.0.1/x", false),
        ] {
            assert_eq!(check(base, &uri(to)).is_ok(), admitted, "{base} {to}");
        }
    }

    #[test]
    fn a_name_leads_to_near_addresses_only_where_the_base_is() {
        let at = |list: &[&str]| -> Vec<SocketAddr> {
            let list = list.iter();
            list.map(|address| SocketAddr::new(address.parse().unwrap(), 443))
                .collect()
        };
        for (found, base, kept) in [
            (&["93.184.216.34", "10.0.0.1"][..], &["1.1.1.1"][..], 2),
            (&["127.0.0.1"], &["1.1.1.1"], 0),
            (&["127.0.0.1", "93.184.216.34"], &["1.1.1.1"], 1),
            (&["127.0.0.1", "::1"], &["127.0.1.1"], 2),
            (&["169.254.169.254"], &["127.0.0.1"], 0),
            (&["169.254.1.1"], &["169.254.1.1"], 1),
            (&["fe80::1", "::"], &["::1"], 0),
        ] {
            assert_eq!(admitted(&at(found), &at(base)).len(), kept, "{found:?}");
        }
    }
}
