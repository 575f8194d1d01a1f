//! Small file systems that can be full or read-only, gone with the value. Mounting needs root, and says so.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::call::{Call, Words};

/// Something mounted at a folder.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts an empty tmpfs with these options, such as `size=8m`, at the folder `at`, which is made.
    pub fn small(at: &Path, options: &str) -> Disk {
        fs::create_dir_all(at).unwrap();
        mount(&format!("-t tmpfs -o {options} tmpfs"), at);
        Disk { at: at.to_owned() }
    }

    /// Makes the folder `at` read-only, also for root.
    pub fn read_only(at: &Path) -> Disk {
        mount(&["--bind".as_ref(), at.as_os_str()], at);
        let disk = Disk { at: at.to_owned() };
        mount("-o remount,bind,ro", at);
        disk
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        let mut file = File::create(self.at.join("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    }

    /// Uses up its last file.
    pub fn fill_with_files(&self) {
        let folder = self.at.join("fillers");
        fs::create_dir_all(&folder).unwrap();
        for number in 0.. {
            if File::create(folder.join(number.to_string())).is_err() {
                break;
            }
        }
    }

    /// Makes room again.
    pub fn clear(&self) {
        drop(fs::remove_file(self.at.join("filler")));
        drop(fs::remove_dir_all(self.at.join("fillers")));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a daemon may still have its working folder there.
        let umount = Call::of("umount").args("--lazy").args(&[&self.at]);
        drop(umount.ends());
    }
}

/// Mounting needs root.
#[track_caller]
fn mount(words: &(impl Words + ?Sized), at: &Path) {
    Call::of("mount").args(words).args(&[at]).exits(0);
}
