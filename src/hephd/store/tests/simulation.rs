//! A hub and its spokes, each a real store: whatever is lost, repeated or restored, all converge to the same tasks.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::log::Record;
use super::*;
use crate::hephd::protocol::OperationKind;

/// One hub and some spokes, with what was acknowledged to their clients.
pub struct World {
    pub hub: Home,
    pub hub_store: Option<Store>,
    pub spokes: Vec<(Home, Store)>,
    /// Copies of the hub's store, the latest last.
    copies: Vec<PathBuf>,
    /// By the id of the operation.
    acknowledged: BTreeMap<String, Record>,
    /// Requests and responses that the network still has, and delivers again and late.
    held: Vec<(usize, Request, Response)>,
    time: i64,
}

impl World {
    pub fn new(spokes: usize) -> World {
        let spokes = (0..spokes).map(|_| spoke()).collect();
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

    pub fn send(&mut self, user: &str, request: &Request) -> Response {
        send(self.hub_store.as_mut().unwrap(), user, request)
    }

    /// Sends the next request of `spoke`, and returns it with the response.
    fn ask(&mut self, spoke: usize) -> (Request, Response) {
        let request = self.spokes[spoke].1.next_request(small()).unwrap();
        let response = self.send("", &request);
        (request, response)
    }

    pub fn sync(&mut self, spoke: usize) {
        let hub = self.hub_store.as_mut().unwrap();
        sync_as(hub, "", &mut self.spokes[spoke].1, small());
    }

    fn act(&mut self, act: &Act) {
        let among = |spoke: usize, world: &World| spoke % world.spokes.len();
        match *act {
            Act::Write(spoke, kind, which) => self.write(among(spoke, self), kind, which),
            Act::Sync(spoke) => self.sync(among(spoke, self)),
            Act::ResponseLost(spoke) => {
                let spoke = among(spoke, self);
                let (request, response) = self.ask(spoke);
                self.held.push((spoke, request, response));
            }
            Act::ResponseTwice(spoke) => {
                let spoke = among(spoke, self);
                let (request, response) = self.ask(spoke);
                let store = &mut self.spokes[spoke].1;
                store.apply(&request, &response, at(0)).unwrap();
                store.apply(&request, &response, at(0)).unwrap();
                self.held.push((spoke, request, response));
            }
            Act::RequestAgain(which) => {
                if let Some((_, request, _)) = self.held.get(which % self.held.len().max(1)) {
                    let request = request.clone();
                    self.send("", &request);
                }
            }
            Act::ResponseLate(which) => {
                if let Some((spoke, request, response)) =
                    self.held.get(which % self.held.len().max(1))
                {
                    self.spokes[*spoke]
                        .1
                        .apply(request, response, at(0))
                        .unwrap();
                }
            }
            Act::Copy { raw } => {
                let copy = self.hub.sibling(&format!(".copy{}", self.copies.len()));
                if raw {
                    // As with `cp` while hephd is stopped.
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
        // If nothing changed, this is an earlier one that was acknowledged, or that the hub sent.
        let last = logged(&store.connection).pop().unwrap();
        self.acknowledged.insert(last.id.clone(), last);
    }

    /// Syncs all spokes until nothing is left, and returns what each store lists, the hub first.
    pub fn settle(&mut self) -> Vec<Vec<Task>> {
        // Once to notice that the hub was replaced, once to send everything again, once to fetch what the others sent.
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

/// Returns the tasks that a set of operations makes, computed from the whole set and without the code under test.
fn model(records: &BTreeMap<String, Record>) -> Vec<Task> {
    use OperationKind::*;
    let order = |record: &&Record| {
        let clock = record.content().clock.unwrap();
        (clock.0, clock.1, record.id.clone())
    };
    let mut tasks = Vec::new();
    for add in records.values().filter(|record| record.kind == Add) {
        let last = |kinds: &[OperationKind]| {
            let these = records.values().filter(|record| record.task == add.task);
            let these = these.filter(|record| kinds.contains(&record.kind));
            these.max_by_key(order)
        };
        if last(&[Delete]).is_some() {
            continue;
        }
        let done = last(&[Done, Reopen]).filter(|record| record.kind == Done);
        let time = |record: &Record| Timestamp::from_millisecond(record.created_at).unwrap();
        tasks.push(Task {
            id: add.task.clone(),
            title: last(&[Add, Edit]).unwrap().content().title.unwrap(),
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
pub fn small() -> PageLimits {
    PageLimits {
        operations: 3,
        bytes: 1 << 20,
    }
}

#[derive(Clone, Debug)]
enum Act {
    Write(usize, usize, usize),
    Sync(usize),
    ResponseLost(usize),
    ResponseTwice(usize),
    RequestAgain(usize),
    ResponseLate(usize),
    Copy { raw: bool },
    Restore,
    Restart(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        12 => (0..4_usize, 0..5_usize, 0..8_usize).prop_map(|(spoke, kind, which)| Act::Write(spoke, kind, which)),
        4 => (0..4_usize).prop_map(Act::Sync),
        2 => (0..4_usize).prop_map(Act::ResponseLost),
        2 => (0..4_usize).prop_map(Act::ResponseTwice),
        1 => (0..8_usize).prop_map(Act::RequestAgain),
        1 => (0..8_usize).prop_map(Act::ResponseLate),
        1 => any::<bool>().prop_map(|raw| Act::Copy { raw }),
        1 => Just(Act::Restore),
        1 => (0..4_usize).prop_map(Act::Restart),
    ];
    proptest::collection::vec(act, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn all_stores_converge_to_a_simple_model_with_every_acknowledged_operation_once(spokes in 2..5_usize, acts in acts()) {
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
            let ids: Vec<String> = logged(&store.connection).into_iter().map(|op| op.id).collect();
            prop_assert_eq!(ids.len(), world.acknowledged.len());
            prop_assert!(ids.iter().all(|id| world.acknowledged.contains_key(id)));
            // The tables are those that the log gives, whatever its order.
            let before = derived(&store.connection);
            log::rebuild_tasks(&store.connection, i64::MAX).unwrap();
            prop_assert_eq!(derived(&store.connection), before);
        }
    }
}
