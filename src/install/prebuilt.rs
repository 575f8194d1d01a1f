//! Delivery `prebuilt`: an archive of the release, vouched for, unpacked into a slot.
//!
//! In this order, so that nothing is read by a parser before it is known to be genuine, and nothing large is fetched in
//! vain: what vouches for the archive (checksums, signatures) is fetched and read; the archive is downloaded and hashed on
//! the way; it is judged; only then is it unpacked, from the very file that was hashed.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use minisign_verify::StreamVerifier;
use sha2::{Digest, Sha256};

use super::Listener;
use super::unpack::{self, Trouble};
use crate::config::SelfUpdate;
use crate::error::{Error, Kind, Result, ResultExt, ensure};
use crate::os::download::{self, Watcher, download};
use crate::os::http::{self, Answer, Get, Limits};
use crate::os::{files, interrupt};
use crate::paths::Paths;
use crate::release::asset::{self, Asset, Offer};
use crate::release::trust::archive::{self, ArchiveProof, Expected, ProofAssets, ProofTexts};
use crate::release::{Release, Tag};

/// The largest archive, in bytes.
const LARGEST: u64 = 1 << 30;
/// The largest checksum file or signature, in bytes.
const LARGEST_PROOF: u64 = 1 << 20;
/// How many times as large as its archive a release is taken to be before it is unpacked.
const GROWTH: u64 = 4;
/// How often the terminal is told how much has arrived.
const TELLING: Duration = Duration::from_millis(100);

/// An archive to install, and what vouches for it.
#[derive(Debug)]
pub(super) struct ArchivePlan<'a> {
    /// Of which package it is.
    pub package: &'a str,
    /// The archive, and what is beside it.
    pub offer: Offer<'a>,
    /// What of that vouches for it.
    pub wanted: ProofAssets<'a>,
    /// That, where it has been fetched already.
    pub fetched: Option<ProofTexts>,
}

/// What was installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InstalledArchives {
    /// The names of the binaries, sorted.
    pub binaries: Vec<String>,
    /// The minisign keys that signed it, where a signature was verified.
    pub signed_by: Option<String>,
}

/// Plans the installation of every package of `release` from archives for `targets`.
///
/// # Errors
///
/// There is no archive for this machine, or not enough vouches for it: a sentence.
pub(super) fn plan<'a>(
    release: &'a Release,
    settings: &'a SelfUpdate,
    targets: &[String],
) -> Result<Vec<ArchivePlan<'a>>, String> {
    let tag = release.tag.as_str();
    if release.assets.is_empty() {
        return Err(format!("{tag} offers no files for download"));
    }
    settings
        .packages
        .iter()
        .map(|package| {
            let offer = asset::choose(&release.assets, package, &release.version, targets)
                .ok_or_else(|| {
                    let machine = targets.first().map_or("this machine", String::as_str);
                    format!("{tag} has no archive of '{package}' for {machine}")
                })?;
            let wanted = archive::wanted(&offer, &settings.trust)?;
            Ok(ArchivePlan {
                package,
                offer,
                wanted,
                fetched: None,
            })
        })
        .collect()
}

/// Downloads, verifies and unpacks `plans` into the folder `bin`, which is made.
///
/// # Errors
///
/// Something could not be fetched (exit 75 where later may be better), or is not what its owner published, in which case
/// it is of [`Kind::Unfit`].
pub(super) fn install(
    plans: &[ArchivePlan],
    tag: &Tag,
    settings: &SelfUpdate,
    paths: &Paths,
    bin: &Path,
    listener: &Listener,
) -> Result<InstalledArchives> {
    files::create_private_dir(bin)?;
    files::create_private_dir(&paths.downloads())?;
    let mut installed = InstalledArchives::default();
    let mut keys = Vec::new();
    for plan in plans {
        let ArchivePlan { offer, package, .. } = plan;
        let name = &offer.archive.name;
        let fetched = plan.fetch()?;
        let expected = archive::expect(name, &plan.wanted, &fetched, &settings.trust)
            .map_err(|why| not_genuine(tag, &why))?;
        let partial = paths.downloads().join(format!("{name}.partial"));
        forget_others(&partial)?;
        let (file, proof) = genuine(offer.archive, &expected, &partial, paths, tag, listener)?;
        if let ArchiveProof::Signature { key } = proof
            && !keys.contains(&key)
        {
            keys.push(key);
        }
        let names = unpack::unpack(&file, offer.format, package, bin)
            .map_err(|trouble| unusable(tag, name, trouble))?;
        installed.binaries.extend(names);
        download::discard(&partial)?;
    }
    installed.binaries.sort_unstable();
    installed.signed_by = (!keys.is_empty()).then(|| format!("minisign {}", keys.join(", ")));
    ensure!(
        !installed.binaries.is_empty(),
        "there are no packages to install"
    );
    Ok(installed)
}

