//! The choice of a delivery, and what both come to: verified binaries in a folder.

use super::binstall_archives::{self, PublishedArchive};
use super::cargo::{self, Cargo};
use super::links::BinDir;
use super::slots::{self, Binary, Slots};
use super::toolchain::Variables;
use super::{BUILD_SPACE, Listener, SLOT_SPACE, Staged, enough_space, prebuilt, verify};
use crate::config::{Delivery, SelfUpdate};
use crate::error::{Error, Kind, Result};
use crate::os::{clock, files, interrupt};
use crate::paths::Paths;
use crate::release::feed::Feed;
use crate::release::trust::Origin;
use crate::release::{Release, asset};

/// A release, and where it is to go.
pub(super) struct DeliveryOrder<'a> {
    pub release: &'a Release,
    pub origin: &'a Origin,
    pub settings: &'a SelfUpdate,
    pub paths: &'a Paths,
    pub staged: &'a Staged,
}

/// What a delivery brought, verified.
pub(super) struct Delivered {
    pub by: slots::Delivery,
    pub binaries: Vec<Binary>,
    pub signed_by: Option<String>,
}

impl DeliveryOrder<'_> {
    /// Brings the release by the delivery that the settings ask for. Where they leave the choice, an archive is taken if
    /// there is one for this machine, enough vouches for it, and it has what is installed; but one that turns out bad is
    /// an error, never a reason to build.
    pub fn deliver(&self, variables: Variables, listener: &Listener) -> Result<Delivered> {
        let DeliveryOrder {
            release, settings, ..
        } = self;
        let wish = settings.delivery;
        let shortage = match wish {
            Delivery::Cargo => return self.by_cargo(variables, listener),
            Delivery::Auto | Delivery::Prebuilt => {
                let found = self.unlisted()?;
                let plans = match &found {
                    None => prebuilt::plan(release, settings, &asset::targets()),
                    Some(Ok(found)) => found
                        .iter()
                        .map(|found| found.plan(&settings.trust))
                        .collect(),
                    Some(Err(shortage)) => Err(shortage.clone()),
                };
                match plans {
                    Ok(plans) => match self.by_archive(&plans, listener)? {
                        Ok(delivered) => return Ok(delivered),
                        Err(shortage) => shortage,
                    },
                    Err(shortage) => shortage,
                }
            }
        };
        if wish == Delivery::Prebuilt {
            return Err(Error::new(format!(
                "cannot install {} from an archive: {shortage}",
                release.tag.as_str()
            ))
            .with_hint("`delivery = \"auto\"` in [self-update] builds such a release with cargo"));
        }
        (listener.note)(&format!("built by cargo: {shortage}"));
        self.by_cargo(variables, listener)
    }

    /// Looks for archives that nobody lists; `None` where the forge is one that lists files. What cannot be looked for now
    /// is as good as missing where cargo can build instead: that it is there at all is a guess.
    fn unlisted(&self) -> Result<Option<Result<Vec<PublishedArchive<'_>>, String>>> {
        let DeliveryOrder {
            release,
            origin,
            settings,
            paths,
            ..
        } = self;
        let feed = Feed {
            settings,
            state: &paths.feed(),
        };
        if !release.assets.is_empty() || !feed.is_plain_git(clock::now()) {
            return Ok(None);
        }
        let targets = asset::targets();
        match binstall_archives::find(release, origin, settings, paths, &targets) {
            Ok(found) => Ok(Some(found)),
            Err(error) if settings.delivery == Delivery::Prebuilt => Err(error),
            Err(error) => {
                interrupt::check()?;
                Ok(Some(Err(error.one_line())))
            }
        }
    }

    fn by_cargo(&self, variables: Variables, listener: &Listener) -> Result<Delivered> {
        let DeliveryOrder {
            release,
            origin,
            settings,
            paths,
            staged,
        } = self;
        let trust = &settings.trust;
        origin.admits_build(trust.require()).map_err(|reason| {
            Error::new(format!(
                "{} cannot be built from source: {reason}",
                release.tag.as_str()
            ))
            .with_hint("add the key of its owner: `heph self-update trust add FILE`")
        })?;
        let cargo = Cargo::find(variables, &paths.home)?;
        enough_space(&paths.build(), BUILD_SPACE, "build a release")?;
        enough_space(&paths.versions(), SLOT_SPACE, "keep a release")?;
        let built = cargo.install(
            &cargo::BuildOrder {
                url: settings.repository.url(),
                tag: &release.tag,
                commit: &origin.commit,
                by_commit: trust.signs_tags(),
                packages: &settings.packages,
                root: &staged.folder,
                build: &paths.build(),
            },
            listener.progress,
        )?;
        interrupt::check()?;
        let binaries = staged.digests(&built.binaries)?;
        self.verify(&built.binaries)?;
        Ok(Delivered {
            by: slots::Delivery::Cargo,
            binaries,
            signed_by: origin.signed_by().map(str::to_owned),
        })
    }

    /// The inner error is a sentence: the archive is genuine, but not for this machine.
    fn by_archive(
        &self,
        plans: &[prebuilt::ArchivePlan],
        listener: &Listener,
    ) -> Result<Result<Delivered, String>> {
        let DeliveryOrder {
            release,
            settings,
            paths,
            staged,
            ..
        } = self;
        let tag = &release.tag;
        let installed = prebuilt::install(plans, tag, settings, paths, &staged.bin(), listener)?;
        interrupt::check()?;
        let mut shortage = self.lost(&installed.binaries).map(|name| {
            format!(
                "'{name}' is installed, and the archive of {} lacks it",
                tag.as_str()
            )
        });
        if shortage.is_none()
            && let Err(error) = self.verify(&installed.binaries)
        {
            if !verify::lacks_library(&error) {
                return Err(error);
            }
            shortage = Some(error.one_line());
        }
        if let Some(shortage) = shortage {
            files::remove_tree_if_there(&staged.bin())?;
            return Ok(Err(shortage));
        }
        Ok(Ok(Delivered {
            by: slots::Delivery::Prebuilt,
            binaries: staged.digests(&installed.binaries)?,
            signed_by: installed.signed_by,
        }))
    }

    /// Returns a command of the installation that is none of `binaries`: an archive may have fewer than a build.
    fn lost(&self, binaries: &[String]) -> Option<String> {
        let current = Slots::new(self.paths).current().ok().flatten();
        let bin_dir = BinDir::find(self.settings, self.paths).ok()?;
        bin_dir
            .commands(self.settings, current.as_ref())
            .into_iter()
            .find(|name| !binaries.contains(name))
    }

    fn verify(&self, binaries: &[String]) -> Result<()> {
        let names = binaries.iter().map(String::as_str);
        verify::binaries(&self.staged.bin(), names, &self.release.version).map_err(|error| {
            let error = if verify::is_forbidden(&error) || verify::lacks_library(&error) {
                error
            } else {
                error.with_kind(Kind::Unfit)
            };
            error.context(format!("{} fails verification", self.release.tag.as_str()))
        })
    }
}
