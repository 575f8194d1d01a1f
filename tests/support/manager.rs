//! A private systemd user manager: real units, timers, Restart= and Type=notify, in a throw-away home, for as long as the
//! value lives. Many can run side by side.
//!
//! It has no journal: let units write to files.
//!
//! Each gets a control group of its own. Otherwise the units of two managers that happen to have one name would share a
//! control group, and stopping one would kill the processes of both.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::call::{Call, Ended, Words};
use super::running::default_signals;
use super::wait::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};

/// What sd_booted(3) looks for; systemctl refuses to work where it is missing.
const BOOTED: &str = "/run/systemd/system";
const PROGRAMS: [&str; 2] = ["/lib/systemd/systemd", "/usr/lib/systemd/systemd"];

/// A running user manager. It ends, with all it started, when the value is dropped.
pub struct UserManager {
    process: Child,
    home: PathBuf,
    runtime: tempfile::TempDir,
    groups: ControlGroups,
}

impl UserManager {
    /// Starts a manager whose home is `home` and waits until it answers.
    ///
    /// Panics where the machine lacks something, and names it.
    pub fn start(home: &Path) -> UserManager {
        let program = PROGRAMS.iter().find(|path| Path::new(path).exists());
        let program = program.expect(
            "these tests need systemd: there is no /lib/systemd/systemd (Debian, Fedora: package systemd)",
        );
        make_booted();
        // In /tmp and short: the path of a socket has at most 107 bytes (unix(7)).
        let runtime = tempfile::Builder::new()
            .prefix("run-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in("/tmp")
            .unwrap();
        let log = File::create(runtime.path().join("manager.log")).unwrap();
        let groups = ControlGroups::make();
        let mut command = Command::new("/bin/sh");
        command
            // The process enters the groups itself, so that all it ever starts is in them.
            .args(["-c", ENTER, program])
            .args(groups.0.iter().map(|group| group.join("cgroup.procs")))
            .env_clear()
            .envs(environment(home, runtime.path()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        default_signals();
        let manager = UserManager {
            process: command.spawn().unwrap(),
            home: home.to_owned(),
            runtime,
            groups,
        };
        manager.wait_until_it_answers();
        manager
    }

    /// Returns what every process of this user should have as its environment.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        environment(&self.home, self.runtime.path())
    }

    /// Returns the value of XDG_RUNTIME_DIR.
    pub fn runtime_dir(&self) -> &Path {
        self.runtime.path()
    }

    /// Runs `systemctl --user` to its end.
    #[track_caller]
    pub fn systemctl(&self, words: &(impl Words + ?Sized)) -> Ended {
        let systemctl = Call::clean("systemctl", self.environment());
        systemctl.args("--user").args(words).ends()
    }

    /// Returns one property of a unit.
    #[track_caller]
    pub fn property(&self, unit: &str, name: &str) -> String {
        let shown = self.systemctl(&["show", unit, "--value", "--property", name]);
        shown.out.trim().to_owned()
    }

    fn wait_until_it_answers(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = self.systemctl("is-system-running");
            if matches!(state.out.trim(), "running" | "degraded") {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the private user manager does not answer: {state}\n{}",
                fs::read_to_string(self.runtime.path().join("manager.log")).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for UserManager {
    fn drop(&mut self) {
        drop(self.systemctl("exit"));
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        drop(self.process.kill());
        drop(self.process.wait());
        self.groups.end();
    }
}

/// What the manager's process does before it becomes the manager.
const ENTER: &str = r#"for group; do echo $$ >"$group" || exit 1; done; exec "$0" --user"#;

/// A control group below our own in each hierarchy that systemd may use: one on most machines.
struct ControlGroups(Vec<PathBuf>);

impl ControlGroups {
    fn make() -> ControlGroups {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("heph-test-{}-{count}", std::process::id());
        let ours = fs::read_to_string("/proc/self/cgroup").unwrap();
        let mut groups = Vec::new();
        // The unified hierarchy, its place in the hybrid layout, and the old one (cgroups(7)).
        for (mount, line) in [
            ("/sys/fs/cgroup", "0::"),
            ("/sys/fs/cgroup/unified", "0::"),
            ("/sys/fs/cgroup/systemd", "name=systemd:"),
        ] {
            if !Path::new(mount).join("cgroup.procs").exists() {
                continue;
            }
            let ours = ours.lines().find_map(|entry| entry.split_once(line));
            let (_, ours) = ours.unwrap_or_default();
            let group = Path::new(mount)
                .join(ours.trim_start_matches('/'))
                .join(&name);
            if let Err(error) = fs::create_dir(&group) {
                panic!(
                    "these tests need to make the control group '{}': {error}",
                    group.display()
                );
            }
            groups.push(group);
        }
        ControlGroups(groups)
    }

    /// Kills every process in the groups, and removes them.
    fn end(&self) {
        let deadline = Instant::now() + PATIENCE;
        for group in &self.0 {
            while !remove(group) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Removes a group and those below it; false where one still had processes, which are killed by then.
fn remove(group: &Path) -> bool {
    for pid in fs::read_to_string(group.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
    {
        if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let mut empty = true;
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            empty &= remove(&entry.path());
        }
    }
    empty && fs::remove_dir(group).is_ok()
}

fn environment(home: &Path, runtime: &Path) -> Vec<(&'static str, PathBuf)> {
    vec![
        ("HOME", home.to_owned()),
        ("XDG_RUNTIME_DIR", runtime.to_owned()),
        ("PATH", PathBuf::from("/usr/local/bin:/usr/bin:/bin")),
        ("LC_ALL", PathBuf::from("C.UTF-8")),
    ]
}

fn make_booted() {
    if Path::new(BOOTED).is_dir() {
        return;
    }
    if let Err(error) = fs::create_dir_all(BOOTED) {
        panic!(
            "these tests need the folder {BOOTED}; make it once, as root: mkdir -p {BOOTED} ({error})"
        );
    }
}
