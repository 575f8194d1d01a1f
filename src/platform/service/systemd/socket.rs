//! `heph.socket`, written from its template and read back. Pure.

use std::net::SocketAddr;

use crate::error::{Result, bail, ensure};
use crate::platform::generated::fill;
use crate::platform::service::arguments::Flag;
use crate::platform::service::definition::Definition;
use crate::platform::systemd::syntax::{escape_specifiers, settings, unescape_specifiers};

const TEMPLATE: &str = include_str!("../../../../templates/heph.socket");

/// Where hephd listens unless it is told otherwise; `%t` is the runtime folder (systemd.unit(5)).
const USUAL: &str = "%t/heph/hephd.sock";

/// Where systemd listens for hephd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// The path of the unix socket, where it is not in the runtime folder.
    pub unix: Option<String>,
    /// The address of the hub.
    pub http: Option<SocketAddr>,
}

impl Listening {
    /// Returns where a hephd of `definition` listens, as far as systemd can do it for hephd.
    pub fn of(definition: &Definition) -> Listening {
        let flags = &definition.flags;
        let unix = definition.environment.get("HEPH_SOCKET");
        let http = flags
            .get(Flag::HttpAddr)
            .filter(|_| flags.get(Flag::Mode) == Some("server"));
        Listening {
            unix: unix.map(ToOwned::to_owned),
            http: http.and_then(|text| text.parse().ok()).filter(can_listen),
        }
    }
}

/// Returns whether systemd can listen on `address` (systemd.socket(5)): not on a port that is drawn, nor within a scope,
/// which it would have by the name of an interface.
fn can_listen(address: &SocketAddr) -> bool {
    let plain = match address {
        SocketAddr::V4(_) => true,
        SocketAddr::V6(six) => six.scope_id() == 0,
    };
    plain && address.port() != 0
}

/// Returns the unit of `listening`.
pub fn render(listening: &Listening) -> String {
    // A path is no list of words: it is not quoted, only specifiers are expanded in it.
    let unix = listening.unix.as_deref().map(escape_specifiers);
    let http = listening.http.map(|address| address.to_string());
    let values = [
        ("unix", vec![unix.unwrap_or_else(|| USUAL.to_owned())]),
        ("http", Vec::from_iter(http)),
    ];
    fill(TEMPLATE, &values)
}

/// Reads a unit back, be it edited or from another version of heph.
///
/// # Errors
///
/// It listens on what hephd does not, or not on a unix socket.
pub fn parse(unit: &str) -> Result<Listening> {
    let mut values = Vec::new();
    for (key, value) in settings(unit, "Socket") {
        match key.as_str() {
            // An empty value takes back what came before.
            "ListenStream" if value.is_empty() => values.clear(),
            "ListenStream" => values.push(value),
            _ => {}
        }
    }
    let mut paths = Vec::new();
    let mut addresses = Vec::new();
    for value in values {
        if value == USUAL {
            paths.push(None);
        } else if value.starts_with('/') {
            paths.push(Some(unescape_specifiers(&value)?));
        } else {
            match value.parse() {
                Ok(address) if can_listen(&address) => addresses.push(address),
                _ => bail!("cannot read 'ListenStream={value}'"),
            }
        }
    }
    ensure!(
        paths.len() == 1 && addresses.len() <= 1,
        "it listens on {} paths and {} addresses",
        paths.len(),
        addresses.len()
    );
    Ok(Listening {
        unix: paths.pop().flatten(),
        http: addresses.pop(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::generated::tests::any_text;
    use crate::platform::service::arguments::Baked;
    use crate::platform::service::definition::Environment;
    use crate::platform::service::definition::tests::environment;
    use proptest::prelude::*;
    use std::net::{IpAddr, SocketAddrV6};

    fn listening(flags: &[(Flag, &str)], environment: Environment) -> Listening {
        let mut baked = Baked::default();
        for (flag, value) in flags {
            baked.set(*flag, *value).unwrap();
        }
        Listening::of(&Definition {
            program: "/bin/hephd".into(),
            flags: baked,
            environment,
            log: "/log".into(),
        })
    }

    #[test]
    fn the_plain_socket() {
        insta::assert_snapshot!(render(&listening(&[], Environment::default())), @r"
        # Made by heph, template 2. Edits to this file are lost at the next `heph daemon restart`.
        # systemd listens here for hephd, so that who connects while hephd restarts waits instead of being refused.
        # For settings of your own: `systemctl --user edit heph.socket`. To remove it: `heph daemon uninstall`.

        [Unit]
        Description=the socket of hephd
        # It comes and goes with heph.service, which wants it: nothing is to be enabled. A release that knows nothing of it does not
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
        let flags = [(Flag::Mode, "server"), (Flag::HttpAddr, "[::1]:8420")];
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
    fn the_address_is_the_service_managers_only_where_it_can_listen_there() {
        let http = |flags: &[(Flag, &str)]| {
            let http = listening(flags, Environment::default()).http;
            http.map(|address| address.to_string())
        };
        let hub = |address| http(&[(Flag::Mode, "server"), (Flag::HttpAddr, address)]);
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
        let spoke = [(Flag::Mode, "local"), (Flag::HttpAddr, "127.0.0.1:8420")];
        assert_eq!(http(&spoke), None, "only a hub listens there");
        assert_eq!(http(&spoke[1..]), None);
    }

    #[test]
    fn a_socket_that_listens_on_other_things_is_refused() {
        for listens in [
            "",
            "ListenStream=",
            "ListenStream=@abstract",
            "ListenStream=8420",
            "ListenStream=/a/%h",
            "ListenStream=/a\nListenStream=/b",
            "ListenStream=127.0.0.1:1",
        ] {
            assert!(
                parse(&format!("[Socket]\n{listens}\n")).is_err(),
                "{listens}"
            );
        }
        let edited = "[Socket]\nListenStream=8420\nListenStream=\n# mine\nListenStream = /a\n";
        assert_eq!(parse(edited).unwrap().unix.as_deref(), Some("/a"));
    }

    fn any_listening() -> impl Strategy<Value = Listening> {
        let path = any_text().prop_map(|text| format!("/{text}/x"));
        let address = (any::<IpAddr>(), 1u16..).prop_map(|(ip, port)| SocketAddr::new(ip, port));
        (prop::option::of(path), prop::option::of(address))
            .prop_map(|(unix, http)| Listening { unix, http })
    }

    proptest! {
        #[test]
        fn written_read_back_and_written_again_is_byte_identical(listening in any_listening()) {
            let unit = render(&listening);
            let again = parse(&unit).unwrap();
            prop_assert_eq!(&again, &listening);
            prop_assert_eq!(render(&again), unit);
        }

        #[test]
        fn an_address_within_a_scope_is_hephds_own(ip: std::net::Ipv6Addr, port in 1u16.., scope in 1u32..) {
            prop_assert!(!can_listen(&SocketAddrV6::new(ip, port, 0, scope).into()));
        }

        #[test]
        fn no_unit_panics(unit in "(?s)(\\[Socket\\]\n)?ListenStream=.*") {
            let _ = parse(&unit);
        }
    }
}
