//! Archives made to harm, and archives that heph cannot read, by real tools: each is refused as a whole, and nothing of it
//! lands anywhere. Only what leads out of its folder is held against the release.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::kit::{Kit, lay_out, pack, stem, tool};
use crate::support::files::script;

/// An archive: how it is made from an honest layout below a folder, and what is said of it.
struct Hostile {
    name: &'static str,
    ending: &'static str,
    make: fn(&Path),
    words: &'static str,
}

/// Packs what is there by `tar` with these options, to `packed.tar.gz`.
fn tar(folder: &Path, options: &[&str]) {
    let arguments = [&["-czf", "packed.tar.gz"], options].concat();
    tool("tar", folder, &arguments);
}

/// Packs what is there, then appends with these options.
fn append(folder: &Path, options: &[&str]) {
    tool("tar", folder, &["-cf", "packed.tar", &stem()]);
    tool("tar", folder, &[&["-rf", "packed.tar"], options].concat());
    tool("gzip", folder, "packed.tar");
}

fn shell(folder: &Path, line: &str) {
    let line = line.replace("STEM", &stem());
    tool("sh", folder, &["-ec", &line]);
}

/// Packs a link that leads out, whose target is longer than a header of tar takes, in the `format` of such targets.
fn long_link_out(folder: &Path, format: &str) {
    let target = "../".repeat(80) + "etc/passwd";
    symlink(target, folder.join(stem()).join("long.txt")).unwrap();
    tar(folder, &[&format!("--format={format}"), &stem()]);
}

