//! hephd's store around an update: a copy before the switch, and a store that the old release can read after going back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::World;
use super::daemon::Daemon;
use crate::client;
use crate::error::{Error, Result, ResultExt};
use crate::install::slots::Slot;
use crate::os::{clock, files, process::Run};
use crate::paths::Paths;

/// How long copying the store may take.
const COPYING: Duration = Duration::from_secs(10 * 60);

/// Makes the running hephd copy its store, and returns the copy; `None` if hephd does not answer.
pub(super) fn back_up(world: World, before: &Daemon) -> Result<Option<PathBuf>> {
    let Some(status) = &before.status else {
        return Ok(None);
    };
    let folder = world.paths.backups();
    files::create_private_dir(&folder)?;
    let stamp = clock::now().strftime("%Y%m%dT%H%M%S%3fZ");
    let version = file_name_part(&status.version);
    let file = folder.join(format!("heph-{version}-{stamp}.db"));
    client::backup(&before.socket, &file, COPYING).map_err(|error| {
        let room = format!(
            "is there room in '{}'? `heph backup FILE` shows the error",
            folder.display()
        );
        let hint = error.hint().map(str::to_owned).unwrap_or(room);
        let outer = Error::new("cannot take a backup of the store, so the update was not begun");
        error.context(outer.with_hint(hint))
    })?;
    Ok(Some(file))
}

/// Keeps what is safe in a file name.
fn file_name_part(version: &str) -> String {
    let word = version.split_whitespace().next().unwrap_or_default();
    let is_safe = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    word.replace(|c| !is_safe(c), "_")
}

/// Returns the backups that updates took, the newest first.
pub(super) fn backups(paths: &Paths) -> Vec<PathBuf> {
    let entries = fs::read_dir(paths.backups())
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "db"))
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The output of `hephd store restore --json`.
#[derive(Debug, Deserialize)]
struct Restored {
    kept_as: String,
    operations_carried: u64,
}

/// Makes sure that `slot`'s hephd can read `store`, which no process has open. Otherwise replaces it by `backup`, or by the
/// newest other backup that it can read, and returns the sentence for the report. An error leaves the store as it was.
pub(super) fn make_readable(
    world: World,
    slot: &Slot,
    store: &Path,
    backup: Option<&Path>,
) -> Result<Option<String>> {
    if can_read(slot, store) {
        return Ok(None);
    }
    let version = &slot.manifest.version;
    let own = backup.map(Path::to_owned).into_iter();
    let mut candidates = own.chain(backups(world.paths));
    let backup = candidates.find(|backup| can_read(slot, backup));
    let backup = backup.with_context(|| {
        format!(
            "hephd {version} cannot read the store '{}', and there is no backup that it can read",
            store.display()
        )
    })?;
    let run = Run::new(slot.binary("hephd"))
        .env("HEPH_DB", store)
        .args(["store", "restore", "--json", "--backup"]);
    let output = run.arg(&backup).limit(COPYING).success()?;
    let restored: Restored = serde_json::from_slice(&output.stdout)
        .context("cannot parse the output of `hephd store restore`")?;
    Ok(Some(format!(
        "hephd {version} cannot read the newer store, so the backup '{}' is restored with {} later operations; \
         the newer file is kept as '{}'",
        backup.display(),
        restored.operations_carried,
        restored.kept_as
    )))
}

/// The output of `hephd store check --json`.
#[derive(Debug, Deserialize)]
struct Checked {
    readable: bool,
}

/// Returns whether `slot`'s hephd can read the store in `file`, damaged or not; one without `store check` is assumed to.
pub(super) fn can_read(slot: &Slot, file: &Path) -> bool {
    let output = Run::new(slot.binary("hephd"))
        .env("HEPH_DB", file)
        .args(["store", "check", "--json"])
        .limit(COPYING)
        .output();
    output.is_ok_and(|output| match serde_json::from_slice(&output.stdout) {
        Ok(Checked { readable }) => readable,
        Err(_) => output.status.code() != Some(1),
    })
}
