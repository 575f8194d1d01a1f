//! Machines and hubs with wrong clocks, and operations that are meant to last for ever: no acknowledged change is without
//! effect, and all stores converge.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::log::Record;
use super::simulation::small;
use super::*;
use crate::hephd::protocol::OperationKind::{self, Add, Done, Edit, Reopen};

const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * 24 * HOUR;
const LAST: i64 = 253_402_207_200_999;
const LAST_ID: &str = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";

/// Returns an operation on `task` with this clock and generation, and the last id there is.
fn forged(kind: &str, task: &str, title: &str, clock: (i64, u32), generation: i64) -> Operation {
    let (ms, counter) = clock;
    let body =
        format!(r#"{{"title":"{title}","clock":[{ms},{counter}],"generation":{generation}}}"#);
    Operation {
        id: LAST_ID.to_owned(),
        kind: kind.to_owned().into(),
        task: task.to_owned(),
        body: json(&body),
        created_at: at(0).as_millisecond(),
    }
}

/// Lets a hub that sends what it likes send `operations` to `spoke`.
fn receive(spoke: &mut Store, operations: Vec<Operation>, now: Timestamp) {
    let home = Home::new();
    let request = next_request(spoke);
    let sent = request.sent.clone();
    let mut response = home
        .open()
        .exchange("", &self::request(Vec::new()), now)
        .unwrap();
    response.operations = operations;
    response.sent = sent;
    spoke.apply(&request, &response, now).unwrap();
}

fn title_of(store: &Store, task: &str) -> String {
    store.task(task).unwrap().title
}

#[test]
fn a_hub_refuses_a_clock_that_is_too_far_ahead_and_says_by_how_much() {
    let home = Home::new();
    let mut hub = home.open();
    let task = ulid();
    for (ahead, refused) in [(24 * HOUR, false), (24 * HOUR + 1, true), (3 * YEAR, true)] {
        let clock = (at(0).as_millisecond() + ahead, 0);
        let mut operation = forged("task.add", &task, "early", clock, 0);
        operation.id = ulid();
        let response = push(&mut hub, "", vec![operation, adds(&ulid(), "good")]);
        assert_eq!(response.refused.len(), usize::from(refused), "{ahead}");
        if ahead == 3 * YEAR {
            let reason = &response.refused[0].reason;
            assert!(
                reason.starts_with("clock: ") && reason.contains("1095 days ahead"),
                "{reason}"
            );
        }
    }
    assert_eq!(titles(&hub), ["early", "good", "good", "good"]);
    hub.set_max_drift(Some(Duration::from_secs(60)), at(0));
    let clock = (at(61_000).as_millisecond(), 0);
    let mut operation = forged("task.add", &ulid(), "a minute early", clock, 0);
    operation.id = ulid();
    assert_eq!(push(&mut hub, "", vec![operation]).refused.len(), 1);
}

#[test]
fn a_user_does_not_learn_from_a_refusal_what_another_has() {
    let home = Home::new();
    let mut hub = home.open();
    hub.max_drift = LAST;
    let early = forged("task.add", &ulid(), "early", (LAST, 0), 0);
    push(&mut hub, "a b", vec![early.clone()]);
    hub.set_max_drift(None, at(0));
    assert!(
        push(&mut hub, "a b", vec![early.clone()])
            .refused
            .is_empty()
    );
    assert_eq!(push(&mut hub, "a c", vec![early]).refused.len(), 1);
}

#[test]
fn a_change_of_what_a_hub_stamped_with_the_last_clock_has_effect() {
    for generation in [0, 1, 1000] {
        let (home, mut spoke) = spoke();
        let task = spoke.add("mine", None, at(0)).unwrap();
        let clock = (LAST, u32::MAX);
        let edit = forged("task.edit", &task.id, "theirs", clock, generation);
        let mut done = forged("task.done", &task.id, "", clock, generation);
        done.id = ulid();
        receive(&mut spoke, vec![edit, done], at(1));
        assert_eq!(title_of(&spoke, &task.id), "theirs");
        assert!(spoke.clock.0 < at(0).as_millisecond() + HOUR, "not its own");
        for (turn, title) in ["one", "two", "three"].into_iter().enumerate() {
            // Ids that go back, as those of a machine whose clock was set back.
            let earlier = Ulid::from_parts(1000 - u64::try_from(turn).unwrap(), 7);
            let edited = spoke.edit(&task.id, title, Some(earlier), at(1)).unwrap();
            assert_eq!(edited.title, title);
            assert_eq!(title_of(&spoke, &task.id), title);
        }
        assert_eq!(
            spoke.reopen(&task.id, None, at(1)).unwrap().state,
            State::Open
        );
        drop(spoke);
        let mut spoke = home.open();
        assert_eq!(title_of(&spoke, &task.id), "three");
        log::rebuild_tasks(&spoke.connection, LAST).unwrap();
        assert_eq!(title_of(&spoke, &task.id), "three");
        assert_eq!(
            spoke.done(&task.id, None, at(2)).unwrap().state,
            State::Done
        );
    }
}

#[test]
fn a_generation_out_of_reach_waits_until_it_is_not() {
    let (_home, mut spoke) = spoke();
    let task = spoke.add("mine", None, at(0)).unwrap();
    let of = |generation: i64| Operation {
        id: ulid(),
        ..forged(
            "task.edit",
            &task.id,
            &format!("{generation}"),
            (5, 0),
            generation,
        )
    };
    receive(&mut spoke, vec![of(i64::MAX), of(1500), of(2500)], at(1));
    assert_eq!(title_of(&spoke, &task.id), "mine");
    spoke.edit(&task.id, "changed", None, at(2)).unwrap();
    receive(&mut spoke, vec![of(1000)], at(3));
    assert_eq!(
        title_of(&spoke, &task.id),
        "2500",
        "each made way for the next"
    );
    log::rebuild_tasks(&spoke.connection, LAST).unwrap();
    assert_eq!(title_of(&spoke, &task.id), "2500");
    spoke.edit(&task.id, "changed again", None, at(4)).unwrap();
    assert_eq!(title_of(&spoke, &task.id), "changed again");
}

#[test]
fn a_machine_years_ahead_keeps_its_changes_and_sends_them_with_the_right_time() {
    let home = Home::new();
    let mut hub = home.open();
    let [(_one, mut right), (wrong_home, mut wrong)] = [spoke(), spoke()];
    let known = right.add("known", None, at(0)).unwrap();
    sync_with(&mut hub, &mut right);
    sync_with(&mut hub, &mut wrong);
    let added = wrong.add("added", None, at(3 * YEAR)).unwrap();
    wrong
        .edit(&known.id, "first", None, at(3 * YEAR + 1))
        .unwrap();
    wrong
        .edit(&known.id, "second", None, at(3 * YEAR + 2))
        .unwrap();
    sync_with(&mut hub, &mut wrong);
    assert_eq!(
        (wrong.refused().unwrap(), titles(&hub)),
        (3, vec!["known".to_owned()])
    );
    assert_eq!(title_of(&wrong, &known.id), "second", "nothing is lost");
    drop(wrong);
    // Its clock is right again; another time it is only known by how much it is wrong.
    let mut wrong = wrong_home.open();
    assert_eq!(wrong.restamp(at(10)).unwrap(), 3);
    assert_eq!((wrong.refused().unwrap(), wrong.pending().unwrap()), (0, 3));
    wrong.set_hub_clock(HubClock(Some(-3 * YEAR)));
    wrong
        .edit(&known.id, "third", None, at(3 * YEAR + 11))
        .unwrap();
    sync_with(&mut hub, &mut wrong);
    assert_eq!(wrong.refused().unwrap(), 0);
    assert_eq!(wrong.restamp(at(3 * YEAR + 12)).unwrap(), 0);
    sync_with(&mut hub, &mut right);
    for store in [&hub, &right, &wrong] {
        assert_eq!(title_of(store, &known.id), "third");
        assert_eq!(title_of(store, &added.id), "added");
    }
    right.edit(&known.id, "fourth", None, at(20)).unwrap();
    sync_with(&mut hub, &mut right);
    sync_with(&mut hub, &mut wrong);
    assert_eq!(title_of(&wrong, &known.id), "fourth");
}

#[test]
fn what_0_1_0_applied_by_the_clock_alone_is_applied_again() {
    let (home, mut spoke) = spoke();
    let task = spoke.add("mine", None, at(0)).unwrap();
    let theirs = forged("task.edit", &task.id, "theirs", (LAST, u32::MAX), 0);
    receive(&mut spoke, vec![theirs], at(1));
    drop(spoke);
    // It took the clock over, and does not know why another machine's change should win.
    home.connect()
        .execute_batch(&format!(
            r#"UPDATE clock SET ms = {LAST}, counter = 4294967295;
               INSERT INTO ops (id, kind, task, body, created_at) VALUES
                 ('{}', 'task.edit', '{}', '{{"title":"later","clock":[5,0],"generation":1}}', 5);"#,
            ulid(),
            task.id
        ))
        .unwrap();
    let mut spoke = home.open();
    assert_eq!(title_of(&spoke, &task.id), "later");
    spoke.edit(&task.id, "now", None, at(2)).unwrap();
    assert_eq!(title_of(&spoke, &task.id), "now");
    spoke.restamp(at(3)).unwrap();
    assert!(
        spoke.clock.0 <= at(3).as_millisecond(),
        "its clock is right again"
    );
    assert_eq!(title_of(&spoke, &task.id), "now");
}

/// A machine with a clock of its own.
struct Machine {
    home: Home,
    store: Option<Store>,
    /// How much its clock is wrong, in milliseconds.
    wrong: i64,
}

impl Machine {
    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }
}

