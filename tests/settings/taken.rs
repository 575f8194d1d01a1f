//! Settings files that are right.

use std::path::PathBuf;

use heph::config::Interval;
use heph::config::{Config, Delivery, Forge, Mode, OnBattery, ServiceManager};

/// Returns what the file `text` says.
fn load(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(&file).unwrap()
}

#[test]
fn no_file_and_an_empty_file_mean_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Config::load(&folder.path().join("none/config.toml")).unwrap();
    assert_eq!(missing, load(""));
    let settings = missing.self_update;
    assert_eq!(
        settings.repository.url(),
        "https://forge.eblu.me/eblume/hephaestus"
    );
    assert_eq!(settings.packages, ["heph"]);
    assert_eq!((settings.every.as_secs(), settings.keep), (6 * 3600, 2));
    assert_eq!(
        (settings.settle.as_secs(), settings.health_timeout.as_secs()),
        (10, 60)
    );
    assert_eq!(
        (settings.tag_prefix.as_str(), settings.on_battery),
        ("v", OnBattery::Skip)
    );
}

#[test]
fn every_key_is_taken() {
    let config = load(
        r#"
        service-manager = "none"
        [self-update]
        repository = "https://github.example/me/fork/"
        forge = "gitlab"
        packages = ["heph", "my_tool-2"]
        mode = "notify"
        every = "90m"
        pin = "~1.4"
        prereleases = true
        cooldown = "3d"
        settle = "0s"
        health-timeout = "2m"
        keep = 5
        build-folder-limit = "512MiB"
        bin-dir = "/opt/päth with spaces/%h/bin"
        tag-prefix = "heph-v"
        on-battery = "run"
        delivery = "prebuilt"
        on-available = ["notify-send", "heph", "newer"]
        on-updated = ["/usr/bin/true"]
        on-failed = ["sh", "-c", "logger -t heph \"$HEPH_OUTCOME\""]
        "#,
    );
    assert_eq!(config.service_manager, ServiceManager::None);
    let settings = config.self_update;
    assert_eq!(settings.repository.url(), "https://github.example/me/fork");
    assert_eq!(
        (settings.forge, settings.mode),
        (Forge::Gitlab, Mode::Notify)
    );
    assert_eq!(settings.packages, ["heph", "my_tool-2"]);
    assert_eq!(settings.every, Interval::from_secs(90 * 60));
    assert_eq!(settings.pin, Some("~1.4".parse().unwrap()));
    assert!(settings.prereleases);
    assert_eq!(settings.cooldown, Interval::from_secs(3 * 86400));
    assert_eq!(
        (settings.settle.as_secs(), settings.health_timeout.as_secs()),
        (0, 120)
    );
    assert_eq!((settings.keep, settings.build_folder_limit), (5, 512 << 20));
    assert_eq!(
        settings.bin_dir,
        Some(PathBuf::from("/opt/päth with spaces/%h/bin"))
    );
    assert_eq!(
        (settings.tag_prefix.as_str(), settings.on_battery),
        ("heph-v", OnBattery::Run)
    );
    assert_eq!(settings.delivery, Delivery::Prebuilt);
    assert_eq!(settings.on_available.unwrap().arguments[1], "newer");
    assert_eq!(settings.on_updated.unwrap().program, "/usr/bin/true");
    assert_eq!(settings.on_failed.unwrap().arguments.len(), 2);
}

#[test]
fn other_ways_to_write_the_same_are_taken() {
    let inline = load(r#"self-update = { keep = 0x3, build-folder-limit = 1_000 }"#);
    let dotted = load("self-update.keep = 3\nself-update.build-folder-limit = 1000");
    let windows = load("[self-update]\r\nkeep = 3\r\nbuild-folder-limit = 1000\r\n");
    assert_eq!(inline, dotted);
    assert_eq!(inline, windows);
    assert_eq!(
        (
            inline.self_update.keep,
            inline.self_update.build_folder_limit
        ),
        (3, 1000)
    );
}

#[test]
fn a_tilde_stands_for_the_home_folder_and_a_prefix_may_be_empty() {
    let config = load("[self-update]\nbin-dir = '~/my bin'\ntag-prefix = ''");
    let home = directories::BaseDirs::new().unwrap();
    assert_eq!(
        config.self_update.bin_dir,
        Some(home.home_dir().join("my bin"))
    );
    assert_eq!(config.self_update.tag_prefix.as_str(), "");
}
