//! Under a real cron daemon with the real `crontab`, in a mount namespace that hides the machine's own crontabs.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use super::{Recording, with_shell};
use crate::support::call::{Call, Words};
use crate::support::files::script;
use crate::support::home::{Home, ODD_NAME};
use crate::support::running::Running;
use crate::support::wait::within;

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Hides the crontabs of the machine behind empty folders, then becomes what is passed.
const HIDE: &str = r#"
mount -t tmpfs -o mode=1730,gid=crontab tmpfs /var/spool/cron/crontabs &&
mount -t tmpfs -o mode=755 tmpfs /run &&
mount -t tmpfs tmpfs /etc/cron.d &&
{ [ ! -e /etc/crontab ] || mount --bind /dev/null /etc/crontab; } &&
exec "$@"
"#;
const BLOCK: &str = "# BEGIN heph\n";

/// A user whose crontab, and a cron daemon's, is in a namespace that a process holds.
pub(super) struct User {
    namespace: Running,
    home: Home,
}

impl Deref for User {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl User {
    pub(super) fn named(name: &str) -> User {
        assert!(
            rustix::process::getuid().is_root(),
            "these tests need root, to hide the machine's crontabs"
        );
        let home = Home::named(name).with_commands();
        home.record("service-manager = \"none\"");
        let unshare = Call::clean("unshare", [("PATH", PATH)]);
        let unshare = unshare.args(&["--mount", "/bin/sh", "-c", HIDE, "sh"]);
        let user = User {
            namespace: unshare.args("sleep infinity").start(),
            home,
        };
        within(Duration::from_secs(10), "the namespace is ready", || {
            let name = fs::read_to_string(format!("/proc/{}/comm", user.namespace.id()));
            name.is_ok_and(|name| name.trim() == "sleep")
        });
        user
    }

    /// Returns a program that sees the crontabs of the namespace.
    pub(super) fn inside(&self, words: &(impl Words + ?Sized)) -> Call {
        let enter = Call::clean("nsenter", [("PATH", PATH)]);
        let namespace = format!("--mount=/proc/{}/ns/mnt", self.namespace.id());
        enter.args(&[namespace, "--".to_owned()]).args(words)
    }

    pub(super) fn update(&self, words: &str) -> Call {
        let heph = self.inside(&[self.bin().join("heph")]).args("self-update");
        heph.args(words).env("HOME", &self.path)
    }

    fn script(&self) -> PathBuf {
        self.data().join("self-update-job.sh")
    }

    /// Returns the crontab, empty where there is none.
    fn crontab(&self) -> Vec<u8> {
        self.inside("crontab -l").bytes()
    }

