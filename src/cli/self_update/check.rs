//! `heph self-update check`: check whether a newer release exists.

use semver::Version;
use serde_json::json;

use super::{ignored, outcome, rows, shown};
use crate::cli::Context;
use crate::cli::ui::{self, Ui};
use crate::config::OnBattery;
use crate::error::{Exit, Result};
use crate::os::{files, host};
use crate::platform::schedule;
use crate::release::source::ForeignTags;
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
        if context.config.self_update.on_battery == OnBattery::Skip && host::on_battery() {
            context.ui.step("skipped: running on battery");
            return Ok(Exit::Done);
        }
    }
    let check = outcome::with_world(context, args.json, |world| {
        update::check(world, args.scheduled)
    });
    let foreign = update::feed(&context.config.self_update, &context.paths.feed())
        .cached()
        .foreign_tags()
        .cloned();
    let object = object(&check, foreign.as_ref());
    if args.json {
        context.ui.json(&object);
    } else {
        print(&context.ui, &check);
        let prefix = &context.config.self_update.tag_prefix;
        let foreign = foreign.iter().filter(|_| check.error.is_none());
        rows(
            &context.ui,
            "ignored    ",
            foreign.map(|tags| ignored(tags, prefix)),
        );
    }
    if args.scheduled
        && let Some(failure) = announce(context, &check, &object)
    {
        context.ui.warn(failure);
    }
    Ok(check.exit())
}

fn object(check: &Check, foreign: Option<&ForeignTags>) -> serde_json::Value {
    let survey = check.survey.as_ref();
    let latest = survey.and_then(|survey| survey.latest.as_ref());
    json!({
        "outcome": check.outcome,
        "installed": survey.and_then(|survey| survey.installed.as_ref()),
        "running": survey.and_then(|survey| survey.running.as_ref()),
        "latest": latest.map(|release| &release.version),
        "tag": latest.map(|release| &release.tag),
        "url": latest.and_then(|release| release.url.as_ref()),
        "published_at": latest.and_then(|release| release.published_at),
        "reason": check.reason,
        "ignored_tags": foreign.map(ForeignTags::printable_names),
    })
}

fn print(ui: &Ui, check: &Check) {
    if let Some(survey) = &check.survey {
        let installed = shown(survey.installed.as_ref(), "none");
        ui.say(format!("installed  {installed}"));
        let running = survey.running.iter();
        rows(ui, "running    ", running.map(Version::to_string));
        let latest = survey.latest.iter().flat_map(|release| {
            let published = release.published_at.iter();
            let published: String = published
                .map(|at| at.strftime(", published %Y-%m-%d %H:%MZ").to_string())
                .collect();
            let version = format!("{}{published}", release.version);
            [version].into_iter().chain(release.url.clone())
        });
        rows(ui, "latest     ", latest);
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
    let tag = release.tag.as_str();
    if matches!(files::read_text_if_there(&announced, 1024), Ok(Some(text)) if text == tag) {
        return None;
    }
    let news = News {
        event: "available",
        outcome: "available".to_owned(),
        from: survey.installed.as_ref(),
        to: Some(&release.version),
        reason: None,
    };
    let json = serde_json::to_vec(&ui::object(object)).unwrap_or_default();
    hooks::run(Some(hook), &news, &json).or_else(|| {
        let written = files::write_atomic(&announced, tag.as_bytes(), files::PRIVATE);
        written.err().map(|error| error.one_line())
    })
}
