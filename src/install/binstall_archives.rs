//! Archives of a release from a plain git remote, which lists no files: where its Cargo.toml says they are.
//!
//! The Cargo.toml is read by git at the very commit that the release is proven to be; `release::binstall` makes addresses
//! of it. Those are guesses, and so are the names of checksums and signatures beside an archive. A server may answer
//! every name with a friendly page, so a guessed file counts as published only if it is what its name says: a checksum
//! of this archive, a signature, an archive. What counts is judged as the files of a forge are, without mercy.

use std::path::Path;

use ureq::http::header;

use super::prebuilt::{self, ArchivePlan};
use crate::config::{SelfUpdate, Trust};
use crate::error::{Error, Kind, Result};
use crate::os::http::{self, Get, Limits};
use crate::os::{files, interrupt};
use crate::paths::Paths;
use crate::release::asset::{self, Asset, Format, Offer};
use crate::release::binstall::{Candidate, CargoToml, Facts};
use crate::release::cargo_toml::CargoTomls;
use crate::release::trust::Origin;
use crate::release::trust::archive::{self, ProofTexts};
use crate::release::{Release, Tag};

/// How many bytes of a file tell whether it may be an archive.
const BEGINNING: u64 = 16;
/// The name of the file with the checksums of all archives.
const SUMS: &str = "SHA256SUMS";

/// An archive that is there, and what vouches for it.
#[derive(Debug)]
pub(super) struct PublishedArchive<'a> {
    package: &'a str,
    archive: Asset,
    format: Format,
    beside: ProofFiles,
}

/// What was found beside an archive.
#[derive(Debug, Default)]
struct ProofFiles {
    sums: Option<SmallFile>,
    sums_signature: Option<SmallFile>,
    sum: Option<SmallFile>,
    signature: Option<SmallFile>,
}

/// A small file, and what is in it.
#[derive(Debug)]
struct SmallFile {
    asset: Asset,
    text: String,
}

/// Returns the archive of every package of `release` for one of `targets`.
///
/// # Errors
///
/// The Cargo.toml or an archive could not be looked for (exit 75). The inner error is a sentence: nothing is published, or
/// not enough vouches for it.
pub(super) fn find<'a>(
    release: &Release,
    origin: &Origin,
    settings: &'a SelfUpdate,
    paths: &Paths,
    targets: &[String],
) -> Result<Result<Vec<PublishedArchive<'a>>, String>> {
    if let Some(shortage) = archive::hopeless(&settings.trust) {
        return Ok(Err(shortage));
    }
    let tag = &release.tag;
    let folder = paths.tags();
    let read = read(release, origin, settings, &folder);
    files::remove_tree_if_there(&folder)?;
    let (top, manifests) = read?;
    let mut all = Vec::new();
    for (package, manifest) in settings.packages.iter().zip(manifests) {
        let facts = Facts {
            package,
            version: &release.version,
            targets,
            repository: settings.repository.url(),
        };
        let candidates = match candidates(manifest.as_ref(), top.as_ref(), &facts, tag) {
            Ok(candidates) => candidates,
            Err(shortage) => return Ok(Err(shortage)),
        };
        match first(&candidates, package, tag, &settings.trust)? {
            Ok((candidate, beside)) => all.push(PublishedArchive {
                package,
                archive: candidate.archive.clone(),
                format: candidate.format,
                beside,
            }),
            Err(shortage) => return Ok(Err(shortage)),
        }
    }
    Ok(Ok(all))
}

/// Returns the Cargo.toml at the top of the release, and that of each package, in order, where they are there.
fn read(
    release: &Release,
    origin: &Origin,
    settings: &SelfUpdate,
    folder: &Path,
) -> Result<(Option<CargoToml>, Vec<Option<CargoToml>>)> {
    let url = settings.repository.url();
    let mut all = CargoTomls::fetch(url, &release.tag, &origin.commit, folder)?;
    let packages = &settings.packages;
    let of_packages: Result<_> = packages.iter().map(|package| all.of(package)).collect();
    Ok((all.top()?, of_packages?))
}

/// Returns where archives of a package may be, as its Cargo.toml says; the error is a sentence.
fn candidates(
    manifest: Option<&CargoToml>,
    top: Option<&CargoToml>,
    facts: &Facts,
    tag: &Tag,
) -> Result<Vec<Candidate>, String> {
    let tag = tag.as_str();
    let manifest = manifest.ok_or_else(|| {
        format!(
            "{tag} has no Cargo.toml of '{}' to look into",
            facts.package
        )
    })?;
    let candidates = manifest.archives(top, facts).map_err(|why| {
        format!(
            "the archives that the Cargo.toml of '{}' in {tag} tells of cannot be found: {why}",
            facts.package
        )
    })?;
    if candidates.is_empty() {
        return Err(format!("{tag} offers no files for download"));
    }
    Ok(candidates)
}

