//! Under BusyBox's crond and `crontab`, which escape no percent sign, in the namespace of the tests of cron.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::Recording;
use super::cron::User;
use crate::support::call::Call;
use crate::support::home::ODD_NAME;
use crate::support::wait::within;

/// Returns a user whose only `crontab` is BusyBox's.
fn user(name: &str) -> (User, PathBuf) {
    let path = Some("/bin:/usr/bin:/usr/local/bin");
    let busybox = which::which_in("busybox", path, "/").expect(
        "these tests need BusyBox with its crond (Debian: package busybox-static; tests/support/packages.sh installs it)",
    );
    let user = User::named(name);
    let tools = user.path.join("tools");
    fs::create_dir_all(&tools).unwrap();
    std::os::unix::fs::symlink(&busybox, tools.join("crontab")).unwrap();
    (user, busybox)
}

fn update(user: &User, words: &str) -> Call {
    let path = format!("{}:/usr/bin:/bin", user.path.join("tools").display());
    user.update(words).env("PATH", path)
}

#[test]
fn its_crond_runs_the_job_also_in_a_home_with_a_percent_sign() {
    let (user, busybox) = user(ODD_NAME);
    assert!(user.path.to_str().unwrap().contains('%'));
    // There is no crontab yet, which BusyBox says in words of its own.
    update(&user, "enable --every 60s")
        .exits(0)
        .says("through cron");
    let crond = user.inside(&[busybox.as_os_str(), "crond".as_ref()]);
    let _daemon = crond.args("-f -c /var/spool/cron/crontabs").start();
    within(Duration::from_secs(130), "a run", || user.seen().is_some());
    let seen = user.seen().unwrap();
    assert_eq!(seen.arguments, ["self-update", "apply", "--scheduled"]);
    update(&user, "disable").exits(0);
    assert_eq!(user.traces(), [] as [PathBuf; 0]);
}

#[test]
fn its_crontab_keeps_the_lines_of_the_user() {
    let (user, _) = user("home");
    let mine = b"# mine\n0 0 1 1 * true % done\n";
    let crontab = user.path.join("tools/crontab");
    let written = user.inside(&[crontab.as_os_str(), "-".as_ref()]);
    written.input(mine).exits(0);
    let there = || user.inside(&[crontab.as_os_str(), "-l".as_ref()]).bytes();
    update(&user, "enable --every 6h").exits(0);
    assert!(there().starts_with(b"# BEGIN heph\n") && there().ends_with(mine));
    update(&user, "enable --every 1h").exits(0);
    update(&user, "disable").exits(0);
    assert_eq!(there(), mine);
}
