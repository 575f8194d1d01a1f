//! Which socket a command talks to.
//!
//! A command may run where the variables are not those of hephd: from cron, after `su`, or in a shell whose runtime folder
//! another program chose. So it looks for hephd at all its usual places, as the service file says first.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Activity, choose, find};
use crate::client;
use crate::config::ServiceManager;
use crate::error::{Error, Result};
use crate::os::lock_holder;
use crate::paths::{HephdPaths, Paths};
use crate::platform::systemd::systemctl;

/// The time limit for asking a hephd which store it serves.
const ANSWER: Duration = Duration::from_secs(5);

/// A socket at which hephd may be found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    socket: PathBuf,
    /// Whether the hephd there is meant whatever store it serves.
    is_certain: bool,
}

/// Returns the socket of the hephd that is meant: the one that `HEPH_SOCKET` names, else the one of the service, else the
/// first usual one on which this user's hephd listens.
pub(crate) fn reach(choice: ServiceManager, paths: &Paths) -> Result<PathBuf> {
    let ours = &paths.hephd;
    if HephdPaths::socket_is_named() {
        return Ok(ours.socket.clone());
    }
    let of_service = choose(choice, paths).and_then(|manager| {
        let definition = manager.read().ok()?.source.ok()?;
        let runtime = manager.runtime_dir();
        Some(
            definition
                .environment
                .paths(ours, runtime.as_deref())
                .socket,
        )
    });
    let runtime = systemctl::runtime_folder();
    let places = places(ours, of_service, runtime.as_deref());
    let serves_us = |place: &Place| place.is_certain || serves(&place.socket, &ours.store);
    Ok(pick(places, is_socket, |place| {
        client::listens(&place.socket) && serves_us(place)
    }))
}

/// Returns the places, the likeliest first, each once. Pure.
fn places(ours: &HephdPaths, of_service: Option<PathBuf>, runtime: Option<&Path>) -> Vec<Place> {
    let certain = |socket| Place {
        socket,
        is_certain: true,
    };
    // Where a hephd listens that a login started, and one that cron did.
    let of_login = runtime.map(|runtime| Place {
        socket: HephdPaths::in_folders(&ours.data, Some(&runtime.join("heph"))).socket,
        is_certain: false,
    });
    let of_cron = HephdPaths::in_folders(&ours.data, None).socket;
    let all = of_service.map(certain).into_iter();
    let all = all.chain([certain(ours.socket.clone())]);
    let all = all.chain(of_login).chain([certain(of_cron)]);
    let mut places: Vec<Place> = Vec::new();
    for place in all {
        if places.iter().all(|known| known.socket != place.socket) {
            places.push(place);
        }
    }
    places
}

