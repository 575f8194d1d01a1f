//! `make dist`: what it makes is what `apply` installs, and it is the same wherever and whenever it is made.

use std::fs;
use std::path::Path;

use super::kit::{Key, Kit, VERSION, lay_out, stem, tool};
use crate::support::call::Call;
use crate::support::files::entries;

/// Copies what `dist.sh` needs of this repository to `folder`, as release 1.0.0, and runs it there.
fn dist(folder: &Path, umask: &str, key: Option<&Key>) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(folder.join("docs")).unwrap();
    for name in [
        "dist.sh",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "CHANGELOG.md",
        "docs/man",
        "docs/completions",
    ] {
        let from = here.join(name);
        let to = folder.join(name);
        let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
        tool("cp", folder, &["-r", from, to]);
    }
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let old = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
    let new = format!("version = \"{VERSION}\"");
    fs::write(folder.join("Cargo.toml"), manifest.replacen(&old, &new, 1)).unwrap();
    lay_out(&folder.join("built"), VERSION);

    let line = format!("umask {umask}; exec ./dist.sh");
    let mut dist = Call::of("sh").args(&["-c", &line]).current_dir(folder);
    dist = dist.env("BINARIES", "built");
    dist = dist.env("SOURCE_DATE_EPOCH", "1800000000");
    let secret = key.map_or("".as_ref(), Key::secret);
    dist.env("MINISIGN_KEY", secret).exits(0);
}

#[test]
fn two_runs_in_two_folders_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("an other ü"));
    dist(&one, "022", None);
    dist(&other, "077", None);
    let archive = format!("{}.tar.gz", stem());
    for name in [archive.as_str(), "SHA256SUMS"] {
        let bytes = |folder: &Path| fs::read(folder.join("dist").join(name)).unwrap();
        assert!(bytes(&one) == bytes(&other), "{name} differs");
    }
    assert_eq!(entries(&one.join("dist")), ["SHA256SUMS", archive.as_str()]);
    let listed = tool("tar", &one.join("dist"), &["-tvzf", &archive]);
    for line in listed.lines() {
        let fixed = line.contains(" 0/0 ") && line.contains(" 2027-01-15 ");
        assert!(fixed, "{line}");
    }
    for file in [
        "/heph\n",
        "/hephd\n",
        "/man/man1/heph.1\n",
        "/completions/heph.fish\n",
        "/LICENSE-MIT\n",
    ] {
        assert!(listed.contains(file), "{file} is not in {listed}");
    }
}

#[test]
fn what_it_makes_is_installed_and_its_signature_counts() {
    let folder = tempfile::tempdir().unwrap();
    dist(folder.path(), "022", Some(Key::owner()));
    let kit = Kit::new().trusting(&[Key::owner()]);
    for name in entries(&folder.path().join("dist")) {
        let bytes = fs::read(folder.path().join("dist").join(&name)).unwrap();
        kit.attach(&name, &bytes);
    }
    let signer = format!("minisign {}", Key::owner().public);
    assert_eq!(kit.assert_updates()["signed_by"], signer);
}
