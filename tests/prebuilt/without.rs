//! Releases without an archive that would do: the real cargo builds them, if it may.

use heph::config::{Delivery, Require};
use heph::error::Kind;
use heph::install::Listener;
use heph::install::slots::{self, Slot};
use heph::release::{Asset, Release};
use std::cell::RefCell;
use std::fs;

use super::kit::{TAG, pack, sum_line, target, tool};
use crate::support::files::script;
use crate::support::forge::{Forge, Published};
use crate::support::installation::{Installation, Repository, SAYS_VERSION};

/// A machine, a repository with a release of `tool`, and a forge with its files.
struct Shop {
    home: Installation,
    release: Release,
    forge: Forge,
    _repository: Repository,
}

impl Shop {
    fn new(delivery: Delivery) -> Shop {
        let repository = Repository::new();
        let (release, _) = repository.publish("1.0.0", &["tool"], SAYS_VERSION);
        let mut home = Installation::new();
        home.settings.repository = heph::config::Repository::on_disk(&repository.url());
        home.settings.packages = vec!["tool".to_owned()];
        home.settings.bin_dir = Some(home.bin());
        home.settings.delivery = delivery;
        let forge = Forge::start();
        forge.publish(Published::new(TAG));
        Shop {
            home,
            release,
            forge,
            _repository: repository,
        }
    }

    fn attach(&mut self, name: &str, bytes: &[u8]) {
        let url = format!(
            "{}{}",
            self.forge.url(),
            self.forge.attach(TAG, name, bytes)
        );
        let asset = Asset::new(name.to_owned(), url, Some(bytes.len() as u64));
        self.release.assets.push(asset.unwrap());
    }

    /// Attaches an archive with one command and its checksum.
    fn archive(&mut self, command: &str, body: &str) {
        let stem = format!("tool-{}", target());
        let folder = tempfile::tempdir().unwrap();
        script(&folder.path().join(&stem).join(command), body);
        let bytes = pack(folder.path(), &stem, "tar.gz");
        let name = format!("{stem}.tar.gz");
        self.attach(&name, &bytes);
        self.attach(
            &format!("{name}.sha256"),
            sum_line(&name, &bytes).as_bytes(),
        );
    }

    /// Stages the release; returns what was noted as well.
    fn stage(&self) -> (heph::error::Result<Slot>, Vec<String>) {
        let notes = RefCell::new(Vec::new());
        let progress = self.home.build_log();
        let listener = Listener {
            progress: &progress,
            note: &|sentence| notes.borrow_mut().push(sentence.to_owned()),
            arrived: &|_, _| {},
        };
        let staged = self
            .home
            .stage(&self.release, self.home.variables(), &listener, false);
        (staged, notes.into_inner())
    }

    #[track_caller]
    fn assert_built(&self, words: &str) {
        let (staged, notes) = self.stage();
        assert_eq!(staged.unwrap().manifest.delivery, slots::Delivery::Cargo);
        let [note] = notes.as_slice() else {
            panic!("{notes:?}")
        };
        assert!(
            note.starts_with("built by cargo: ") && note.contains(words),
            "{note}"
        );
    }
}

#[test]
fn one_without_files_or_without_proof_is_built() {
    Shop::new(Delivery::Auto).assert_built("offers no files");

    let mut unproven = Shop::new(Delivery::Auto);
    unproven.attach(&format!("tool-{}.zip", target()), b"x");
    unproven.assert_built("no checksum");

    let mut shop = Shop::new(Delivery::Auto);
    shop.archive("tool", "echo tool 1.0.0");
    shop.home.settings.trust.require = Some(Require::Signature);
    let (staged, notes) = shop.stage();
    let refused = staged.unwrap_err().one_line();
    assert!(refused.contains("from source"), "{refused}");
    assert!(
        notes[0].contains("lists no key"),
        "an unsigned tag is no way around it"
    );
}

#[test]
fn one_with_a_good_archive_is_not_built() {
    let mut shop = Shop::new(Delivery::Auto);
    shop.archive("tool", "echo tool 1.0.0");
    let (staged, notes) = shop.stage();
    assert_eq!(staged.unwrap().manifest.delivery, slots::Delivery::Prebuilt);
    assert!(notes.is_empty());
    assert!(!shop.home.paths.build().exists());
}

#[test]
fn an_archive_is_not_even_looked_at_where_cargo_is_asked_for() {
    let mut shop = Shop::new(Delivery::Cargo);
    shop.archive("tool", "echo tool 6.6.6");
    let (staged, notes) = shop.stage();
    assert_eq!(staged.unwrap().manifest.delivery, slots::Delivery::Cargo);
    assert!(notes.is_empty());
    assert!(shop.forge.seen().is_empty());
}

