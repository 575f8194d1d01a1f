//! A hub and its spokes, each a real store: whatever gets lost, repeated or restored, all end with the same tasks.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::hephd::sync::wire::{Answer, Next, Page, Request};

/// One hub and some spokes, with what their clients were told.
pub struct World {
    pub hub: Home,
    pub hub_store: Option<Store>,
    pub spokes: Vec<(Home, Store)>,
    /// Copies of the hub's store, made at some time.
    copies: Vec<PathBuf>,
    /// What was acknowledged to clients, by the id of the operation.
    acknowledged: BTreeMap<String, log::Operation>,
    /// Requests and answers that the network still has, and delivers again and late.
    held: Vec<(usize, Request, Answer)>,
    time: i64,
}

impl World {
    pub fn new(spokes: usize) -> World {
        let spokes = (0..spokes)
            .map(|_| {
                let home = Home::new();
                let mut store = home.open();
                store.become_spoke().unwrap();
                (home, store)
            })
            .collect();
        let hub = Home::new();
        World {
            hub_store: Some(hub.open()),
            hub,
            spokes,
            copies: Vec::new(),
            acknowledged: BTreeMap::new(),
            held: Vec::new(),
            time: 0,
        }
    }

    /// Returns the time on the machine of a spoke: hours apart, and one that stands still.
    pub fn now(&mut self, spoke: usize) -> Timestamp {
        self.time += 1;
        let hour = 3_600_000;
        at([self.time, self.time - 5 * hour, 3 * hour, self.time][spoke])
    }

    pub fn exchange(&mut self, user: &str, request: &Request) -> Answer {
        // As it goes over the wire.
        let text = serde_json::to_string(request).unwrap();
        let request: Request = serde_json::from_str(&text).unwrap();
        let hub = self.hub_store.as_mut().unwrap();
        hub.exchange(user, &request).unwrap()
    }

    /// Exchanges until both have everything.
    pub fn sync(&mut self, spoke: usize) {
        for _ in 0..1000 {
            let request = self.spokes[spoke].1.next_request(small()).unwrap();
            let answer = self.exchange("", &request);
            let store = &mut self.spokes[spoke].1;
            if store.apply(&request, &answer).unwrap() == Next::Done {
                return;
            }
        }
        panic!("it never ends");
    }

    fn act(&mut self, act: &Act) {
        let among = |spoke: usize, world: &World| spoke % world.spokes.len();
        match *act {
            Act::Write(spoke, kind, which) => self.write(among(spoke, self), kind, which),
            Act::Sync(spoke) => self.sync(among(spoke, self)),
            Act::AnswerLost(spoke) => {
                let spoke = among(spoke, self);
                let request = self.spokes[spoke].1.next_request(small()).unwrap();
                let answer = self.exchange("", &request);
                self.held.push((spoke, request, answer));
            }
            Act::AnswerTwice(spoke) => {
                let spoke = among(spoke, self);
                let request = self.spokes[spoke].1.next_request(small()).unwrap();
                let answer = self.exchange("", &request);
                let store = &mut self.spokes[spoke].1;
                store.apply(&request, &answer).unwrap();
                store.apply(&request, &answer).unwrap();
                self.held.push((spoke, request, answer));
            }
            Act::RequestAgain(which) => {
                if let Some((_, request, _)) = self.held.get(which % self.held.len().max(1)) {
                    let request = request.clone();
                    self.exchange("", &request);
                }
            }
            Act::AnswerLate(which) => {
                if let Some((spoke, request, answer)) =
                    self.held.get(which % self.held.len().max(1))
                {
                    self.spokes[*spoke].1.apply(request, answer).unwrap();
                }
            }
            Act::Copy { raw } => {
                let copy = self.hub.beside(&format!(".copy{}", self.copies.len()));
                if raw {
                    // As somebody who stops hephd and copies the file.
                    self.hub_store = None;
                    fs::copy(&self.hub.store, &copy).unwrap();
                    self.hub_store = Some(self.hub.open());
                } else {
                    write_copy(&self.hub.store, &copy).unwrap();
                }
                self.copies.push(copy);
            }
            Act::Restore => {
                if let Some(copy) = self.copies.last() {
                    self.hub_store = None;
                    fs::copy(copy, &self.hub.store).unwrap();
                    self.hub_store = Some(self.hub.open());
                }
            }
            Act::Restart(spoke) => {
                let spoke = among(spoke, self);
                let (home, store) = self.spokes.remove(spoke);
                drop(store);
                let store = home.open();
                self.spokes.insert(spoke, (home, store));
            }
        }
    }