impl ArchivePlan<'_> {
    fn fetch(&self) -> Result<ProofTexts> {
        if let Some(fetched) = &self.fetched {
            return Ok(fetched.clone());
        }
        let text = |asset: Option<&Asset>| asset.map(fetch).transpose();
        Ok(ProofTexts {
            checksums: text(self.wanted.checksums)?,
            checksums_signature: text(self.wanted.checksums_signature)?,
            signature: text(self.wanted.signature)?,
        })
    }
}

/// Asks for a small file.
pub(super) fn get_small(asset: &Asset) -> Result<Answer> {
    let request = Get {
        url: &asset.url,
        accept: "application/octet-stream, */*",
        ..Get::default()
    };
    let limits = Limits {
        body: LARGEST_PROOF,
        ..Limits::default()
    };
    http::get(&request, &limits)
}

/// Fetches a small file. What is not text can be neither list nor signature, and is judged as such.
fn fetch(asset: &Asset) -> Result<String> {
    let fetched = get_small(asset).and_then(|answer| match answer.status {
        200 => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
        _ => Err(answer.failure()),
    });
    fetched.map_err(|error| {
        let outer = Error::new(format!("cannot fetch '{}'", asset.url));
        match error.kind() {
            Kind::Unreachable => error.context(outer),
            _ => error.context(outer.with_hint(INSTEAD)),
        }
    })
}

const INSTEAD: &str = "look at the files of the release on its forge; `delivery = \"cargo\"` in [self-update] builds it instead";

/// Downloads an archive and judges it. One that went on from an earlier try and is bad is fetched once more from nothing:
/// a crash may have spoilt what was there.
fn genuine(
    asset: &Asset,
    expected: &Expected,
    partial: &Path,
    paths: &Paths,
    tag: &Tag,
    listener: &Listener,
) -> Result<(File, ArchiveProof)> {
    let request = download::Request {
        url: &asset.url,
        partial,
        size: asset.size,
        limit: LARGEST,
    };
    loop {
        let mut arrival = Arrival::new(paths, expected.verifier(), listener);
        let download = download(&request, &download::limits(), &mut arrival)?;
        let digest = files::hex(&std::mem::take(&mut arrival.sha256).finalize());
        match expected.judge(&asset.name, &digest, arrival.verifier.take()) {
            Ok(proof) => return Ok((download.file, proof)),
            Err(why) => {
                download::discard(partial)?;
                if !download.resumed {
                    return Err(not_genuine(tag, &why));
                }
            }
        }
        interrupt::check()?;
    }
}

/// Removes what earlier releases left half downloaded.
fn forget_others(partial: &Path) -> Result<()> {
    let folder = partial.parent().unwrap_or(partial);
    let cannot = || format!("cannot clean '{}'", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let is_note = path.file_stem() == partial.file_name();
        if path != partial && !is_note {
            files::remove_file_if_there(&path).with_context(cannot)?;
        }
    }
    Ok(())
}

fn not_genuine(tag: &Tag, why: &str) -> Error {
    Error::unfit(format!(
        "{} is not what its owner published: {why}",
        tag.as_str()
    ))
    .with_hint("ask the owner of the release; until then it is not tried again")
}

