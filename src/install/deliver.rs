//! The choice of a delivery. Both end in verified binaries in a folder.

use std::collections::BTreeMap;

use super::binstall_archives;
use super::cargo::{BuildOrder, Cargo};
use super::cargo_record::GitRef;
use super::lack::{Lack, NextStep, next_step};
use super::prebuilt::{self, ArchivePlan, InstallOrder, NotFromArchive};
use super::slots::{self, Binary, Slots};
use super::staging::{StagedFolder, require_space};
use super::{Listener, StageRequest, features, verify};
use crate::config::{Delivery, Features};
use crate::error::{Error, Kind, Result};
use crate::os::{clock, files, interrupt};
use crate::release::asset;

/// How many bytes must be free for the build folder before a build starts. A release build of heph from scratch takes
/// about 400 MB.
const BUILD_SPACE: u64 = 500 << 20;
/// How many bytes must be free for the slots before a build starts.
const SLOT_SPACE: u64 = 100 << 20;

/// Verified binaries, and where they come from.
pub(super) struct Delivered {
    pub by: slots::Delivery,
    pub binaries: Vec<Binary>,
    pub signed_by: Option<String>,
}

/// Delivers the release as the settings ask. If they leave the choice, that is from an archive if there is one for this
/// machine, enough vouches for it, heph can read it, and it has every command that is installed. A bad archive is an error,
/// never a reason to build.
///
/// # Errors
///
/// [`Kind::NotYet`]: its upload may still be under way. [`Kind::Unfit`]: the release is to blame.
pub(super) fn deliver(
    request: &StageRequest,
    features: &BTreeMap<String, Features>,
    staged: &StagedFolder,
    listener: &Listener,
) -> Result<Delivered> {
    if request.delivery == Delivery::Cargo {
        return by_cargo(request, features, staged, listener);
    }
    let current = Slots::new(request.paths).current().ok().flatten();
    let installed = request.bin_dir.commands(current.as_ref());
    let (lack, why) = match by_archive(request, features, &installed, staged, listener) {
        Ok(delivered) => return Ok(delivered),
        Err(NotFromArchive::Failed(error)) => return Err(error),
        Err(NotFromArchive::Lacking(lack, why)) => (lack, why),
    };
    let tag = request.release.tag.as_str();
    let archives_so_far =
        current.is_some_and(|slot| slot.manifest.delivery == slots::Delivery::Prebuilt);
    let young = request.release.is_young(clock::now());
    match next_step(lack, request.delivery, young, archives_so_far) {
        NextStep::Wait => Err(Error::new(format!(
            "{tag} is not complete yet and waits for the next run: {why:#}"
        ))
        .with_kind(Kind::NotYet)),
        NextStep::Fail => Err(
            Error::new(format!("cannot install {tag} from an archive: {why:#}")).with_hint(
                match features::in_words(features) {
                    None => "`delivery = \"auto\"` in [self-update] builds such a release with cargo",
                    Some(_) => {
                        "`delivery = \"auto\"` in [self-update] builds it with them, `features = []` does without them"
                    }
                },
            ),
        ),
        NextStep::Build => {
            (listener.note)(&format!("built by cargo: {}", why.one_line()));
            files::remove_tree_if_there(&staged.bin())?;
            by_cargo(request, features, staged, listener)
        }
    }
}

fn by_cargo(
    request: &StageRequest,
    features: &BTreeMap<String, Features>,
    staged: &StagedFolder,
    listener: &Listener,
) -> Result<Delivered> {
    let (release, origin, paths) = (request.release, request.origin, request.paths);
    if let Some(why) = origin.objection_to_build(request.trust.require()) {
        let tag = release.tag.as_str();
        return Err(Error::new(format!("cannot build {tag} from source: {why}"))
            .with_hint("add the key of its owner: `heph self-update trust add FILE`"));
    }
    let cargo = Cargo::find(&request.environment, paths)?;
    require_space(&paths.build(), BUILD_SPACE, "build a release")?;
    require_space(&paths.versions(), SLOT_SPACE, "keep a release")?;
    let at = if request.trust.signs_tags() {
        GitRef::Commit(&origin.commit)
    } else {
        GitRef::Tag(release.tag.as_str())
    };
    let order = BuildOrder {
        url: request.repository.url(),
        tag: &release.tag,
        commit: &origin.commit,
        at,
        packages: request.packages,
        features,
        root: &staged.path,
        build: &paths.build(),
    };
    let built = cargo.install(&order, listener)?;
    let binaries = match verified(request, staged, &built.binaries) {
        Err(error) if error.kind() == Kind::Unfit && built.used_cache => {
            interrupt::check()?;
            let error = error.one_line();
            (listener.note)(&format!(
                "{error}; it is built once more from an empty folder"
            ));
            let built = cargo.install_afresh(&order, listener)?;
            verified(request, staged, &built.binaries)?
        }
        binaries => binaries?,
    };
    Ok(Delivered {
        by: slots::Delivery::Cargo,
        binaries,
        signed_by: origin.signed_by().map(str::to_owned),
    })
}