    fn set_crontab(&self, crontab: &[u8]) {
        self.inside("crontab -").input(crontab).exits(0);
    }
}

#[test]
fn the_cron_daemon_runs_the_job_with_exactly_what_was_baked() {
    let user = User::named(ODD_NAME);
    // What the user sets for other lines must not reach the job.
    let mine = b"SHELL=/bin/false\nPATH=/nowhere\n\n0 0 1 1 * true \\% \xff\n# BEGIN other\n";
    user.set_crontab(mine);
    let enable = with_shell(user.update("enable --every 60s"));
    // Under cron nothing else tells the job where hephd's socket is.
    let enable = enable.env("XDG_RUNTIME_DIR", "/run time");
    enable
        .exits(0)
        .says("self-update is on: installs new releases every 1m, through cron")
        .says("next run: ");
    let crontab = user.crontab();
    assert!(crontab.starts_with(BLOCK.as_bytes()) && crontab.ends_with(mine));

    // Started last: cron does not notice a change in the second in which it read the crontabs.
    let _daemon = user.inside("cron -f").start();
    within(Duration::from_secs(100), "a run", || user.seen().is_some());
    let seen = user.seen().unwrap();
    assert_eq!(seen.arguments, ["self-update", "apply", "--scheduled"]);
    let path = "/ends in \\/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut expected: BTreeMap<String, String> = user.baked();
    expected.insert("PATH".to_owned(), path.to_owned());
    expected.insert("XDG_RUNTIME_DIR".to_owned(), "/run time".to_owned());
    assert_eq!(seen.environment, expected);
    within(Duration::from_secs(10), "the log of the run", || {
        user.job_log().starts_with("recorded\n")
    });

    user.update("disable")
        .exits(0)
        .says("self-update is off: removed from cron");
    assert_eq!(user.crontab(), mine);
    assert_eq!(user.traces(), [] as [PathBuf; 0]);
    user.update("disable").exits(0).says("off already");
}

#[test]
fn a_second_enable_changes_only_what_is_passed() {
    let user = User::named("home");
    user.update("enable --at 03:30").exits(0);
    user.update("enable --notify-only")
        .exits(0)
        .says("reports new releases at 03:30");
    let text = String::from_utf8(user.crontab()).unwrap();
    let line = format!("\n30 3 * * * '{}'\n", user.script().display());
    assert!(text.contains(&line), "{text}");
    user.update("enable")
        .exits(0)
        .says("on already: reports new releases at 03:30");
    user.update("enable --every 1d")
        .exits(0)
        .says("reports new releases every 1d");
    assert_eq!(
        user.crontab()
            .windows(BLOCK.len())
            .filter(|window| *window == BLOCK.as_bytes())
            .count(),
        1
    );

    // A block that went missing comes back.
    user.inside("crontab -r").exits(0);
    user.update("enable").exits(0).says("self-update is on: ");
    assert!(user.crontab().starts_with(BLOCK.as_bytes()));
    user.update("disable").exits(0);
    assert_eq!(user.crontab(), b"");
}

#[test]
fn an_interval_beyond_cron_changes_nothing_and_says_which_are_not() {
    let user = User::named("home");
    user.update("enable --every 7h")
        .exits(2)
        .complains("cron cannot run a job every 7h")
        .complains("6h, 8h, 12h or 1d");
    assert_eq!(user.crontab(), b"");
    assert!(!user.script().exists());
}

#[test]
fn a_damaged_block_is_left_alone() {
    let user = User::named("home");
    let damaged = b"# BEGIN heph\n0 0 1 1 * true\n";
    user.set_crontab(damaged);
    for command in ["enable", "disable"] {
        user.update(command)
            .exits(1)
            .complains("damaged")
            .complains("crontab -e");
        assert_eq!(user.crontab(), damaged);
    }
}

#[test]
fn a_crontab_that_debian_shows_otherwise_than_it_is_is_left_alone() {
    let user = User::named("home");
    user.set_crontab(b"0 0 1 1 * true\r\n");
    let raw = || {
        let tail = user.inside("tail -n 1 /var/spool/cron/crontabs/root");
        tail.bytes()
    };
    assert_eq!(raw(), b"0 0 1 1 * true\r\n");
    user.update("disable").exits(0).says("off already");
    user.update("enable")
        .exits(1)
        .complains("carriage return")
        .complains("crontab -e");
    assert_eq!(raw(), b"0 0 1 1 * true\r\n");
    assert!(!user.script().exists());
}

#[test]
fn a_hand_made_script_is_left_alone_unless_forced() {
    let user = User::named("home");
    script(&user.script(), "true");
    for command in ["enable", "disable"] {
        user.update(command)
            .exits(1)
            .complains("not made by heph")
            .complains("--force");
    }
    assert_eq!(user.crontab(), b"");
    user.update("enable --force").exits(0);
    user.update("disable").exits(0);
}

#[test]
fn who_may_not_use_cron_can_still_turn_off_what_is_elsewhere() {
    let user = User::named("home");
    let tools = user.path.join("tools");
    let refuses = "echo 'You (me) are not allowed to use this program (crontab)' >&2\nexit 1";
    script(&tools.join("crontab"), refuses);
    for (command, code) in [("disable", 0), ("enable", 1)] {
        let heph = user.home.update(command);
        let path = format!("{}:/usr/bin:/bin", tools.display());
        let ended = heph.env("PATH", path).exits(code);
        assert_eq!(
            ended.err.contains("not allowed"),
            code == 1,
            "{}",
            ended.err
        );
    }
    assert!(!user.script().exists());
}

#[test]
fn without_crontab_the_error_says_so_and_nothing_is_written() {
    let user = User::named("home");
    let enable = user.home.update("enable").env("PATH", "/nowhere");
    enable
        .exits(1)
        .complains("there is no `crontab`")
        .complains("hint: ");
    assert!(!user.script().exists());
}
