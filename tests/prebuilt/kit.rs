//! A machine with an installation of the commands under test, an owner who publishes archives, and his keys.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use heph::release::asset;
use tempfile::TempDir;

use crate::support::call::{Call, Words};
use crate::support::files::picture;
use crate::support::forge::{Forge, Published, WorkTree};
use crate::support::home::{Home, ODD_NAME};
use crate::support::installation::command;
use crate::support::report::Report;

/// The release that everything here is about.
pub const VERSION: &str = "1.0.0";
pub const TAG: &str = "v1.0.0";

/// Returns the target that archives here are for.
pub fn target() -> String {
    asset::targets().remove(0)
}

/// Returns the name of an archive without its ending.
pub fn stem() -> String {
    format!("heph-{TAG}-{}", target())
}

/// A key pair of the real minisign.
#[derive(Debug)]
pub struct Key {
    secret: PathBuf,
    /// As the settings have it.
    pub public: String,
    _folder: TempDir,
}

impl Key {
    fn generate() -> Key {
        let folder = tempfile::tempdir().unwrap();
        let (secret, public) = (folder.path().join("key"), folder.path().join("key.pub"));
        tool("minisign", folder.path(), "-G -W -s key -p key.pub");
        let text = fs::read_to_string(public).unwrap();
        Key {
            secret,
            public: text.lines().nth(1).unwrap().to_owned(),
            _folder: folder,
        }
    }

    /// The owner's key.
    pub fn owner() -> &'static Key {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(Key::generate)
    }

    /// The owner's next key.
    pub fn next() -> &'static Key {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(Key::generate)
    }

    /// Somebody else's.
    pub fn stranger() -> &'static Key {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(Key::generate)
    }

    /// Returns the file of the secret key.
    pub fn secret(&self) -> &Path {
        &self.secret
    }

    /// Signs a file called `name`; more options such as a comment.
    pub fn sign(&self, name: &str, bytes: &[u8], options: &[&str]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), bytes).unwrap();
        let secret = self.secret.to_str().unwrap();
        let arguments = [&["-S", "-s", secret, "-m", name, "-x", "sig"], options].concat();
        tool("minisign", folder.path(), &arguments);
        fs::read(folder.path().join("sig")).unwrap()
    }
}

/// Runs a real program in `folder`, which must succeed; returns what it printed.
#[track_caller]
pub fn tool(program: &str, folder: &Path, words: &(impl Words + ?Sized)) -> String {
    let environment = [
        ("PATH", Path::new("/usr/bin:/bin")),
        ("HOME", folder),
        ("LC_ALL", Path::new("C")),
    ];
    let tool = Call::clean(program, environment).args(words);
    tool.current_dir(folder).prints()
}

/// Returns the line of a checksum file.
pub fn sum_line(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), bytes).unwrap();
    tool("sha256sum", folder.path(), &[name])
}

/// Writes the files that a release has into `folder`: two commands that say they are `version`, and papers.
pub fn lay_out(folder: &Path, version: &str) {
    for name in ["heph", "hephd"] {
        command(folder, name, version);
    }
    fs::create_dir_all(folder.join("man")).unwrap();
    fs::write(folder.join("man/heph.1"), ".TH HEPH 1\n").unwrap();
    fs::write(folder.join("README.md"), "heph\n").unwrap();
}

/// Packs `name` below `folder` with a real tool, by the ending.
pub fn pack(folder: &Path, name: &str, ending: &str) -> Vec<u8> {
    let file = format!("packed.{ending}");
    match ending {
        "tar.gz" | "tgz" => tool("tar", folder, &["-czf", &file, name]),
        // As large a dictionary as by default, in a tenth of the time.
        "tar.xz" => {
            let xz = "xz --lzma2=preset=0,dict=8MiB";
            tool("tar", folder, &["-I", xz, "-cf", &file, name])
        }
        "tar.bz2" => tool("tar", folder, &["-cjf", &file, name]),
        "tar.zst" => tool("tar", folder, &["--zstd", "-cf", &file, name]),
        "zip" => tool("zip", folder, &["-qry", &file, name]),
        _ => panic!("{ending}"),
    };
    fs::read(folder.join(file)).unwrap()
}

/// Returns an honest archive of `version`.
pub fn archive(version: &str, ending: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    lay_out(&folder.path().join(stem()), version);
    pack(folder.path(), &stem(), ending)
}

