//! The owner of a project, and everybody who would like to be taken for him: keys, signatures, tags.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::call::Call;
use crate::support::forge::{WorkTree, git};

/// Somebody with an SSH key.
#[derive(Debug)]
pub struct Person {
    pub name: String,
    key: PathBuf,
}

impl Person {
    /// Makes a key for `name` in `folder`.
    pub fn new(folder: &Path, name: &str) -> Person {
        fs::create_dir_all(folder).unwrap();
        let key = folder.join(name);
        let keygen = Call::of("ssh-keygen").args("-q -t ed25519 -N ''");
        keygen.args(&["-C", name, "-f"]).args(&[&key]).exits(0);
        Person {
            name: name.to_owned(),
            key,
        }
    }

    /// Returns the public key as one line, comment included.
    pub fn public(&self) -> String {
        let text = fs::read_to_string(self.key.with_extension("pub")).unwrap();
        text.trim().to_owned()
    }

    /// Returns a line of an allowed-signers file.
    pub fn line(&self, options: &str) -> String {
        format!("{}@example.org {options} {}\n", self.name, self.public())
    }

    /// Returns the fingerprint, as ssh-keygen shows it.
    pub fn fingerprint(&self) -> String {
        let keygen = Call::of("ssh-keygen").args("-lf");
        let said = keygen.args(&[self.key.with_extension("pub")]).prints();
        said.split(' ').nth(1).unwrap().to_owned()
    }

    /// Signs `payload` in `namespace`.
    pub fn signs(&self, payload: &[u8], namespace: &str) -> Vec<u8> {
        let keygen = Call::of("ssh-keygen").args(&["-q", "-Y", "sign", "-n", namespace, "-f"]);
        keygen.args(&[&self.key]).input(payload).bytes()
    }

    /// Tags `commit` of `tree` as git does it for `git tag --sign`.
    pub fn tags(&self, tree: &WorkTree, name: &str, commit: &str) {
        let key = format!("user.signingKey={}", self.key.display());
        let sign = [
            "-c",
            "gpg.format=ssh",
            "-c",
            &key,
            "tag",
            "--force",
            "--sign",
        ];
        let tag = ["--message", name, name, commit];
        git(&tree.folder, &[&sign[..], &tag].concat());
    }
}

/// Returns the content of the tag object `name`.
pub fn object_of(tree: &WorkTree, name: &str) -> String {
    git(&tree.folder, &["cat-file", "tag", name])
}

/// Makes a tag object of `content`, good or not, and points the tag `name` at it.
pub fn tag_with(tree: &WorkTree, name: &str, content: &[u8]) {
    let hash = Call::of("git").args("hash-object --literally -w -t tag --stdin");
    let object = hash.current_dir(&tree.folder).input(content).prints();
    let update = format!("update-ref refs/tags/{name} {object}");
    git(&tree.folder, &update);
}

/// Returns the head of a tag object.
pub fn head(name: &str, commit: &str) -> String {
    format!(
        "object {commit}\ntype commit\ntag {name}\ntagger A Tester <tester@example.org> 1767225600 +0000\n\nRelease\n"
    )
}
