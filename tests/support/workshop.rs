//! Where releases of this repository are made and built, for all machines of the tests.
//!
//! Every machine has a forge of its own, so that each feed names what its test wants; what all of them serve is one git
//! repository. Cargo's own folder is shared as well. A build folder is not, since one heph at a time may use it: each
//! machine gets hard links to one in which all dependencies are compiled already.
//!
//! heph has cargo compile a release anew each time. rustc is asked once for each: `rustc-cache` keeps what it made.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use super::call::Call;
use super::forge::{Forge, git};
use super::home::Home;
use super::releases::{Flaw, Releases};
use super::{files, programs};

/// The release that every machine starts with.
pub const OLD: &str = "1.0.0";
/// The next one, which is good.
pub const NEW: &str = "1.0.1";

/// The workshop of a test program.
pub struct Workshop {
    folder: PathBuf,
    releases: Mutex<Releases>,
    tagged: Mutex<Vec<String>>,
    /// What a plain `cargo install` leaves, by version, from the forge at this URL.
    plain: Mutex<HashMap<String, (PathBuf, String)>>,
}

impl Workshop {
    pub fn open() -> &'static Workshop {
        static WORKSHOP: OnceLock<Workshop> = OnceLock::new();
        WORKSHOP.get_or_init(|| {
            let folder = programs::cache().join("workshop");
            // A static is never dropped, so what an earlier program of tests left goes now.
            let scratch = folder.join("scratch");
            drop(fs::remove_dir_all(&scratch));
            // An earlier forge may have had the same port, and cargo does not fetch a tag that it has.
            drop(fs::remove_dir_all(folder.join("cargo-home/git")));
            fs::create_dir_all(scratch.join("git")).unwrap();
            let workshop = Workshop {
                releases: Mutex::new(Releases::new(&scratch.join("work"))),
                tagged: Mutex::default(),
                plain: Mutex::default(),
                folder,
            };
            workshop.prepare_cargo();
            workshop.tag(OLD, Flaw::None);
            workshop.forget_other_sources();
            workshop
        })
    }

    /// Cargo's folder: with the registry that built these tests, and quick builds.
    fn prepare_cargo(&self) {
        let home = self.folder.join("cargo-home");
        fs::create_dir_all(&home).unwrap();
        let outer = outer_cargo_home();
        let registry = home.join("registry");
        if outer.join("registry").is_dir() && !registry.exists() {
            drop(fs::remove_file(&registry));
            symlink(outer.join("registry"), &registry).unwrap();
        }
        let wrapper = self.folder.join("rustc-cache");
        files::executable(&wrapper, include_str!("rustc-cache"));
        let settings = fs::read_to_string(outer.join("config.toml")).unwrap_or_default();
        let quick = format!(
            "[profile.release]\nopt-level = 0\ndebug = false\n[profile.release.package.sha2]\nopt-level = 3\n\
             [build]\nrustc-wrapper = {wrapper:?}\n"
        );
        fs::write(home.join("config.toml"), format!("{settings}\n{quick}")).unwrap();
    }

    /// Returns a forge with the releases of this workshop; its feed names none of them yet.
    pub fn forge(&self) -> Forge {
        Forge::serving(&self.folder.join("scratch/git"))
    }

    /// Pushes `version` with `flaw`, once.
    pub fn tag(&self, version: &str, flaw: Flaw) {
        self.tag_once(version, |releases, forge| {
            releases.tag(forge, version, flaw);
        });
    }

    /// Pushes the tree of `commit`, from the history of this repository, as `version`, once.
    pub fn tag_commit(&self, version: &str, commit: &str) {
        self.tag_once(version, |releases, forge| {
            releases.tag_commit(forge, version, commit);
        });
    }

    fn tag_once(&self, version: &str, tag: impl FnOnce(&Releases, &Forge)) {
        let lock = self.releases.lock();
        let releases = lock.unwrap_or_else(|lock| lock.into_inner());
        let mut tagged = self.tagged.lock().unwrap_or_else(|lock| lock.into_inner());
        if !tagged.iter().any(|known| known == version) {
            tag(&releases, &self.forge());
            tagged.push(version.to_owned());
        }
    }

    /// Has `home` find cargo, with a build folder of its own, and installs `version` in it as a plain `cargo install` from
    /// `forge` does.
    pub fn install(&self, home: &mut Home, forge: &Forge, version: &str) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let cache = self.folder.join("scratch/caches").join(number.to_string());
        let bin = home.bin().display().to_string();
        self.with_cargo(home, &cache);
        home.set("PATH", format!("{bin}:{}", path()));

        let (plain, url) = self.plain(version);
        let root = home.path.join(".cargo");
        files::link_tree(&plain, &root);
        home.use_own_commands();
        for record in [".crates.toml", ".crates2.json"] {
            let record = root.join(record);
            let text = fs::read_to_string(&record).unwrap();
            fs::remove_file(&record).unwrap();
            fs::write(record, text.replace(&url, &forge.repository())).unwrap();
        }
        let build = cache.join("heph/build");
        files::link_tree(&self.seed(), &build);
        forget_heph(&build);
    }

    fn plain(&self, version: &str) -> (PathBuf, String) {
        let mut plain = self.plain.lock().unwrap_or_else(|lock| lock.into_inner());
        if let Some(plain) = plain.get(version) {
            return plain.clone();
        }
        let forge = self.forge();
        let root = self.folder.join("scratch/plain").join(version);
        // cargo takes what an earlier run left for the same, whose sources may have been others (`install::build_cache`).
        let seed = self.seed();
        if seed.exists() {
            forget_heph(&seed);
        }
        let mut home = Home::at(self.folder.join("scratch/home"));
        self.with_cargo(&mut home, &self.folder.join("cache"));
        let install = format!("install --locked --quiet heph --tag v{version} --git");
        let cargo = home.command(files::outer("cargo")).args(&install);
        cargo
            .args(&[forge.repository().as_str(), "--root"])
            .args(&[&root])
            .env("CARGO_TARGET_DIR", &seed)
            .exits(0);
        let made = (root, forge.repository());
        plain.insert(version.to_owned(), made.clone());
        made
    }

    /// Removes what `rustc-cache` keeps of other sources than those under test.
    fn forget_other_sources(&self) {
        let work = self.folder.join("scratch/work");
        let tree = git(&work, "rev-parse HEAD^{tree}");
        let (kept, of) = (
            self.folder.join("rustc-kept"),
            self.folder.join("rustc-kept-of"),
        );
        if fs::read_to_string(&of).ok().as_ref() != Some(&tree) {
            drop(fs::remove_dir_all(kept));
            fs::write(of, tree).unwrap();
        }
    }

    /// A build folder in which dependencies are compiled, also for the next run of the tests.
    fn seed(&self) -> PathBuf {
        self.folder.join("seed")
    }

    /// Lets programs of `home` find cargo, which downloads nothing twice and builds in `cache`.
    fn with_cargo(&self, home: &mut Home, cache: &Path) {
        home.set("PATH", path());
        home.set("CARGO_HOME", self.folder.join("cargo-home"));
        home.set("XDG_CACHE_HOME", cache);
        for (name, value) in network_variables() {
            home.set(&name, value);
        }
    }
}

