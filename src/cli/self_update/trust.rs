//! `heph self-update trust`: show or change the keys whose signatures are accepted.
//!
//! Keys are added to files of their own, beside the settings file or where it says; the settings file itself is only ever
//! edited by its owner.

mod change;

use std::path::Path;

use clap::Subcommand;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::rows;
use crate::cli::Context;
use crate::config::trust::read;
use crate::config::trust::signers::{self, Entry, Standing};
use crate::config::{Signers, Trust};
use crate::error::{Exit, Result};
use crate::os::clock;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which signatures are required, and which keys are accepted
    Show {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Accept the signatures of a key
    Add {
        /// An SSH or minisign public key, or a file of such keys
        #[arg(value_name = "FILE-OR-KEY")]
        key: String,
    },
    /// Stop accepting the signatures of a key
    Remove {
        /// A key, its fingerprint or number, or the name of a signer
        #[arg(value_name = "KEY")]
        key: String,
    },
}

impl Args {
    /// Returns whether the command may write files.
    pub(super) fn writes(&self) -> bool {
        !matches!(self.command, Command::Show { .. })
    }
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    match args.command {
        Command::Show { json } => show(context, json),
        Command::Add { key } => change::add(context, &key),
        Command::Remove { key } => change::remove(context, &key),
    }
}

/// A line of a list of signers: the key, or why the line is ignored.
type Line = Result<Entry>;

/// Returns the file of the signers, where they are in one, and its lines.
fn listed(trust: &Trust) -> Result<(Option<&Path>, Vec<Line>)> {
    match &trust.tag_signers {
        None => Ok((None, Vec::new())),
        Some(Signers::Inline(entries)) => Ok((None, entries.iter().cloned().map(Ok).collect())),
        Some(Signers::File(file)) => {
            let text = read(file)?.unwrap_or_default();
            Ok((Some(file), signers::file(&text)))
        }
    }
}

fn show(context: &Context, json: bool) -> Result<Exit> {
    let trust = &context.config.self_update.trust;
    let (file, lines) = listed(trust)?;
    if json {
        context.ui.json(&object(trust, file, &lines));
        return Ok(Exit::Done);
    }
    let ui = &context.ui;
    ui.say(format!("require        {}", trust.require().name()));
    if trust.tag_signers.is_none() && trust.tag_openpgp_keyring.is_none() {
        ui.say("tag signers    none: no signature of a tag is verified");
    }
    let quoted = |file: &Path| format!("'{}'", file.display());
    let signers = file.map(quoted).into_iter();
    let signers = signers.chain(lines.iter().map(described));
    rows(ui, "tag signers    ", signers);
    let keyring = trust.tag_openpgp_keyring.as_deref();
    rows(ui, "tag openpgp    ", keyring.map(quoted));
    let keys = trust.minisign_keys.iter();
    let keys = keys.map(|key| format!("{key}  {}", key.number()));
    rows(ui, "minisign       ", keys);
    Ok(Exit::Done)
}

/// Returns one line about a line of a list of signers.
fn described(line: &Line) -> String {
    let entry = match line {
        Ok(entry) => entry,
        Err(reason) => return format!("an unusable line, which is ignored: {reason}"),
    };
    let fingerprint = entry.fingerprint();
    let mut text = format!("{}  {}  {fingerprint}", entry.principals, entry.kind);
    if entry.authority {
        text.push_str("  certificate authority");
    }
    if let Some(namespaces) = &entry.namespaces {
        text.push_str(&format!("  for {namespaces}"));
    }
    match (standing(entry), &entry.valid_after, &entry.valid_before) {
        (Standing::Expired, _, Some(end)) => text.push_str(&format!("  expired {end}")),
        (Standing::NotYet, Some(start), _) => text.push_str(&format!("  not before {start}")),
        (_, _, Some(end)) => text.push_str(&format!("  until {end}")),
        _ => {}
    }
    text
}

fn standing(entry: &Entry) -> Standing {
    entry.standing(clock::now(), &TimeZone::system())
}

fn object(trust: &Trust, file: Option<&Path>, lines: &[Line]) -> Value {
    let signer = |entry: &Entry| {
        json!({
            "principals": entry.principals,
            "kind": entry.kind,
            "fingerprint": entry.fingerprint(),
            "certificate_authority": entry.authority,
            "namespaces": entry.namespaces,
            "valid_after": entry.valid_after,
            "valid_before": entry.valid_before,
            "standing": standing(entry).name(),
        })
    };
    let signers: Vec<Value> = lines.iter().flatten().map(signer).collect();
    let minisign = trust.minisign_keys.iter();
    let minisign = minisign.map(|key| json!({ "key": key.as_str(), "number": key.number() }));
    let minisign: Vec<Value> = minisign.collect();
    json!({
        "require": trust.require().name(),
        "tag_signers_file": file,
        "tag_signers": signers,
        "unusable_lines": lines.iter().filter(|line| line.is_err()).count(),
        "tag_openpgp_keyring": trust.tag_openpgp_keyring,
        "minisign_keys": minisign,
    })
}
