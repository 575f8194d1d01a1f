//! A home with the heph of this tree, built as users get it.

use std::fs;
use std::path::{Path, PathBuf};

use heph::install::links::BinDir;
use heph::install::slots::{Binary, Delivery, Slot, SlotManifest, Slots};
use heph::paths::Paths;
use semver::Version;

/// The release that is installed.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
const BINARIES: [&str; 2] = ["heph", "hephd"];

/// Returns the paths of a user whose home is `home`, on Linux.
pub fn paths(home: &Path) -> Paths {
    Paths::in_home(home)
}

/// Returns the folder of the release build, which lies beside the build of this program.
pub fn built() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let target = this.ancestors().nth(3).unwrap();
    let folder = target.join("release");
    for name in BINARIES {
        let binary = folder.join(name);
        assert!(
            binary.is_file(),
            "'{}' is missing: `make build`",
            binary.display()
        );
    }
    folder
}

/// Puts the commands into bin-dir as a plain `cargo install` does. Returns bin-dir.
pub fn plain(home: &Path) -> PathBuf {
    plain_of(&built(), home)
}

/// As [`plain`], with the commands in the folder `built`.
pub fn plain_of(built: &Path, home: &Path) -> PathBuf {
    let bin = home.join(".cargo/bin");
    fs::create_dir_all(&bin).unwrap();
    for name in BINARIES {
        fs::copy(built.join(name), bin.join(name)).unwrap();
    }
    bin
}

/// Puts the commands into a slot and links into bin-dir, as they are after the first update. Returns bin-dir.
pub fn in_a_slot(home: &Path) -> PathBuf {
    in_a_slot_of(&built(), home)
}

/// As [`in_a_slot`], with the commands in the folder `built`.
pub fn in_a_slot_of(built: &Path, home: &Path) -> PathBuf {
    let paths = paths(home);
    let slots = Slots::new(&paths);
    let copy = |name: &str, to: &Path| {
        fs::copy(built.join(name), to).unwrap();
    };
    let slot = slot(&slots, VERSION, &BINARIES.map(str::to_owned), copy);
    slots.switch(&slot).unwrap();
    let bin = home.join(".cargo/bin");
    BinDir::at(bin.clone(), &[], &paths).relink(&slot).unwrap();
    bin
}

/// Makes a slot of `version` with these binaries, each put in place by `put`.
pub fn slot(slots: &Slots, version: &str, names: &[String], put: impl Fn(&str, &Path)) -> Slot {
    let version: Version = version.parse().unwrap();
    let folder = slots.staging().unwrap();
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let binaries = names
        .iter()
        .map(|name| {
            put(name, &bin.join(name));
            Binary::of(name, &bin.join(name)).unwrap()
        })
        .collect();
    let manifest = SlotManifest {
        schema: 1,
        version,
        tag: None,
        commit: None,
        delivery: Delivery::Adopted,
        signed_by: None,
        features: Default::default(),
        binaries,
        installed_at: jiff::Timestamp::now(),
    };
    slots.seal(&folder, manifest).unwrap()
}

/// Writes the settings.
pub fn configure(home: &Path, settings: &str) {
    let file = paths(home).config;
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, settings).unwrap();
}
