//! `heph.socket`. Pure.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::os::files;
use crate::platform::generated::{Format, Values};
use crate::platform::service::definition::Definition;
use crate::platform::systemd::syntax::escape_specifiers;

pub(super) const FORMAT: Format<Listening> = Format {
    template: include_str!("../../../../templates/heph.socket"),
    mode: files::SHARED,
    values,
    // Where it listens follows from heph.service.
    legacy: None,
};

/// Where hephd listens by default; `%t` is the runtime folder (systemd.unit(5)).
const DEFAULT: &str = "%t/heph/hephd.sock";

/// Where systemd listens for hephd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// The path of the unix socket, where it is not in the runtime folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix: Option<String>,
    /// The address of the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
}

impl Listening {
    /// Returns where a hephd of `definition` listens, as far as systemd can listen there for it.
    pub fn of(definition: &Definition) -> Listening {
        let flags = &definition.flags;
        let is_hub = flags.get("mode") == Some("server");
        let http = flags.get("http-addr").filter(|_| is_hub);
        Listening {
            unix: definition.environment.0.get("HEPH_SOCKET").cloned(),
            http: http.and_then(|text| text.parse().ok()).filter(can_listen),
        }
    }
}

/// Returns whether systemd can listen on `address` (systemd.socket(5)): not on an ephemeral port, nor within a scope, which it
/// expects as the name of an interface.
fn can_listen(address: &SocketAddr) -> bool {
    let in_scope = matches!(address, SocketAddr::V6(six) if six.scope_id() != 0);
    !in_scope && address.port() != 0
}

/// Returns the unit of a hephd of `definition`.
///
/// # Errors
///
/// It holds a value that [`Definition::new`] rejects.
pub fn render(definition: &Definition) -> Result<String> {
    FORMAT.render(&Listening::of(definition))
}

fn values(listening: &Listening) -> Result<Values> {
    // A path is no list of words: it is not quoted, and only specifiers are expanded in it.
    let unix = listening.unix.as_deref().map(escape_specifiers);
    let unix = ("unix", unix.unwrap_or_else(|| DEFAULT.to_owned()));
    let http = listening.http.map(|address| ("http", address.to_string()));
    Ok([unix].into_iter().chain(http).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::service::arguments::tests::flags;
    use crate::platform::service::definition::Environment;
    use crate::platform::service::definition::tests::environment;
    use proptest::prelude::*;
    use std::net::SocketAddrV6;

    fn listening(arguments: &[&str], environment: Environment) -> Listening {
        Listening::of(&Definition {
            program: "/bin/hephd".into(),
            flags: flags(arguments),
            environment,
            log: "/log".into(),
            foreign: Vec::new(),
        })
    }

    fn render(listening: &Listening) -> String {
        FORMAT.render(listening).unwrap()
    }

    #[test]
    fn the_plain_socket() {
        insta::assert_snapshot!(render(&listening(&[], Environment::default())), @r"
        # Made by heph, template 3. If you edit it, heph stops updating it; `heph daemon restart --force` rewrites it.
        # systemd listens here for hephd, so that clients that connect while hephd restarts wait instead of failing.
        # For settings of your own: `systemctl --user edit heph.socket`. To remove it: `heph daemon uninstall`.
        # Made from: {}

        [Unit]
        Description=the socket of hephd
        # It comes and goes with heph.service, which wants it, so it is not enabled itself. A release without this unit does not
        # want it, and finds the path free.
        StopWhenUnneeded=yes

        [Socket]
        ListenStream=%t/heph/hephd.sock
        SocketMode=0600
        DirectoryMode=0700
        RemoveOnStop=yes
        ");
    }

    #[test]
    fn the_sockets_of_a_hub_at_an_odd_path() {
        let flags = ["--mode=server", "--http-addr=[::1]:8420"];
        let environment = environment(&[("HEPH_SOCKET", "/home/jo's 100% \"$é\" & <co>/%t/s")]);
        let unit = render(&listening(&flags, environment));
        let listens: Vec<_> = unit
            .lines()
            .filter(|line| line.starts_with("ListenStream"))
            .collect();
        assert_eq!(
            listens,
            [
                "ListenStream=/home/jo's 100%% \"$é\" & <co>/%%t/s",
                "ListenStream=[::1]:8420"
            ]
        );
    }

    #[test]
    fn systemd_holds_the_address_only_where_it_can_listen_there() {
        let http = |arguments: &[&str]| {
            let http = listening(arguments, Environment::default()).http;
            http.map(|address| address.to_string())
        };
        let hub = |address| http(&["--mode=server", &format!("--http-addr={address}")]);
        for address in ["127.0.0.1:8420", "0.0.0.0:80", "[::]:8420", "[fe80::1]:1"] {
            assert_eq!(hub(address).as_deref(), Some(address));
        }
        for address in [
            "127.0.0.1:0",
            "localhost:8420",
            ":8420",
            "8420",
            "127.0.0.1",
            "[fe80::1%2]:80",
            "/run/hub.sock",
            "127.0.0.1:80 ",
        ] {
            assert_eq!(hub(address), None, "{address}");
        }
        let spoke = ["--mode=local", "--http-addr=127.0.0.1:8420"];
        assert_eq!(http(&spoke), None, "only a hub listens there");
        assert_eq!(http(&spoke[1..]), None);
    }

    proptest! {
        #[test]
        fn an_address_within_a_scope_is_hephds_own(ip: std::net::Ipv6Addr, port in 1u16.., scope in 1u32..) {
            prop_assert!(!can_listen(&SocketAddrV6::new(ip, port, 0, scope).into()));
        }
    }
}
