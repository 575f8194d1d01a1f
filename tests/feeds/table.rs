//! Runs the table through the library.

use std::time::Duration;

use heph::config::{Forge as Kind, SelfUpdate};
use heph::error::Kind as ErrorKind;
use heph::os::http::Limits;
use jiff::Timestamp;

use super::feed;
use super::rows::{Ends, Row, rows};
use crate::support::forge::{Forge, Published, Speaks, WorkTree};
use crate::support::http::Reply;

#[test]
fn every_bad_answer_ends_as_it_must_and_names_its_cause() {
    let rows = rows();
    assert!(rows.len() >= 60, "the table has {} rows", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| run(row).err().map(|why| format!("{}: {why}", row.name)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn run(row: &Row) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::speaking(row.speaks);
    let settings = SelfUpdate {
        repository: forge.repository().parse().unwrap(),
        forge: match row.speaks {
            Speaks::Forgejo => Kind::Forgejo,
            Speaks::Github => Kind::Github,
            Speaks::Gitlab => Kind::Gitlab,
            Speaks::Git => Kind::Git,
        },
        prereleases: row.list,
        ..SelfUpdate::default()
    };
    let state = folder.path().join("feed.json");
    let feed = feed(&settings, &state);

    // First all is well, so that there is something to lose.
    forge.publish(Published::new("v1.0.0"));
    if row.speaks == Speaks::Git {
        let work = WorkTree::new(folder.path().join("work"));
        work.commit("one");
        work.tag("v1.0.0");
        forge.push(&work);
    }
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let before = feed.fetch(now).map_err(|error| error.one_line())?;
    let Some(before) = before else {
        return Err(format!("the good answer led to {before:?}"));
    };

    let path = match row.list {
        true => forge.list_path(),
        false => forge.latest_path(),
    };
    if let Some(list) = &row.beside {
        forge.script(&forge.list_path(), list.clone());
    }
    forge.script(&path, row.script.clone());
    let limits = Limits {
        total: Duration::from_secs(if row.slow { 1 } else { 30 }),
        ..Limits::default()
    };
    let later = now + Duration::from_secs(60);
    let (ends, text) = match feed.check(later, &limits).latest {
        Err(error) if error.kind() == ErrorKind::Unreachable => (Ends::TryLater, error.one_line()),
        Ok(latest) => return Err(format!("it was taken for {latest:?}")),
        Err(error) => {
            if error.exit().code() != 1 || error.hint().is_none() {
                return Err(format!("no exit 1 with a hint: {error:?}"));
            }
            (Ends::Failed, error.one_line())
        }
    };
    if ends != row.ends {
        return Err(format!("it ended with {ends:?}: {text}"));
    }
    if let Some(word) = row.words.iter().find(|word| !text.contains(**word)) {
        return Err(format!("'{word}' is missing in: {text}"));
    }
    if !text.contains("127.0.0.1") || text.contains(char::is_control) || text.len() > 600 {
        return Err(format!("not one short line that names the forge: {text}"));
    }
    let remembered = feed.cached();
    if remembered.latest != Some(before)
        || remembered.last_success != Some(now)
        || remembered.last_attempt != Some(later)
        || remembered.last_error.as_ref() != Some(&text)
    {
        return Err(format!("it is remembered as {remembered:?}"));
    }

    // And when all is well again, nothing stands in the way but what the forge asked for.
    forge.script(&path, Reply::Normal);
    forge.script(&forge.list_path(), Reply::Normal);
    let tomorrow = later + Duration::from_secs(25 * 60 * 60);
    match feed.fetch(tomorrow) {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("a day later: {other:?}")),
    }
}
