//! One hephd, found the same way by every command, wherever it is started: in a login, by cron, after `su`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::support::call::{Call, Words};
use crate::support::daemon::Daemon;
use crate::support::files::copy_tree;
use crate::support::home::Home;
use crate::support::machine::Machine;
use crate::support::programs;
use crate::support::running::Running;
use crate::support::wait::{eventually, within};

const NOBODY: u32 = 65534;
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Makes a machine on which the user's manager and home are the account's own, with crontabs of its own; then becomes what is
/// passed.
const MACHINE: &str = r#"
mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/systemd/system &&
mkdir -p -m 700 /run/user/0 /run/elsewhere /run/wslg && chown 65534 /run/elsewhere &&
mount --bind "$1" /run/user/0 && mount --bind "$2" /etc/passwd &&
mount -t tmpfs -o mode=1730,gid=crontab tmpfs /var/spool/cron/crontabs &&
mount -t tmpfs tmpfs /etc/cron.d &&
{ [ ! -e /etc/crontab ] || mount --bind /dev/null /etc/crontab; } &&
shift 2 && exec "$@"
"#;

/// A machine whose `/run/user/0` is the runtime folder of the manager, in a namespace that a process holds.
struct Booted {
    namespace: Running,
    user: Machine,
}

impl Booted {
    fn new() -> Booted {
        assert!(
            rustix::process::getuid().is_root(),
            "these tests need root, to be a machine with its own /run"
        );
        let user = Machine::new();
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let root = format!("root:x:0:0::{}:/bin/sh\n", user.path.display());
        let others = passwd.lines().filter(|line| !line.starts_with("root:"));
        let passwd: String = others.map(|line| format!("{line}\n")).collect();
        let passwd = user.write("passwd", root + &passwd);
        let unshare = Call::clean("unshare", [("PATH", PATH)]);
        let unshare = unshare.args(&["--mount", "/bin/sh", "-c", MACHINE, "sh"]);
        let unshare = unshare.args(&[user.manager.runtime_dir(), &passwd]);
        let namespace = unshare.args("sleep infinity").start();
        within(Duration::from_secs(10), "the namespace is ready", || {
            let name = fs::read_to_string(format!("/proc/{}/comm", namespace.id()));
            name.is_ok_and(|name| name.trim() == "sleep")
        });
        Booted { namespace, user }
    }

    fn inside(&self, words: &(impl Words + ?Sized)) -> Call {
        let enter = Call::clean("nsenter", [("PATH", PATH)]);
        let namespace = format!("--mount=/proc/{}/ns/mnt", self.namespace.id());
        enter.args(&[namespace, "--".to_owned()]).args(words)
    }

    /// Returns `heph` with no variable but the home and those passed.
    fn heph(&self, words: &str, variables: &[(&str, &str)]) -> Call {
        let heph = self.inside(&[self.user.bin().join("heph")]).args(words);
        heph.env("HOME", &self.user.path)
            .envs(variables.iter().copied())
    }
}

#[test]
fn commands_find_the_service_by_cron_after_su_and_in_a_folder_of_another_program() {
    let machine = Booted::new();
    let login = [("XDG_RUNTIME_DIR", "/run/user/0")];
    machine.heph("daemon start", &login).exits(0);
    machine.heph("add one", &login).exits(0);

    let (bin, home) = (machine.user.bin(), &machine.user.path);
    let copy = home.join("by-cron.db");
    let line = format!(
        "* * * * * {}/heph backup {}\n",
        bin.display(),
        copy.display()
    );
    machine.inside("crontab -").input(line).exits(0);
    let _daemon = machine.inside("cron -f").start();

    for variables in [
        &login[..],
        &[],
        &[("XDG_RUNTIME_DIR", "")],
        &[("XDG_RUNTIME_DIR", "/run/elsewhere")],
        &[("XDG_RUNTIME_DIR", "/run/wslg")],
        &[("XDG_RUNTIME_DIR", "/run/nowhere")],
    ] {
        for command in ["list", "next", "add more", "sync status", "daemon status"] {
            machine.heph(command, variables).exits(0);
        }
        let listed = machine.heph("list", variables).exits(0);
        listed.says("one").quietly();
        let status = machine.heph("daemon status --json", variables).json();
        assert_eq!(status["managed"], true, "{variables:?}");
        assert_eq!(status["socket"], "/run/user/0/heph/hephd.sock");
    }

    // The socket of a shell of its own, which no other shell names.
    let socket = home.join("mine.sock");
    let mut own = login.to_vec();
    own.push(("HEPH_SOCKET", socket.to_str().unwrap()));
    machine.heph("daemon restart", &own).exits(0);
    for variables in [&login[..], &[], &[("XDG_RUNTIME_DIR", "/run/elsewhere")]] {
        machine.heph("list", variables).exits(0).says("one");
    }
    within(Duration::from_secs(100), "a run by cron", || copy.exists());
}

