//! One user's machine: a home with heph installed, a systemd user manager of its own, and a forge of its own.

use std::ops::Deref;
use std::thread;
use std::time::{Duration, Instant};

use super::forge::{Forge, Published, WorkTree};
use super::home::Home;
use super::manager::UserManager;
use super::releases::Flaw;
use super::workshop::{OLD, Workshop};

/// A machine; what runs on it ends with the value.
pub struct Machine {
    // Dropped first: what it runs lives in the home.
    pub manager: UserManager,
    pub home: Home,
    pub forge: Forge,
}

impl Deref for Machine {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Machine {
    /// Returns a machine with the programs under test; hephd does not run, and the forge has nothing.
    pub fn new() -> Machine {
        Machine::named("home")
    }

    /// The same in a home of this name.
    pub fn named(name: &str) -> Machine {
        Machine::of(Home::named(name).with_commands(), Forge::start())
    }

    fn of(mut home: Home, forge: Forge) -> Machine {
        let manager = UserManager::start(&home.path);
        home.set("XDG_RUNTIME_DIR", manager.runtime_dir());
        Machine {
            manager,
            home,
            forge,
        }
    }

    /// Returns a machine on which [`OLD`] was installed by a plain `cargo install`, with cargo to build further releases;
    /// hephd does not run yet.
    pub fn with_cargo() -> Machine {
        Machine::with_release(OLD)
    }

    /// The same with another release, which is tagged already.
    pub fn with_release(version: &str) -> Machine {
        let workshop = Workshop::open();
        let mut home = Home::named("a home & 100%");
        let forge = workshop.forge();
        workshop.install(&mut home, &forge, version);
        let machine = Machine::of(home, forge);
        machine.configure_quick("");
        machine.offer(version);
        machine
    }

    /// Returns such a machine with hephd running as a service.
    pub fn serving() -> Machine {
        let machine = Machine::with_cargo();
        machine.heph("daemon start").exits(0);
        machine
    }

    /// Writes the settings: quick ones, with `more` lines in `[self-update]`.
    pub fn configure_quick(&self, more: &str) {
        let quick = [("settle", "5s"), ("health-timeout", "30s")].into_iter();
        let quick = quick.filter(|(key, _)| !more.contains(key));
        let quick: String = quick
            .map(|(key, value)| format!("{key} = \"{value}\"\n"))
            .collect();
        self.configure(&format!("{quick}{more}"));
    }

    /// Writes the settings, with `more` lines in `[self-update]`.
    pub fn configure(&self, more: &str) {
        let repository = self.forge.repository();
        self.home.configure(&format!(
            "[self-update]\nrepository = \"{repository}\"\n{more}\n"
        ));
    }

    /// Tags `version` with `flaw`, and has the feed name it.
    pub fn publish(&self, version: &str, flaw: Flaw) {
        Workshop::open().tag(version, flaw);
        self.offer(version);
    }

    /// Makes `version` the only release that the feed names.
    pub fn offer(&self, version: &str) {
        self.forge.unpublish();
        self.forge.publish(Published::new(&format!("v{version}")));
    }

    /// Tags a commit of the machine's own forge that has nothing to build, and has the feed name it as well. Returns the
    /// commit.
    pub fn publish_empty(&self, version: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let tree = WorkTree::new(folder.path());
        let commit = tree.write("version", version).commit(version);
        let tag = format!("v{version}");
        tree.tag(&tag);
        self.forge.push(&tree);
        self.forge.publish(Published::new(&tag));
        commit
    }

    /// I1: both commands are there, work, and are of one release, which is returned.
    #[track_caller]
    pub fn one_release(&self) -> String {
        let said = self.commands_say();
        let names: Vec<_> = said.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["heph", "hephd"], "every command is there");
        assert_eq!(said[0].1, said[1].1, "the commands are of one release");
        said[0].1.clone()
    }

    /// Asserts that `version` is installed and served, and that nothing is left unfinished.
    #[track_caller]
    pub fn assert_serves(&self, version: &str) {
        assert_eq!(self.one_release(), version);
        let until = Instant::now() + Duration::from_secs(10);
        while self.running().is_none() && Instant::now() < until {
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(self.running().as_deref(), Some(version));
        let journal = self.state().join("journal.json");
        assert!(!journal.exists(), "no run is unfinished");
    }

    /// Asserts the same, with exactly these tasks: every acknowledged one, once.
    #[track_caller]
    pub fn assert_serves_tasks(&self, version: &str, titles: &[impl AsRef<str>]) {
        self.assert_serves(version);
        let titles: Vec<_> = titles.iter().map(AsRef::as_ref).collect();
        assert_eq!(self.titles(), titles, "every acknowledged task, once");
    }
}