/// Verifies what cargo built. A machine that cannot run it has no build.
fn verified(
    request: &StageRequest,
    staged: &StagedFolder,
    names: &[String],
) -> Result<Vec<Binary>> {
    interrupt::check()?;
    let binaries = staged.digests(names)?;
    match verify(request, staged, names) {
        Err(error) if error.kind() != Kind::Unfit => Err(error.with_kind(Kind::Build)),
        verified => verified.map(|()| binaries),
    }
}

fn by_archive(
    request: &StageRequest,
    features: &BTreeMap<String, Features>,
    installed: &[String],
    staged: &StagedFolder,
    listener: &Listener,
) -> Result<Delivered, NotFromArchive> {
    if let Some(words) = features::in_words(features) {
        let why =
            format!("it was installed with {words}, and no archive says what it was built with");
        return Err(NotFromArchive::Lacking(Lack::Support, Error::new(why)));
    }
    let tag = &request.release.tag;
    let plans = plans(request)?;
    let order = InstallOrder {
        plans: &plans,
        tag,
        repository: request.repository,
        keys: &request.trust.minisign_keys,
        installed,
        paths: request.paths,
        bin: &staged.bin(),
    };
    let archives = prebuilt::install(&order, listener)?;
    interrupt::check()?;
    // An archive may have fewer commands than a build.
    let may_lack = request.allow_fewer_commands && request.delivery == Delivery::Prebuilt;
    let missing = installed
        .iter()
        .find(|name| !may_lack && !archives.binaries.contains(name));
    if let Some(name) = missing {
        let why = format!(
            "'{name}' is installed, and the archive of {} lacks it",
            tag.as_str()
        );
        return Err(NotFromArchive::Lacking(Lack::Support, Error::new(why)));
    }
    verify(request, staged, &archives.binaries).map_err(|error| {
        if verify::lacks_library(&error) {
            NotFromArchive::Lacking(Lack::Support, error)
        } else {
            NotFromArchive::Failed(error)
        }
    })?;
    Ok(Delivered {
        by: slots::Delivery::Prebuilt,
        binaries: staged.digests(&archives.binaries)?,
        signed_by: archives.signed_by,
    })
}

/// Returns whether the release has an archive of each package for this machine, with what vouches for it. Downloads none.
pub(crate) fn has_archives(request: &StageRequest) -> bool {
    plans(request).is_ok()
}

/// Plans the installation from the files that the forge lists, or, for a plain git remote, from those that the release's
/// Cargo.toml leads to. The latter are guesses: if they cannot be looked up now, cargo may build instead.
fn plans(request: &StageRequest) -> Result<Vec<ArchivePlan>, NotFromArchive> {
    let targets = asset::targets();
    if !request.release.assets.is_empty() || !request.plain_git {
        return prebuilt::plan(request, &targets);
    }
    match binstall_archives::plan(request, &targets) {
        Err(NotFromArchive::Failed(error)) if request.delivery == Delivery::Auto => {
            interrupt::check()?;
            Err(NotFromArchive::Lacking(Lack::Support, error))
        }
        plans => plans,
    }
}

fn verify(request: &StageRequest, staged: &StagedFolder, binaries: &[String]) -> Result<()> {
    let release = request.release;
    let names = binaries.iter().map(String::as_str);
    let packages = request.packages;
    verify::binaries(&staged.bin(), names, packages, &release.version).map_err(|error| {
        let error = if verify::is_forbidden(&error) || verify::lacks_library(&error) {
            error
        } else {
            error.with_kind(Kind::Unfit)
        };
        error.context(format!("cannot verify {}", release.tag.as_str()))
    })
}
