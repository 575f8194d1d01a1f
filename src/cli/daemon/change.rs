//! `heph daemon start` and `heph daemon restart`. Flags that are given are kept in the service file; earlier ones stay.

use std::time::{Duration, Instant};

use super::program;
use crate::cli::Context;
use crate::cli::self_update::enable_timer;
use crate::config::Interval;
use crate::error::{Error, Exit, Result, ResultExt};
use crate::flags::{Flag, Flags, Given};
use crate::hephd;
use crate::platform::generated::{FileState, OnDisk};
use crate::platform::service::arguments::ServiceFlags;
use crate::platform::service::bring_up::{Options, Up, bring_up};
use crate::platform::service::definition::{Definition, Environment};
use crate::platform::service::{self, Manager};
use crate::platform::systemd::systemctl;

/// How long `heph sync join` waits until hephd answers.
const JOIN_WAIT: Interval = Interval::from_secs(60);
/// The shortest interval of the timer, in seconds.
const SHORTEST: u64 = crate::config::SHORTEST_EVERY;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    given: Given,
    /// Remove a flag from the service, such as hub-url; may be given more than once
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true, value_parser = flag)]
    unset: Vec<Flag>,
    /// Also turn automatic updates on, as `heph self-update enable` does
    #[arg(long)]
    self_update: bool,
    /// The same, with this many seconds between two runs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(SHORTEST..))]
    self_update_interval_secs: Option<u64>,
    /// Overwrite a service file that was made or edited by hand, or cannot be read back
    #[arg(long)]
    force: bool,
    /// How long to wait until hephd answers
    #[arg(long, value_name = "LENGTH", default_value = "60s")]
    wait: Interval,
}

/// What happens to a running hephd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// It goes on, unless its flags change.
    Start,
    /// It is replaced by a new process.
    Restart,
}

pub(super) fn run(context: &Context, args: &Args, verb: Verb) -> Result<Exit> {
    let given = args.given()?;
    let manager = service::require(context.config.service_manager, &context.paths)?;
    let file = manager.read()?;
    if !args.force {
        check_replaceable(&*manager, &file)?;
    }
    let before = file.source.ok();
    let definition = args.definition(context, before.as_ref(), &given)?;
    let foreign = before.as_ref().map(|before| &before.foreign[..]);
    if let Some(foreign) = foreign.filter(|foreign| !foreign.is_empty()) {
        context.ui.warn(format!(
            "dropped from '{}', because this heph does not know these arguments: {}",
            manager.file().display(),
            foreign.join(" ")
        ));
    }

    if let Ok(flags) = Flags::parse(definition.flags.to_arguments())
        && let Some(warning) = hephd::warning(&flags)
    {
        context.ui.warn(warning);
    }
    let start = Instant::now();
    let options = Options {
        restart: verb == Verb::Restart,
        force: args.force,
        wait: *args.wait,
    };
    let hephd = &context.paths.hephd;
    let up = bring_up(&*manager, &definition, before.as_ref(), hephd, options)?;
    say(context, &up, start.elapsed());
    if let Err(error) = &up.companions {
        let error = error.one_line();
        context.ui.warn(format!(
            "units that depend on hephd do not run again: {error}"
        ));
    }
    if ends_at_logout(&definition) && manager.name() == "systemd" {
        warn_of_logout(context);
    }

    let interval = args.self_update_interval_secs.map(Duration::from_secs);
    if args.self_update || interval.is_some() {
        enable_timer(context, interval)?;
    }
    Ok(Exit::Done)
}

/// Makes hephd a spoke of the hub at `url`, which knows this machine by its secret instead of a login.
pub(in crate::cli) fn join(context: &Context, url: &str, plain_http: bool) -> Result<Exit> {
    let mut given = vec![(flag("hub-url")?, url.to_owned())];
    let mut unset = vec![
        flag("oidc-issuer")?,
        flag("oidc-client-id")?,
        flag("oidc-scopes")?,
    ];
    if plain_http {
        given.push((flag("hub-plain-http")?, "true".to_owned()));
    } else {
        unset.push(flag("hub-plain-http")?);
    }
    let args = Args {
        given: Given(given),
        unset,
        self_update: false,
        self_update_interval_secs: None,
        force: false,
        wait: JOIN_WAIT,
    };
    run(context, &args, Verb::Restart)
}

impl Args {
    fn given(&self) -> Result<ServiceFlags> {
        let mut given = ServiceFlags::default();
        for (flag, value) in &self.given.0 {
            if self.unset.contains(flag) {
                let name = flag.name();
                let message = format!("--{name} and --unset {name} contradict each other");
                return Err(Error::usage(message));
            }
            given.set(*flag, value)?;
        }
        Ok(given)
    }

    fn definition(
        &self,
        context: &Context,
        before: Option<&Definition>,
        given: &ServiceFlags,
    ) -> Result<Definition> {
        let ours = Environment::from_variables(std::env::vars_os())?;
        let (flags, environment) = match before {
            Some(before) => (before.flags.clone(), before.environment.merge(&ours)),
            None => (ServiceFlags::default(), ours),
        };
        let log = environment.paths(&context.paths.hephd, None).log();
        let flags = flags.merge(given, &self.unset);
        if *given != ServiceFlags::default() || !self.unset.is_empty() {
            hephd::validate(&Flags::parse(flags.to_arguments())?)?;
        }
        Definition::new(&program::find(context, before)?, flags, environment, &log)
    }
}

/// Checks that heph may write the service files and that `file` can be read back.
fn check_replaceable(manager: &dyn Manager, file: &OnDisk<Definition>) -> Result<()> {
    service::check_replaceable(
        manager,
        "keep it and use your service manager, or rewrite it with --force, which keeps the flags that heph wrote",
    )?;
    match &file.source {
        Err(error) if file.state != FileState::Absent => {
            let path = file.path.display();
            let message = format!("cannot read the flags of hephd back from '{path}'");
            let hint = "repair it, or rewrite it with --force and the flags that it should have";
            Err(error.clone().context(Error::new(message).with_hint(hint)))
        }
        _ => Ok(()),
    }
}

/// Returns whether others miss a hephd of `definition` once its user logs out: a hub always, a spoke where it was started over
/// ssh, on a machine at which nobody may sit.
fn ends_at_logout(definition: &Definition) -> bool {
    let by_ssh = std::env::var_os("SSH_CONNECTION").is_some();
    let is_hub = definition.flags.get("mode") == Some("server");
    is_hub || (by_ssh && definition.flags.get("hub-url").is_some())
}

fn warn_of_logout(context: &Context) {
    if systemctl::lingers() == Some(false) {
        let ui = &context.ui;
        ui.warn(
            "without lingering, hephd ends when you log out, and does not start with the machine",
        );
        ui.note("hint: `loginctl enable-linger` lets it run always");
    }
}

fn say(context: &Context, up: &Up, took: Duration) {
    for file in &up.wrote {
        context.ui.say(format!("wrote '{}'", file.display()));
    }
    let hephd = format!("hephd {} runs", up.status.version);
    let pid = up.status.pid;
    context.ui.say(if up.started {
        format!("{hephd}, process {pid}, after {:.1} s", took.as_secs_f64())
    } else {
        format!("{hephd} already, process {pid}")
    });
}

fn flag(name: &str) -> Result<Flag> {
    Flag::named(name).with_context(|| {
        let names: Vec<_> = Flag::all().map(Flag::name).collect();
        format!("the flags are {}", names.join(", "))
    })
}
