//! Archives as popular tools and habits make them, which are installed, and those that heph cannot use, which cargo builds.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::kit::{Kit, lay_out, stem, tool};
use crate::support::files::{mode, script};
use crate::support::installation::says;

/// A way to pack what is laid out in a folder named after the release.
struct Habit {
    name: &'static str,
    ending: &'static str,
    make: fn(&Path),
}

fn shell(folder: &Path, line: &str) {
    let line = line.replace("STEM", &stem());
    tool("sh", folder, &["-ec", &line]);
}

const HABITS: &[Habit] = &[
    Habit {
        name: "zeros after gzip",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "tar -czf packed.tar.gz STEM; head -c 10240 /dev/zero >> packed.tar.gz",
            );
        },
    },
    Habit {
        name: "zeros after bzip2",
        ending: "tar.bz2",
        make: |folder| {
            shell(
                folder,
                "tar -cjf packed.tar.bz2 STEM; head -c 512 /dev/zero >> packed.tar.bz2",
            );
        },
    },
    Habit {
        name: "several streams of bzip2",
        ending: "tar.bz2",
        make: |folder| {
            shell(
                folder,
                "tar -cf all STEM; head -c 3000 all | bzip2 > packed.tar.bz2; tail -c +3001 all | bzip2 >> packed.tar.bz2",
            );
        },
    },
    Habit {
        name: "a window of 128 MiB",
        ending: "tar.zst",
        make: |folder| {
            shell(
                folder,
                "tar -cf - STEM | zstd -q --ultra -22 -o packed.tar.zst",
            )
        },
    },
    Habit {
        name: "a long window",
        ending: "tar.zst",
        make: |folder| {
            shell(
                folder,
                "tar -cf - STEM | zstd -q --long=27 -o packed.tar.zst",
            )
        },
    },
    Habit {
        name: "frames to skip, first and last, as pzstd and others write them",
        ending: "tar.zst",
        make: |folder| {
            let skip = r"printf 'P*M\030\004\000\000\000abcd'";
            let line =
                format!("tar --zstd -cf all STEM; {{ {skip}; cat all; {skip}; }} > packed.tar.zst");
            shell(folder, &line);
        },
    },
    Habit {
        name: "the largest dictionary of xz, and its padding",
        ending: "tar.xz",
        make: |folder| {
            shell(
                folder,
                "tar -cf all STEM; xz -9 -c all > packed.tar.xz; head -c 8 /dev/zero >> packed.tar.xz",
            );
        },
    },
    Habit {
        name: "bzip2 in a zip",
        ending: "zip",
        make: |folder| {
            shell(
                folder,
                "seq 9999 | sed 's/^/# /' >> STEM/heph; zip -qr -Z bzip2 packed.zip STEM; \
                 zipinfo packed.zip 2>/dev/null | grep -q bzp || grep -q BZh packed.zip",
            );
        },
    },
    Habit {
        name: "modes of 0644",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "chmod 644 STEM/heph STEM/hephd; tar -czf packed.tar.gz STEM",
            );
        },
    },
    Habit {
        name: "modes of 0",
        ending: "tar.xz",
        make: |folder| shell(folder, "tar --mode=0 -cJf packed.tar.xz STEM"),
    },
    Habit {
        name: "a zip without modes, as of Windows",
        ending: "zip",
        make: |folder| {
            shell(folder, "zip -qr packed.zip STEM");
            without_modes(&folder.join("packed.zip"));
        },
    },
    Habit {
        name: "a zip with backslashes, as of old tools of Windows",
        ending: "zip",
        make: |folder| {
            shell(
                folder,
                r"for name in heph hephd; do mv STEM/$name 'STEM\'$name; done; zip -q packed.zip STEM\\*",
            );
            without_modes(&folder.join("packed.zip"));
        },
    },
    Habit {
        name: "a folder named twice, and a document",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "tar -cf packed.tar STEM; tar -rf packed.tar --no-recursion STEM STEM/man; \
                 tar -rf packed.tar STEM/README.md; gzip packed.tar",
            );
        },
    },
    Habit {
        name: "links beside the commands",
        ending: "tar.gz",
        make: |folder| {
            let top = folder.join(stem());
            symlink("heph.1", top.join("man/hephd.1")).unwrap();
            symlink("../README.md", top.join("man/README.md")).unwrap();
            shell(
                folder,
                "ln STEM/README.md STEM/LIESMICH.md; tar -czf packed.tar.gz STEM",
            );
        },
    },
    Habit {
        name: "names in Latin-1, and with an empty part",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                r#"touch "STEM/$(printf 'gr\374n.txt')"; tar -czf packed.tar.gz STEM//"#,
            );
        },
    },
    Habit {
        name: "names with dots before them and a folder of system",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "mkdir -p root/usr/local/bin; mv STEM/heph STEM/hephd root/usr/local/bin; \
                 tar -C root -czf packed.tar.gz ./usr",
            );
        },
    },
    Habit {
        name: "a helper that knows no --version",
        ending: "tar.gz",
        make: |folder| {
            let top = folder.join(stem());
            script(
                &top.join("heph-helper"),
                "echo 'usage: heph-helper FILE' >&2; exit 2",
            );
            script(&top.join("heph-quiet"), "exit 0");
            shell(folder, "tar -czf packed.tar.gz STEM");
        },
    },
];

