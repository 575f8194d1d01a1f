//! A timer that its scheduler does not take is off, and leaves no trace; one that was on stays as it was.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Recording;
use crate::support::files::script;
use crate::support::home::Home;
use crate::support::mac::Mac;
use crate::support::machine::Machine;

/// A user of a cron whose `crontab` keeps the crontab in a file, and fails or not as the test says.
fn with_crontab(body: &str) -> Home {
    let mut home = Home::named("home").with_commands();
    home.record("service-manager = \"none\"");
    let tools = home.path.join("tools");
    script(&tools.join("crontab"), body);
    home.set("PATH", format!("{}:/usr/bin:/bin", tools.display()));
    home
}

/// Keeps the crontab as Vixie cron does, and refuses one while there is a file `refuse`.
const PICKY: &str = r#"cd "$(dirname "$0")" || exit 1
case $1 in
-l) [ -e tab ] || { echo "no crontab for me" >&2; exit 1; }; cat tab ;;
-r) rm tab ;;
*) if [ -e refuse ]; then echo '"-":3: bad minute' >&2; echo "errors in crontab file, can't install." >&2; exit 1; fi
   cat "$1" >tab ;;
esac"#;

/// Asserts that the timer is off, and that nothing of it is left.
#[track_caller]
fn assert_off(home: &Home) {
    home.update("status").exits(0).says("off; ");
    let status = home.self_update("status").json();
    assert_eq!(status["enabled"], false);
    assert_eq!(home.traces(), [] as [PathBuf; 0]);
}

#[test]
fn a_crontab_that_is_refused_leaves_the_timer_as_it_was() {
    let home = with_crontab(PICKY);
    let refuse = home.write("tools/refuse", "");
    home.update("enable").exits(1).complains("bad minute");
    assert_off(&home);
    fs::remove_file(&refuse).unwrap();
    home.update("enable --every 6h").exits(0);
    let tab = || fs::read_to_string(home.path.join("tools/tab")).unwrap();
    let (script, before) = (home.data().join("self-update-job.sh"), tab());
    let job = fs::read_to_string(&script).unwrap();
    fs::write(&refuse, "").unwrap();
    home.update("enable --every 1h --notify-only").exits(1);
    home.update("status")
        .exits(0)
        .says("installs releases every 6h");
    assert_eq!(tab(), before);
    assert_eq!(fs::read_to_string(&script).unwrap(), job);
    assert_eq!(
        script.metadata().unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn a_unit_that_systemd_cannot_enable_leaves_the_timer_off() {
    let user = Machine::new();
    user.record("");
    let wants = user.unit("timers.target.wants");
    fs::create_dir_all(wants.parent().unwrap()).unwrap();
    fs::write(&wants, "").unwrap();
    user.update("enable").exits(1);
    fs::remove_file(&wants).unwrap();
    assert_off(&user);
    let state = user.manager.property("heph-self-update.timer", "LoadState");
    assert_eq!(state, "not-found");
    user.update("enable").exits(0);
    user.update("status").exits(0).says("installs releases");
}

#[test]
fn an_agent_that_was_disabled_is_named_with_its_remedy_at_once() {
    let mac = Mac::new();
    mac.record("service-manager = \"launchd\"");
    for (says, label, words) in [
        ("disabled", "self-update", "self-update enable"),
        ("true", "self-update", "self-update enable"),
        ("disabled", "hephd", "daemon start"),
        ("true", "hephd", "daemon start"),
    ] {
        let label = format!("org.hephaestus.{label}");
        let disabled = mac.write(&format!(".fake-launchd/disabled.{label}"), "");
        mac.write(".fake-launchd/says", says);
        let start = Instant::now();
        let target = format!("gui/{}/{label}", rustix::process::getuid().as_raw());
        mac.heph(words)
            .exits(1)
            .complains(&format!("'{label}': it is disabled"))
            .complains(&format!("launchctl enable {target}"));
        assert!(start.elapsed() < Duration::from_secs(10), "at once");
        let status = mac.self_update("status").json();
        assert_eq!(status["enabled"], false);
        assert_eq!(mac.status()["installed"], false);
        assert!(!mac.path.join("Library/LaunchAgents").exists());
        fs::remove_file(disabled).unwrap();
    }
    mac.heph("self-update enable").exits(0);
    mac.heph("daemon start").exits(0);
}

#[test]
fn a_crontab_program_without_standard_input_works() {
    // As bcron's: the file is named, `-` is the name of one, and its own words say that there is no crontab.
    let home = with_crontab(
        r#"cd "$(dirname "$0")" || exit 1
case $1 in
-l) [ -e tab ] || { echo "bcrontab: Crontab does not exist" >&2; exit 111; }; cat tab ;;
-r) rm tab ;;
*) [ -f "$1" ] || { echo "bcrontab: Could not read '$1': No such file or directory" >&2; exit 111; }
   cat "$1" >tab ;;
esac"#,
    );
    home.update("enable").exits(0).says("through cron");
    home.update("enable --every 1h").exits(0);
    let tab = fs::read_to_string(home.path.join("tools/tab")).unwrap();
    assert!(tab.starts_with("# BEGIN heph\n"), "{tab}");
    home.update("disable").exits(0);
    assert!(!home.path.join("tools/tab").exists());
}

#[test]
fn what_only_resembles_no_crontab_is_an_error_and_nothing_is_written() {
    for said in [
        "crontab: error while loading shared libraries: libpam.so.0: No such file or directory",
        "there is no crontab for now",
        "crontab: can't open '/var/spool/cron/crontabs': No such file or directory",
    ] {
        let body = format!(
            r#"case $1 in -l) echo "{said}" >&2; exit 1 ;; esac; touch "$(dirname "$0")/written""#
        );
        let home = with_crontab(&body);
        home.update("enable").exits(1).complains(said);
        assert_off(&home);
        assert!(!home.path.join("tools/written").exists(), "{said}");
    }
}

#[test]
fn a_crontab_program_that_keeps_something_else_is_found_out() {
    let home = with_crontab(
        r#"cd "$(dirname "$0")" || exit 1
case $1 in -l) cat tab ;; *) grep -v heph "$1" >tab ;; esac"#,
    );
    home.write("tools/tab", "0 0 1 1 * true\n");
    home.update("enable")
        .exits(1)
        .complains("does not show its lines");
    assert_off(&home);
    let tab = fs::read_to_string(home.path.join("tools/tab")).unwrap();
    assert_eq!(tab, "0 0 1 1 * true\n");
}
