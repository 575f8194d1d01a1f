//! Archives of a release from a plain git remote, which lists no files: its Cargo.toml says where they are.
//!
//! git reads the Cargo.toml at the very commit that the release is proven to be; `release::binstall` builds URLs from it.
//! Those are guesses, and so are the names of checksums and signatures beside an archive. A server may answer every name
//! with a friendly page, so a guessed file counts as published only if it is what its name says: a checksum of this
//! archive, a signature, an archive. What counts is judged like the files of a forge.

use std::path::Path;

use ureq::http::header;

use super::StageRequest;
use super::lack::Lack;
use super::prebuilt::{self, ArchivePlan, NotFromArchive};
use crate::config::Repository;
use crate::error::{Error, Kind, Result, ResultExt, bail};
use crate::os::http::{self, Get, Limits};
use crate::os::{files, interrupt};
use crate::release::Tag;
use crate::release::asset::{Asset, Offer};
use crate::release::binstall::{Candidate, CargoToml, Facts};
use crate::release::cargo_toml::CargoTomls;
use crate::release::checksums;
use crate::release::trust::archive::{self, ProofFile};

/// How many bytes of a file tell whether it may be an archive.
const BEGINNING: u64 = 16;
const SUMS: &str = "SHA256SUMS";

/// Plans the installation of every package from the archives for one of `targets` that its Cargo.toml leads to.
///
/// # Errors
///
/// [`NotFromArchive::Failed`]: the Cargo.toml or an archive cannot be looked up (exit 75).
pub(super) fn plan(
    request: &StageRequest,
    targets: &[String],
) -> Result<Vec<ArchivePlan>, NotFromArchive> {
    let unsupported = |error| NotFromArchive::Lacking(Lack::Support, error);
    archive::check_keys(request.trust).map_err(unsupported)?;
    let tag = &request.release.tag;
    let folder = request.paths.tags();
    let read = read(request, &folder);
    files::remove_tree_if_there(&folder)?;
    let (top, manifests) = read?;
    let packages = request.packages.iter().zip(&manifests);
    packages
        .map(|(package, manifest)| {
            let facts = Facts {
                package,
                version: &request.release.version,
                targets,
                repository: request.repository.url(),
            };
            let candidates =
                candidates(manifest.as_ref(), top.as_ref(), &facts, tag).map_err(unsupported)?;
            first(&candidates, package, request)
        })
        .collect()
}

/// Returns the Cargo.toml at the top of the release, and that of each package, in order, if they exist.
fn read(
    request: &StageRequest,
    folder: &Path,
) -> Result<(Option<CargoToml>, Vec<Option<CargoToml>>)> {
    let (tag, commit) = (&request.release.tag, &request.origin.commit);
    let mut all = CargoTomls::fetch(request.repository.url(), tag, commit, folder)?;
    let packages = request.packages.iter();
    let of_packages: Result<_> = packages.map(|package| all.of(package)).collect();
    Ok((all.top()?, of_packages?))
}

/// Returns where archives of a package may be, according to its Cargo.toml.
fn candidates(
    manifest: Option<&CargoToml>,
    top: Option<&CargoToml>,
    facts: &Facts,
    tag: &Tag,
) -> Result<Vec<Candidate>> {
    let (tag, package) = (tag.as_str(), facts.package);
    let manifest = manifest.with_context(|| format!("{tag} has no Cargo.toml of '{package}'"))?;
    let candidates = manifest.archives(top, facts).with_context(|| {
        format!("cannot use the archives that the Cargo.toml of '{package}' in {tag} names")
    })?;
    if candidates.is_empty() {
        bail!("{tag} offers no files for download");
    }
    Ok(candidates)
}

