//! The machine: a stable number, its battery, the owner of the home folder.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::os::process::Run;

/// Returns a number that is stable for this host and user's home, and differs between hosts.
///
/// It spreads machines over an interval; it is neither a secret nor an identity.
pub fn stable_number(home: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let machine = fs::read("/etc/machine-id").unwrap_or_default();
    let uname = rustix::system::uname();
    (machine, uname.nodename().to_bytes(), home).hash(&mut hasher);
    hasher.finish()
}

/// Returns whether the machine runs on battery; false where it has no battery or its state is unknown.
pub fn on_battery() -> bool {
    if cfg!(target_os = "macos") {
        let output = Run::new("pmset").args(["-g", "batt"]).success();
        return output.is_ok_and(|output| output.text().contains("'Battery Power'"));
    }
    supplies_say_battery(Path::new("/sys/class/power_supply"))
}

/// Reads a folder laid out as the kernel's `power_supply` class (Documentation/ABI/testing/sysfs-class-power).
fn supplies_say_battery(class: &Path) -> bool {
    let mut discharging = false;
    for supply in fs::read_dir(class).into_iter().flatten().flatten() {
        let read = |name| fs::read_to_string(supply.path().join(name)).unwrap_or_default();
        match read("type").trim() {
            "Mains" | "USB" if read("online").trim() == "1" => return false,
            // A mouse or a phone has scope "Device"; it does not power the machine.
            "Battery" if read("scope").trim() != "Device" => {
                discharging |= read("status").trim() == "Discharging"
            }
            _ => {}
        }
    }
    discharging
}

/// Rejects root in another user's home, as under `sudo -E`.
pub fn check_owner(home: &Path) -> Result<()> {
    let is_another_users = fs::metadata(home).is_ok_and(|home| home.uid() != 0);
    if !(is_another_users && rustix::process::geteuid().is_root()) {
        return Ok(());
    }
    Err(Error::new(format!(
        "this is root, and '{}' is another user's home: what root makes there, that user could not change",
        home.display()
    ))
    .with_hint("run it as that user, without sudo"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supply(class: &Path, name: &str, files: &[(&str, &str)]) {
        let folder = class.join(name);
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in files {
            fs::write(folder.join(file), format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn only_a_discharging_system_battery_without_mains_counts() {
        let class = tempfile::tempdir().unwrap();
        assert!(!supplies_say_battery(class.path()), "no supplies at all");
        supply(
            class.path(),
            "mouse",
            &[
                ("type", "Battery"),
                ("scope", "Device"),
                ("status", "Discharging"),
            ],
        );
        assert!(!supplies_say_battery(class.path()), "a mouse");
        supply(
            class.path(),
            "BAT0",
            &[("type", "Battery"), ("status", "Discharging")],
        );
        assert!(supplies_say_battery(class.path()), "a laptop unplugged");
        supply(class.path(), "AC", &[("type", "Mains"), ("online", "1")]);
        assert!(!supplies_say_battery(class.path()), "plugged in");
    }

    #[test]
    fn the_stable_number_is_stable_and_depends_on_the_home() {
        assert_eq!(
            stable_number(Path::new("/home/a")),
            stable_number(Path::new("/home/a"))
        );
        assert_ne!(
            stable_number(Path::new("/home/a")),
            stable_number(Path::new("/home/b"))
        );
    }
}
