//! The features of an installation outlast its updates, with the real cargo.

use heph::install::slots::Slot;
use heph::release::Release;

use crate::support::call::Call;
use crate::support::installation::{Installation, Repository, listener, says};

/// One command in any case, and one that only the feature `extra` brings.
fn publish(repository: &Repository, version: &str) -> Release {
    let named = format!("[package]\nname = \"tool\"\nversion = \"{version}\"\n");
    repository.write(
        "Cargo.toml",
        &format!(
            "{named}edition = \"2024\"\n[features]\ndefault = [\"base\"]\nbase = []\nextra = []\ntls = []\n\
             [[bin]]\nname = \"tool\"\npath = \"src/main.rs\"\n\
             [[bin]]\nname = \"tool-extra\"\npath = \"src/main.rs\"\nrequired-features = [\"extra\"]\n"
        ),
    );
    repository.write(
        "Cargo.lock",
        &format!("version = 4\n\n[{named}").replace("[[package]", "[[package]]"),
    );
    repository.write(
        "src/main.rs",
        r#"fn main() {
            let with = [(cfg!(feature = "base"), " base"), (cfg!(feature = "tls"), " tls")];
            let with: String = with.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
            println!("{} {}{with}", env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION"));
        }"#,
    );
    repository.release(version).0
}

fn home(repository: &Repository) -> Installation {
    let mut home = Installation::new();
    home.settings.repository = heph::config::Repository::on_disk(&repository.url());
    home.settings.packages = vec!["tool".to_owned()];
    home
}

/// A plain `cargo install` of `release`.
fn install(home: &Installation, repository: &Repository, release: &Release, options: &str) {
    let cargo =
        Call::clean("cargo", home.variables()).args("install --quiet --locked --force tool");
    let tag = ["--git", &repository.url(), "--tag", release.tag.as_str()];
    cargo
        .args(&tag)
        .args(options)
        .current_dir(&home.path)
        .exits(0);
}

/// Updates to `release` as a run does.
fn update(home: &Installation, release: &Release) -> Slot {
    let slot = home.stage(
        release,
        home.variables(),
        &listener(&home.build_log()),
        false,
    );
    let slot = slot.unwrap();
    let bin_dir = home.bin_dir();
    bin_dir.adopt(&home.slots()).unwrap();
    home.slots().switch(&slot).unwrap();
    bin_dir.relink(&slot).unwrap();
    slot
}

/// Returns what the installed `tool` says, and whether there is a `tool-extra`.
fn installed(home: &Installation) -> (String, bool) {
    let bin = home.bin();
    (says(&bin.join("tool")), bin.join("tool-extra").exists())
}

#[test]
fn those_of_a_plain_installation_are_kept_over_every_update() {
    for (options, with, extra) in [
        ("--features extra,tls", " base tls", true),
        ("--all-features", " base tls", true),
        ("--no-default-features --features tls", " tls", false),
        ("", " base", false),
    ] {
        let repository = Repository::new();
        let home = home(&repository);
        install(&home, &repository, &publish(&repository, "1.0.0"), options);
        assert_eq!(
            installed(&home),
            (format!("tool 1.0.0{with}"), extra),
            "{options}"
        );
        for version in ["1.1.0", "1.2.0"] {
            let slot = update(&home, &publish(&repository, version));
            assert_eq!(
                installed(&home),
                (format!("tool {version}{with}"), extra),
                "{options}"
            );
            assert!(home.bin_dir().lost(&home.slots(), &slot).is_empty());
            // Later updates do not depend on cargo's record.
            std::fs::remove_file(home.path.join(".cargo/.crates2.json")).ok();
        }
    }
}

#[test]
fn the_settings_have_the_last_word() {
    let repository = Repository::new();
    let mut home = home(&repository);
    install(
        &home,
        &repository,
        &publish(&repository, "1.0.0"),
        "--features extra",
    );
    home.settings.features = Some(vec!["tls".to_owned()]);
    let slot = home.stage(
        &publish(&repository, "1.1.0"),
        home.variables(),
        &listener(&home.build_log()),
        false,
    );
    let slot = slot.unwrap();
    assert_eq!(says(&slot.binary("tool")), "tool 1.1.0 base tls");
    let lost = home.bin_dir().lost(&home.slots(), &slot);
    assert_eq!(
        lost,
        ["tool-extra"],
        "what gives a command up is not silent"
    );

    home.settings.features = None;
    home.settings.all_features = Some(true);
    let release = publish(&repository, "1.2.0");
    let slot = update(&home, &release);
    assert_eq!(installed(&home), ("tool 1.2.0 base tls".to_owned(), true));
    // A slot that was built with other features is not the release that is wanted.
    home.settings.all_features = None;
    home.settings.no_default_features = Some(true);
    let other = update(&home, &release);
    assert_ne!(slot.name, other.name);
    assert_eq!(installed(&home), ("tool 1.2.0".to_owned(), false));
}

#[test]
fn a_later_cargo_install_over_the_links_replaces_them() {
    let repository = Repository::new();
    let home = home(&repository);
    let first = publish(&repository, "1.0.0");
    install(&home, &repository, &first, "--features tls");
    update(&home, &publish(&repository, "1.1.0"));
    assert_eq!(installed(&home).0, "tool 1.1.0 base tls");
    for name in crate::support::files::entries(&home.bin()) {
        std::fs::remove_file(home.bin().join(name)).unwrap();
    }
    install(&home, &repository, &first, "--no-default-features");
    update(&home, &publish(&repository, "1.2.0"));
    assert_eq!(installed(&home), ("tool 1.2.0".to_owned(), false));
}
