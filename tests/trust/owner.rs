//! The owner of a project, and everybody who would like to be taken for him: keys, signatures, tags.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(&key));
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
        let said = run(Command::new("ssh-keygen")
            .arg("-lf")
            .arg(self.key.with_extension("pub")));
        said.split(' ').nth(1).unwrap().to_owned()
    }

    /// Signs `payload` in `namespace`.
    pub fn signs(&self, payload: &[u8], namespace: &str) -> Vec<u8> {
        feed(
            Command::new("ssh-keygen")
                .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
                .arg(&self.key),
            payload,
        )
    }

    /// Tags `commit` of `tree` as git does it for `git tag --sign`.
    pub fn tags(&self, tree: &WorkTree, name: &str, commit: &str) {
        let key = format!("user.signingKey={}", self.key.display());
        git(
            &tree.folder,
            &[
                "-c",
                "gpg.format=ssh",
                "-c",
                &key,
                "tag",
                "--force",
                "--sign",
                "--message",
                name,
                name,
                commit,
            ],
        );
    }
}

/// Returns the content of the tag object `name`.
pub fn object_of(tree: &WorkTree, name: &str) -> String {
    git(&tree.folder, &["cat-file", "tag", name])
}

/// Makes a tag object of `content`, good or not, and points the tag `name` at it.
pub fn tag_with(tree: &WorkTree, name: &str, content: &[u8]) {
    let object = feed(
        Command::new("git")
            .args(["hash-object", "--literally", "-w", "-t", "tag", "--stdin"])
            .current_dir(&tree.folder),
        content,
    );
    let object = String::from_utf8(object).unwrap();
    git(
        &tree.folder,
        &["update-ref", &format!("refs/tags/{name}"), object.trim()],
    );
}

/// Returns the head of a tag object.
pub fn head(name: &str, commit: &str) -> String {
    format!(
        "object {commit}\ntype commit\ntag {name}\ntagger A Tester <tester@example.org> 1767225600 +0000\n\nRelease\n"
    )
}

/// Runs `command` with `input` and returns what it printed.
pub fn feed(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

/// Runs `command` and returns what it printed.
pub fn run(command: &mut Command) -> String {
    String::from_utf8(feed(command, b"")).unwrap()
}
