//! The journal: the record of the update under way, written before each irreversible step.
//!
//! One write before the switch says what is about to happen, so that nothing after it needs disk space to be undone. A
//! second write marks the way back, a third says how the run ended; then the history gets its line and the journal goes.
//! Whatever instant a run is killed at, the journal and the place that `current` points at together say what the next
//! run must do: [`recovery`].

use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;
use semver::Version;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::history;
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::{clock, files};
use crate::paths::Paths;

/// How often an interrupted update is finished before it is undone instead.
const MOST_ATTEMPTS: u32 = 2;
/// Bytes reserved before the switch, so that a roll-back can be recorded on a disk that has filled up since.
const RESERVE: usize = 64 * 1024;
/// No journal is larger; a larger file is not ours.
const LIMIT: u64 = 64 * 1024;

/// What a run is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Always 1.
    pub schema: u32,
    /// The run that wrote it.
    pub run: String,
    pub started_at: Timestamp,
    pub phase: Phase,
    pub aim: Aim,
    /// The slot in use before; `None` where nothing was installed, or where there is no way back.
    pub from: Option<SlotRef>,
    /// The slot to use.
    pub to: SlotRef,
    /// Whether hephd is to be restarted and watched.
    pub restart: bool,
    /// The units that ran before and that the service manager stops along with hephd.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companions: Vec<String>,
    /// The store of the hephd that ran before.
    pub store: Option<PathBuf>,
    /// The copy of the store taken before the switch.
    pub backup: Option<PathBuf>,
    /// How many runs have tried to finish it.
    pub attempts: u32,
    /// Why it is being undone.
    pub reason: Option<String>,
    /// Whether that says nothing about the release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blameless: bool,
    /// How it ended: the line for the history.
    pub ended: Option<history::Entry>,
}

/// A slot by name, with its version and commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRef {
    pub slot: String,
    pub version: Version,
    /// `None` if it is unknown, and in a journal of release 0.1.0.
    #[serde(default)]
    pub commit: Option<String>,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// To install another release, or the same afresh.
    Update,
    /// To have hephd run what is installed already.
    Restart,
    /// To go back to a slot, as a person asked: the version left is quarantined, not the one reached.
    GoBack,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// About to switch, or switched and not yet known to be healthy.
    Switching,
    /// On the way back.
    RollingBack,
    /// Over, whatever its outcome; only the history may lack its line.
    Ended,
}

/// What the next run does about an unfinished journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The switch never happened: forget it.
    Forget,
    /// The switch happened: restart, watch, then commit or roll back.
    Finish,
    /// Go back.
    RollBack,
    /// Only the line in the history is missing.
    Record,
    /// `current` points elsewhere: it was changed by hand since, and stays.
    LeaveAlone,
}

/// Decides what to do about `journal` when `current` names the slot in use.
pub fn recovery(journal: &Journal, current: Option<&str>) -> Recovery {
    let at_from = current == journal.from.as_ref().map(|from| from.slot.as_str());
    let at_to = current == Some(journal.to.slot.as_str());
    match journal.phase {
        Phase::Ended => Recovery::Record,
        // Checked first: a restart without a switch has from and to at one place, and is finished.
        Phase::Switching if at_to && journal.attempts >= MOST_ATTEMPTS => Recovery::RollBack,
        Phase::Switching if at_to => Recovery::Finish,
        Phase::Switching if at_from => Recovery::Forget,
        Phase::RollingBack if at_to || at_from => Recovery::RollBack,
        Phase::Switching | Phase::RollingBack => Recovery::LeaveAlone,
    }
}

/// Parses a journal. One of a newer heph is an error that says so.
fn parse(text: &[u8]) -> Result<Journal> {
    /// What any release of heph writes.
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
        phase: Option<Value>,
        aim: Option<Value>,
    }
    fn unknown<T: DeserializeOwned>(name: &str, word: Option<Value>) -> Option<String> {
        let word = word.filter(|word| serde_json::from_value::<T>(word.clone()).is_err())?;
        Some(format!("the {name} {word}"))
    }
    let strange = match serde_json::from_slice::<Head>(text) {
        Ok(head) if head.schema > 1 => Some(format!("schema {}", head.schema)),
        Ok(head) => {
            unknown::<Phase>("phase", head.phase).or_else(|| unknown::<Aim>("aim", head.aim))
        }
        Err(_) => None,
    };
    match strange {
        Some(strange) => bail!("it is of a newer heph: this one does not know {strange}"),
        None => Ok(serde_json::from_slice(text)?),
    }
}

impl Journal {
    /// Reads the journal; `None` where no run is unfinished. A damaged one, or one of a newer heph, is an error: guessing could
    /// cost a working installation.
    pub fn load(paths: &Paths) -> Result<Option<Journal>> {
        let path = paths.journal();
        let read = || match files::read_if_there(&path, LIMIT)? {
            Some(text) => parse(&text).map(Some),
            None => Ok(None),
        };
        read().with_context(|| {
            let path = path.display();
            Error::new(format!("cannot parse the journal '{path}'")).with_hint(format!(
                "`heph self-update rollback` sets it aside; or look at it, check with `heph self-update doctor` that the \
                 commands work, then remove it: rm '{path}'"
            ))
        })
    }

