//! `trust add` and `trust remove`: changes to the files of keys, line by line; every other line stays as it was.

use std::path::{Path, PathBuf};

use super::{described, listed};
use crate::cli::Context;
use crate::config::trust::signers::{self, Entry};
use crate::config::trust::{self, minisign, read};
use crate::config::{Require, Signers, Trust};
use crate::error::{Error, Exit, Result, ResultExt, bail};
use crate::os::files;
use crate::update::quarantine::Quarantine;

/// The keys to add.
#[derive(Debug, PartialEq, Eq)]
enum Keys {
    Ssh(Vec<Entry>),
    Minisign(Vec<minisign::Key>),
}

pub fn add(context: &Context, given: &str) -> Result<Exit> {
    let keys = match keys_in(given) {
        Ok(keys) => keys,
        Err(_) => from_file(Path::new(given))?,
    };
    let files = Files::of(context)?;
    match keys {
        Keys::Ssh(entries) => {
            let file = files.signers()?;
            let known: Vec<Entry> = known(&file)?;
            for entry in entries {
                if known.iter().any(|known| known.key == entry.key) {
                    context
                        .ui
                        .say(format!("listed already: {}", described(&Ok(entry))));
                    continue;
                }
                append(&file, &entry.line())?;
                context.ui.say(format!("added {}", described(&Ok(entry))));
            }
        }
        Keys::Minisign(keys) => {
            let file = files.minisign()?;
            for key in keys {
                if files.trust.minisign_keys.contains(&key) {
                    context.ui.say(format!("listed already: {key}"));
                    continue;
                }
                append(&file, key.as_str())?;
                context.ui.say(format!("added {key}  {}", key.number()));
            }
        }
    }
    if !files.trust.has_keys() && files.trust.require() != Require::None {
        context
            .ui
            .say("releases are now required to carry the signature of a listed key");
    }
    let quarantine = Quarantine::load(&context.paths)?;
    if quarantine.entries().next().is_some() {
        context.ui.say(
            "releases that were rejected before stay in quarantine until `heph self-update quarantine clear VERSION`",
        );
    }
    Ok(Exit::Done)
}

pub fn remove(context: &Context, named: &str) -> Result<Exit> {
    let files = Files::of(context)?;
    let mut removed = Vec::new();
    let named = named.trim();
    let bare = named.parse().map(|entry: Entry| entry.key).ok();
    let (_, lines) = listed(files.trust)?;
    let is_meant = |entry: &Entry| {
        entry.fingerprint() == named
            || entry.key == named
            || bare.as_ref() == Some(&entry.key)
            || entry.principals.split(',').any(|name| name == named)
    };
    if lines.iter().flatten().any(is_meant) {
        let file = files.signers()?;
        without(&file, |line| {
            line.trim().parse().is_ok_and(|entry: Entry| {
                let meant = is_meant(&entry);
                if meant {
                    removed.push(described(&Ok(entry)));
                }
                meant
            })
        })?;
        // The settings name that file: without it, they would be wrong.
        if file == files.own_signers() && known(&file)?.is_empty() {
            files::remove_file_if_there(&file)?;
        }
    }
    let is_meant =
        |key: &minisign::Key| key.as_str() == named || key.number().eq_ignore_ascii_case(named);
    if files.trust.minisign_keys.iter().any(is_meant) {
        let file = files.minisign()?;
        without(&file, |line| {
            let meant = line.trim().parse().is_ok_and(|key| is_meant(&key));
            if meant {
                removed.push(line.trim().to_owned());
            }
            meant
        })?;
        let text = read(&file)?.unwrap_or_default();
        if minisign::file(&text).is_err() {
            files::remove_file_if_there(&file)?;
        }
    }
    if removed.is_empty() {
        return Err(Error::new(format!("no listed key is '{named}'"))
            .with_hint("`heph self-update trust show` lists the keys"));
    }
    for key in removed {
        context.ui.say(format!("removed {key}"));
    }
    let left = Trust::of_folder(&trust::folder(&context.paths.config))?;
    if files.trust == &files.own && !left.has_keys() {
        context
            .ui
            .say("no key is left: signatures are no longer required");
    }
    Ok(Exit::Done)
}