/// A hub with the right time and machines with others.
struct Clocks {
    _home: Home,
    hub: Store,
    machines: Vec<Machine>,
    time: i64,
    /// By the id of each change, what its machine showed before it: the changes of the same field.
    seen: BTreeMap<String, BTreeSet<String>>,
}

/// What happens, with the numbers of machines.
#[derive(Clone, Debug)]
enum Act {
    Write(usize, usize, usize),
    Sync(usize),
    ResponseLost(usize),
    Set(usize, usize),
    Restart(usize),
    /// The kind, the task, the clock and the generation.
    Forge(usize, usize, usize, usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        12 => (0..3_usize, 0..4_usize, 0..4_usize).prop_map(|(machine, kind, which)| Act::Write(machine, kind, which)),
        5 => (0..3_usize).prop_map(Act::Sync),
        2 => (0..3_usize).prop_map(Act::ResponseLost),
        2 => (0..3_usize, 0..WRONG.len()).prop_map(|(machine, wrong)| Act::Set(machine, wrong)),
        1 => (0..3_usize).prop_map(Act::Restart),
        3 => (0..3_usize, 0..4_usize, 0..4_usize, 0..GENERATIONS.len())
            .prop_map(|(kind, which, clock, generation)| Act::Forge(kind, which, clock, generation)),
    ];
    proptest::collection::vec(act, 0..50)
}

