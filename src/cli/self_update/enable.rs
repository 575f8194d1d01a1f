//! `heph self-update enable`: turn the timer on; flags that are not passed keep their earlier values.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::cli::Context;
use crate::config::Mode;
use crate::error::{Error, Exit, Result};
use crate::install;
use crate::os::stable_path;
use crate::paths::Paths;
use crate::platform::schedule::cadence::Cadence;
use crate::platform::schedule::job::{Environment, bake_env};
use crate::platform::schedule::{self, Enabled, Request, Scheduler};
use crate::platform::systemd::systemctl;
use crate::update;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only report new releases; --notify-only=false installs them again
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    notify_only: Option<bool>,
    /// Run once in every interval, such as 90s, 30m, 6h or 1d
    #[arg(long, value_name = "INTERVAL", value_parser = Cadence::parse_every, conflicts_with = "at")]
    every: Option<Cadence>,
    /// Run at these local times of day, such as 03:30 or 03:30,15:30
    #[arg(long, value_name = "TIMES", value_parser = Cadence::parse_at)]
    at: Option<Cadence>,
    /// Overwrite files that were made or edited by hand, or cannot be read back
    #[arg(long)]
    force: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let cadence = args.every.or(args.at);
    enable(context, args.notify_only, cadence, args.force)?;
    Ok(Exit::Done)
}

/// Turns the timer on as `heph daemon start --self-update` does, with `every` as its interval where it is passed.
pub(crate) fn enable_timer(context: &Context, every: Option<Duration>) -> Result<()> {
    let cadence = every.map(Cadence::every).transpose()?;
    enable(context, None, cadence, false)
}

fn enable(
    context: &Context,
    notify_only: Option<bool>,
    cadence: Option<Cadence>,
    force: bool,
) -> Result<()> {
    let Context { config, paths, ui } = context;
    let settings = &config.self_update;
    let bin_dir = update::bin_dir(settings, paths)?;
    let program = match settings.packages.iter().any(|package| package == "heph") {
        true => bin_dir.path.join("heph"),
        // Another tool has no heph of its own.
        false => install::invoked_heph().unwrap_or_else(|| bin_dir.path.join("heph")),
    };
    if !program.is_file() {
        let program = program.display();
        let message = format!("cannot enable the timer: there is no '{program}'");
        return Err(Error::new(message).with_hint(
            "install heph there, or set `bin-dir` in [self-update] to the folder it is in",
        ));
    }
    let request = Request {
        program: stable_path::stable(&program, std::env::var_os("PATH")),
        config: named_settings(paths)?,
        environment: environment(paths)?,
        notify_only,
        cadence,
        default_notify_only: settings.mode == Mode::Notify,
        default_cadence: Cadence::every(*settings.every)?,
        force,
    };
    let Enabled {
        scheduler,
        job,
        changed,
    } = schedule::enable(config.service_manager, paths, request)?;
    let does = match job.invocation.notify_only {
        false => "installs new releases",
        true => "reports new releases",
    };
    let already = if changed { "" } else { " already" };
    let cadence = &job.cadence;
    ui.say(format!(
        "self-update is on{already}: {does} {cadence}, through {scheduler}"
    ));
    if let Some(next) = schedule::next_run(scheduler, &job, paths) {
        let next = next.to_zoned(TimeZone::system());
        let next = next.strftime("%Y-%m-%d %H:%M:%S %Z");
        ui.say(format!("next run: {next}"));
    }
    if scheduler == Scheduler::Systemd && systemctl::lingers() == Some(false) {
        ui.warn("without lingering, the timer does not run while you are logged out");
        ui.note("hint: `loginctl enable-linger` lets it run always");
    }
    Ok(())
}

/// Returns the settings file where `--config` named it: it is in another place than HEPH_CONFIG and the default say.
pub(super) fn named_settings(paths: &Paths) -> Result<Option<PathBuf>> {
    let named = paths.config != Paths::from_env(None)?.config;
    Ok(named.then(|| paths.config.clone()))
}

/// Returns the environment to bake from the one of this process.
pub(super) fn environment(paths: &Paths) -> Result<Environment> {
    let found = which::which("cargo").ok();
    let found = found.and_then(|cargo| cargo.parent().map(PathBuf::from));
    let installed = || {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.filter(|home| home.is_absolute());
        home.unwrap_or_else(|| paths.home.join(".cargo"))
            .join("bin")
    };
    let cargo = found.unwrap_or_else(installed);
    bake_env(|name| std::env::var_os(name), &paths.home, &cargo)
}
