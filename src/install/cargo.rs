//! Delivery `cargo`: `cargo install` from the tag, into a slot, with a cached build folder.
//!
//! Cargo installs into a fresh root, so nothing is ever replaced, and builds in one folder, cached from one update to the
//! next. Its own record in the root says which commit was built and which binaries there are. A binary that cargo installs is
//! a hard link to a file in the build folder, which a later build may rewrite; so each is copied before it is verified.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::build_cache::{self, Sources};
use super::build_failure::{self, BuildFailure};
use super::cargo_git;
use super::cargo_record::{self, GitRef};
use super::features;
use super::git_checkout;
use super::percent_free_path::PercentFreePath;
use super::slots::is_command_name;
use super::staging::copy_executable;
use super::suspects::{FailedBuild, Suspects};
use super::toolchain::{self, Variables};
use super::{Listener, Progress};
use crate::config::Features;
use crate::error::{Error, Kind, Result, ResultExt, ensure};
use crate::os::files;
use crate::os::interrupt;
use crate::os::process::{Run, describe};
use crate::paths::Paths;
use crate::release::Tag;

const LIMIT: Duration = Duration::from_secs(2 * 60 * 60);
/// How much of the end of a build log is searched for the failure, in bytes.
const LOG_TAIL: u64 = 64 * 1024;

/// The cargo that builds releases, and the environment it runs in.
#[derive(Debug)]
pub(crate) struct Cargo {
    program: PathBuf,
    variables: Variables,
    /// The folder of its settings, registries and git repositories.
    home: PathBuf,
    /// How long all attempts at one build may take.
    limit: Duration,
}

/// What a build made.
#[derive(Debug)]
pub(crate) struct Built {
    /// The names of the binaries, sorted.
    pub binaries: Vec<String>,
    /// Whether parts of earlier builds are in them.
    pub used_cache: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BuildOrder<'a> {
    pub url: &'a str,
    pub tag: &'a Tag,
    /// The commit of the tag, from which all must be built.
    pub commit: &'a str,
    /// What cargo is asked for, as its record will have it.
    pub at: GitRef<'a>,
    pub packages: &'a [String],
    /// The features of each package.
    pub features: &'a BTreeMap<String, Features>,
    /// The fresh folder that receives `bin/`.
    pub root: &'a Path,
    pub build: &'a Path,
}

