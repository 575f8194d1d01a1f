//! What one run works on: where, and for what.

use std::path::Path;

use crate::config::{Config, SelfUpdate};
use crate::error::Result;
use crate::install::links::BinDir;
use crate::install::slots::Slots;
use crate::paths::Paths;
use crate::release::decide::{Asked, Policy};
use crate::release::feed::Feed;

/// Where a run takes place.
#[derive(Clone, Copy)]
pub struct World<'a> {
    pub config: &'a Config,
    pub paths: &'a Paths,
    /// Prints a step as it happens.
    pub say: &'a dyn Fn(&str),
    /// Shows the progress of a download: bytes received, and bytes in all.
    pub arrived: &'a dyn Fn(u64, u64),
    /// Whether cargo's own output goes to standard error.
    pub on_terminal: bool,
}

impl World<'_> {
    pub(super) fn slots(&self) -> Slots {
        Slots::new(self.paths)
    }

    pub(super) fn bin_dir(&self) -> Result<BinDir> {
        bin_dir(&self.config.self_update, self.paths)
    }
}

/// Finds the bin-dir of the packages that the settings name.
pub(crate) fn bin_dir(settings: &SelfUpdate, paths: &Paths) -> Result<BinDir> {
    BinDir::find(settings.bin_dir.as_deref(), &settings.packages, paths)
}

/// Returns whether hephd is part of the installation; also where bin-dir is unknown, so that nothing of it is left out.
pub(crate) fn brings_hephd(world: World) -> bool {
    let bin_dir = world.bin_dir();
    bin_dir.map_or(true, |bin_dir| bin_dir.brings_hephd(&world.slots()))
}

/// Returns which releases the settings admit.
pub(crate) fn policy(settings: &SelfUpdate) -> Policy {
    Policy {
        pin: settings.pin.clone(),
        prereleases: settings.prereleases,
        cooldown: settings.cooldown,
    }
}

/// Returns the feed that the settings name, with the file `cache`.
pub(crate) fn feed<'a>(settings: &'a SelfUpdate, cache: &'a Path) -> Feed<'a> {
    Feed {
        repository: &settings.repository,
        forge: settings.forge,
        tag_prefix: &settings.tag_prefix,
        policy: policy(settings),
        cache,
    }
}

/// The arguments of [`apply`](super::apply).
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `--to` and `--force`.
    pub asked: Asked,
    /// `--dry-run`: say what would be done, and change nothing.
    pub dry_run: bool,
    /// `--no-restart`: leave hephd running as it is.
    pub no_restart: bool,
    /// `--accept-moved-tag`: install the named release although its tag was moved.
    pub accept_moved_tag: bool,
    /// The timer started this run.
    pub scheduled: bool,
}