const WRONG: [i64; 6] = [0, 3 * YEAR, -6 * YEAR, 23 * HOUR, -5 * HOUR, 30 * HOUR];
const GENERATIONS: [i64; 7] = [0, 0, 0, 1, 900, 1500, i64::MAX];

fn writes_same(one: &OperationKind, other: &OperationKind) -> bool {
    let is_title = |kind: &OperationKind| matches!(kind, Add | Edit);
    is_title(one) == is_title(other)
}

impl Clocks {
    /// A hub that accepts any clock is one of release 0.1.0, or a hostile one.
    fn new(accepts_any: bool) -> Clocks {
        let home = Home::new();
        let mut hub = home.open();
        if accepts_any {
            hub.max_drift = LAST;
        }
        let machines = (0..3).map(|_| {
            let (home, store) = spoke();
            Machine {
                home,
                store: Some(store),
                wrong: 0,
            }
        });
        Clocks {
            _home: home,
            hub,
            machines: machines.collect(),
            time: 0,
            seen: BTreeMap::new(),
        }
    }

    fn wall(&self, machine: usize) -> Timestamp {
        at(self.time + self.machines[machine].wrong)
    }

    fn ask(&mut self, machine: usize) -> (Request, Response) {
        let request = self.machines[machine]
            .store()
            .next_request(small())
            .unwrap();
        let response = self.hub.exchange("", &request, at(self.time)).unwrap();
        (request, response)
    }

    /// A whole round, as the thread of a spoke does it.
    fn sync(&mut self, machine: usize) {
        let mut was_restamped = false;
        for _ in 0..1000 {
            let (request, response) = self.ask(machine);
            let now = self.wall(machine);
            let offset = HubClock(Some(-self.machines[machine].wrong));
            let store = self.machines[machine].store();
            store.set_hub_clock(offset);
            store.apply(&request, &response, now).unwrap();
            if response.reset || response.more || store.pending().unwrap() > 0 {
                continue;
            }
            if was_restamped || store.restamp(now).unwrap() == 0 {
                return;
            }
            was_restamped = true;
        }
        panic!("it never ends");
    }

    fn act(&mut self, act: &Act) {
        self.time += 1;
        match *act {
            Act::Write(machine, kind, which) => self.write(machine, kind, which),
            Act::Sync(machine) => self.sync(machine),
            Act::ResponseLost(machine) => drop(self.ask(machine)),
            Act::Set(machine, wrong) => self.machines[machine].wrong = WRONG[wrong],
            Act::Restart(machine) => {
                let machine = &mut self.machines[machine];
                machine.store = None;
                machine.store = Some(machine.home.open());
            }
            Act::Forge(kind, which, clock, generation) => {
                let tasks = self.hub.list(Which::All).unwrap();
                let Some(task) = tasks.get(which % tasks.len().max(1)) else {
                    return;
                };
                let now = at(self.time).as_millisecond();
                let clock = [
                    (LAST, u32::MAX),
                    (now + YEAR, 0),
                    (now + 23 * HOUR, 0),
                    (0, 0),
                ][clock];
                let kind = ["task.edit", "task.done", "task.reopen"][kind];
                let title = format!("forged {}", self.time);
                let mut operation = forged(kind, &task.id, &title, clock, GENERATIONS[generation]);
                operation.id =
                    Ulid::from_parts((1 << 48) - 1, u128::from(self.time.unsigned_abs()))
                        .to_string();
                self.hub
                    .exchange("", &request(vec![operation]), at(self.time))
                    .unwrap();
            }
        }
    }