/// A home with an installation of 0.1.0, and a forge that publishes.
pub struct Kit {
    pub forge: Forge,
    pub home: Home,
}

impl Deref for Kit {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Kit {
    /// Starts with the release published, still without files, and settings that ask for archives.
    pub fn new() -> Kit {
        let kit = Kit::empty(Forge::start(), Home::named(ODD_NAME));
        kit.forge.publish(Published::new(TAG));
        kit.tag();
        kit.asking("delivery = \"prebuilt\"")
    }

    /// Starts with nothing published, and without settings. The commands in bin-dir are scripts; the user runs the program
    /// under test by itself.
    pub fn empty(forge: Forge, home: Home) -> Kit {
        for name in ["heph", "hephd"] {
            command(&home.bin(), name, "0.1.0");
        }
        Kit { forge, home }
    }

    /// Pushes the tag of the release.
    pub fn tag(&self) {
        let folder = tempfile::tempdir().unwrap();
        let tree = WorkTree::new(folder.path());
        tree.write("Cargo.toml", "").commit("one");
        tree.tag(TAG);
        self.forge.push(&tree);
    }

    /// Changes the settings.
    pub fn asking(self, lines: &str) -> Kit {
        self.configure(&format!(
            "service-manager = \"none\"\n[self-update]\nrepository = \"{}\"\nforge = \"forgejo\"\nbin-dir = \"~/.cargo/bin\"\n{lines}\n",
            self.forge.repository()
        ));
        self
    }

    /// Settings that ask for archives, signed by one of these keys.
    pub fn trusting(self, keys: &[&Key]) -> Kit {
        let keys: Vec<_> = keys.iter().map(|key| format!("{:?}", key.public)).collect();
        self.asking(&format!(
            "delivery = \"prebuilt\"\n[self-update.trust]\nminisign-keys = [{}]",
            keys.join(", ")
        ))
    }

    /// Adds a file to the release; returns its path on the forge.
    pub fn attach(&self, name: &str, bytes: &[u8]) -> String {
        self.forge.attach(TAG, name, bytes)
    }

    /// Adds an archive and a list with its checksum. Returns the archive's path on the forge.
    pub fn publish(&self, ending: &str, bytes: &[u8]) -> String {
        let name = format!("{}.{ending}", stem());
        self.attach("SHA256SUMS", sum_line(&name, bytes).as_bytes());
        self.attach(&name, bytes)
    }

    /// As [`Kit::publish`], with the list signed by `key`.
    pub fn publish_signed(&self, ending: &str, bytes: &[u8], key: &Key) -> String {
        let name = format!("{}.{ending}", stem());
        let sums = sum_line(&name, bytes);
        let signature = key.sign("SHA256SUMS", sums.as_bytes(), &[]);
        self.attach("SHA256SUMS.minisig", &signature);
        self.publish(ending, bytes)
    }

    /// Runs `apply`, which must fail, for a reason with these words, and change nothing.
    #[track_caller]
    pub fn assert_refused(&self, code: i32, outcome: &str, words: &str) {
        let before = self.installation();
        let report = self.self_update("apply").reports(code, outcome);
        report.because(&[words]);
        assert_eq!(self.installation(), before);
    }

    /// What must not change when an update fails: the commands and the data.
    pub fn installation(&self) -> Vec<(PathBuf, String)> {
        let mut all = picture(&self.bin());
        // The folder of slots may be made; that nothing is in it is what counts.
        all.extend(
            picture(&self.data())
                .into_iter()
                .filter(|(path, _)| !path.ends_with("versions")),
        );
        all
    }

    pub fn downloads(&self) -> PathBuf {
        self.path.join(".cache/heph/downloads")
    }

    /// Asserts that `apply` installs the release from an archive; returns the report.
    #[track_caller]
    pub fn assert_updates(&self) -> Report {
        self.assert_updates_with("apply")
    }

    #[track_caller]
    pub fn assert_updates_with(&self, words: &str) -> Report {
        let report = self.self_update(words).reports(0, "updated");
        assert_eq!(report["delivery"], "prebuilt");
        assert_eq!(self.manifest()["delivery"], "prebuilt");
        let versions = ["heph", "hephd"].map(|name| (name.to_owned(), VERSION.to_owned()));
        assert_eq!(self.commands_say(), versions);
        report
    }
}
