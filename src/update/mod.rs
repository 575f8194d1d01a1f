//! One update, from lock to record, in one straight line.
//!
//! [`apply`] reads top to bottom in the order of the design, and nothing else in the program knows the whole order:
//!
//! 1. **lock**, so that only one run at a time touches the installation;
//! 2. **recover** what an interrupted run left;
//! 3. **fetch** the feed;
//! 4. **decide**;
//! 5. **trust**: the tag is looked up, remembered and proven; then **stage** the release into a slot and verify it;
//! 6. **back up** the store, **journal**, then **switch**;
//! 7. **restart** hephd through the new binary, if a service manager ran it before;
//! 8. **settle**;
//! 9. **commit**, or **roll back**;
//! 10. **record**, report, exit.
//!
//! Everything before the switch leaves the installation and the daemon alone, whatever goes wrong. Everything after it is
//! finished or undone, by this run or, if this run is killed, by the next: the journal says how far it was.

pub mod builds;
mod check;
mod clean;
mod daemon;
mod exclusive;
pub mod health;
pub mod history;
pub mod hooks;
pub mod journal;
pub mod quarantine;
mod recover;
pub mod report;
mod rollback;
mod store;
mod survey;
mod switch;
mod transaction;
mod trust;
mod undo;
mod world;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use semver::Version;

use crate::config::OnBattery;
use crate::error::{Error, Kind, Result, ResultExt};
use crate::install::slots::Slot;
use crate::install::{self, Listener, Progress, StageRequest};
use crate::os::{clock, host, interrupt};
use crate::release::decide::Decision;
use crate::release::trust::Origin;
use crate::release::{Release, Tag};

pub use check::{Check, Finding, check};
pub use clean::clean;
pub use exclusive::exclusive;
pub(crate) use exclusive::is_under_way;
use history::{Action, Run};
use journal::{Aim, Journal, SlotRef};
use recover::Unreadable;
use report::{Outcome, Report};
pub use rollback::rollback;
pub(crate) use survey::held_back;
pub use survey::{Survey, survey};
use transaction::Plan;
pub use world::{Request, World};
pub(crate) use world::{bin_dir, brings_hephd, feed, policy};

/// How long the condition of hephd counts. A build takes longer.
const STALE: Duration = Duration::from_secs(10);

/// Updates the installation to the release that the request and the settings choose.
///
/// Never fails: whatever goes wrong is an outcome of the report.
pub fn apply(world: World, request: &Request) -> Report {
    let mut report = Report::default();
    let run = Run::begin(Action::Apply, request.scheduled);
    if request.dry_run {
        if let Err(error) =
            choose(world, request, &mut report).map(|decision| predict(decision, &mut report))
        {
            report.fail(error);
        }
        return report;
    }
    with_lock(world, &mut report, |report| {
        match straight_line(world, request, &run, report) {
            Ok(()) => {}
            // No failure: the next run looks for it again.
            Err(error) if error.kind() == Kind::NotYet && request.asked.to.is_none() => {
                report.end(Outcome::Skipped, error.one_line());
            }
            Err(error) => report.fail(match (interrupt::check(), Journal::load(world.paths)) {
                (Err(interrupted), Ok(None)) => interrupted,
                _ => error,
            }),
        }
        record(world, &run, report);
    });
    report
}

/// Steps 2 to 9.
fn straight_line(world: World, request: &Request, run: &Run, report: &mut Report) -> Result<()> {
    recover::unfinished(world, Unreadable::Refuse, report)?;
    let settings = &world.config.self_update;
    if request.scheduled && settings.on_battery == OnBattery::Skip && host::on_battery() {
        report.end(Outcome::Skipped, "running on battery");
        return Ok(());
    }
    let Some(decision) = choose(world, request, report)? else {
        return Ok(());
    };
    let release = match decision {
        Decision::UpToDate(_) | Decision::Skipped(_) => {
            repair_links(world, report);
            return Ok(());
        }
        Decision::RestartOnly => return restart_only(world, run, report),
        Decision::Update(release) => release,
    };

    let bin_dir = world.bin_dir()?;
    if !request.no_restart && daemon::look(world, &bin_dir)?.managed {
        daemon::check_condition(world)?;
    }
    let checked = Instant::now();
    let origin = report.step_with("trust", |report| {
        trust::prove(world, request, &release, report)
    })?;
    let slot = stage(world, request, run, &release, &origin, report)?;
    let signed_by = slot.manifest.signed_by.as_deref().or(origin.signed_by());
    report.summary.signed_by = signed_by.map(str::to_owned);
    interrupt::check()?;

    check_commands(world, request, &slot, report)?;
    let before = daemon::look(world, &bin_dir)?;
    let restart = before.managed && slot.has("hephd") && !request.no_restart;
    if restart && checked.elapsed() > STALE {
        daemon::check_condition(world)?;
    }
    let from = report.step("adopt", || bin_dir.adopt(&world.slots()))?;
    bin_dir.check(&slot)?;

    if slot.has("hephd") && !restart {
        report.note(match (request.no_restart, &before.status) {
            (true, _) => {
                "hephd was not restarted, as asked; `heph self-update apply` does it later"
                    .to_owned()
            }
            (false, Some(status)) => {
                format!(
                    "hephd {} runs, but not as a service of this installation: restart it yourself",
                    status.version
                )
            }
            (false, None) => "hephd was not running as a service, so it was not started".to_owned(),
        });
    }
    let plan = Plan {
        aim: Aim::Update,
        from: from.as_ref().map(SlotRef::of),
        to: slot,
        restart,
        before,
    };
    transaction::carry_out(world, run, plan, report)
}

