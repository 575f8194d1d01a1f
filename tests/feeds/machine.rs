//! One machine that asks one forge, and what the forge sees of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use heph::config::{self, SelfUpdate};
use heph::error::Kind;
use heph::release::feed::Feed;
use jiff::Timestamp;

use super::feed;
use crate::support::forge::{Forge, Published, Speaks, WorkTree};

/// The forges with an API, and the setting that names each.
pub const FORGES: [(Speaks, config::Forge); 3] = [
    (Speaks::Forgejo, config::Forge::Forgejo),
    (Speaks::Github, config::Forge::Github),
    (Speaks::Gitlab, config::Forge::Gitlab),
];

/// Publishes releases with these tags, one a minute; the last is the newest.
pub fn publish<T: AsRef<str>>(forge: &Forge, tags: impl IntoIterator<Item = T>) {
    for tag in tags {
        forge.publish(Published::new(tag.as_ref()));
    }
}

/// Pushes these tags as annotated ones.
pub fn push(forge: &Forge, tags: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let work = WorkTree::new(folder.path());
    work.commit("one");
    for tag in tags {
        work.tag(tag);
    }
    forge.push(&work);
}

/// Returns so many tags that begin like this.
pub fn many(prefix: &str, count: usize) -> Vec<String> {
    (1..=count)
        .map(|number| format!("{prefix}{number}"))
        .collect()
}

/// One machine that asks one forge, minute by minute.
pub struct Machine {
    pub settings: SelfUpdate,
    pub state: PathBuf,
    pub now: Timestamp,
    _folder: tempfile::TempDir,
}

impl Machine {
    pub fn of(forge: &Forge, kind: config::Forge) -> Machine {
        let folder = tempfile::tempdir().unwrap();
        Machine {
            settings: SelfUpdate {
                repository: forge.repository().parse().unwrap(),
                forge: kind,
                ..SelfUpdate::default()
            },
            state: folder.path().join("a state/feed.json"),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            _folder: folder,
        }
    }

    pub fn feed(&self) -> Feed<'_> {
        feed(&self.settings, &self.state)
    }

    /// Asserts that nothing is cached.
    pub fn assert_nothing_cached(&self) {
        let missing = feed(&self.settings, Path::new("/nonexistent/feed.json"));
        assert_eq!(self.feed().cached(), missing.cached());
    }

    /// Asks, and returns the version, `none`, `later`, or the error in words.
    pub fn asks(&self) -> String {
        match self.feed().fetch(self.now) {
            Ok(Some(release)) => release.version.to_string(),
            Ok(None) => "none".to_owned(),
            Err(error) if error.kind() == Kind::Unreachable => "later".to_owned(),
            Err(error) => error.one_line(),
        }
    }

    pub fn wait(&mut self, seconds: u64) -> &mut Machine {
        self.now += Duration::from_secs(seconds);
        self
    }
}

/// Returns the paths that were asked for since the last call.
pub fn asked(forge: &Forge) -> Vec<String> {
    let paths = forge.seen().into_iter().map(|seen| seen.path).collect();
    forge.forget();
    paths
}
