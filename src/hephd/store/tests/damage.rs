//! Damaged stores: every page, with real files. Either the damage is found, or every task and operation reads as before.

use std::os::unix::fs::FileExt;

use super::log::Record;
use super::*;

const PAGE: usize = 4096;

/// What a user can see of a store, and what the log has.
type Content = (Vec<Task>, Vec<(i64, Record)>);

/// Returns a store whose last changes are in the write-ahead log only, as a kill leaves it, and what it has.
fn killed(tasks: usize) -> (Home, Content) {
    let origin = Home::new();
    let mut store = origin.open();
    let mut ids = Vec::new();
    for number in 0..tasks {
        let title = format!("{number} {}", "long ".repeat(number % 7 * 130));
        let task = store.add(&title, None, at(1)).unwrap();
        ids.push(task.id);
    }
    for (number, id) in ids.iter().enumerate() {
        match number % 5 {
            0 => drop(store.done(id, None, at(2)).unwrap()),
            1 => drop(store.edit(id, "another title", None, at(2)).unwrap()),
            2 => drop(store.delete(id, None, at(2)).unwrap()),
            _ => {}
        }
    }
    push(&mut store, "a user", vec![adds(&ulid(), "of a user")]);
    store
        .connection
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    for number in 0..5 {
        store.add(&format!("late {number}"), None, at(3)).unwrap();
    }
    store.raise_high_water();
    let content = content(&store);
    let home = Home::new();
    for suffix in ["", "-wal", ".lock"] {
        fs::copy(origin.sibling(suffix), home.sibling(suffix)).unwrap();
    }
    (home, content)
}

/// The same, closed: all of it is in one file.
fn closed(tasks: usize) -> (Home, Content) {
    let (home, content) = killed(tasks);
    drop(home.open());
    assert!(!home.sibling("-wal").exists());
    (home, content)
}

fn content(store: &Store) -> Content {
    let mut records = Vec::new();
    log::for_each(&store.connection, |seq, record| {
        records.push((seq, record));
        Ok(())
    })
    .unwrap();
    (store.list(Which::All).unwrap(), records)
}

/// Returns what `hephd store check` finds.
fn found(home: &Home) -> Option<String> {
    match check(&home.store) {
        Ok(checked) => checked.reason.or(checked.damage),
        Err(error) => Some(error.one_line()),
    }
}

/// Returns a copy of `home` whose file with this suffix was changed.
fn spoilt(home: &Home, suffix: &str, spoil: impl FnOnce(&fs::File)) -> Home {
    let copy = Home::new();
    for suffix in ["", "-wal", ".lock"] {
        if home.sibling(suffix).exists() {
            fs::copy(home.sibling(suffix), copy.sibling(suffix)).unwrap();
        }
    }
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(copy.sibling(suffix))
        .unwrap();
    spoil(&file);
    copy
}

#[track_caller]
fn assert_found_or_harmless(spoilt: &Home, content_before: &Content, what: &str) -> bool {
    if found(spoilt).is_some() {
        return true;
    }
    assert_eq!(content(&spoilt.open()), *content_before, "{what}");
    false
}

fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..PAGE).map(|_| next()).collect()
}

#[test]
fn a_sound_store_has_no_damage_whether_it_was_closed_or_killed() {
    let (killed, content_before) = killed(40);
    assert_eq!(found(&killed), None);
    assert_eq!(content(&killed.open()), content_before);
    let (closed, content_before) = closed(40);
    assert_eq!(found(&closed), None);
    let store = closed.open();
    assert_eq!(store.warning(), None);
    assert_eq!(content(&store), content_before);
    assert_eq!(found(&closed), None, "while a hephd has it open");
}

#[test]
fn a_damaged_page_of_any_table_is_found_or_does_no_harm() {
    let (home, content_before) = closed(180);
    let pages = fs::metadata(&home.store).unwrap().len() as usize / PAGE;
    assert!(pages >= 150, "{pages} pages");
    let mut harmless = 0;
    for page in 0..pages {
        for (what, bytes) in [("zeros", vec![0; PAGE]), ("noise", noise(page as u64))] {
            let spoilt = spoilt(&home, "", |file| {
                file.write_all_at(&bytes, (page * PAGE) as u64).unwrap();
            });
            let what = format!("page {page}: {what}");
            harmless += usize::from(!assert_found_or_harmless(&spoilt, &content_before, &what));
        }
    }
    // Pages that are not in use.
    assert!(harmless < pages / 4, "{harmless} of {pages}");
}

#[test]
fn damage_of_the_write_ahead_log_is_found_or_does_no_harm() {
    let (home, content_before) = killed(40);
    let length = fs::metadata(home.sibling("-wal")).unwrap().len();
    assert!(length > 10 * PAGE as u64);
    for at in (0..length).step_by(509) {
        let spoilt = spoilt(&home, "-wal", |file| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
        });
        assert_found_or_harmless(&spoilt, &content_before, &format!("byte {at}"));
    }
    for cut in (1..length).step_by(1021) {
        let spoilt = spoilt(&home, "-wal", |file| file.set_len(cut).unwrap());
        assert_found_or_harmless(&spoilt, &content_before, &format!("cut at {cut}"));
    }
}

