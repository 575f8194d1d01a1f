//! hephd without a service manager: in the background of a shell, and with a log that a shell appends to.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::call::Call;
use crate::support::daemon::Daemon;
use crate::support::home::Home;
use crate::support::programs;
use crate::support::wait::eventually;

#[test]
fn hephd_under_nohup_outlives_its_terminal() {
    for (script, survives) in [
        ("trap '' HUP; exec \"$0\"", true),
        ("exec nohup \"$0\"", true),
        ("exec \"$0\"", false),
    ] {
        let home = Home::new();
        let sh = home.command("sh").args(&["-c", script]);
        let sh = sh.args(&[programs::hephd()]);
        let mut daemon = Daemon::start(sh, &home.path).until_ready(&home.socket());
        daemon.signal(Signal::HUP);
        if survives {
            thread::sleep(Duration::from_millis(300));
            home.add("still there");
            daemon.stop();
        } else {
            assert_eq!(daemon.wait().code(), Some(0));
        }
    }
}

#[test]
fn an_interrupt_of_the_terminal_is_not_for_a_hephd_in_the_background() {
    let home = Home::new();
    // As a shell without job control starts it by `&`.
    let sh = home.command("sh").args(&["-c", "trap '' INT; exec \"$0\""]);
    let sh = sh.args(&[programs::hephd()]);
    let daemon = Daemon::start(sh, &home.path).until_ready(&home.socket());
    daemon.signal(Signal::INT);
    thread::sleep(Duration::from_millis(300));
    home.add("still there");
    daemon.stop();
}

#[test]
fn the_log_has_a_bound_whatever_started_hephd() {
    let large = |path: &Path| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(path).unwrap();
        file.set_len(9 << 20).unwrap();
    };
    let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());

    // By a shell that appends to the log, as every service manager does.
    let home = Home::new();
    let log = home.data().join("hephd.log");
    large(&log);
    let appending = |log: &Path| {
        let script = "exec \"$0\" 2>>\"$1\"";
        let sh = home.command("sh").args(&["-c", script]);
        sh.args(&[programs::hephd().as_path(), log])
    };
    let start = || appending(&log);
    let daemon = Daemon::start(start(), &home.path).until_ready(&home.socket());
    assert!(size(&log) < 1 << 20, "{}", size(&log));
    assert_eq!(size(&log.with_extension("log.1")) >> 20, 9);
    assert!(home.log().contains("serves"), "{}", home.log());

    // One that cannot start, again and again.
    large(&log);
    start().exits(1);
    assert!(size(&log) < 1 << 20);
    assert!(home.log().contains("another hephd has it open"));
    daemon.stop();

    // While it runs. Each client of another user is a line.
    let daemon = Daemon::start(start(), &home.path).until_ready(&home.socket());
    for path in [
        home.path.parent().unwrap().to_owned(),
        home.path.clone(),
        home.path.join("run"),
        home.path.join("run/heph"),
        home.socket(),
    ] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    File::options()
        .append(true)
        .open(&log)
        .unwrap()
        .set_len(9 << 20)
        .unwrap();
    eventually("the log is emptied", || {
        let strangers = "IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $! for 1..1000";
        let perl = Call::of("perl").args(&["-MIO::Socket::UNIX", "-e", strangers]);
        let mut perl = perl.args(&[home.socket()]).into_command();
        perl.uid(65534).gid(65534);
        Call::from(perl).exits(0);
        size(&log) < 1 << 20
    });
    assert!(home.log().contains("rejected a connection"));
    daemon.stop();

    // What is not the log is somebody else's.
    let other = home.path.join("nohup.out");
    large(&other);
    let shell = appending(&other);
    let daemon = Daemon::start(shell, &home.path).until_ready(&home.socket());
    daemon.stop();
    assert_eq!(size(&other) >> 20, 9);
}
