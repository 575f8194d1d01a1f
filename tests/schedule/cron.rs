//! Under a real cron daemon with the real `crontab`, in a mount namespace that hides the machine's own crontabs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Recording, files_below, script, with_shell, within};
use crate::support::old::home::{Ended, ODD_NAME, run};

/// Hides the crontabs of the machine behind empty folders, then becomes what is passed.
const HIDE: &str = r#"
mount -t tmpfs -o mode=1730,gid=crontab tmpfs /var/spool/cron/crontabs &&
mount -t tmpfs -o mode=755 tmpfs /run &&
mount -t tmpfs tmpfs /etc/cron.d &&
{ [ ! -e /etc/crontab ] || mount --bind /dev/null /etc/crontab; } &&
exec "$@"
"#;
const BLOCK: &str = "# BEGIN heph\n";

/// A child that ends with the value.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A namespace, which a process holds.
struct Namespace(Ending);

impl Namespace {
    fn new() -> Namespace {
        for needed in [
            "/usr/sbin/cron",
            "/usr/bin/crontab",
            "/usr/bin/unshare",
            "/usr/bin/nsenter",
        ] {
            let there = std::path::Path::new(needed).exists();
            assert!(
                there,
                "these tests need {needed} (Debian: packages cron and util-linux)"
            );
        }
        assert!(
            rustix::process::getuid().is_root(),
            "these tests need root, to hide the machine's crontabs"
        );
        let child = Command::new("unshare")
            .args(["--mount", "/bin/sh", "-c", HIDE, "sh"])
            .args(["sleep", "infinity"])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let namespace = Namespace(Ending(child));
        within(Duration::from_secs(10), "the namespace is ready", || {
            let name = fs::read_to_string(format!("/proc/{}/comm", namespace.0.0.id()));
            name.is_ok_and(|name| name.trim() == "sleep")
        });
        namespace
    }

    fn command(&self, environment: &[(&str, &str)], words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.0.0.id()))
            .arg("--")
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(environment.iter().copied());
        command
    }
}

struct User {
    namespace: Namespace,
    recording: Recording,
}

impl User {
    fn named(name: &str) -> User {
        User {
            namespace: Namespace::new(),
            recording: Recording::new(name, "service-manager = \"none\""),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let home = &self.recording.0;
        let heph = home.bin().join("heph");
        let mut words = vec![heph.to_str().unwrap(), "self-update"];
        words.extend(arguments);
        let home = home.path.to_str().unwrap();
        self.namespace.command(&[("HOME", home)], &words)
    }

    #[track_caller]
    fn heph(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments))
    }

    fn script(&self) -> PathBuf {
        self.recording.0.data().join("self-update-job.sh")
    }

    /// Returns the crontab, empty where there is none.
    fn crontab(&self) -> Vec<u8> {
        let output = self
            .namespace
            .command(&[], &["crontab", "-l"])
            .output()
            .unwrap();
        output.stdout
    }

    fn set_crontab(&self, crontab: &[u8]) {
        let file = self.recording.0.path.join("crontab");
        fs::write(&file, crontab).unwrap();
        let words = ["crontab", file.to_str().unwrap()];
        run(self.namespace.command(&[], &words)).exits(0);
        assert_eq!(self.crontab(), crontab);
    }
}

#[test]
fn the_cron_daemon_runs_the_job_with_exactly_what_was_baked() {
    let user = User::named(ODD_NAME);
    // What the user sets for other lines must not reach the job.
    let mine = b"SHELL=/bin/false\nPATH=/nowhere\n\n0 0 1 1 * true \\% \xff\n# BEGIN other\n";
    user.set_crontab(mine);
    let mut enable = with_shell(user.command(&["enable", "--every", "60s"]));
    // Under cron nothing else tells the job where hephd's socket is.
    enable.env("XDG_RUNTIME_DIR", "/run time");
    run(enable)
        .exits(0)
        .says("self-update is on: installs new releases every 1m, through cron")
        .says("next run: ");
    let crontab = user.crontab();
    assert!(crontab.starts_with(BLOCK.as_bytes()) && crontab.ends_with(mine));

    // Started last: cron does not notice a change in the second in which it read the crontabs.
    let daemon = user
        .namespace
        .command(&[], &["cron", "-f"])
        .spawn()
        .unwrap();
    let _daemon = Ending(daemon);
    within(Duration::from_secs(100), "a run", || {
        user.recording.seen().is_some()
    });
    let seen = user.recording.seen().unwrap();
    assert_eq!(seen.arguments, ["self-update", "apply", "--scheduled"]);
    let path = "/ends in \\/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut expected: BTreeMap<String, String> = user.recording.baked();
    expected.insert("PATH".to_owned(), path.to_owned());
    expected.insert("XDG_RUNTIME_DIR".to_owned(), "/run time".to_owned());
    assert_eq!(seen.environment, expected);
    within(Duration::from_secs(10), "the log of the run", || {
        fs::read_to_string(user.recording.log()).is_ok_and(|log| log.starts_with("recorded\n"))
    });

    user.heph(&["disable"])
        .exits(0)
        .says("self-update is off: removed from cron");
    assert_eq!(user.crontab(), mine);
    let left = files_below(&user.recording.0.path).into_iter();
    let left: Vec<_> = left
        .filter(|file| file.to_string_lossy().contains("self-update"))
        .collect();
    assert_eq!(left, [] as [PathBuf; 0]);
    user.heph(&["disable"]).exits(0).says("off already");
}

