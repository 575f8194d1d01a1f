//! Delivery `prebuilt`: an archive of the release, with proof, unpacked into a slot.
//!
//! The order keeps unproven bytes away from parsers, and avoids large downloads in vain: the proofs of an archive (checksums,
//! signatures) are fetched and parsed; the archive is downloaded and hashed on the way; it is judged; only then is it
//! unpacked, from the very file that was hashed.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use minisign_verify::StreamVerifier;
use sha2::{Digest, Sha256};

use super::lack::Lack;
use super::staging::require_space;
use super::{Listener, StageRequest, unpack};
use crate::config::trust::minisign::Key;
use crate::config::{Repository, Trust};
use crate::error::{Error, Kind, Result, ResultExt};
use crate::os::download::{self, Watcher, download};
use crate::os::http::{self, Answer, Get, Limits};
use crate::os::{files, interrupt};
use crate::paths::Paths;
use crate::release::asset::{self, Asset, Format};
use crate::release::trust::archive::{self, Expected, ProofFile, ProofFiles};
use crate::release::{Release, Tag};

const LARGEST: u64 = 1 << 30;
const LARGEST_PROOF: u64 = 1 << 20;
/// The estimated size of a release, as a multiple of that of its archive.
const GROWTH: u64 = 4;
const SHOW_EVERY: Duration = Duration::from_millis(100);

const INSTEAD: &str = "look at the files of the release on its forge; `delivery = \"cargo\"` in [self-update] builds it instead";

#[derive(Clone, Debug)]
pub(super) struct ArchivePlan {
    pub package: String,
    pub archive: Asset,
    pub format: Format,
    pub proofs: ProofFiles<ProofFile>,
}

/// Why a release is not installed from archives.
#[derive(Debug)]
pub(super) enum NotFromArchive {
    /// Nothing is wrong with what there is: it may be complete later, or cargo may build instead.
    Lacking(Lack, Error),
    Failed(Error),
}

impl NotFromArchive {
    /// Blames the release for an error of [`Kind::Unfit`], and takes any other for a lack of proof.
    fn of_proof(tag: &Tag, error: Error) -> NotFromArchive {
        match error.kind() {
            Kind::Unfit => NotFromArchive::Failed(not_genuine(tag, error)),
            _ => NotFromArchive::Lacking(Lack::Proof, error),
        }
    }

    /// Takes a file that the forge lists and does not have for one that is still under way.
    fn of_request(error: Error) -> NotFromArchive {
        match error.kind() {
            Kind::NotFound => NotFromArchive::Lacking(Lack::Proof, error),
            _ => NotFromArchive::Failed(error),
        }
    }
}