    /// Moves a journal that cannot be read aside, durably, and returns its new path.
    pub(super) fn set_aside(paths: &Paths) -> Result<PathBuf> {
        let path = paths.journal();
        let stamp = clock::now().strftime("%Y%m%dT%H%M%S%3fZ");
        let aside = paths.state.join(format!("journal-{stamp}.json"));
        fs::rename(&path, &aside)
            .with_context(|| format!("cannot move the journal '{}'", path.display()))?;
        files::sync_dir(&paths.state)?;
        Ok(aside)
    }

    /// Reserves space and writes the journal durably: from here on the run must be finished or undone.
    pub fn open(&self, paths: &Paths) -> Result<()> {
        let content = vec![b'\n'; RESERVE];
        files::write_atomic(&reserve(paths), &content, files::PRIVATE)
            .and_then(|()| self.save(paths))
            .inspect_err(|_| use_reserve(paths))
    }

    pub fn save(&self, paths: &Paths) -> Result<()> {
        files::write_json(&paths.journal(), self)
    }

    /// Removes the journal durably: the commit.
    pub fn close(paths: &Paths) -> Result<()> {
        use_reserve(paths);
        let path = paths.journal();
        files::remove_file_if_there(&path)
            .with_context(|| format!("cannot remove the journal '{}'", path.display()))?;
        files::sync_dir(&paths.state)
    }
}

/// Frees the reserved space for the writes that follow.
pub(super) fn use_reserve(paths: &Paths) {
    // Without the file there is nothing to free.
    let _ = files::remove_file_if_there(&reserve(paths));
}

fn reserve(paths: &Paths) -> PathBuf {
    paths.state.join("reserve")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(phase: Phase, attempts: u32) -> Journal {
        let slot = |slot: &str| SlotRef {
            slot: slot.to_owned(),
            version: slot.parse().unwrap(),
            commit: None,
        };
        Journal {
            schema: 1,
            run: "r".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            phase,
            aim: Aim::Update,
            from: Some(slot("1.0.0")),
            to: slot("1.1.0"),
            restart: true,
            companions: Vec::new(),
            store: None,
            backup: None,
            attempts,
            reason: None,
            blameless: false,
            ended: None,
        }
    }

    #[test]
    fn each_interruption_has_one_answer() {
        use Phase::*;
        for (phase, attempts, current, expected) in [
            (Switching, 0, Some("1.0.0"), Recovery::Forget),
            (Switching, 0, Some("1.1.0"), Recovery::Finish),
            (Switching, 1, Some("1.1.0"), Recovery::Finish),
            (Switching, 2, Some("1.1.0"), Recovery::RollBack),
            (Switching, 2, Some("1.0.0"), Recovery::Forget),
            (RollingBack, 0, Some("1.1.0"), Recovery::RollBack),
            (RollingBack, 9, Some("1.0.0"), Recovery::RollBack),
            (Switching, 0, Some("2.0.0"), Recovery::LeaveAlone),
            (RollingBack, 0, None, Recovery::LeaveAlone),
            (Ended, 0, Some("1.1.0"), Recovery::Record),
            (Ended, 9, Some("2.0.0"), Recovery::Record),
        ] {
            assert_eq!(
                recovery(&journal(phase, attempts), current),
                expected,
                "{phase:?} {attempts} {current:?}"
            );
        }
    }

    #[test]
    fn a_first_installation_is_recognized() {
        let first = Journal {
            from: None,
            ..journal(Phase::Switching, 0)
        };
        assert_eq!(recovery(&first, None), Recovery::Forget);
        assert_eq!(recovery(&first, Some("1.1.0")), Recovery::Finish);
    }

    #[test]
    fn a_restart_without_a_switch_is_finished() {
        let mut restart = journal(Phase::Switching, 0);
        restart.from = Some(restart.to.clone());
        assert_eq!(recovery(&restart, Some("1.1.0")), Recovery::Finish);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let journal = journal(Phase::RollingBack, 1);
        let text = serde_json::to_string(&journal).unwrap();
        assert!(text.contains(r#""phase":"rolling-back""#));
        assert_eq!(parse(text.as_bytes()).unwrap(), journal);
        // What release 0.1.0 does not know is written only where it is needed.
        assert!(!text.contains("companions") && !text.contains("blameless"));
        let more = Journal {
            companions: vec!["backup.service".to_owned()],
            blameless: true,
            ..journal
        };
        let text = serde_json::to_string(&more).unwrap();
        assert_eq!(parse(text.as_bytes()).unwrap(), more);
    }

    #[test]
    fn a_journal_of_a_newer_heph_is_named_and_a_damaged_one_is_not_taken_for_it() {
        let text = serde_json::to_string(&journal(Phase::Switching, 0)).unwrap();
        for (from, to, words) in [
            (
                r#""schema":1"#,
                r#""schema":2"#,
                "of a newer heph: this one does not know schema 2",
            ),
            (
                "switching",
                "staging",
                "of a newer heph: this one does not know the phase \"staging\"",
            ),
            (
                r#""update""#,
                r#""fleet""#,
                "of a newer heph: this one does not know the aim \"fleet\"",
            ),
            (r#""attempts":0"#, r#""attempts":-1"#, "invalid value"),
            (r#""schema":1,"#, "", "missing field `schema`"),
            ("{", "", ""),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let error = parse(changed.as_bytes()).unwrap_err().one_line();
            assert!(error.contains(words), "{error}");
        }
        let later = r#"{"schema":7,"phase":{"of":"a fleet"}}"#;
        let error = parse(later.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("schema 7"), "{error}");
    }
}