/// Plans the installation from the first of `candidates` that exists and that enough vouches for.
fn first(
    candidates: &[Candidate],
    package: &str,
    request: &StageRequest,
) -> Result<ArchivePlan, NotFromArchive> {
    let (tag, trust) = (&request.release.tag, request.trust);
    let mut lacking = None;
    for candidate in candidates {
        interrupt::check()?;
        let Some(beginning) = beginning(&candidate.archive, request.repository)? else {
            continue;
        };
        let (offer, fetched) = offer(candidate, request)?;
        let why = match archive::select(&offer, trust) {
            // Nothing says what it should be, so only its first bytes tell it from a page that is served for every name.
            Ok(proofs) if proofs.is_empty() && !offer.format.begins(&beginning) => {
                Error::new(format!("'{}' is not an archive", offer.archive.url))
            }
            Ok(proofs) => {
                return Ok(ArchivePlan {
                    package: package.to_owned(),
                    archive: offer.archive,
                    format: offer.format,
                    proofs: proofs.try_map(|asset| {
                        let file = fetched.iter().find(|file| file.name == asset.name);
                        file.cloned().context("a proof was not fetched")
                    })?,
                });
            }
            Err(error) => error,
        };
        lacking = lacking.or(Some((Lack::Proof, why)));
    }
    let (lack, why) = lacking.unwrap_or_else(|| {
        let tried: Vec<_> = candidates
            .iter()
            .map(|candidate| format!("'{}'", candidate.archive.url))
            .collect();
        let why = format!(
            "{} has no archive of '{package}' at {}",
            tag.as_str(),
            tried.join(" or ")
        );
        (Lack::Archive, Error::new(why))
    });
    Err(NotFromArchive::Lacking(lack, why))
}

/// Looks up the files that may vouch for an archive, as far as they are needed, and returns their content as well.
fn offer(candidate: &Candidate, request: &StageRequest) -> Result<(Offer, Vec<ProofFile>)> {
    let archive = &candidate.archive;
    let name = &archive.name;
    let folder = archive.url.strip_suffix(name.as_str()).unwrap_or_default();
    let has_keys = !request.trust.minisign_keys.is_empty();
    let mut fetched = Vec::new();
    // A list counts if it says anything about the archive, even if that contradicts itself.
    let lists = |text: &str, alone| match checksums::sha256(text, name, alone) {
        Ok(_) => true,
        Err(error) => error.kind() == Kind::Unfit,
    };
    let mut look = |name: String, counts: &dyn Fn(&str) -> bool| -> Result<Option<Asset>> {
        let url = format!("{folder}{name}");
        let Some(asset) = Asset::new(name, url, None) else {
            return Ok(None);
        };
        let proof = proof(&asset, request.repository)?.filter(|proof| counts(&proof.text()));
        let found = proof.is_some();
        fetched.extend(proof);
        Ok(found.then_some(asset))
    };
    let sums = look(SUMS.to_owned(), &|text| lists(text, false))?;
    let sum = match sums {
        Some(_) => None,
        None => look(format!("{name}.sha256"), &|text| lists(text, true))?,
    };
    let sums_signature = match sums {
        Some(_) if has_keys => look(format!("{SUMS}.minisig"), &archive::is_signature)?,
        _ => None,
    };
    let signature = match sums_signature {
        None if has_keys => look(format!("{name}.minisig"), &archive::is_signature)?,
        _ => None,
    };
    let offer = Offer {
        archive: archive.clone(),
        format: candidate.format,
        sums,
        sums_signature,
        sum,
        signature,
    };
    Ok((offer, fetched))
}

fn beginning(archive: &Asset, repository: &Repository) -> Result<Option<Vec<u8>>> {
    let range = format!("bytes=0-{}", BEGINNING - 1);
    let request = Get {
        url: &archive.url,
        base: Some(repository.url()),
        accept: "application/octet-stream, */*",
        headers: &[
            (header::ACCEPT_ENCODING, "identity"),
            (header::RANGE, &range),
        ],
        ..Get::default()
    };
    let answer = http::peek(&request, &Limits::default(), BEGINNING);
    let answer = if_published(prebuilt::expect_status(archive, answer, &[200, 206]))?;
    let beginning = answer.map(|answer| answer.body);
    Ok(beginning.filter(|beginning| !beginning.is_empty()))
}

fn proof(asset: &Asset, repository: &Repository) -> Result<Option<ProofFile>> {
    interrupt::check()?;
    let answer = if_published(prebuilt::request(asset, repository))?;
    Ok(answer.map(|answer| prebuilt::proof_file(asset.clone(), answer)))
}

/// Turns an error that a later request would meet as well into `None`.
fn if_published<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind() == Kind::Unreachable => Err(error.with_hint("try again later")),
        Err(_) => Ok(None),
    }
}
