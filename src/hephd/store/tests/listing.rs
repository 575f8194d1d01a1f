//! Lists, page by page, while tasks are added, changed and deleted.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::list_cursor::ListCursor;
use super::super::tasks::list_sql;
use super::*;
use crate::hephd::protocol::PAGE_BYTES;

const LISTS: [Which; 3] = [Which::Open, Which::Done, Which::All];

/// What happens to a task.
#[derive(Clone, Debug)]
enum Change {
    /// Added at this time, which may be before that of any other.
    Add(u8),
    Edit(u8),
    Done(u8),
    Reopen(u8),
    Delete(u8),
}

fn change() -> impl Strategy<Value = Change> {
    let number = any::<u8>();
    prop_oneof![
        3 => number.prop_map(Change::Add),
        1 => number.prop_map(Change::Edit),
        2 => number.prop_map(Change::Done),
        2 => number.prop_map(Change::Reopen),
        1 => number.prop_map(Change::Delete),
    ]
}

/// Makes `change`; a task is named by its number among all that there are.
fn make(store: &mut Store, change: &Change) {
    let tasks = store.list(Which::All).unwrap();
    let id = |number: u8| {
        let nth = usize::from(number) % tasks.len().max(1);
        tasks.get(nth).map(|task| task.id.as_str())
    };
    let now = at(1000);
    match *change {
        Change::Add(time) => drop(store.add("added", None, at(time.into())).unwrap()),
        Change::Edit(number) => drop(id(number).map(|id| store.edit(id, "edited", None, now))),
        Change::Done(number) => drop(id(number).map(|id| store.done(id, None, now))),
        Change::Reopen(number) => drop(id(number).map(|id| store.reopen(id, None, now))),
        Change::Delete(number) => drop(id(number).map(|id| store.delete(id, None, now))),
    }
}

fn ids(tasks: &[Task]) -> BTreeSet<String> {
    tasks.iter().map(|task| task.id.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_task_that_is_there_all_the_while_is_listed_once(
        before in proptest::collection::vec(change(), 0..30),
        between in proptest::collection::vec(proptest::collection::vec(change(), 0..4), 60),
        limit in 1..7_usize,
    ) {
        for which in LISTS {
            let home = Home::new();
            let mut store = home.open();
            store.connection.execute_batch("PRAGMA synchronous = off").unwrap();
            for change in &before {
                make(&mut store, change);
            }
            let mut throughout = ids(&store.list(which).unwrap());
            let (mut listed, mut after): (Vec<Task>, Option<String>) = (Vec::new(), None);
            for changes in &between {
                let page = store.list_page(which, after.as_deref(), limit).unwrap();
                prop_assert!(page.tasks.len() <= limit);
                listed.extend(page.tasks);
                after = page.next;
                if after.is_none() {
                    break;
                }
                for change in changes {
                    make(&mut store, change);
                    throughout = &throughout & &ids(&store.list(which).unwrap());
                }
            }
            let places: Vec<_> = listed.iter().map(ListCursor::of).collect();
            prop_assert!(places.is_sorted_by(|one, next| one < next), "{:?}", places);
            // Where tasks are added faster than they are listed, the list has no end, and is right as far as it goes.
            let reached = |task: &Task| after.is_none() || places.last() >= Some(&ListCursor::of(task));
            let expected = store.list(which).unwrap();
            for task in expected.iter().filter(|task| throughout.contains(&task.id)) {
                prop_assert!(!reached(task) || ids(&listed).contains(&task.id), "{:?}", task);
            }
        }
    }
}

#[test]
fn the_last_page_says_that_it_is_the_last() {
    let home = Home::new();
    home.with(&["a", "b", "c"]);
    let store = home.open();
    for (limit, has_next) in [(1, true), (2, true), (3, false), (4, false)] {
        let page = store.list_page(Which::Open, None, limit).unwrap();
        assert_eq!(page.tasks.len(), limit.min(3));
        assert_eq!(page.next.is_some(), has_next, "{limit}");
    }
    assert_eq!(store.list_page(Which::Done, None, 1).unwrap().next, None);
}

#[test]
fn a_page_of_long_titles_has_fewer_tasks() {
    let home = Home::new();
    let mut store = home.open();
    store
        .connection
        .execute_batch("PRAGMA synchronous = off")
        .unwrap();
    let title = "x".repeat(4096);
    let fit = PAGE_BYTES / title.len();
    for _ in 0..=fit {
        store.add(&title, None, at(1)).unwrap();
    }
    let page = store.list_page(Which::Open, None, 1000).unwrap();
    assert_eq!(page.tasks.len(), fit);
    let rest = store
        .list_page(Which::Open, page.next.as_deref(), 1000)
        .unwrap();
    assert_eq!((rest.tasks.len(), rest.next), (1, None));
}

#[test]
fn a_page_is_found_by_an_index_and_needs_no_sorting() {
    let home = Home::new();
    drop(home.open());
    // Release 0.1.0 had no such index.
    home.connect()
        .execute_batch("DROP INDEX done_tasks")
        .unwrap();
    let store = home.open();
    for which in LISTS {
        let sql = format!("EXPLAIN QUERY PLAN {}", list_sql(which));
        let mut statement = store.connection.prepare(&sql).unwrap();
        let plan = statement.query_map((0, ""), |row| row.get(3)).unwrap();
        let plan: Vec<String> = plan.map(Result::unwrap).collect();
        let reads: Vec<_> = plan.iter().filter(|step| step.contains("tasks")).collect();
        assert!(!reads.is_empty(), "{plan:?}");
        for step in reads {
            assert!(
                step.contains("(user=? AND (created_at,id)>(?,?))"),
                "{plan:?}"
            );
        }
        assert!(!plan.iter().any(|step| step.contains("TEMP")), "{plan:?}");
    }
}
