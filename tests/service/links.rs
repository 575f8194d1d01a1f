//! Links: units that lead into a folder of dotfiles, and programs to which a package manager leads.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;

use super::{SERVICE, SOCKET};
use crate::support::files::copy_tree;
use crate::support::home::Home;
use crate::support::mac::Mac;
use crate::support::machine::Machine;
use crate::support::programs;

/// Moves `file` into `dotfiles`, and leaves a link to it.
fn keep(file: &Path, dotfiles: &Path) {
    fs::create_dir_all(dotfiles).unwrap();
    let kept = dotfiles.join(file.file_name().unwrap());
    fs::rename(file, &kept).unwrap();
    symlink(kept, file).unwrap();
}

fn is_link(file: &Path) -> bool {
    fs::symlink_metadata(file).unwrap().is_symlink()
}

#[test]
fn a_unit_that_leads_into_dotfiles_is_not_replaced_unless_forced() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let dotfiles = user.path.join("dotfiles");
    for (unit, environment) in [(SERVICE, None), (SOCKET, Some("HEPH_SOCKET"))] {
        keep(&user.unit(unit), &dotfiles);
        // What does not change the file works.
        user.heph("daemon restart").exits(0);
        assert!(is_link(&user.unit(unit)));
        let change = || match environment {
            None => user.heph("daemon restart --mode local"),
            Some(name) => user
                .heph("daemon restart")
                .env(name, user.path.join("moved.sock")),
        };
        let before = (user.pid(), user.unit_text(unit));
        change()
            .exits(1)
            .complains(&format!("{unit}' has to change, and is a link to"))
            .complains("--force");
        assert_eq!((user.pid(), user.unit_text(unit)), before);
        assert!(is_link(&user.unit(unit)));
        change().args("--force").exits(0);
        assert!(!is_link(&user.unit(unit)));
        let kept = fs::read_to_string(dotfiles.join(unit)).unwrap();
        assert_eq!(kept, before.1, "the file itself is the user's");
    }
}

#[test]
fn an_agent_that_leads_into_dotfiles_is_not_replaced_unless_forced() {
    let mac = Mac::new();
    mac.heph("daemon start").exits(0);
    let agent = mac.agent("hephd");
    keep(&agent, &mac.path.join("dotfiles"));
    mac.heph("daemon restart").exits(0);
    mac.heph("daemon restart --mode local")
        .exits(1)
        .complains("is a link to")
        .complains("--force");
    assert!(is_link(&agent));
    mac.heph("daemon restart --mode local --force").exits(0);
    assert!(!is_link(&agent));
}

#[test]
fn a_timer_that_leads_into_dotfiles_is_not_replaced_unless_forced() {
    let user = Machine::new();
    user.heph("self-update enable --every 6h").exits(0);
    let timer = user.unit("heph-self-update.timer");
    keep(&timer, &user.path.join("dotfiles"));
    user.heph("self-update enable").exits(0).says("already");
    user.heph("self-update enable --every 1h")
        .exits(1)
        .complains("is a link to")
        .complains("--force");
    user.heph("self-update status").exits(0).says("6h");
    assert!(is_link(&timer));
    user.heph("self-update enable --every 1h --force").exits(0);
    assert!(!is_link(&timer));
    user.heph("self-update status").exits(0).says("1h");
}

/// Puts the programs into `folder` of `home`, and a link called `link` to `target`.
fn package(home: &Home, folder: &str, links: &[(&str, &str)]) {
    copy_tree(programs::folder(), &home.path.join(folder));
    for (link, target) in links {
        let link = home.path.join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(home.path.join(target), link).unwrap();
    }
}

#[test]
fn a_service_names_the_link_of_a_package_manager_and_not_the_version() {
    // How the home is set up, what is run, and what is baked.
    let mise = [("mise/installs/heph/latest", "mise/installs/heph/0.1.0")];
    let brew = [
        ("brew/bin/heph", "brew/Cellar/heph/0.1.0/bin/heph"),
        ("brew/bin/hephd", "brew/Cellar/heph/0.1.0/bin/hephd"),
    ];
    for (folder, links, started, baked) in [
        (
            "mise/installs/heph/0.1.0/bin",
            &mise[..],
            "mise/installs/heph/0.1.0/bin/heph",
            "mise/installs/heph/latest/bin/hephd",
        ),
        (
            "brew/Cellar/heph/0.1.0/bin",
            &brew,
            "brew/bin/heph",
            "brew/bin/hephd",
        ),
        // asdf leaves no link: a shim is another program.
        (
            "asdf/installs/heph/0.1.0/bin",
            &[],
            "asdf/installs/heph/0.1.0/bin/heph",
            "asdf/installs/heph/0.1.0/bin/hephd",
        ),
    ] {
        let user = Machine::new();
        fs::remove_dir_all(user.bin()).unwrap();
        package(&user, folder, links);
        let heph = || user.command(user.path.join(started));
        let started = heph().args("daemon start").exits(0);
        let status = heph().args("daemon status --json").json();
        assert_eq!(status["program"], json!(user.path.join(baked)));
        assert_eq!(status["managed"], true);
        let warns = started.err.contains("run `heph daemon restart` after");
        assert_eq!(warns, links.is_empty(), "{started}");
        heph().args("daemon restart").exits(0);
        let again = heph().args("daemon status --json").json();
        assert_eq!(again["program"], status["program"]);
    }
}

#[test]
fn a_path_with_a_version_that_was_baked_before_is_replaced_by_the_link() {
    let user = Machine::new();
    let folder = "mise/installs/heph/0.1.0/bin";
    fs::remove_dir_all(user.bin()).unwrap();
    package(&user, folder, &[]);
    let heph = || user.command(user.path.join(folder).join("heph"));
    heph().args("daemon start").exits(0);
    let latest = user.path.join("mise/installs/heph/latest");
    symlink(user.path.join("mise/installs/heph/0.1.0"), &latest).unwrap();
    heph().args("daemon restart").exits(0);
    let status = heph().args("daemon status --json").json();
    assert_eq!(status["program"], json!(latest.join("bin/hephd")));
    assert!(
        user.unit_text(SERVICE)
            .contains("installs/heph/latest/bin/hephd")
    );
}