/// Makes the entries of a zip those of a system without modes.
fn without_modes(zip: &Path) {
    let mut bytes = fs::read(zip).unwrap();
    for at in 0..bytes.len() - 46 {
        if bytes[at..].starts_with(b"PK\x01\x02") {
            bytes[at + 5] = 0;
            bytes[at + 38..at + 42].fill(0);
        }
    }
    fs::write(zip, bytes).unwrap();
}

fn packed(habit: &Habit) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    lay_out(&folder.path().join(stem()), "1.0.0");
    (habit.make)(folder.path());
    fs::read(folder.path().join(format!("packed.{}", habit.ending))).unwrap()
}

#[test]
#[allow(clippy::print_stdout, reason = "names the row, where it fails")]
fn archives_as_people_make_them_are_installed() {
    for habit in HABITS {
        println!("{}", habit.name);
        let kit = Kit::new();
        kit.publish(habit.ending, &packed(habit));
        let report = kit.self_update("apply").reports(0, "updated");
        assert_eq!(report["delivery"], "prebuilt");
        for name in ["heph", "hephd"] {
            assert_eq!(says(&kit.bin().join(name)), format!("{name} 1.0.0"));
            assert_eq!(mode(&kit.slot("1.0.0").join("bin").join(name)), 0o755);
        }
        assert!(kit.quarantined().is_empty());
    }
}

#[test]
fn programs_in_the_folder_of_a_build_are_found_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["heph", "hephd", "other"] {
        let source = format!("#include <stdio.h>\nint main() {{ puts(\"{name} 1.0.0\"); }}\n");
        let out = format!("target/x/release/{name}");
        fs::create_dir_all(folder.path().join("target/x/release")).unwrap();
        fs::write(folder.path().join("a.c"), source).unwrap();
        tool("cc", folder.path(), &["-o", &out, "a.c"]);
    }
    tool("tar", folder.path(), "--mode=644 -cjf all.tar.bz2 target");
    let kit = Kit::new();
    kit.publish(
        "tar.bz2",
        &fs::read(folder.path().join("all.tar.bz2")).unwrap(),
    );
    kit.assert_updates();
}

#[test]
fn a_helper_that_reports_another_version_is_still_refused() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join(stem());
    lay_out(&top, "1.0.0");
    script(&top.join("heph-helper"), "echo 'heph-helper 0.9.0'");
    tool("tar", folder.path(), &["-czf", "all.tar.gz", &stem()]);
    let kit = Kit::new();
    kit.publish(
        "tar.gz",
        &fs::read(folder.path().join("all.tar.gz")).unwrap(),
    );
    kit.assert_refused(1, "failed", "'heph-helper' reports version 0.9.0");
    assert_eq!(kit.quarantined(), ["1.0.0"]);
}