/// Steps 3 and 4. Ends the report unless there is something to do. `None`: there was nothing to decide about.
fn choose(world: World, request: &Request, report: &mut Report) -> Result<Option<Decision>> {
    let latest = match report.step("fetch", || survey::latest(world, request)) {
        // No failure of this run: the timer asks again.
        Err(error) if error.kind() == Kind::Unreachable && request.asked.to.is_none() => {
            report.end(Outcome::Unreachable, error.one_line());
            return Ok(None);
        }
        latest => latest?,
    };
    let survey = report.step("decide", || survey::survey(world, latest, &request.asked))?;
    report.summary.to = match &survey.decision {
        Decision::Update(release) => Some(release.version.clone()),
        Decision::RestartOnly => survey.installed.clone(),
        Decision::Skipped(_) | Decision::UpToDate(_) => {
            survey.latest.map(|release| release.version)
        }
    };
    report.summary.from = match survey.decision {
        Decision::RestartOnly => survey.running,
        _ => survey.installed,
    };
    match (&survey.decision, &survey.waiting) {
        (Decision::UpToDate(reason), _) => {
            report.summary.outcome = Outcome::UpToDate;
            report.summary.reason = reason.clone();
        }
        (Decision::Skipped(reason), waiting) => {
            report.end(Outcome::Skipped, reason);
            report.log = waiting
                .as_ref()
                .and_then(|waiting| waiting.failed.log.clone());
        }
        (Decision::Update(_), Some(waiting)) => report.note(waiting.try_again()),
        (Decision::RestartOnly | Decision::Update(_), _) => {}
    }
    Ok(Some(survey.decision))
}

/// Checks that the release in `slot` has every command that is installed, unless the user has agreed to fewer. The slot stays, so
/// that the next run need not stage it again.
fn check_commands(world: World, request: &Request, slot: &Slot, report: &mut Report) -> Result<()> {
    let lost = world.bin_dir()?.lost(&world.slots(), slot);
    if lost.is_empty() {
        return Ok(());
    }
    let (version, lost) = (&slot.manifest.version, lost.join(", "));
    // Naming a release is consent to what it has.
    if world.config.self_update.allow_fewer_commands || request.asked.to.is_some() {
        report.note(format!(
            "{version} does not have these commands any more: {lost}"
        ));
        return Ok(());
    }
    Err(Error::new(format!(
        "{version} does not have these commands, which are installed: {lost}"
    ))
    .with_hint(
        "`allow-fewer-commands = true` in [self-update] installs it without them; \
         if a Cargo feature brings them, name it in `features`",
    ))
}

/// Restores links that `cargo install`, or a person, has replaced or removed since the last update.
fn repair_links(world: World, report: &mut Report) {
    let slots = world.slots();
    if !matches!(slots.current(), Ok(Some(_))) {
        return;
    }
    let repaired = world
        .bin_dir()
        .and_then(|bin_dir| match bin_dir.adopt(&slots)? {
            Some(slot) => bin_dir.check(&slot).and_then(|()| bin_dir.relink(&slot)),
            None => Ok(()),
        });
    report.tolerate(repaired.context("cannot repair the links"));
}

/// hephd still runs an older release than the one installed: restart it, and go back to the slot it runs if that fails.
fn restart_only(world: World, run: &Run, report: &mut Report) -> Result<()> {
    let bin_dir = world.bin_dir()?;
    let before = daemon::look(world, &bin_dir)?;
    daemon::check_condition(world)?;
    let slots = world.slots();
    let to = report.step("adopt", || bin_dir.adopt(&slots))?;
    let to = to.context("nothing is installed")?;
    let from = match before.running() {
        Some(version) => slots.find(&version)?.map(|slot| SlotRef::of(&slot)),
        None => None,
    };
    let plan = Plan {
        aim: Aim::Restart,
        from,
        to,
        restart: true,
        before,
    };
    transaction::carry_out(world, run, plan, report)
}