#[test]
fn a_second_enable_changes_only_what_is_passed() {
    let user = User::named("home");
    user.heph(&["enable", "--at", "03:30"]).exits(0);
    user.heph(&["enable", "--notify-only"])
        .exits(0)
        .says("tells of new releases at 03:30");
    let text = String::from_utf8(user.crontab()).unwrap();
    let line = format!("\n30 3 * * * '{}'\n", user.script().display());
    assert!(text.contains(&line), "{text}");
    user.heph(&["enable"])
        .exits(0)
        .says("on already: tells of new releases at 03:30");
    user.heph(&["enable", "--every", "1d"])
        .exits(0)
        .says("tells of new releases every 1d");
    assert_eq!(
        user.crontab()
            .windows(BLOCK.len())
            .filter(|window| *window == BLOCK.as_bytes())
            .count(),
        1
    );

    // A block that went missing comes back.
    run(user.namespace.command(&[], &["crontab", "-r"])).exits(0);
    user.heph(&["enable"]).exits(0).says("self-update is on: ");
    assert!(user.crontab().starts_with(BLOCK.as_bytes()));
    user.heph(&["disable"]).exits(0);
    assert_eq!(user.crontab(), b"");
}

#[test]
fn an_interval_beyond_cron_changes_nothing_and_says_which_are_not() {
    let user = User::named("home");
    user.heph(&["enable", "--every", "7h"])
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
        user.heph(&[command])
            .exits(1)
            .complains("damaged")
            .complains("crontab -e");
        assert_eq!(user.crontab(), damaged);
    }
}

#[test]
fn a_crontab_that_debian_shows_otherwise_than_it_is_is_left_alone() {
    let user = User::named("home");
    let file = user.recording.0.path.join("crontab");
    fs::write(&file, b"0 0 1 1 * true\r\n").unwrap();
    run(user
        .namespace
        .command(&[], &["crontab", file.to_str().unwrap()]))
    .exits(0);
    let raw = || {
        let words = ["tail", "-n", "1", "/var/spool/cron/crontabs/root"];
        user.namespace.command(&[], &words).output().unwrap().stdout
    };
    assert_eq!(raw(), b"0 0 1 1 * true\r\n");
    user.heph(&["disable"]).exits(0).says("off already");
    user.heph(&["enable"])
        .exits(1)
        .complains("carriage return")
        .complains("crontab -e");
    assert_eq!(raw(), b"0 0 1 1 * true\r\n");
    assert!(!user.script().exists());
}

#[test]
fn a_hand_made_script_is_left_alone_unless_forced() {
    let user = User::named("home");
    script(&user.script(), "#!/bin/sh\ntrue\n");
    for command in ["enable", "disable"] {
        user.heph(&[command])
            .exits(1)
            .complains("not made by heph")
            .complains("--force");
    }
    assert_eq!(user.crontab(), b"");
    user.heph(&["enable", "--force"]).exits(0);
    user.heph(&["disable"]).exits(0);
}

#[test]
fn who_may_not_use_cron_can_still_turn_off_what_is_elsewhere() {
    let user = User::named("home");
    let tools = user.recording.0.path.join("tools");
    let refuses =
        "#!/bin/sh\necho 'You (me) are not allowed to use this program (crontab)' >&2\nexit 1\n";
    script(&tools.join("crontab"), refuses);
    for (command, code) in [("disable", 0), ("enable", 1)] {
        let mut command = user.recording.0.heph(&["self-update", command]);
        command.env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
        let ended = run(command).exits(code);
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
    let mut command = user.recording.0.heph(&["self-update", "enable"]);
    command.env("PATH", "/nowhere");
    run(command)
        .exits(1)
        .complains("there is no `crontab`")
        .complains("hint: ");
    assert!(!user.script().exists());
}