/// Returns the socket of the first of `places` that is `live`, else the first one: that is where hephd will be once it has been
/// started, or restarted. Those that do not exist are not tried. Pure.
fn pick(
    places: Vec<Place>,
    exists: impl Fn(&Path) -> bool,
    live: impl Fn(&Place) -> bool,
) -> PathBuf {
    let others_exist = places.iter().skip(1).any(|place| exists(&place.socket));
    let live = |place: &&Place| others_exist && exists(&place.socket) && live(place);
    let found = places.iter().find(live).or(places.first());
    found.map(|place| place.socket.clone()).unwrap_or_default()
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// Returns whether the hephd on `socket` serves `store`. In a home beside the account's own, the usual place may be that of
/// another store.
fn serves(socket: &Path, store: &Path) -> bool {
    let Ok(Some(status)) = client::status(socket, ANSWER) else {
        return false;
    };
    let resolved = |path: &Path| path.canonicalize().ok();
    let there = resolved(Path::new(&status.store));
    there.is_some() && there == resolved(store)
}

/// Returns `error`, which says that hephd is not running, as precisely as possible: what has the store, and a hint whose command
/// works on this machine.
pub(crate) fn explain(error: Error, choice: ServiceManager, paths: &Paths) -> Error {
    let ours = &paths.hephd;
    let socket = ours.socket.display();
    let named = HephdPaths::socket_is_named();
    let (mut store, mut managed, mut starting, mut has_manager) =
        (ours.store.clone(), None, false, false);
    if let Ok(Some(manager)) = find(choice, paths) {
        has_manager = true;
        if let Ok(process) = manager.process() {
            managed = process.pid;
            starting = process.activity == Activity::Starting;
        }
        if let Ok(definition) = manager.read().and_then(|file| file.source) {
            store = definition.environment.paths(ours, None).store;
        }
    }
    let start = match has_manager {
        true => "`heph daemon start`, or run `hephd`",
        false => "run `hephd`: there is no service manager here",
    };
    let holder = lock_holder::of(&HephdPaths::store_lock(&store));
    let (message, hint) = match holder.or(managed) {
        Some(pid) if named && managed == Some(pid) => (
            format!(
                "HEPH_SOCKET names '{socket}', where no hephd listens; the service is process {pid}"
            ),
            "unset HEPH_SOCKET, or have the service listen there: `heph daemon restart`".to_owned(),
        ),
        Some(pid) if managed == Some(pid) => (
            format!("hephd is process {pid}, but its socket is gone"),
            "`heph daemon restart` brings the socket back".to_owned(),
        ),
        Some(pid) => (
            format!(
                "process {pid} has the store '{}' open, and listens elsewhere or not at all",
                store.display()
            ),
            format!("set HEPH_SOCKET to where it listens; or `kill {pid}`, then {start}"),
        ),
        None if starting => (
            "the service is started again and again, and does not come up".to_owned(),
            "`heph daemon logs` says why".to_owned(),
        ),
        None if named => (
            format!("no hephd listens on '{socket}', which HEPH_SOCKET names"),
            format!("unset HEPH_SOCKET; or {start}"),
        ),
        None => return error.with_hint(start),
    };
    error.context(Error::new(message).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(socket: &str) -> HephdPaths {
        HephdPaths {
            socket: socket.into(),
            ..HephdPaths::in_folders(Path::new("/data"), None)
        }
    }

    fn sockets(places: &[Place]) -> Vec<&str> {
        let sockets = places.iter().map(|place| place.socket.to_str().unwrap());
        sockets.collect()
    }

    #[test]
    fn the_service_comes_first_and_each_place_once() {
        let login = "/run/user/1/heph/hephd.sock";
        let runtime = Some(Path::new("/run/user/1"));
        let cron = "/data/hephd.sock";
        // A login shell; with a service that another shell gave its own socket.
        assert_eq!(sockets(&places(&ours(login), None, runtime)), [login, cron]);
        let mine = Some(PathBuf::from("/mine"));
        let all = places(&ours(login), mine, runtime);
        assert_eq!(sockets(&all), ["/mine", login, cron]);
        assert!(all.iter().all(|place| place.is_certain));
        // Cron: what listens in the runtime folder may be of another home.
        let all = places(&ours(cron), None, runtime);
        assert_eq!(sockets(&all), [cron, login]);
        assert_eq!([all[0].is_certain, all[1].is_certain], [true, false]);
        assert_eq!(sockets(&places(&ours(cron), None, None)), [cron]);
    }

    #[test]
    fn a_place_that_is_live_wins_and_the_first_one_without_any() {
        let all = || places(&ours("/b"), Some("/a".into()), Some(Path::new("/r")));
        let picked = |existing: &[&str], live: &[&str]| {
            let is_in =
                |list: &[&str], path: &Path| list.iter().any(|name| path == Path::new(name));
            let picked = pick(
                all(),
                |path| is_in(existing, path),
                |place| {
                    assert!(is_in(existing, &place.socket), "only what exists is tried");
                    is_in(live, &place.socket)
                },
            );
            picked.to_str().unwrap().to_owned()
        };
        assert_eq!(picked(&[], &[]), "/a");
        assert_eq!(picked(&["/b"], &["/b"]), "/b");
        assert_eq!(picked(&["/a", "/b"], &["/a", "/b"]), "/a");
        assert_eq!(picked(&["/a", "/b"], &["/b"]), "/b", "a stale one");
        assert_eq!(picked(&["/data/hephd.sock"], &[]), "/a", "hephd restarts");
        let panics = |_: &Place| panic!("nothing else exists, so nothing is tried");
        assert_eq!(
            pick(all(), |path| path == Path::new("/a"), panics),
            Path::new("/a")
        );
    }
}