    pub fn write(&mut self, spoke: usize, kind: usize, which: usize) {
        let now = self.now(spoke);
        let store = &mut self.spokes[spoke].1;
        let tasks = store.list(Which::All).unwrap();
        let title = format!("title {}", self.time);
        match (kind, tasks.get(which % tasks.len().max(1))) {
            (0, _) | (_, None) => drop(store.add(&title, None, now).unwrap()),
            (1, Some(task)) => drop(store.done(&task.id, None, now).unwrap()),
            (2, Some(task)) => drop(store.edit(&task.id, &title, None, now).unwrap()),
            (3, Some(task)) => drop(store.reopen(&task.id, None, now).unwrap()),
            (_, Some(task)) => drop(store.delete(&task.id, None, now).unwrap()),
        }
        // Where it changed nothing, this is another one that was acknowledged, or came from the hub.
        let last = logged(store).pop().unwrap();
        self.acknowledged.insert(last.id.clone(), last);
    }

    /// Syncs all of them until nothing is left, and returns what each lists, the hub first.
    pub fn settle(&mut self) -> Vec<Vec<Task>> {
        // Once to find that the hub is another one, once to send all again, once to fetch what the others sent.
        for _ in 0..3 {
            for spoke in 0..self.spokes.len() {
                self.sync(spoke);
            }
        }
        let hub = self.hub_store.as_ref().unwrap().list(Which::All).unwrap();
        let spokes = self.spokes.iter().map(|(_, store)| {
            assert_eq!((store.pending().unwrap(), store.refused().unwrap()), (0, 0));
            store.list(Which::All).unwrap()
        });
        [hub].into_iter().chain(spokes).collect()
    }
}

fn logged(store: &Store) -> Vec<log::Operation> {
    let mut all = Vec::new();
    log::for_each(&store.connection, |_, operation| {
        all.push(operation);
        Ok(())
    })
    .unwrap();
    all
}

/// Returns the tasks that a set of operations makes, told all at once and without the code under test.
fn model(operations: &BTreeMap<String, log::Operation>) -> Vec<Task> {
    let order = |operation: &&log::Operation| {
        let clock = operation.content().clock.unwrap();
        (clock.0, clock.1, operation.id.clone())
    };
    let mut tasks = Vec::new();
    for add in operations.values().filter(|op| op.kind == "task.add") {
        let of = |kinds: &[&str]| {
            let these = operations.values().filter(|op| op.task == add.task);
            let these = these.filter(|op| kinds.contains(&op.kind.as_str()));
            these.max_by_key(order)
        };
        if of(&["task.delete"]).is_some() {
            continue;
        }
        let done = of(&["task.done", "task.reopen"]).filter(|op| op.kind == "task.done");
        let time = |op: &log::Operation| Timestamp::from_millisecond(op.created_at).unwrap();
        tasks.push(Task {
            id: add.task.clone(),
            title: of(&["task.add", "task.edit"])
                .unwrap()
                .content()
                .title
                .unwrap(),
            state: if done.is_some() {
                State::Done
            } else {
                State::Open
            },
            created_at: time(add),
            done_at: done.map(time),
        });
    }
    tasks.sort_by_key(|task| (task.created_at, task.id.clone()));
    tasks
}

/// Pages so small that histories of a few operations have several.
pub fn small() -> Page {
    Page {
        operations: 3,
        bytes: 1 << 20,
    }
}

#[derive(Clone, Debug)]
enum Act {
    Write(usize, usize, usize),
    Sync(usize),
    AnswerLost(usize),
    AnswerTwice(usize),
    RequestAgain(usize),
    AnswerLate(usize),
    Copy { raw: bool },
    Restore,
    Restart(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        12 => (0..4_usize, 0..5_usize, 0..8_usize).prop_map(|(spoke, kind, which)| Act::Write(spoke, kind, which)),
        4 => (0..4_usize).prop_map(Act::Sync),
        2 => (0..4_usize).prop_map(Act::AnswerLost),
        2 => (0..4_usize).prop_map(Act::AnswerTwice),
        1 => (0..8_usize).prop_map(Act::RequestAgain),
        1 => (0..8_usize).prop_map(Act::AnswerLate),
        1 => any::<bool>().prop_map(|raw| Act::Copy { raw }),
        1 => Just(Act::Restore),
        1 => (0..4_usize).prop_map(Act::Restart),
    ];
    proptest::collection::vec(act, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn all_stores_end_with_the_tasks_of_a_simple_model_and_every_acknowledged_operation_once(spokes in 2..5_usize, acts in acts()) {
        let mut world = World::new(spokes);
        for act in &acts {
            world.act(act);
        }
        let listed = world.settle();
        let expected = model(&world.acknowledged);
        for (number, tasks) in listed.iter().enumerate() {
            prop_assert_eq!(tasks, &expected, "store {}", number);
        }
        let hub = world.hub_store.as_ref().unwrap();
        for store in world.spokes.iter().map(|(_, store)| store).chain([hub]) {
            let ids: Vec<String> = logged(store).into_iter().map(|op| op.id).collect();
            prop_assert_eq!(ids.len(), world.acknowledged.len());
            prop_assert!(ids.iter().all(|id| world.acknowledged.contains_key(id)));
            // What was derived step by step is what the log says, whatever the order it has there.
            let before = derived(&store.connection);
            log::derive_anew(&store.connection).unwrap();
            prop_assert_eq!(derived(&store.connection), before);
        }
    }
}