impl Cargo {
    /// Finds cargo: the variable `CARGO`, PATH, `$CARGO_HOME/bin`, `~/.cargo/bin`. It gives no password of the user to a
    /// forge.
    pub(crate) fn find(variables: &Variables, paths: &Paths) -> Result<Cargo> {
        let program = toolchain::find_cargo(variables, &paths.home)?;
        Ok(Cargo {
            program,
            variables: cargo_git::without_passwords(variables, &paths.home, &paths.git())?,
            home: toolchain::cargo_home(variables, &paths.home),
            limit: LIMIT,
        })
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Returns a run of cargo in `folder`, still without arguments, with the environment of a build whose files go to
    /// `build` and whose commands go to `bin`.
    ///
    /// A build does not run in heph's own working folder, which may have a rust-toolchain.toml.
    pub(crate) fn run(&self, folder: &Path, bin: &Path, build: &Path, progress: &Progress) -> Run {
        let variables =
            toolchain::environment(&self.variables, &self.program, bin, build, progress);
        Run::new(&self.program).only_env(variables).dir(folder)
    }

    /// Builds and installs `order` into its root.
    ///
    /// A build that fails and used what earlier runs have left is done once more without that: a power cut may have damaged it.
    ///
    /// # Errors
    ///
    /// The build failed or timed out after two hours ([`Kind::Build`]), was interrupted, cannot reach a host
    /// ([`Kind::Unreachable`]), or its result is not what was ordered.
    pub(crate) fn install(&self, order: &BuildOrder, listener: &Listener) -> Result<Built> {
        let until = Instant::now() + self.limit;
        let progress = listener.progress;
        let checkouts = git_checkout::checkouts(&self.home, order.url, order.commit)?;
        let mut sources = match self.build(order, progress, until) {
            Ok(sources) => sources,
            Err(failed) => {
                let suspects = Suspects::of(&failed, checkouts);
                if suspects.is_empty() || interrupt::requested() {
                    return Err(failed.error);
                }
                (listener.note)(&format!(
                    "the build of {} failed with {suspects}, which may be damaged; it is built once more without",
                    order.tag.as_str()
                ));
                suspects.remove(order.build, &self.home, order.url)?;
                self.build_again(order, progress, until)?
            }
        };
        if !sources.fresh.is_empty() {
            // A killed build left them; see `build_cache`.
            build_cache::forget(order.build, &sources.packages)?;
            sources = self.build_again(order, progress, until)?;
            if !sources.fresh.is_empty() {
                // This cargo caches them where heph does not find them.
                files::remove_tree_if_there(order.build)?;
                sources = self.build_again(order, progress, until)?;
            }
        }
        build_cache::forget(order.build, &sources.packages)?;
        Ok(Built {
            binaries: inspect(order)?,
            used_cache: sources.used_cache,
        })
    }

    /// As [`Cargo::install`], with an empty build folder.
    pub(crate) fn install_afresh(&self, order: &BuildOrder, listener: &Listener) -> Result<Built> {
        files::remove_tree_if_there(order.build)?;
        empty(order.root)?;
        self.install(order, listener)
    }

    fn build_again(
        &self,
        order: &BuildOrder,
        progress: &Progress,
        until: Instant,
    ) -> Result<Sources> {
        empty(order.root)?;
        self.build(order, progress, until)
            .map_err(|failed| failed.error)
    }

    /// Builds and installs all packages, those with the same features at a time. Returns the sources of the build.
    fn build(
        &self,
        order: &BuildOrder,
        progress: &Progress,
        until: Instant,
    ) -> Result<Sources, FailedBuild> {
        files::create_private_dir(order.build)?;
        let mut sources = Sources::default();
        for arguments in arguments(order)? {
            let mut of_group = self.build_group(order, arguments, progress, until)?;
            // What an earlier group has compiled just now is not from an earlier build.
            let built =
                |name: &String| sources.packages.contains(name) && !sources.fresh.contains(name);
            of_group.fresh.retain(|name| !built(name));
            sources.packages.extend(of_group.packages);
            sources.fresh.extend(of_group.fresh);
            sources.used_cache |= of_group.used_cache;
        }
        Ok(sources)
    }

    fn build_group(
        &self,
        order: &BuildOrder,
        arguments: Vec<OsString>,
        progress: &Progress,
        until: Instant,
    ) -> Result<Sources, FailedBuild> {
        let build = PercentFreePath::of(order.build)?;
        let messages = build_cache::messages(order.build);
        let run = self
            .run(order.build, &order.root.join("bin"), build.path(), progress)
            .args(arguments)
            .stdout(&messages)
            .limit(until.saturating_duration_since(Instant::now()))
            .interruptible();
        let run = match progress {
            Progress::Terminal => run.show(),
            Progress::Log(log) => {
                if let Some(folder) = log.parent() {
                    files::create_private_dir(folder)?;
                }
                run.log(log)
            }
        };
        let output = match run.output() {
            Ok(output) => output,
            Err(_) if Instant::now() >= until && !interrupt::requested() => {
                return Err(timed_out(order, progress).into());
            }
            Err(error) => {
                let outer = format!("cannot build {}", order.tag.as_str());
                return Err(error.context(outer).into());
            }
        };
        let sources = build_cache::sources(&messages)?;
        if output.status.success() {
            return Ok(sources);
        }
        let (error, failure) = failure(order, progress, &describe(output.status));
        Err(FailedBuild {
            error,
            failure: Some(failure),
            used_cache: sources.used_cache,
        })
    }
}

fn empty(folder: &Path) -> Result<()> {
    files::remove_tree_if_there(folder)?;
    files::create_private_dir(folder)
}

/// Returns the arguments of each run of cargo: one, unless packages have different features. Untrusted text is never where an
/// option could be.
fn arguments(order: &BuildOrder) -> Result<Vec<Vec<OsString>>> {
    ensure!(
        !order.packages.is_empty(),
        "there are no packages to install"
    );
    for package in order.packages {
        if !is_package_name(package) {
            return Err(
                Error::usage(format!("'{package}' is not the name of a Cargo package"))
                    .with_hint("set `packages` in [self-update] to names such as \"heph\""),
            );
        }
    }
    let at = match order.at {
        GitRef::Commit(commit) => format!("--rev={commit}"),
        GitRef::Tag(tag) => format!("--tag={tag}"),
    };
    let mut root = OsString::from("--root=");
    root.push(order.root);
    let groups = features::groups(order.packages, order.features).into_iter();
    let of_group = |(features, packages): (Features, Vec<&String>)| {
        let mut arguments: Vec<OsString> = vec![
            "install".into(),
            "--locked".into(),
            // Tells what was compiled and what was cached; the output for people stays the same.
            "--message-format=json-render-diagnostics".into(),
            format!("--git={}", order.url).into(),
            at.clone().into(),
            root.clone(),
        ];
        arguments.extend(features.arguments().into_iter().map(OsString::from));
        arguments.push("--".into());
        arguments.extend(packages.iter().map(OsString::from));
        arguments
    };
    Ok(groups.map(of_group).collect())
}

fn is_package_name(name: &str) -> bool {
    !name.starts_with('-')
        && !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

/// Returns the error of a build that cargo gave up, and why it did.
///
/// The error says where the output of the compiler is, and quotes nothing of it: it goes into histories as one line.
fn failure(order: &BuildOrder, progress: &Progress, how: &str) -> (Error, BuildFailure) {
    let (tag, ended) = (order.tag.as_str(), format!("`cargo install` {how}"));
    match progress {
        // Nothing shows whether the network was down, so that this says nothing about the next run of the timer.
        Progress::Terminal => {
            let error = Error::new(format!("{ended}; its output is above"));
            let outer = format!("cannot build {tag}: cargo failed");
            (error.context(outer), BuildFailure::Unknown)
        }
        Progress::Log(log) => {
            let output = tail(log).unwrap_or_default();
            let failure = build_failure::recognize(&output);
            let error = Error::new(format!("{ended}; its output is in '{}'", log.display()));
            (
                error.context(failure.error(tag, order.url, &output)),
                failure,
            )
        }
    }
}

fn timed_out(order: &BuildOrder, progress: &Progress) -> Error {
    let (tag, hours) = (order.tag.as_str(), LIMIT.as_secs() / 3600);
    let error = Error::new(format!(
        "cannot build {tag}: it did not end within {hours} hours and was killed"
    ))
    .with_kind(Kind::Build);
    match progress {
        Progress::Terminal => error,
        Progress::Log(log) => {
            let output = format!("the output of `cargo install` is in '{}'", log.display());
            Error::new(output).context(error)
        }
    }
}

fn tail(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Checks what cargo installed into the root, and replaces its hard links by copies. Returns the names of the binaries.
fn inspect(order: &BuildOrder) -> Result<Vec<String>> {
    let (root, tag) = (order.root, order.tag.as_str());
    let installed = cargo_record::read(root)?;
    let mut commits = BTreeSet::new();
    let mut binaries = BTreeSet::new();
    for package in order.packages {
        let found = installed
            .iter()
            .find(|installed| installed.package == *package)
            .with_context(|| format!("cargo did not install the package '{package}' of {tag}"))?;
        ensure!(
            found.is_from(order.url, order.at),
            "cargo installed '{package}' from '{}', not from {tag} of '{}'",
            found.source,
            order.url
        );
        let commit = found
            .commit()
            .with_context(|| format!("cargo does not record the commit of {tag}"))?;
        commits.insert(commit.to_owned());
        binaries.extend(found.binaries.iter().cloned());
    }
    ensure!(
        commits.len() == 1,
        "cargo built the packages of {tag} from different commits: {commits:?}"
    );
    if !commits.contains(order.commit) {
        return Err(Error::unfit(format!(
            "cargo built {tag} from the commit {}, but the tag is of {}",
            commits.first().map_or("?", String::as_str),
            order.commit
        )));
    }
    ensure!(!binaries.is_empty(), "{tag} has no binaries");
    for name in &binaries {
        if !is_command_name(name) {
            return Err(Error::unfit(format!(
                "{tag} has a binary called {name:?}, which is not the name of a command"
            )));
        }
        let path = root.join("bin").join(name);
        let executable = fs::symlink_metadata(&path)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
        ensure!(
            executable,
            "cargo recorded that it installed '{}', but that is not an executable file",
            path.display()
        );
        let copy = path.with_file_name(format!(".{name}.heph-new"));
        copy_executable(&path, &copy)?;
        fs::rename(&copy, &path).with_context(|| format!("cannot replace '{}'", path.display()))?;
    }
    // The slot has a manifest of its own; cargo's record would only invite `cargo uninstall --root`.
    for file in cargo_record::FILES {
        files::remove_file_if_there(&root.join(file))
            .with_context(|| format!("cannot remove '{}'", root.join(file).display()))?;
    }
    Ok(binaries.into_iter().collect())
}

#[cfg(test)]
mod tests;