/// Returns the first of `candidates` that is there and enough vouches for; the inner error is a sentence.
fn first<'c>(
    candidates: &'c [Candidate],
    package: &str,
    tag: &Tag,
    trust: &Trust,
) -> Result<Result<(&'c Candidate, ProofFiles), String>> {
    let mut shortage = None;
    for candidate in candidates {
        interrupt::check()?;
        let Some(beginning) = beginning(&candidate.archive)? else {
            continue;
        };
        let beside = ProofFiles::of(&candidate.archive, trust)?;
        let offer = beside.offer(&candidate.archive, candidate.format);
        let lacks = match archive::wanted(&offer, trust) {
            // Nothing says what it should be, so only its beginning tells it from a page that stands for every name.
            Ok(wanted) if wanted.is_nothing() && !candidate.format.begins(&beginning) => {
                format!("'{}' is no archive", candidate.archive.url)
            }
            Ok(_) => return Ok(Ok((candidate, beside))),
            Err(lacks) => lacks,
        };
        shortage = shortage.or(Some(lacks));
    }
    let missing = || {
        let tried: Vec<_> = candidates
            .iter()
            .map(|candidate| format!("'{}'", candidate.archive.url))
            .collect();
        format!(
            "{} has no archive of '{package}' at {}",
            tag.as_str(),
            tried.join(" or ")
        )
    };
    Ok(Err(shortage.unwrap_or_else(missing)))
}

impl PublishedArchive<'_> {
    /// Returns how it is installed.
    ///
    /// # Errors
    ///
    /// Not enough vouches for it: a sentence.
    pub fn plan<'b>(&'b self, trust: &Trust) -> Result<ArchivePlan<'b>, String> {
        let offer = self.beside.offer(&self.archive, self.format);
        let wanted = archive::wanted(&offer, trust)?;
        let text = |asset: Option<&Asset>| {
            let small = self.beside.all().find(|small| Some(&small.asset) == asset);
            small.map(|small| small.text.clone())
        };
        Ok(ArchivePlan {
            package: self.package,
            offer,
            fetched: Some(ProofTexts {
                checksums: text(wanted.checksums),
                checksums_signature: text(wanted.checksums_signature),
                signature: text(wanted.signature),
            }),
            wanted,
        })
    }
}

impl ProofFiles {
    /// Looks for what may vouch for `archive`, no further than is of use.
    fn of(archive: &Asset, trust: &Trust) -> Result<ProofFiles> {
        let keys = !trust.minisign_keys.is_empty();
        let name = &archive.name;
        let folder = archive.url.strip_suffix(name.as_str()).unwrap_or_default();
        let look = |name: String, counts: &dyn Fn(&str) -> bool| -> Result<Option<SmallFile>> {
            let url = format!("{folder}{name}");
            let Some(asset) = Asset::new(name, url, None) else {
                return Ok(None);
            };
            let text = small(&asset)?.filter(|text| counts(text));
            Ok(text.map(|text| SmallFile { asset, text }))
        };
        let mut beside = ProofFiles {
            sums: look(SUMS.to_owned(), &|text| {
                asset::checksum(text, name, false).is_ok()
            })?,
            ..ProofFiles::default()
        };
        if beside.sums.is_none() {
            beside.sum = look(format!("{name}.sha256"), &|text| {
                asset::checksum(text, name, true).is_ok()
            })?;
        }
        if keys && beside.sums.is_some() {
            beside.sums_signature = look(format!("{SUMS}.minisig"), &archive::is_signature)?;
        }
        if keys && beside.sums_signature.is_none() {
            beside.signature = look(format!("{name}.minisig"), &archive::is_signature)?;
        }
        Ok(beside)
    }

    fn offer<'b>(&'b self, archive: &'b Asset, format: Format) -> Offer<'b> {
        fn asset(small: &Option<SmallFile>) -> Option<&Asset> {
            small.as_ref().map(|small| &small.asset)
        }
        Offer {
            archive,
            format,
            sums: asset(&self.sums),
            sums_signature: asset(&self.sums_signature),
            sum: asset(&self.sum),
            signature: asset(&self.signature),
        }
    }

    fn all(&self) -> impl Iterator<Item = &SmallFile> {
        [&self.sums, &self.sums_signature, &self.sum, &self.signature]
            .into_iter()
            .flatten()
    }
}

/// Returns the first bytes of a file that may be there; `None` where it is not.
fn beginning(archive: &Asset) -> Result<Option<Vec<u8>>> {
    let range = format!("bytes=0-{}", BEGINNING - 1);
    let request = Get {
        url: &archive.url,
        accept: "application/octet-stream, */*",
        headers: &[
            (header::ACCEPT_ENCODING, "identity"),
            (header::RANGE, &range),
        ],
        ..Get::default()
    };
    let answer = http::peek(&request, &Limits::default(), BEGINNING);
    Ok(published(archive, answer, &[200, 206])?.filter(|beginning| !beginning.is_empty()))
}

/// Returns the content of a small file that may be there; `None` where it is not.
fn small(asset: &Asset) -> Result<Option<String>> {
    interrupt::check()?;
    let bytes = published(asset, prebuilt::get_small(asset), &[200])?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Returns the body of an answer with one of the statuses `good`; `None` for any answer that will be the same tomorrow.
fn published(asset: &Asset, answer: Result<http::Answer>, good: &[u16]) -> Result<Option<Vec<u8>>> {
    let body = answer.and_then(|answer| match answer.status {
        status if good.contains(&status) => Ok(answer.body),
        _ => Err(answer.failure()),
    });
    match body {
        Ok(body) => Ok(Some(body)),
        Err(error) if error.kind() == Kind::Unreachable => {
            let outer = Error::new(format!("cannot look for '{}'", asset.url));
            Err(error.context(outer.with_hint("try again later")))
        }
        Err(_) => Ok(None),
    }
}
