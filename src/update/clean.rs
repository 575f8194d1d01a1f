//! Bounds what updates leave behind: slots, the build folder, backups, build logs.

use std::fs;
use std::path::PathBuf;

use super::journal::Journal;
use super::{World, store};
use crate::error::{Error, Result};
use crate::install;
use crate::install::slots::excess;
use crate::os::{clock, files};
use crate::paths::Paths;

/// How many build logs are kept.
const LOGS: usize = 10;

/// What was removed.
#[derive(Debug, Default)]
pub struct Cleaned {
    pub slots: Vec<String>,
    /// The bytes freed, in slots, backups, the build folder and downloads.
    pub freed: u64,
}

/// Removes slots beyond `keep`, backups beyond the same number, the build folder above its bound, and downloads that broke
/// off.
pub fn clean(world: World) -> Result<Cleaned> {
    let _held = super::exclusive(world.paths)?;
    if Journal::load(world.paths)?.is_some() {
        return Err(
            Error::new("an update was interrupted and must be finished first")
                .with_hint("`heph self-update apply`"),
        );
    }
    world.slots().sweep()?;
    let mut cleaned = tidy(world)?;
    let downloads = world.paths.downloads();
    cleaned.freed += files::tree_size(&downloads);
    files::remove_tree_if_there(&downloads)?;
    Ok(cleaned)
}

/// Removes what updates leave behind; the caller holds the lock.
pub(super) fn tidy(world: World) -> Result<Cleaned> {
    let settings = &world.config.self_update;
    let slots = world.slots();
    let all = slots.list()?;
    let current = slots.current()?.map(|slot| slot.name);
    let mut cleaned = Cleaned::default();
    for slot in excess(&all, current.as_deref(), &[], settings.keep) {
        let size = files::tree_size(&slot.path);
        slots.remove(slot)?;
        cleaned.slots.push(slot.name.clone());
        cleaned.freed += size;
    }
    for backup in store::backups(world.paths)
        .iter()
        .skip(settings.keep.max(1))
    {
        cleaned.freed += files::tree_size(backup);
        files::remove_file_if_there(backup)?;
    }
    cleaned.freed += install::trim_build_cache(&world.paths.build(), settings.build_folder_limit)?;
    Ok(cleaned)
}

/// Returns a new build log's path and removes the oldest beyond [`LOGS`].
pub(super) fn new_build_log(paths: &Paths, tag: &str) -> Result<PathBuf> {
    let folder = paths.logs();
    files::create_private_dir(&folder)?;
    let entries = fs::read_dir(&folder)?.flatten();
    let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    // Their names begin with the time.
    logs.sort();
    for old in logs.iter().take((logs.len() + 1).saturating_sub(LOGS)) {
        files::remove_file_if_there(old)?;
    }
    let stamp = clock::now().strftime("%Y%m%dT%H%M%S%3fZ");
    Ok(folder.join(format!("{stamp}-{}.log", tag.replace('/', "_"))))
}