const ROWS: &[Hostile] = &[
    Hostile {
        name: "a path that leads out",
        ending: "tar.gz",
        make: |folder| {
            let rename = format!("--transform=s,^{}/README.md,../../../../evil,", stem());
            tar(folder, &["-P", &rename, &stem()]);
        },
        words: "leads out of its folder",
    },
    Hostile {
        name: "an absolute path",
        ending: "tar.gz",
        make: |folder| {
            let rename = format!("--transform=s,^{}/README.md,/tmp/evil,", stem());
            tar(folder, &["-P", &rename, &stem()]);
        },
        words: "is absolute",
    },
    Hostile {
        name: "a path of POSIX that leads out",
        ending: "tar.gz",
        make: |folder| {
            let long = "a".repeat(150);
            let rename = format!("--transform=s,^{}/README.md,../{long},", stem());
            tar(folder, &["--format=posix", "-P", &rename, &stem()]);
        },
        words: "leads out of its folder",
    },
    Hostile {
        name: "a symbolic link",
        ending: "tar.gz",
        make: |folder| {
            symlink("/etc/passwd", folder.join(stem()).join("passwd")).unwrap();
            tar(folder, &[&stem()]);
        },
        words: "a link that leads out",
    },
    Hostile {
        name: "a link, then a file through it",
        ending: "tar.gz",
        make: |folder| {
            symlink(folder.join("target"), folder.join(stem()).join("bin")).unwrap();
            script(&folder.join("bin/evil"), "true");
            let rename = format!("--transform=s,^bin,{}/bin,", stem());
            append(folder, &[&rename, "bin/evil"]);
        },
        words: "a link that leads out",
    },
    Hostile {
        name: "a hard link for a command",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "ln STEM/heph STEM/other; tar -czf packed.tar.gz STEM",
            )
        },
        words: "a link where a command belongs",
    },
    Hostile {
        name: "a long link for a command",
        ending: "tar.gz",
        make: |folder| {
            symlink("x".repeat(300), folder.join(stem()).join("long")).unwrap();
            tar(folder, &["--format=gnu", &stem()]);
        },
        words: "a link where a command belongs",
    },
    Hostile {
        name: "a long link of GNU that leads out",
        ending: "tar.gz",
        make: |folder| {
            long_link_out(folder, "gnu");
        },
        words: "a link that leads out",
    },
    Hostile {
        name: "a long link of POSIX that leads out",
        ending: "tar.gz",
        make: |folder| {
            long_link_out(folder, "posix");
        },
        words: "a link that leads out",
    },
    Hostile {
        name: "a hard link that leads out",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "ln STEM/README.md STEM/a.txt; ln STEM/README.md STEM/b.txt",
            );
            let rename = format!("--transform=s,^{}/.*,../../etc/passwd,RSh", stem());
            tar(folder, &["-P", &rename, &stem()]);
        },
        words: "a link that leads out",
    },
    Hostile {
        name: "a fifo",
        ending: "tar.gz",
        make: |folder| shell(folder, "mkfifo STEM/pipe; tar -czf packed.tar.gz STEM"),
        words: "a fifo",
    },
    Hostile {
        name: "a device",
        ending: "tar.gz",
        make: |folder| shell(folder, "mknod STEM/null c 1 3; tar -czf packed.tar.gz STEM"),
        words: "a device",
    },
    Hostile {
        name: "a setuid command",
        ending: "tar.gz",
        make: |folder| shell(folder, "chmod u+s STEM/heph; tar -czf packed.tar.gz STEM"),
        words: "setuid",
    },
    Hostile {
        name: "a sparse bomb",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "truncate -s 3G STEM/zeros; tar --format=gnu -S -czf packed.tar.gz STEM",
            );
        },
        words: "a file with holes",
    },
    Hostile {
        name: "a sparse bomb of POSIX",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "truncate -s 3G STEM/zeros; tar --format=posix -S -czf packed.tar.gz STEM",
            );
        },
        words: "GNU.sparse",
    },
    Hostile {
        name: "a few kilobytes that unpack to more than 4 GiB",
        ending: "tar.zst",
        make: |folder| {
            shell(
                folder,
                "truncate -s 4097M STEM/zeros; tar --zstd -cf packed.tar.zst STEM",
            );
        },
        words: "more than 4 GiB",
    },
    Hostile {
        name: "a command twice",
        ending: "tar.gz",
        make: |folder| append(folder, &[&format!("{}/heph", stem())]),
        words: "two commands",
    },
    Hostile {
        name: "two files that differ by case",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "cp STEM/heph STEM/HEPH; tar -czf packed.tar.gz STEM",
            )
        },
        words: "case",
    },
    Hostile {
        name: "two commands of one name",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "mkdir STEM/bin; cp STEM/heph STEM/bin; tar -czf packed.tar.gz STEM",
            )
        },
        words: "two commands",
    },
    Hostile {
        name: "too many files",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "mkdir STEM/many; cd STEM/many; seq 10001 | xargs touch; cd ../..; tar -czf packed.tar.gz STEM",
            );
        },
        words: "more than 10000",
    },
    Hostile {
        name: "no command",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "mkdir STEM/src; mv STEM/heph STEM/hephd STEM/src; tar -czf packed.tar.gz STEM",
            )
        },
        words: "no command",
    },
    Hostile {
        name: "an archive of another format",
        ending: "tar.gz",
        make: |folder| shell(folder, "zip -qr packed.tar.gz STEM"),
        words: "cannot be read",
    },
    Hostile {
        name: "an archive that is cut short",
        ending: "tar.gz",
        make: |folder| shell(folder, "tar -czf all STEM; head -c 300 all > packed.tar.gz"),
        words: "cannot be read",
    },
    Hostile {
        name: "something behind the end of gzip",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "tar -czf all STEM; { cat all; echo more; } > packed.tar.gz",
            )
        },
        words: "cannot be read",
    },
    Hostile {
        name: "something behind the end",
        ending: "tar.gz",
        make: |folder| {
            shell(
                folder,
                "tar -cf all STEM; cat all all | gzip > packed.tar.gz",
            )
        },
        words: "behind its end",
    },
    Hostile {
        name: "a wrong checksum in xz",
        ending: "tar.xz",
        make: |folder| {
            shell(folder, "tar -cf all STEM; xz -0 --check=crc64 all");
            flip(folder, "all.xz", 200, "packed.tar.xz");
        },
        words: "cannot be read",
    },
    Hostile {
        name: "a window that takes all memory",
        ending: "tar.xz",
        make: |folder| {
            shell(
                folder,
                "tar -cf all STEM; xz --lzma2=dict=1GiB -c all > packed.tar.xz",
            );
        },
        words: "cannot be read",
    },
    Hostile {
        name: "a window of zstd that takes all memory",
        ending: "tar.zst",
        make: |folder| {
            shell(
                folder,
                "tar -cf all STEM; cat all | zstd --ultra -22 --long=31 -c > packed.tar.zst",
            );
        },
        words: "cannot be read",
    },
    Hostile {
        name: "a dictionary of bzip2 that is damaged",
        ending: "tar.bz2",
        make: |folder| {
            shell(folder, "tar -cjf all.bz2 STEM");
            flip(folder, "all.bz2", 60, "packed.tar.bz2");
        },
        words: "cannot be read",
    },
    Hostile {
        name: "bzip2 in a zip that is damaged",
        ending: "zip",
        make: |folder| {
            shell(
                folder,
                "seq 9999 > STEM/many.txt; zip -qr -Z bzip2 all.zip STEM/many.txt STEM/heph",
            );
            flip(folder, "all.zip", 1000, "packed.zip");
        },
        words: "cannot be read",
    },
    Hostile {
        name: "a zip with a path of Windows that leads out",
        ending: "zip",
        make: |folder| {
            shell(
                folder,
                "echo x > '..\\..\\evil'; zip -qr packed.zip STEM '..\\..\\evil'",
            )
        },
        words: "leads out of its folder",
    },
    Hostile {
        name: "a zip with a path that leads out",
        ending: "zip",
        make: |folder| {
            shell(
                folder,
                "echo x > evil; cd STEM; zip -qr ../packed.zip . ../evil",
            )
        },
        words: "leads out of its folder",
    },
    Hostile {
        name: "a zip with a link",
        ending: "zip",
        make: |folder| {
            shell(
                folder,
                "ln -s /etc/passwd STEM/passwd; zip -qry packed.zip STEM",
            )
        },
        words: "a link that leads out",
    },
    Hostile {
        name: "an encrypted zip",
        ending: "zip",
        make: |folder| shell(folder, "zip -qr -P secret packed.zip STEM"),
        words: "encrypted",
    },
    Hostile {
        name: "a zip with files that differ by case",
        ending: "zip",
        make: |folder| shell(folder, "cp STEM/heph STEM/HEPH; zip -qr packed.zip STEM"),
        words: "case",
    },
    Hostile {
        name: "a zip whose files share their data",
        ending: "zip",
        make: |folder| {
            shell(folder, "cp STEM/heph STEM/other; zip -qr packed.zip STEM");
            share_data(&folder.join("packed.zip"));
        },
        words: "share their data",
    },
    Hostile {
        name: "a zip with a flipped bit in a file",
        ending: "zip",
        make: |folder| {
            shell(folder, "zip -qr0 all.zip STEM");
            flip(folder, "all.zip", content(folder), "packed.zip");
        },
        words: "cannot be read",
    },
];