#[test]
fn damage_of_the_write_ahead_log_shows_without_a_mark_too_unless_it_may_be_a_crash() {
    let (home, _) = killed(40);
    fs::remove_file(home.sibling(".lock")).unwrap();
    let length = fs::metadata(home.sibling("-wal")).unwrap().len();
    // In the header, and in the first transaction.
    for at in [5, 40, 3000] {
        let spoilt = spoilt(&home, "-wal", |file| file.write_all_at(b"XYZ", at).unwrap());
        let found = found(&spoilt).expect("found");
        assert!(found.contains("write-ahead log"), "{found}");
    }
    // A power cut tears the last one.
    let torn = spoilt(&home, "-wal", |file| file.set_len(length - 100).unwrap());
    assert_eq!(found(&torn), None);
}

#[test]
fn a_write_ahead_log_that_is_missing_is_noticed_and_the_rest_is_served() {
    let (home, (tasks, _)) = killed(10);
    fs::remove_file(home.sibling("-wal")).unwrap();
    let damage = found(&home).expect("found");
    assert!(damage.contains("the last 5 operations"), "{damage}");
    let store = home.open();
    let warning = store.warning().expect("a warning").to_owned();
    assert!(warning.contains("the last 5 operations"), "{warning}");
    assert!(warning.contains("hephd store restore"), "{warning}");
    assert_eq!(store.list(Which::All).unwrap().len(), tasks.len() - 5);
    // Until a backup is restored, or as much was stored again.
    drop(store);
    assert_eq!(home.open().warning(), Some(warning.as_str()));
}

#[test]
fn a_new_store_in_place_of_one_that_is_gone_says_so_once() {
    let (home, _) = closed(10);
    fs::remove_file(&home.store).unwrap();
    assert!(home.open().warning().unwrap().contains("this one is new"));
    assert_eq!(home.open().warning(), None);
}

#[test]
fn a_backup_in_place_of_a_newer_store_is_no_loss() {
    let (home, _) = closed(10);
    let backup = home.sibling(".backup");
    write_copy(&home.store, &backup).unwrap();
    home.open().add("after the backup", None, at(5)).unwrap();
    drop(home.open());
    fs::rename(&backup, &home.store).unwrap();
    assert_eq!(found(&home), None);
    assert_eq!(home.open().warning(), None);
}

#[test]
fn a_damaged_store_is_not_backed_up_and_a_backup_restores_what_it_lost() {
    let (home, (tasks, _)) = closed(60);
    let backup = home.sibling(".backup");
    write_copy(&home.store, &backup).unwrap();
    let mut store = home.open();
    let late = store.add("after the backup", None, at(5)).unwrap();
    drop(store);
    // One letter of a title, in the table of tasks only.
    home.connect()
        .execute(
            "UPDATE tasks SET title = 'x' || title WHERE id = ?1",
            [&late.id],
        )
        .unwrap();
    let damage = found(&home).unwrap();
    assert!(damage.contains("1 tasks differ"), "{damage}");
    let second = home.sibling(".second");
    let error = write_copy(&home.store, &second).unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.hint().unwrap().contains("hephd store restore"));
    assert!(!second.exists());
    assert!(backup.exists());

    let restored = restore(&home.store, &backup, at(6)).unwrap();
    assert_eq!(restored.operations_carried, 1);
    assert_eq!(restored.operations_unread, None);
    assert!(restored.kept_as.unwrap().contains(".damaged-"));
    let all = home.open().list(Which::All).unwrap();
    assert_eq!(all.len(), tasks.len() + 1);
    assert!(all.contains(&late));
    assert_eq!(found(&home), None);
}

#[test]
fn what_is_before_and_behind_a_damaged_page_of_the_log_is_carried_over() {
    let (home, _) = closed(100);
    let backup = home.sibling(".backup");
    write_copy(&home.store, &backup).unwrap();
    let mut store = home.open();
    for number in 0..200 {
        let title = format!("{number} {}", "later ".repeat(100));
        store.add(&title, None, at(5)).unwrap();
    }
    let root: i64 = store
        .connection
        .query_row(
            "SELECT pageno FROM dbstat WHERE name = 'ops' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 60",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let before = store.list(Which::All).unwrap().len();
    drop(store);
    let page = (root as u64 - 1) * PAGE as u64;
    let spoilt = spoilt(&home, "", |file| {
        file.write_all_at(&noise(1), page).unwrap();
    });
    assert!(found(&spoilt).is_some());
    let restored = restore(&spoilt.store, &backup, at(6)).unwrap();
    assert!(restored.operations_unread.is_some());
    let after = spoilt.open().list(Which::All).unwrap().len();
    assert!(before - after < 20, "{before} {after}");
    assert_eq!(found(&spoilt), None);
}

#[test]
fn a_changed_byte_changes_no_task_unnoticed() {
    let (home, (tasks, _)) = closed(40);
    let length = fs::metadata(&home.store).unwrap().len();
    let mut random = 1_u64;
    for _ in 0..150 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let offset = (random >> 16) % length;
        let spoilt = spoilt(&home, "", |file| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset).unwrap();
            let changed = byte[0] ^ (1 << (random % 8));
            file.write_all_at(&[changed], offset).unwrap();
        });
        if found(&spoilt).is_none() {
            let listed = spoilt.open().list(Which::All).unwrap();
            assert_eq!(listed, tasks, "byte {offset}");
        }
    }
}