#[test]
fn commands_find_a_hephd_that_was_started_with_other_variables() {
    let mut home = Home::new();
    // As by `@reboot` in a crontab, where there is no runtime folder.
    let by_cron = home.hephd("");
    let by_cron = by_cron.env("XDG_RUNTIME_DIR", "");
    let daemon = Daemon::start(by_cron, &home.path).until_ready(&home.data().join("hephd.sock"));
    home.add("one");
    assert_eq!(home.status()["pid"], daemon.pid());
    daemon.stop();

    // As after `su`: a folder that belongs to somebody else, which hephd does not use, either.
    let foreign = home.path.join("foreign");
    fs::create_dir(&foreign).unwrap();
    chown(&foreign, Some(NOBODY), Some(NOBODY)).unwrap();
    let login = home.path.join("run");
    home.set("XDG_RUNTIME_DIR", &foreign);
    let in_data = home.data().join("hephd.sock");
    let daemon = Daemon::start(home.hephd(""), &home.path).until_ready(&in_data);
    home.add("two");
    home.set("XDG_RUNTIME_DIR", &login);
    assert_eq!(home.titles(), ["one", "two"]);
    daemon.stop();

    // A killed one leaves its socket there, which is in nobody's way.
    let daemon = Daemon::start(home.hephd("").env("XDG_RUNTIME_DIR", ""), &home.path);
    daemon.until_ready(&in_data).kill();
    assert!(in_data.exists());
    let daemon = home.start("");
    home.add("three");
    daemon.stop();
    home.heph("list").exits(1).complains("hephd is not running");
}

#[test]
fn a_socket_that_was_baked_by_one_shell_is_found_by_all() {
    let user = Machine::new();
    let socket = user.manager.runtime_dir().join("mine.sock");
    let start = user.heph("daemon start").env("HEPH_SOCKET", &socket);
    start.exits(0);
    user.add("one");
    assert_eq!(user.titles(), ["one"]);
    let copy = user.path.join("copy.db");
    user.heph("backup copy.db").exits(0);
    assert!(copy.exists());
    user.heph("sync status").exits(0);
    assert_eq!(user.status()["socket"], json!(socket));
    // In a shell that names another one, the error names both.
    let other = user.path.join("other.sock");
    let list = user.heph("list").env("HEPH_SOCKET", other).exits(1);
    list.complains("where no hephd listens; the service is process")
        .complains("unset HEPH_SOCKET");
}

#[test]
fn nothing_is_sent_to_a_socket_of_another_user() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open(folder.path());
    let theirs = folder.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    copy_tree(programs::folder(), &folder.path().join("bin"));
    chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
    let socket = theirs.join("s");
    let environment = [("HOME", &theirs), ("HEPH_SOCKET", &socket)];
    let hephd = Call::clean(folder.path().join("bin/hephd"), environment).current_dir("/");
    let mut hephd = hephd.into_command();
    hephd.uid(NOBODY).gid(NOBODY);
    let daemon = Daemon::start(hephd.into(), folder.path());
    eventually("hephd serves", || daemon.log().contains("serves"));

    let home = Home::new();
    for command in ["add 'my PIN is 1234'", "list", "backup copy.db", "sync now"] {
        let heph = home.heph(command).env("HEPH_SOCKET", &socket).exits(1);
        heph.complains(&format!("process {}", daemon.pid()))
            .complains("is of user 65534")
            .complains("hint: `sudo -u");
    }
}

#[test]
fn what_has_the_store_or_the_socket_is_named_and_no_hint_leads_in_a_circle() {
    let user = Machine::new();
    let elsewhere = user.path.join("elsewhere.sock");
    let hephd = user.hephd("").env("HEPH_SOCKET", &elsewhere);
    let by_hand = Daemon::start(hephd, &user.path).until_ready(&elsewhere);
    let kill = format!("kill {}", by_hand.pid());
    let process = format!("process {}", by_hand.pid());
    for command in ["list", "add x"] {
        let ended = user.heph(command).exits(1);
        ended.complains(&process).complains(&kill);
    }
    for command in ["daemon start", "daemon restart"] {
        let ended = user.heph(command).exits(1);
        ended.complains(&process).complains(&kill);
        assert!(!user.unit("heph.service").exists(), "nothing was written");
    }
    let second = user.hephd("").exits(1);
    second.complains(&process).complains(&kill);
    by_hand.stop();

    // On the usual socket: nothing of the service to stop, and what there is has a name.
    let by_hand = user.start("");
    let stop = user.heph("daemon stop").exits(1);
    stop.complains(&format!("process {}", by_hand.pid()))
        .complains(&format!("kill {}", by_hand.pid()));
    let second = user.hephd("--db other.db").exits(1);
    second.complains(&format!("process {} listens", by_hand.pid()));
    by_hand.stop();
    user.heph("daemon start").exits(0);
    // A hephd by hand beside the service.
    let second = user.hephd("--socket other.sock").exits(1);
    second.complains(&format!("process {}", user.pid()));
}