fn flip(folder: &Path, from: &str, at: usize, to: &str) {
    let mut bytes = fs::read(folder.join(from)).unwrap();
    bytes[at] ^= 1;
    fs::write(folder.join(to), bytes).unwrap();
}

/// Returns where the content of a command is in the stored zip.
fn content(folder: &Path) -> usize {
    let bytes = fs::read(folder.join("all.zip")).unwrap();
    let start = b"#!/bin/sh\necho";
    let at = bytes
        .windows(start.len())
        .position(|window| window == start);
    at.unwrap() + start.len()
}

/// Makes every entry of the directory point at the data of the first file.
fn share_data(zip: &Path) {
    let mut bytes = fs::read(zip).unwrap();
    let starts: Vec<usize> = (0..bytes.len() - 46)
        .filter(|at| bytes[*at..].starts_with(b"PK\x01\x02"))
        .filter(|at| bytes[*at + 20..*at + 24] != [0; 4])
        .collect();
    let first = bytes[starts[0] + 42..starts[0] + 46].to_owned();
    for start in starts {
        bytes[start + 42..start + 46].copy_from_slice(&first);
    }
    fs::write(zip, bytes).unwrap();
}

#[test]
#[allow(clippy::print_stdout, reason = "names the row, where it fails")]
fn none_of_them_is_installed_or_leaves_a_trace() {
    for Hostile {
        name,
        ending,
        make,
        words,
    } in ROWS
    {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        lay_out(&folder.path().join(stem()), "1.0.0");
        make(folder.path());
        let packed = fs::read(folder.path().join(format!("packed.{ending}"))).unwrap();
        let kit = Kit::new();
        kit.publish(ending, &packed);
        println!("{name}");
        kit.assert_refused(1, "failed", words);
        let malicious = words.contains("leads out") || words.contains("absolute");
        let expected: &[&str] = if malicious { &["1.0.0"] } else { &[] };
        assert_eq!(kit.quarantined(), expected, "{name}");
        assert!(!kit.slot("1.0.0").exists(), "{name}");
        assert!(!Path::new("/tmp/evil").exists(), "{name}");
        assert!(!folder.path().join("target").exists(), "{name}");
    }
}

#[test]
fn an_honest_archive_made_the_same_way_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    lay_out(&folder.path().join(stem()), "1.0.0");
    append(
        folder.path(),
        &["--transform=s,^,more/,", &format!("{}/README.md", stem())],
    );
    let kit = Kit::new();
    kit.publish(
        "tar.gz",
        &fs::read(folder.path().join("packed.tar.gz")).unwrap(),
    );
    kit.assert_updates();
    let again = pack(folder.path(), &stem(), "zip");
    assert!(!again.is_empty());
}