fn unusable(tag: &Tag, name: &str, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Machine(error) => error,
        Trouble::Archive(why) => {
            Error::unfit(format!("'{name}' of {} will not do: {why}", tag.as_str()))
                .with_hint("ask the owner of the release; until then it is not tried again")
        }
    }
}

/// Hashes an archive while it arrives.
struct Arrival<'a> {
    sha256: Sha256,
    verifier: Option<StreamVerifier<'a>>,
    paths: &'a Paths,
    listener: &'a Listener<'a>,
    done: u64,
    total: u64,
    told: Option<Instant>,
}

impl<'a> Arrival<'a> {
    fn new(
        paths: &'a Paths,
        verifier: Option<StreamVerifier<'a>>,
        listener: &'a Listener<'a>,
    ) -> Arrival<'a> {
        Arrival {
            sha256: Sha256::new(),
            verifier,
            paths,
            listener,
            done: 0,
            total: 0,
            told: None,
        }
    }
}

impl Watcher for Arrival<'_> {
    fn starts(&mut self, present: u64, total: u64) -> Result<()> {
        self.total = total;
        enough_space(
            &self.paths.downloads(),
            total - present,
            &self.paths.versions(),
            total,
        )
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(verifier) = &mut self.verifier {
            verifier.update(bytes);
        }
        self.done += bytes.len() as u64;
        let due = self.told.is_none_or(|told| told.elapsed() >= TELLING);
        if due || self.done == self.total {
            (self.listener.arrived)(self.done, self.total);
            self.told = Some(Instant::now());
        }
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        // Nothing of nothing: what was shown of a download that broke off goes away.
        (self.listener.arrived)(0, 0);
    }
}

/// Checks that there is room for the archive, of which `missing` bytes are to come, and for what it unpacks to.
fn enough_space(downloads: &Path, missing: u64, versions: &Path, total: u64) -> Result<()> {
    let content = total.saturating_mul(GROWTH);
    if device(downloads) == device(versions) {
        return super::enough_space(
            versions,
            content.saturating_add(missing),
            "install a release",
        );
    }
    super::enough_space(downloads, missing, "download a release")?;
    super::enough_space(versions, content, "keep a release")
}

/// Returns the file system that `folder` is on, or would be.
fn device(folder: &Path) -> Option<u64> {
    let there: Option<PathBuf> = folder
        .ancestors()
        .find(|path| path.exists())
        .map(Into::into);
    fs::metadata(there?).ok().map(|metadata| metadata.dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_needed_for_each_package_and_something_must_vouch_for_it() {
        let name = "tool-v1.0.0-x86_64-unknown-linux-gnu.tar.gz";
        let asset = |name: &str| {
            Asset::new(name.to_owned(), format!("https://f.example/{name}"), None).unwrap()
        };
        let mut release = Release {
            version: "1.0.0".parse().unwrap(),
            tag: Tag::try_from("v1.0.0".to_owned()).unwrap(),
            url: None,
            published_at: None,
            assets: Vec::new(),
        };
        let mut settings = SelfUpdate {
            packages: vec!["tool".to_owned()],
            ..SelfUpdate::default()
        };
        let targets = ["x86_64-unknown-linux-gnu".to_owned()];
        let said = |release: &Release, settings: &SelfUpdate| {
            plan(release, settings, &targets).map(|plans| plans.len())
        };
        let refused = said(&release, &settings).unwrap_err();
        assert!(refused.contains("no files"), "{refused}");
        release.assets.push(asset(name));
        let refused = said(&release, &settings).unwrap_err();
        assert!(refused.contains("no checksum"), "{refused}");
        release.assets.push(asset("SHA256SUMS"));
        assert_eq!(said(&release, &settings), Ok(1));
        settings.packages.push("other".to_owned());
        let refused = said(&release, &settings).unwrap_err();
        assert!(
            refused.contains("no archive of 'other' for x86_64"),
            "{refused}"
        );
    }
}
