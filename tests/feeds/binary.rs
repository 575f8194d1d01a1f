//! Runs the table through the commands: the exit code, the words, no panic, and not a byte of the installation changed.

use std::fs;
use std::thread;

use super::rows::{Ends, Row, rows};
use crate::support::files::entries;
use crate::support::forge::{Forge, Speaks};
use crate::support::home::Home;

#[test]
fn check_and_apply_survive_every_bad_answer_and_change_nothing() {
    // Those that end by a time limit of 30 s are left to the library's table, which has a shorter one.
    let rows: Vec<Row> = rows().into_iter().filter(|row| !row.slow).collect();
    assert!(rows.len() >= 60, "the table has {} quick rows", rows.len());
    let half = rows.len() / 2;
    let try_all = |rows: &[Row]| -> Vec<String> {
        let wrong = rows
            .iter()
            .filter_map(|row| Some(format!("{}: {}", row.name, run(row).err()?)));
        wrong.collect()
    };
    let wrong = thread::scope(|scope| {
        let other = scope.spawn(|| try_all(&rows[..half]));
        let mut wrong = try_all(&rows[half..]);
        wrong.extend(other.join().unwrap());
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn run(row: &Row) -> Result<(), String> {
    let home = Home::new().with_commands();
    let forge = Forge::speaking(row.speaks);
    let path = match row.list {
        true => forge.list_path(),
        false => forge.latest_path(),
    };
    if let Some(list) = &row.beside {
        forge.script(&forge.list_path(), list.clone());
    }
    forge.script(&path, row.script.clone());
    let kind = match row.speaks {
        Speaks::Forgejo => "forgejo",
        Speaks::Github => "github",
        Speaks::Gitlab => "gitlab",
        Speaks::Git => "git",
    };
    home.configure(&format!(
        "service-manager = \"none\"\n[self-update]\nrepository = \"{}\"\nforge = \"{kind}\"\nprereleases = {}\n",
        forge.repository(),
        row.list
    ));

    for words in ["self-update check", "self-update apply"] {
        // What the first answer asked for (a pause, say) must not answer for the second.
        drop(fs::remove_file(home.state().join("feed.json")));
        let ended = home.heph(words).ends();
        let said = format!("{}{}", ended.out, ended.err);
        let code = match row.ends {
            Ends::Failed => 1,
            Ends::TryLater => 75,
        };
        if ended.code != code {
            return Err(format!("not {code}: {ended}"));
        }
        if let Some(word) = row.words.iter().find(|word| !said.contains(**word)) {
            return Err(format!("{words} does not say '{word}': {said}"));
        }
        if said.contains("panicked") {
            return Err(said);
        }
    }
    let data = home.data();
    // The folder itself is the lock.
    if !entries(&data.join("versions")).is_empty()
        || data.join("current").exists()
        || home.bin().join("heph").is_symlink()
    {
        return Err("the installation was touched".to_owned());
    }
    Ok(())
}