/// Removes what cargo made of heph in the build folder `build`, and its locks.
fn forget_heph(build: &Path) {
    let find = Call::of("find").args(&[build]);
    find.args("-depth ( -name *heph* -o -name .cargo*lock ) -exec rm -rf {} +")
        .exits(0);
}

/// Returns what reaches the registry and finds the toolchain: proxies, certificates, rustup's folder.
pub fn network_variables() -> Vec<(String, PathBuf)> {
    let mut variables: Vec<_> = std::env::vars()
        .filter(|(name, _)| {
            let name = name.to_lowercase();
            name.ends_with("_proxy")
                || ["ssl_cert_file", "ssl_cert_dir", "cargo_http_cainfo"].contains(&name.as_str())
        })
        .map(|(name, value)| (name, PathBuf::from(value)))
        .collect();
    variables.extend(toolchain_variables());
    variables
}

/// Returns what a program needs besides PATH to find this machine's toolchain.
pub fn toolchain_variables() -> Vec<(String, PathBuf)> {
    let home = std::env::home_dir().unwrap();
    let rustup = std::env::var_os("RUSTUP_HOME").map_or(home.join(".rustup"), PathBuf::from);
    let mut variables = vec![("RUSTUP_HOME".to_owned(), rustup)];
    if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
        variables.push(("RUSTUP_TOOLCHAIN".to_owned(), PathBuf::from(toolchain)));
    }
    variables
}

pub fn outer_cargo_home() -> PathBuf {
    let home = std::env::home_dir().unwrap();
    std::env::var_os("CARGO_HOME").map_or(home.join(".cargo"), PathBuf::from)
}

/// Returns a PATH with cargo.
pub fn path() -> String {
    let cargo = files::outer("cargo");
    let folder = cargo.parent().unwrap().display();
    format!("{folder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}
