//! `heph self-update check`: check whether a newer release exists.

use serde_json::json;

use super::{outcome, shown};
use crate::cli::{Context, ui};
use crate::config::OnBattery;
use crate::error::{Exit, Result};
use crate::os::{files, host};
use crate::platform::schedule;
use crate::update::hooks::{self, News};
use crate::update::{self, Check, Finding};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Started by the timer
    #[arg(long, hide = true)]
    scheduled: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    if args.scheduled {
        schedule::trim_log(&context.paths);
    }
    if args.scheduled
        && context.config.self_update.on_battery == OnBattery::Skip
        && host::on_battery()
    {
        context.ui.step("skipped: running on battery");
        return Ok(Exit::Done);
    }
    let check = outcome::with_world(context, args.json, |world| {
        update::check(world, args.scheduled)
    });
    let object = object(&check);
    if args.json {
        context.ui.json(&object);
    } else {
        tell(context, &check);
    }
    if args.scheduled
        && let Some(failure) = announce(context, &check, &object)
    {
        context.ui.warn(failure);
    }
    Ok(check.exit())
}

fn object(check: &Check) -> serde_json::Value {
    let survey = check.survey.as_ref();
    let latest = survey.and_then(|survey| survey.latest.as_ref());
    json!({
        "schema": 1,
        "outcome": check.outcome,
        "installed": survey.and_then(|survey| survey.installed.as_ref()),
        "running": survey.and_then(|survey| survey.running.as_ref()),
        "latest": latest.map(|release| &release.version),
        "tag": latest.map(|release| &release.tag),
        "url": latest.and_then(|release| release.url.as_ref()),
        "published_at": latest.and_then(|release| release.published_at),
        "reason": check.reason,
    })
}

fn tell(context: &Context, check: &Check) {
    let ui = &context.ui;
    if let Some(survey) = &check.survey {
        ui.say(format!(
            "installed  {}",
            shown(survey.installed.as_ref(), "none")
        ));
        if let Some(running) = &survey.running {
            ui.say(format!("running    {running}"));
        }
        if let Some(release) = &survey.latest {
            let published = release
                .published_at
                .map(|at| format!(", published {}", at.strftime("%Y-%m-%d %H:%MZ")));
            ui.say(format!(
                "latest     {}{}",
                release.version,
                published.unwrap_or_default()
            ));
            if let Some(url) = &release.url {
                ui.say(format!("           {url}"));
            }
        }
    }
    let reason = check.reason.as_deref().unwrap_or_default();
    match check.outcome {
        Finding::Available => ui.say("next       `heph self-update apply` installs it"),
        Finding::UpToDate if reason.is_empty() => ui.say("next       nothing to do"),
        Finding::UpToDate => ui.say(format!("next       nothing to install: {reason}")),
        Finding::Skipped => ui.say(format!("next       nothing: {reason}")),
        Finding::Unreachable => ui.warn(format!("unreachable: {reason}")),
        Finding::Failed => {
            if let Some(error) = &check.error {
                ui::report(error);
            }
        }
    }
}

/// Runs the hook `on-available`, once for each release; returns why it failed, if it did.
fn announce(context: &Context, check: &Check, object: &serde_json::Value) -> Option<String> {
    if check.outcome != Finding::Available {
        return None;
    }
    let survey = check.survey.as_ref()?;
    let release = survey.latest.as_ref()?;
    let hook = context.config.self_update.on_available.as_ref()?;
    let announced = context.paths.state.join("announced");
    if matches!(files::read_text_if_there(&announced, 1024), Ok(Some(tag)) if tag == release.tag.as_str())
    {
        return None;
    }
    let news = News {
        event: "available",
        outcome: "available".to_owned(),
        from: survey.installed.as_ref(),
        to: Some(&release.version),
        reason: None,
    };
    let failure = hooks::run(
        Some(hook),
        &news,
        &serde_json::to_vec(object).unwrap_or_default(),
    );
    if failure.is_none()
        && let Err(error) =
            files::write_atomic(&announced, release.tag.as_str().as_bytes(), files::PRIVATE)
    {
        return Some(error.one_line());
    }
    failure
}