/// Step 5. A release that is itself to blame is quarantined; one that cannot be built waits.
fn stage(
    world: World,
    request: &Request,
    run: &Run,
    release: &Release,
    origin: &Origin,
    report: &mut Report,
) -> Result<Slot> {
    let settings = &world.config.self_update;
    let version = &release.version;
    (world.say)(&format!("staging {version} from {}", settings.repository));
    let progress = progress(world, &release.tag, report)?;
    let start = Instant::now();
    let notes = RefCell::new(Vec::new());
    let listener = Listener {
        progress: &progress,
        note: &|sentence| notes.borrow_mut().push(sentence.to_owned()),
        arrived: world.arrived,
    };
    let cache = world.paths.feed();
    let request = StageRequest {
        release,
        origin,
        repository: &settings.repository,
        plain_git: feed(settings, &cache).is_plain_git(clock::now()),
        packages: &settings.packages,
        delivery: settings.delivery,
        features: settings.chosen_features(),
        allow_fewer_commands: settings.allow_fewer_commands,
        trust: &settings.trust,
        bin_dir: &world.bin_dir()?,
        paths: world.paths,
        environment: std::env::vars_os().collect(),
        afresh: request.asked.force,
    };
    let staged = report.step("stage", || install::stage(&request, &listener));
    report.notes.append(&mut notes.borrow_mut());
    match &staged {
        Ok(slot) => {
            report.summary.delivery = Some(slot.manifest.delivery);
            let took = start.elapsed().as_secs_f64();
            (world.say)(&format!("staged {version} in {took:.1} s"));
            report.tolerate(builds::succeeded(world, version));
        }
        Err(error) if error.kind() == Kind::Unfit => {
            quarantine::put(world, version, Some(&origin.commit), &error.one_line())?;
            report.note(quarantined(version));
        }
        // What a person interrupted has not failed.
        Err(error) if error.kind() == Kind::Build && !interrupt::requested() => {
            let (reason, log) = (error.to_string(), report.log.as_deref());
            let waiting =
                builds::failed(world, release, &origin.commit, &reason, log, run.started_at);
            match waiting {
                Ok(waiting) => report.note(format!("{version} waits: {}", waiting.wait)),
                Err(error) => report.note(error.one_line()),
            }
        }
        Err(_) => {}
    }
    staged
}

/// Returns the sentence about a release that has failed for good.
fn quarantined(version: &Version) -> String {
    format!("{version} is in quarantine: the timer does not try it again")
}

fn progress(world: World, tag: &Tag, report: &mut Report) -> Result<Progress> {
    if world.on_terminal {
        return Ok(Progress::Terminal);
    }
    let log = clean::new_build_log(world.paths, tag.as_str())?;
    report.log = Some(log.display().to_string());
    Ok(Progress::Log(log))
}

fn predict(decision: Option<Decision>, report: &mut Report) {
    let would = match decision {
        None | Some(Decision::UpToDate(_) | Decision::Skipped(_)) => return,
        Some(Decision::RestartOnly) => "would restart hephd".to_owned(),
        Some(Decision::Update(release)) => format!("would install {}", release.version),
    };
    report.end(Outcome::Skipped, format!("dry run: {would}"));
}

/// Step 1: runs `work` under the lock, or reports that another run holds it.
fn with_lock(world: World, report: &mut Report, work: impl FnOnce(&mut Report)) {
    match report.step("lock", || exclusive(world.paths)) {
        Ok(_held) => work(report),
        Err(error) if error.kind() == Kind::Busy => {
            report.end(Outcome::Busy, error.to_string());
        }
        Err(error) => report.fail(error),
    }
}

/// Step 10. A failure to write is only a note: the update itself has ended.
fn record(world: World, run: &Run, report: &mut Report) {
    if report.unfinished {
        // The run that finishes it records it.
        return;
    }
    let start = Instant::now();
    let entry = history::Entry {
        run: run.clone(),
        ended_at: clock::now(),
        summary: report.summary.clone(),
    };
    let closed = transaction::close(world, &entry);
    report.tolerate(closed.context("this run is not in the history"));
    if report.summary.outcome == Outcome::Updated {
        report.tolerate(clean::tidy(world).context("cannot clean up"));
    }
    report.took("record", start);
}
