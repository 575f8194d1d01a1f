//! The machine: a stable number, its battery, the owner of the home folder.

use crate::error::Error;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Returns a number that is stable for this host and user's home, and differs between hosts.
///
/// It spreads machines over an interval; it is neither a secret nor an identity.
pub fn stable_number(home: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    fs::read("/etc/machine-id")
        .unwrap_or_default()
        .hash(&mut hasher);
    rustix::system::uname()
        .nodename()
        .to_bytes()
        .hash(&mut hasher);
    home.hash(&mut hasher);
    hasher.finish()
}

/// Returns whether the machine runs on battery; false where it has no battery or its state is unknown.
pub fn on_battery() -> bool {
    if cfg!(target_os = "macos") {
        let output = crate::os::process::Run::new("pmset")
            .args(["-g", "batt"])
            .success();
        return output.is_ok_and(|output| output.text().contains("'Battery Power'"));
    }
    supplies_say_battery(Path::new("/sys/class/power_supply"))
}

/// Reads a folder laid out as the kernel's `power_supply` class (Documentation/ABI/testing/sysfs-class-power).
fn supplies_say_battery(class: &Path) -> bool {
    let Ok(entries) = fs::read_dir(class) else {
        return false;
    };
    let read = |path: &Path, name| {
        fs::read_to_string(path.join(name))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let mut discharging = false;
    for supply in entries.flatten().map(|entry| entry.path()) {
        match read(&supply, "type").as_str() {
            "Mains" | "USB" if read(&supply, "online") == "1" => return false,
            // A mouse or a phone has scope "Device"; it does not power the machine.
            "Battery" if read(&supply, "scope") != "Device" => {
                discharging |= read(&supply, "status") == "Discharging"
            }
            _ => {}
        }
    }
    discharging
}

/// Checks that `home` belongs to this user.
///
/// # Errors
///
/// This is root in another user's home, as under `sudo -E`.
pub fn check_owner(home: &Path) -> Result<(), Error> {
    let somebody_else_s = fs::metadata(home).is_ok_and(|home| home.uid() != 0);
    if !(somebody_else_s && rustix::process::geteuid().is_root()) {
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
