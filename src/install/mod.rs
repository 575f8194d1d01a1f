//! How a release becomes files: deliveries, slots, and the links in bin-dir.
//!
//! Architecture invariant: only [`slots::Slots::switch`] changes what the commands in bin-dir are.

pub mod links;
pub mod slots;
pub mod unpack;

mod adopt;
mod binstall_archives;
mod build_cache;
pub(crate) mod build_failure;
pub(crate) mod cargo;
pub(crate) mod cargo_git;
mod cargo_record;
mod deliver;
mod features;
pub(crate) mod fingerprint;
mod git_checkout;
mod installation;
mod lack;
mod locate;
pub(crate) mod percent_free_path;
mod prebuilt;
mod printed_version;
mod slot_manifest;
mod slot_name;
mod staging;
mod suspects;
mod toolchain;
pub(crate) mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::{self, Features, Repository, Require, Trust};
use crate::error::{Error, Result};
use crate::os::{clock, interrupt};
use crate::paths::Paths;
use crate::release::Release;
use crate::release::trust::Origin;
pub use build_cache::trim as trim_build_cache;
pub(crate) use deliver::has_archives;
use links::BinDir;
pub(crate) use locate::invoked_heph;
use slots::{Delivery, Slot, SlotManifest, Slots};
use staging::StagedFolder;
use toolchain::Variables;

/// The package, and its command, that updates the installation.
const HEPH: &str = env!("CARGO_PKG_NAME");

/// How the output of a delivery is shown.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Through to the terminal (standard error).
    Terminal,
    /// Into this file, which errors name.
    Log(PathBuf),
}

/// Receives what a delivery reports while it is under way.
#[derive(Clone, Copy)]
pub struct Listener<'a> {
    /// Where the output of a build goes.
    pub progress: &'a Progress,
    /// Receives sentences for the report, such as why another delivery was chosen.
    pub note: &'a dyn Fn(&str),
    /// Receives how many bytes of a download have arrived, and of how many.
    pub arrived: &'a dyn Fn(u64, u64),
}

/// A release to stage, and what that depends on.
#[derive(Clone, Debug)]
pub struct StageRequest<'a> {
    /// The release.
    pub release: &'a Release,
    /// Where it comes from.
    pub origin: &'a Origin,
    /// Its repository.
    pub repository: &'a Repository,
    /// Whether that is known to be a plain git remote, which lists no files.
    pub plain_git: bool,
    /// The packages to install.
    pub packages: &'a [String],
    /// How it becomes binaries.
    pub delivery: config::Delivery,
    /// The features that the settings ask for; `None`: those that the installation has.
    pub features: Option<Features>,
    /// Whether the release may lack a command that is installed.
    pub allow_fewer_commands: bool,
    /// Whose signatures count, and which proof is required.
    pub trust: &'a Trust,
    /// The installed commands.
    pub bin_dir: &'a BinDir,
    /// Where heph keeps its files.
    pub paths: &'a Paths,
    /// The environment of a build.
    pub environment: Variables,
    /// Whether a complete slot of the release is not to be reused.
    pub afresh: bool,
}

impl StageRequest<'_> {
    /// Returns the features that each package is built with.
    fn features(&self) -> BTreeMap<String, Features> {
        let current = Slots::new(self.paths).current().ok().flatten();
        let recorded = self.bin_dir.recorded();
        let known = features::Known {
            chosen: self.features.as_ref(),
            slot: current.as_ref().map(|slot| &slot.manifest),
            installed_since: &self.bin_dir.installed_by_cargo(&recorded),
            recorded: &recorded,
        };
        features::of(self.packages, &known)
    }
}

/// Stages a release. A complete slot of the same version, tag, commit and features is verified again and reused, unless
/// [`StageRequest::afresh`].
///
/// # Errors
///
/// The build, the download or the verification failed; the unfinished slot is gone and nothing else was touched. An
/// error of [`Kind::Unfit`](crate::error::Kind) blames the release; one of `Kind::Build` leaves open what is to blame.
pub fn stage(request: &StageRequest, listener: &Listener) -> Result<Slot> {
    let (release, origin) = (request.release, request.origin);
    let slots = Slots::new(request.paths);
    let features = request.features();
    if !request.afresh
        && let Some(slot) = reusable(&slots, request, &features)?
    {
        return Ok(slot);
    }
    let staged = StagedFolder::new(slots.staging()?)?;
    let delivered = deliver::deliver(request, &features, &staged, listener)?;
    interrupt::check()?;
    let keeps_heph = request.packages.iter().any(|name| name == HEPH);
    if keeps_heph && !delivered.binaries.iter().any(|binary| binary.name == HEPH) {
        return Err(Error::unfit(format!(
            "{} has no `{HEPH}`, without which nothing could be updated again",
            release.tag.as_str()
        )));
    }
    let manifest = SlotManifest {
        schema: 1,
        version: release.version.clone(),
        tag: Some(release.tag.as_str().to_owned()),
        commit: Some(origin.commit.clone()),
        delivery: delivered.by,
        signed_by: delivered.signed_by,
        features: match delivered.by {
            Delivery::Cargo => features,
            Delivery::Prebuilt | Delivery::Adopted => BTreeMap::new(),
        },
        binaries: delivered.binaries,
        installed_at: clock::now(),
    };
    let slot = slots.seal(&staged.path, manifest)?;
    Ok(slot)
}

/// Returns the complete slot of `release` if it is unchanged since its installation and from the same commit. A damaged one
/// is removed, unless it is in use: then the fresh one is staged beside it.
fn reusable(
    slots: &Slots,
    request: &StageRequest,
    features: &BTreeMap<String, Features>,
) -> Result<Option<Slot>> {
    let (release, origin, packages) = (request.release, request.origin, request.packages);
    let require = request.trust.require();
    let Some(slot) = slots.find(&release.version)? else {
        return Ok(None);
    };
    let manifest = &slot.manifest;
    // The same version under another tag is of another product line, such as a fork that shares the repository.
    let same_tag = manifest
        .tag
        .as_deref()
        .is_none_or(|tag| tag == release.tag.as_str());
    let same_commit = manifest.commit.as_deref() == Some(&origin.commit);
    // A build from a commit is proven with that commit, even if no proof was required when it was built.
    let proven = manifest.signed_by.is_some()
        || (manifest.delivery == Delivery::Cargo && origin.objection_to_build(require).is_none());
    let same_features = features.iter().all(|(package, wanted)| {
        let built = manifest.features.get(package);
        built.map_or_else(|| wanted.are_default(), |built| built == wanted)
    });
    if !same_tag || !same_commit || !same_features || (require == Require::Signature && !proven) {
        return Ok(None);
    }
    let verified = slot.verify().and_then(|()| {
        let bin = slot.path.join("bin");
        verify::binaries(&bin, manifest.names(), packages, &release.version)
    });
    if verified.is_ok() {
        return Ok(Some(slot));
    }
    let in_use = slots
        .current()
        .is_ok_and(|current| current.is_some_and(|current| current.name == slot.name));
    if !in_use {
        slots.remove(&slot)?;
    }
    Ok(None)
}