/// The files of keys that the commands change.
struct Files<'a> {
    folder: PathBuf,
    /// From settings and files together.
    trust: &'a Trust,
    /// From the files in the folder alone.
    own: Trust,
}

impl Files<'_> {
    fn of(context: &Context) -> Result<Files<'_>> {
        let folder = trust::folder(&context.paths.config);
        Ok(Files {
            own: Trust::of_folder(&folder)?,
            trust: &context.config.self_update.trust,
            folder,
        })
    }

    fn own_signers(&self) -> PathBuf {
        trust::signers_file(&self.folder)
    }

    /// Returns the allowed-signers file in use.
    fn signers(&self) -> Result<PathBuf> {
        match &self.trust.tag_signers {
            Some(Signers::File(file)) => Ok(file.clone()),
            None => Ok(self.own_signers()),
            Some(Signers::Inline(_)) => Err(by_hand("tag-signers")),
        }
    }

    /// Returns the file of minisign keys in use.
    fn minisign(&self) -> Result<PathBuf> {
        if self.trust.minisign_keys == self.own.minisign_keys {
            Ok(trust::minisign_file(&self.folder))
        } else {
            Err(by_hand("minisign-keys"))
        }
    }
}

fn by_hand(key: &str) -> Error {
    Error::usage(format!(
        "the settings file lists the keys itself, in `{key}`"
    ))
    .with_hint("edit them there, or remove that line and add the keys again")
}

/// Parses the keys in an argument or a file.
fn keys_in(text: &str) -> Result<Keys> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !signers::is_blank(line))
        .collect();
    if lines.is_empty() {
        bail!("there is no key in it");
    }
    if lines
        .iter()
        .all(|line| line.parse::<minisign::Key>().is_ok())
        || lines[0].starts_with("untrusted comment:")
    {
        return minisign::file(text).map(Keys::Minisign);
    }
    let entry = |line: &str| line.parse().context("a line is not an SSH public key");
    let entries: Result<_> = lines.into_iter().map(entry).collect();
    entries.map(Keys::Ssh)
}

fn from_file(file: &Path) -> Result<Keys> {
    let file = std::path::absolute(file)?;
    let Some(text) = read(&file)? else {
        return Err(Error::usage(format!(
            "'{}' is neither a public key nor a file",
            file.display()
        ))
        .with_hint("give a line such as \"ssh-ed25519 AAAA… name\", a minisign key \"RW…\", or the file that holds it"));
    };
    if text.contains("PRIVATE KEY") || text.contains("secret key") {
        return Err(
            Error::usage(format!("'{}' is a private key", file.display()))
                .with_hint("give the public one, which often ends in .pub"),
        );
    }
    keys_in(&text).with_context(|| {
        Error::usage(format!("cannot use '{}'", file.display())).with_hint(
            "give SSH or minisign public keys; an OpenPGP keyring is set as `tag-openpgp-keyring`",
        )
    })
}

fn known(file: &Path) -> Result<Vec<Entry>> {
    let text = read(file)?.unwrap_or_default();
    Ok(signers::file(&text).into_iter().flatten().collect())
}

fn append(file: &Path, line: &str) -> Result<()> {
    let mut text = read(file)?.unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
    write(file, &text)
}

fn without(file: &Path, mut is_meant: impl FnMut(&str) -> bool) -> Result<()> {
    let text = read(file)?.unwrap_or_default();
    let kept: String = text
        .split_inclusive('\n')
        .filter(|line| !is_meant(line))
        .collect();
    write(file, &kept)
}

fn write(file: &Path, text: &str) -> Result<()> {
    files::write_atomic(file, text.as_bytes(), files::PRIVATE)
}