    /// Changes a task, and checks that the change has effect at once and leaves none of what was seen in its place.
    fn write(&mut self, machine: usize, kind: usize, which: usize) {
        let now = self.wall(machine);
        // Ids that go back.
        let id = Ulid::from_parts(u64::try_from(1_000_000 - self.time).unwrap(), 7);
        let title = format!("title {}", self.time);
        let store = self.machines[machine].store();
        let tasks = store.list(Which::All).unwrap();
        let Some(task) = tasks.get(which % tasks.len().max(1)).filter(|_| kind > 0) else {
            store.add(&title, Some(id), now).unwrap();
            self.seen.insert(id.to_string(), BTreeSet::new());
            return;
        };
        let kind = [Done, Edit, Reopen][kind - 1].clone();
        let held: BTreeSet<i64> = store
            .connection
            .prepare("SELECT seq FROM held")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let seen = (1_i64..)
            .zip(logged(&store.connection))
            .filter(|(seq, record)| {
                record.task == task.id && writes_same(&record.kind, &kind) && !held.contains(seq)
            });
        let seen = seen.map(|(_, record)| record.id).collect();
        let changed = match kind {
            Done => store.done(&task.id, Some(id), now),
            Reopen => store.reopen(&task.id, Some(id), now),
            _ => store.edit(&task.id, &title, Some(id), now),
        };
        let changed = changed.unwrap();
        match kind {
            Done => assert_eq!(changed.state, State::Done),
            Reopen => assert_eq!(changed.state, State::Open),
            _ => assert_eq!(changed.title, title),
        }
        assert_eq!(store.task(&task.id).unwrap(), changed);
        if log::find(&store.connection, &id.to_string())
            .unwrap()
            .is_some()
        {
            self.seen.insert(id.to_string(), seen);
        }
    }
}

/// Returns the last change of each field, computed from the whole log.
fn winners(log: &[Record]) -> Vec<Record> {
    let mut winners = Vec::new();
    let tasks: BTreeSet<&String> = log.iter().map(|record| &record.task).collect();
    for task in tasks {
        let mut of_task: Vec<&Record> = log.iter().filter(|record| &record.task == task).collect();
        of_task.sort_by_key(|record| record.stamp(&record.content()));
        let mut highest = 0;
        of_task.retain(|record| {
            let generation = record.content().generation;
            let counts = generation - highest <= 1000;
            if counts {
                highest = highest.max(generation);
            }
            counts
        });
        for of_title in [true, false] {
            let last = of_task.iter().rev();
            let mut last = last.filter(|record| writes_same(&record.kind, &Edit) == of_title);
            winners.extend(last.next().map(|record| (*record).clone()));
        }
    }
    winners
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn no_acknowledged_change_is_without_effect_whatever_the_clocks(accepts_any: bool, acts in acts()) {
        let mut clocks = Clocks::new(accepts_any);
        for act in &acts {
            clocks.act(act);
        }
        for _ in 0..3 {
            for machine in 0..3 {
                clocks.sync(machine);
            }
        }
        let expected = clocks.hub.list(Which::All).unwrap();
        let log = logged(&clocks.hub.connection);
        let ids: BTreeSet<&String> = log.iter().map(|record| &record.id).collect();
        prop_assert!(clocks.seen.keys().all(|id| ids.contains(id)), "every acknowledged change arrives");
        // What a person saw never replaces what that person wrote then.
        for winner in winners(&log) {
            let task = expected.iter().find(|task| task.id == winner.task).unwrap();
            match winner.kind {
                Done => prop_assert_eq!(task.state, State::Done),
                Reopen => prop_assert_eq!(task.state, State::Open),
                _ => prop_assert_eq!(Some(task.title.clone()), winner.content().title),
            }
            for (later, seen) in &clocks.seen {
                prop_assert!(!seen.contains(&winner.id), "{later} was made after {winner:?} was seen");
            }
        }
        let now = at(clocks.time).as_millisecond();
        for Machine { store, wrong, .. } in &clocks.machines {
            let store = store.as_ref().unwrap();
            prop_assert_eq!((store.pending().unwrap(), store.refused().unwrap()), (0, 0));
            prop_assert_eq!(&store.list(Which::All).unwrap(), &expected, "wrong by {}", wrong);
            prop_assert!(store.clock.0 <= now + 24 * HOUR, "{:?} is wrong", store.clock);
            let before = derived(&store.connection);
            log::rebuild_tasks(&store.connection, LAST).unwrap();
            prop_assert_eq!(derived(&store.connection), before);
        }
    }
}
