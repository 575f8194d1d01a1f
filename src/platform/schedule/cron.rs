//! cron: a marked block in the user's crontab, and the script that its lines start.
//!
//! The lines do not hold the job itself. Vixie cron and its heirs cut a command after 999 bytes without a word
//! (`MAX_COMMAND` in their `cron.h`), and one PATH can be longer than that. So they start a script, which holds the
//! variables and the command.
//!
//! The block stands first in the crontab: variables that the user sets there, such as SHELL or CRON_TZ, hold for the
//! lines below them only, and so do not reach it.

use std::path::PathBuf;

use super::cadence::Cadence;
use super::job::{Environment, Job};
use crate::error::{Result, ResultExt, bail};
use crate::paths::Paths;
use crate::platform::cron::{self as crontab, Crontab};
use crate::platform::generated::{self, Generated, check_path, fill};

const TEMPLATE: &str = include_str!("../../../templates/self-update-job.sh");
const CADENCE: &str = "# Cadence: ";
/// What stands before the variables.
const COMMAND: [&str; 4] = ["set", "--", "env", "-i"];
/// What stands between the variables and the command.
const NICE: [&str; 3] = ["$(command -v nice)", "-n", "19"];

fn script(paths: &Paths) -> PathBuf {
    paths.hephd.data.join("self-update-job.sh")
}

/// Returns the script of `job`.
///
/// # Errors
///
/// It cannot carry one of the job's values, or cron cannot express its cadence.
pub fn files(job: &Job, paths: &Paths) -> Result<Vec<Generated>> {
    job.check_env()?;
    block(&job.cadence, paths, 0)?;
    let variables = job.env.iter();
    let variables = variables
        .map(|(name, value)| Ok(format!("{name}={}", shlex::try_quote(value)?)))
        .collect::<Result<Vec<_>>>()?;
    let mut command = vec![job.program()?.to_owned()];
    command.extend(job.arguments()?);
    let log = super::log(paths);
    let log = check_path("the path of the log", &log)?;
    let values = [
        ("cadence", vec![job.cadence.to_string()]),
        ("log", vec![shlex::try_quote(log)?.into_owned()]),
        ("variable", variables),
        (
            "command",
            vec![shlex::try_join(command.iter().map(String::as_str))?],
        ),
    ];
    Ok(vec![Generated {
        path: script(paths),
        text: fill(TEMPLATE, &values),
        // A proxy's address may hold a password.
        mode: 0o700,
    }])
}

/// Checks that [`load`] will be able to put the block of `job` into the crontab.
///
/// # Errors
///
/// As [`load`].
pub fn check(job: &Job, paths: &Paths, number: u64) -> Result<()> {
    let crontab = Crontab::find()?;
    let there = crontab.read()?;
    let wanted = crontab::with_block(&there, &block(&job.cadence, paths, number)?)?;
    crontab::check(&there, &wanted)
}

/// Returns the lines between the markers of the crontab; `number` is the machine's own.
pub(super) fn block(cadence: &Cadence, paths: &Paths, number: u64) -> Result<Vec<String>> {
    let script = script(paths);
    let script = check_path("the path of the job's script", &script)?;
    let command = crontab::quote(script);
    if command.len() > crontab::LONGEST_COMMAND {
        bail!("the path '{script}' is too long for a crontab");
    }
    let line = |fields: String| format!("{fields} {command}");
    let comment = "# Made by heph. To change it: `heph self-update enable`. To remove it: `heph self-update disable`.";
    let lines = cadence.cron(number)?.into_iter().map(line);
    Ok(std::iter::once(comment.to_owned()).chain(lines).collect())
}

/// Returns the job that the script of `paths` says; `None` where it is not there.
///
/// # Errors
///
/// It cannot be read, or heph did not write it.
pub fn read(paths: &Paths) -> Result<Option<Job>> {
    let script = script(paths);
    generated::read(&script)?
        .map(|text| parse(&text).with_context(|| super::damaged(&script)))
        .transpose()
}

fn parse(script: &str) -> Result<Job> {
    let cadence = script
        .lines()
        .find_map(|line| line.strip_prefix(CADENCE))
        .context("it names no cadence")?;
    let start = script
        .find(&format!("\n{}", COMMAND.join(" ")))
        .context("it runs nothing")?;
    let words = &script[start..];
    let words = words.split("\n\n").next().unwrap_or(words);
    // No value holds a newline, so these are the ones between the words.
    let words = words.replace("\\\n", "\n");
    let words = shlex::split(&words).context("its quotes are not closed")?;
    let words = &words[COMMAND.len()..];
    let nice = words
        .windows(NICE.len())
        .position(|window| window == NICE)
        .context("it runs nothing")?;
    let env: Environment = words[..nice]
        .iter()
        .map(|word| word.split_once('=').context("a variable without '='"))
        .map(|pair| pair.map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect::<Result<_>>()?;
    Job::from_command(&words[nice + NICE.len()..], Cadence::parse(cadence)?, env)
}

/// Puts the block into the user's crontab, or replaces it there; a block that is right is left alone. Returns whether it
/// was not.
///
/// # Errors
///
/// There is no `crontab`, it refused, or the block there is damaged.
pub fn load(job: &Job, paths: &Paths, number: u64) -> Result<bool> {
    let crontab = Crontab::find()?;
    let there = crontab.read()?;
    let wanted = crontab::with_block(&there, &block(&job.cadence, paths, number)?)?;
    crontab.replace(&there, &wanted)?;
    Ok(wanted != there)
}

/// Returns whether the user's crontab holds the block of `job` as it should be.
///
/// # Errors
///
/// As [`load`].
pub fn is_loaded(job: &Job, paths: &Paths, number: u64) -> Result<bool> {
    let there = Crontab::find()?.read()?;
    let wanted = block(&job.cadence, paths, number)?;
    Ok(crontab::with_block(&there, &wanted)? == there)
}

/// Removes block and script. Returns whether there was any of it.
///
/// # Errors
///
/// The crontab cannot be changed, or the script was made by a person and `force` is not set.
pub fn remove(paths: &Paths, force: bool) -> Result<bool> {
    let script = script(paths);
    if !force {
        generated::read(&script)?;
    }
    let removed = remove_block(script.exists())?;
    Ok(generated::remove(&script, force)? || removed)
}

fn remove_block(expected: bool) -> Result<bool> {
    // Without the program there is no crontab to hold a block.
    let Ok(crontab) = Crontab::find() else {
        return Ok(false);
    };
    let there = match crontab.read() {
        // Who may not use cron never had a block.
        Err(_) if !expected => return Ok(false),
        there => there?,
    };
    let wanted = crontab::without_block(&there)?;
    crontab.replace(&there, &wanted)?;
    Ok(wanted != there)
}