impl From<Error> for NotFromArchive {
    fn from(error: Error) -> NotFromArchive {
        NotFromArchive::Failed(error)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InstalledArchives {
    pub binaries: Vec<String>,
    /// The minisign keys that signed the archives, if a signature was verified.
    pub signed_by: Option<String>,
}

/// Plans the installation of the packages from the files that the release lists for `targets`, and fetches their proofs.
pub(super) fn plan(
    request: &StageRequest,
    targets: &[String],
) -> Result<Vec<ArchivePlan>, NotFromArchive> {
    let (release, repository) = (request.release, request.repository);
    let selected = select(release, request.packages, request.trust, targets)?.into_iter();
    selected
        .map(|(package, offer, proofs)| {
            Ok(ArchivePlan {
                package,
                archive: offer.archive,
                format: offer.format,
                proofs: proofs
                    .try_map(|asset| fetch(asset, repository))
                    .map_err(NotFromArchive::of_request)?,
            })
        })
        .collect()
}

/// Selects the archive of each package, and the files that vouch for it.
fn select(
    release: &Release,
    packages: &[String],
    trust: &Trust,
    targets: &[String],
) -> Result<Vec<(String, asset::Offer, ProofFiles<Asset>)>, NotFromArchive> {
    let tag = release.tag.as_str();
    let lacking = |lack| move |error| NotFromArchive::Lacking(lack, error);
    if release.assets.is_empty() {
        let error = Error::new(format!("{tag} offers no files for download"));
        return Err(lacking(Lack::Archive)(error));
    }
    archive::check_keys(trust).map_err(lacking(Lack::Support))?;
    let select = |package: &String| {
        let offer = asset::choose(&release.assets, package, &release.version, targets)
            .with_context(|| {
                let machine = targets.first().map_or("this machine", String::as_str);
                format!("{tag} has no archive of '{package}' for {machine}")
            })
            .map_err(lacking(Lack::Archive))?;
        let proofs = archive::select(&offer, trust).map_err(lacking(Lack::Proof))?;
        Ok((package.clone(), offer, proofs))
    };
    packages.iter().map(select).collect()
}

/// Archives to install.
pub(super) struct InstallOrder<'a> {
    pub plans: &'a [ArchivePlan],
    pub tag: &'a Tag,
    pub repository: &'a Repository,
    /// Signatures count by these keys only.
    pub keys: &'a [Key],
    /// The commands that are installed so far.
    pub installed: &'a [String],
    pub paths: &'a Paths,
    /// The folder of the commands, which is created.
    pub bin: &'a Path,
}

/// Downloads, verifies and unpacks archives.
///
/// # Errors
///
/// [`NotFromArchive::Failed`]: an archive cannot be fetched (exit 75 if a later request may succeed), or is not what its owner
/// published ([`Kind::Unfit`]).
pub(super) fn install(
    order: &InstallOrder,
    listener: &Listener,
) -> Result<InstalledArchives, NotFromArchive> {
    let (tag, paths, bin) = (order.tag, order.paths, order.bin);
    files::create_private_dir(bin)?;
    files::create_private_dir(&paths.downloads())?;
    let mut installed = InstalledArchives::default();
    let mut signers = Vec::new();
    for plan in order.plans {
        let name = &plan.archive.name;
        let expected = archive::expect(name, &plan.proofs, order.keys)
            .map_err(|error| NotFromArchive::of_proof(tag, error))?;
        let partial = paths.downloads().join(format!("{name}.partial"));
        remove_others(&partial)?;
        let (file, signer) = genuine(&plan.archive, &expected, &partial, order, listener)
            .map_err(NotFromArchive::of_request)?;
        signers.extend(signer.filter(|key| !signers.contains(key)));
        let unpacked = unpack::unpack(&file, plan.format, &plan.package, order.installed, bin);
        // Where this machine was at fault, the next run has it already.
        if !matches!(&unpacked, Err(error) if error.kind() != Kind::Invalid) {
            download::discard(&partial)?;
        }
        let names = unpacked.map_err(|error| cannot_unpack(tag, name, error))?;
        installed.binaries.extend(names);
    }
    installed.binaries.sort_unstable();
    installed.signed_by = (!signers.is_empty()).then(|| format!("minisign {}", signers.join(", ")));
    if installed.binaries.is_empty() {
        return Err(Error::new("there are no packages to install").into());
    }
    Ok(installed)
}

pub(super) fn request(asset: &Asset, repository: &Repository) -> Result<Answer> {
    let request = Get {
        url: &asset.url,
        base: Some(repository.url()),
        accept: "application/octet-stream, */*",
        ..Get::default()
    };
    let limits = Limits {
        body: LARGEST_PROOF,
        ..Limits::default()
    };
    expect_status(asset, http::get(&request, &limits), &[200])
}

/// Fails unless the answer has one of the statuses `good`; with [`Kind::Unreachable`] if a later request may succeed.
pub(super) fn expect_status(asset: &Asset, answer: Result<Answer>, good: &[u16]) -> Result<Answer> {
    let answer = answer.and_then(|answer| match good.contains(&answer.status) {
        true => Ok(answer),
        false => Err(answer.failure()),
    });
    answer.with_context(|| format!("cannot fetch '{}'", asset.url))
}

pub(super) fn proof_file(asset: Asset, answer: Answer) -> ProofFile {
    ProofFile {
        name: asset.name,
        content: answer.body,
    }
}

fn fetch(asset: Asset, repository: &Repository) -> Result<ProofFile> {
    let answer = request(&asset, repository).map_err(|error| match error.kind() {
        Kind::Unreachable => error,
        _ => error.with_hint(INSTEAD),
    })?;
    Ok(proof_file(asset, answer))
}

/// Downloads an archive and judges it; returns it with the key that signed it. A bad one that was resumed is downloaded once more from scratch: a crash may have
/// damaged the earlier part.
fn genuine(
    asset: &Asset,
    expected: &Expected,
    partial: &Path,
    order: &InstallOrder,
    listener: &Listener,
) -> Result<(File, Option<String>)> {
    let (tag, paths) = (order.tag, order.paths);
    let request = download::Request {
        url: &asset.url,
        base: order.repository.url(),
        partial,
        size: asset.size,
        limit: LARGEST,
    };
    loop {
        let mut arrival = Arrival {
            sha256: Sha256::new(),
            verifier: expected.verifier(),
            paths,
            listener,
            done: 0,
            total: 0,
            shown: None,
        };
        let download = download(&request, &download::limits(), &mut arrival)?;
        let digest = files::hex(&std::mem::take(&mut arrival.sha256).finalize());
        match expected.judge(&asset.name, &digest, arrival.verifier.take()) {
            Ok(signer) => return Ok((download.file, signer)),
            Err(error) => {
                download::discard(partial)?;
                if !download.resumed {
                    return Err(not_genuine(tag, error));
                }
            }
        }
        interrupt::check()?;
    }
}

fn remove_others(partial: &Path) -> Result<()> {
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

const ASK_OWNER: &str = "ask the owner of the release; until then it is not tried again";

fn not_genuine(tag: &Tag, error: Error) -> Error {
    let message = format!("{} is not what its owner published", tag.as_str());
    error.context(Error::unfit(message).with_hint(ASK_OWNER))
}

fn cannot_unpack(tag: &Tag, name: &str, error: Error) -> NotFromArchive {
    let message = format!("cannot unpack '{name}' of {}", tag.as_str());
    match error.kind() {
        Kind::Unfit => {
            NotFromArchive::Failed(error.context(Error::new(message).with_hint(ASK_OWNER)))
        }
        Kind::Invalid => NotFromArchive::Lacking(Lack::Support, error.context(message)),
        _ => NotFromArchive::Failed(error),
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
    shown: Option<Instant>,
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
        let due = self.shown.is_none_or(|shown| shown.elapsed() >= SHOW_EVERY);
        if due || self.done == self.total {
            (self.listener.arrived)(self.done, self.total);
            self.shown = Some(Instant::now());
        }
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        // Clears the progress of a download that broke off.
        (self.listener.arrived)(0, 0);
    }
}

/// Fails unless there is room for the archive, of which `missing` bytes are to come, and for what it unpacks to.
fn enough_space(downloads: &Path, missing: u64, versions: &Path, total: u64) -> Result<()> {
    let content = total.saturating_mul(GROWTH);
    if device(downloads) == device(versions) {
        return require_space(
            versions,
            content.saturating_add(missing),
            "install a release",
        );
    }
    require_space(downloads, missing, "download a release")?;
    require_space(versions, content, "keep a release")
}

/// Returns the file system of `folder`, which need not exist.
fn device(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|path| path.exists())?;
    fs::metadata(there).ok().map(|metadata| metadata.dev())
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
        let targets = ["x86_64-unknown-linux-gnu".to_owned()];
        let selected = |release: &Release, packages: &[&str]| {
            let packages: Vec<_> = packages.iter().map(|name| (*name).to_owned()).collect();
            select(release, &packages, &Trust::default(), &targets)
                .map(|plans| plans.len())
                .map_err(|failed| match failed {
                    NotFromArchive::Lacking(lack, error) => format!("{lack:?}: {error}"),
                    NotFromArchive::Failed(error) => panic!("{error:?}"),
                })
        };
        let missing = selected(&release, &["tool"]).unwrap_err();
        assert!(
            missing.contains("Archive: v1.0.0 offers no files"),
            "{missing}"
        );
        release.assets.push(asset(name));
        let missing = selected(&release, &["tool"]).unwrap_err();
        assert!(missing.contains("Proof: there is no checksum"), "{missing}");
        release.assets.push(asset("SHA256SUMS"));
        assert_eq!(selected(&release, &["tool"]), Ok(1));
        let missing = selected(&release, &["tool", "other"]).unwrap_err();
        assert!(
            missing.contains("Archive: v1.0.0 has no archive of 'other' for x86_64"),
            "{missing}"
        );
    }
}