#[test]
fn an_archive_that_needs_another_libc_is_set_aside() {
    const SAID: &str = "echo \"$0: /lib/libc.so.6: version \\`GLIBC_2.99' not found (required by $0)\" >&2; exit 1";
    let mut shop = Shop::new(Delivery::Auto);
    shop.archive("tool", SAID);
    shop.assert_built("GLIBC_2.99");

    let mut shop = Shop::new(Delivery::Prebuilt);
    shop.archive("tool", SAID);
    let error = shop.stage().0.unwrap_err();
    assert!(error.kind() != Kind::Unfit, "{error:?}");
    assert!(error.hint().unwrap().contains("delivery"));
}

#[test]
fn an_archive_that_heph_cannot_read_is_set_aside() {
    let pack = "tar -I 'zstd -q --ultra -1 --long=31' -cf packed.tar.zst";
    for (ending, line, words) in [
        (
            "tar.gz",
            "mkfifo TOP/pipe; tar -czf packed.tar.gz TOP".to_owned(),
            "a fifo",
        ),
        (
            "zip",
            "zip -qr -P secret packed.zip TOP".to_owned(),
            "encrypted",
        ),
        ("tar.zst", format!("{pack} TOP"), "cannot be read"),
        (
            "tar.gz",
            "ln -s tool TOP/other; tar -czf packed.tar.gz TOP".to_owned(),
            "a link where",
        ),
    ] {
        for delivery in [Delivery::Auto, Delivery::Prebuilt] {
            let mut shop = Shop::new(delivery);
            let stem = format!("tool-{}", target());
            let folder = tempfile::tempdir().unwrap();
            script(&folder.path().join(&stem).join("tool"), "echo tool 1.0.0");
            let line = line.replace("TOP", &stem);
            tool("sh", folder.path(), &["-ec", &line]);
            let bytes = fs::read(folder.path().join(format!("packed.{ending}"))).unwrap();
            let name = format!("{stem}.{ending}");
            shop.attach(&name, &bytes);
            let sum = sum_line(&name, &bytes);
            shop.attach(&format!("{name}.sha256"), sum.as_bytes());
            if delivery == Delivery::Auto {
                shop.assert_built(words);
            } else {
                let error = shop.stage().0.unwrap_err();
                assert!(error.kind() != Kind::Unfit, "{error:?}");
                assert!(error.one_line().contains(words), "{error:?}");
                assert!(error.hint().unwrap().contains("delivery"));
            }
        }
    }
}

#[test]
fn an_archive_that_lacks_an_installed_command_is_set_aside() {
    let mut shop = Shop::new(Delivery::Auto);
    shop.home.plain("tool", "0.9.0");
    shop.home.record("tool", "0.9.0", "abc", &["tool"]);
    shop.archive("other", "echo other 1.0.0");
    shop.assert_built("'tool' is installed");
}

#[test]
fn an_archive_that_is_bad_is_an_error_and_no_reason_to_build() {
    let mut shop = Shop::new(Delivery::Auto);
    shop.archive("tool", "echo tool 0.9.0");
    let (staged, notes) = shop.stage();
    let error = staged.unwrap_err();
    assert!(error.kind() == Kind::Unfit);
    assert!(
        error.one_line().contains("reports version 0.9.0"),
        "{error:?}"
    );
    assert!(notes.is_empty());
    assert!(!shop.home.paths.build().exists());
    assert!(shop.home.versions().is_empty());
}

#[test]
fn one_of_unknown_features_is_built_where_the_installation_has_some() {
    for (delivery, words) in [
        (Delivery::Auto, "it was installed with --features=tls"),
        (Delivery::Prebuilt, "`features = []` does without them"),
    ] {
        let mut shop = Shop::new(delivery);
        shop.archive("tool", "echo tool 1.0.0");
        // As cargo records `cargo install --features tls`.
        let record = r#"{"installs":{"tool 0.9.0 (git+https://f.example/a?tag=v0.9.0#0)":{"bins":["tool"],"features":["tls"]}}}"#;
        shop.home.write(".cargo/.crates2.json", record);
        if delivery == Delivery::Prebuilt {
            let error = shop.stage().0.unwrap_err();
            assert!(error.hint().unwrap().contains(words), "{error:?}");
        } else {
            // This release has no such feature, so that the build fails; what counts is that it was tried.
            let (staged, notes) = shop.stage();
            staged.unwrap_err();
            assert!(notes[0].contains(words), "{notes:?}");
        }
        // The settings do without.
        shop.home.settings.features = Some(Vec::new());
        let (staged, notes) = shop.stage();
        assert_eq!(
            staged.unwrap().manifest.delivery,
            slots::Delivery::Prebuilt,
            "{notes:?}"
        );
    }
}
