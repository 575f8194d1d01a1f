//! The methods of the socket: one arm of [`Methods::run`] each.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task;
use ulid::Ulid;

use super::about::About;
use super::store::{self, Store};
use super::store_thread::{StoreGone, StoreHandle};
use super::{hub, rpc, sync};
use crate::client::wire::{
    Call, Failure, NextTask, OneTask, OperationId, PageLimit, RevokedMachine, Status, SyncRound,
    SyncStatus, Task, Undeleted, Which, Written, code,
};
use crate::error::{Error, Kind, Result};
use crate::os::clock;

/// How many deletions one call of `task.undelete_since` goes through, so that other calls run in between.
const UNDELETED: usize = 100;

/// What the methods work with.
#[derive(Debug)]
pub(super) struct Methods {
    about: About,
    store: StoreHandle,
    sync: sync::Handle,
    hub: hub::Handle,
    // One at a time: a backup reads the whole store.
    backup: Mutex<()>,
}

impl Methods {
    pub(super) fn new(
        about: About,
        store: StoreHandle,
        sync: sync::Handle,
        hub: hub::Handle,
    ) -> Methods {
        Methods {
            about,
            store,
            sync,
            hub,
            backup: Mutex::new(()),
        }
    }

    /// Runs a method and returns its result as JSON. No change is made after `deadline_ms` of the monotonic clock.
    pub(super) async fn run(
        self: &Arc<Self>,
        call: Call,
        deadline_ms: Option<u64>,
    ) -> Result<Vec<u8>, Failure> {
        match call {
            Call::Status {} => self.read(Methods::status).await,
            Call::TaskAdd { title, op_id } => {
                self.write(op_id, deadline_ms, move |store, op, now| {
                    store.add(&title, op, now)
                })
                .await
            }
            Call::TaskEdit { id, title, op_id } => {
                self.write(op_id, deadline_ms, move |store, op, now| {
                    store.edit(&id, &title, op, now)
                })
                .await
            }
            Call::TaskDone { id, op_id } => {
                self.write(op_id, deadline_ms, move |store, op, now| {
                    store.done(&id, op, now)
                })
                .await
            }
            Call::TaskReopen { id, op_id } => {
                self.write(op_id, deadline_ms, move |store, op, now| {
                    store.reopen(&id, op, now)
                })
                .await
            }
            Call::TaskDelete { id, op_id } => {
                self.write(op_id, deadline_ms, move |store, op, now| {
                    store.delete(&id, op, now)
                })
                .await
            }
            Call::TaskUndelete { id, op_id } => {
                self.write(op_id, deadline_ms, move |store, op, now| {
                    store.undelete(&id, op, now)
                })
                .await
            }
            Call::TaskUndeleteSince { since, after } => {
                self.change(deadline_ms, move |store, now| {
                    let (tasks, next) = store.undelete_since(since, after, UNDELETED, now)?;
                    Ok(Undeleted { tasks, next })
                })
                .await
            }
            Call::TaskList {
                state,
                limit: Some(limit),
                after,
            } => {
                self.read(move |_, store| store.list_page(state, after.as_deref(), limit.get()))
                    .await
            }
            // Answered by `list_part`, unless it is a notification or wrong.
            Call::TaskList { after: None, .. } => Ok(Vec::new()),
            Call::TaskList { .. } => {
                Err(rpc::failure(code::INVALID_PARAMS, "after requires limit"))
            }
            Call::TaskNext {} => {
                let next = |store: &mut Store| {
                    let task = store.next()?;
                    rpc::result(&NextTask { task })
                };
                of_store(self.store.call_at_once(next).await)
            }
            Call::Backup { path } => self.backup(path).await,
            Call::SyncStatus {} => self.read(Methods::sync_status).await,
            Call::SyncNow { accept_deletes } => self.sync_now(accept_deletes).await,
            Call::HubInvite { name, url } => of_hub(self.hub.invite(name, url).await),
            Call::HubMachines {} => of_hub(self.hub.machines()),
            Call::HubRevoke { name } => {
                let revoked = self.hub.revoke(name.clone()).await;
                of_hub(revoked.map(|()| RevokedMachine { name }))
            }
            Call::Unknown => Err(rpc::failure(code::NO_METHOD, "there is no such method")),
        }
    }

    /// Returns the tasks behind `after`, as many as a page has: as JSON, with commas between them, and the place where the next
    /// part begins.
    pub(super) async fn list_part(
        &self,
        state: Which,
        after: Option<String>,
    ) -> Result<(Vec<u8>, Option<String>), Failure> {
        let work = move |store: &mut Store| {
            let page = store.list_page(state, after.as_deref(), PageLimit::MAX.get())?;
            let mut json = Vec::new();
            for task in &page.tasks {
                if !json.is_empty() {
                    json.push(b',');
                }
                serde_json::to_writer(&mut json, task)?;
            }
            Ok((json, page.next))
        };
        of_store(self.store.call(work).await)
    }

    /// Reads from the store, on its thread: a long list becomes JSON where no other client waits for it.
    async fn read<T: Serialize>(
        self: &Arc<Self>,
        read: impl FnOnce(&Methods, &mut Store) -> Result<T> + Send + 'static,
    ) -> Result<Vec<u8>, Failure> {
        let this = Arc::clone(self);
        let work = move |store: &mut Store| rpc::result(&read(&this, store)?);
        of_store(self.store.call(work).await)
    }

    /// Writes a task.
    async fn write(
        &self,
        op_id: Option<OperationId>,
        deadline_ms: Option<u64>,
        write: impl FnOnce(&mut Store, Option<Ulid>, Timestamp) -> Result<Task> + Send + 'static,
    ) -> Result<Vec<u8>, Failure> {
        let op_id = op_id.map(|id| id.0);
        self.change(deadline_ms, move |store, now| {
            let before = store.operations()?;
            let task = write(store, op_id, now)?;
            // A change that is repeated is the one that was made before.
            let changed = store.operations()? != before
                || op_id.map_or(Ok(false), |id| store.has_operation(id))?;
            Ok(OneTask { task, changed })
        })
        .await
    }

    /// Changes tasks, which takes no longer than a sync of the disk, and schedules a round of sync.
    async fn change<T: Serialize>(
        &self,
        deadline_ms: Option<u64>,
        change: impl FnOnce(&mut Store, Timestamp) -> Result<T> + Send + 'static,
    ) -> Result<Vec<u8>, Failure> {
        let work = move |store: &mut Store| {
            // Here and not before: the call may have waited for the store.
            if deadline_ms.is_some_and(|deadline| deadline < clock::monotonic_ms()) {
                let message = "hephd could not begin in time; nothing was changed";
                return Err(Error::new(message).with_kind(Kind::Busy));
            }
            rpc::result(&change(store, clock::now())?)
        };
        let written = self.store.call_at_once(work).await;
        self.sync.wrote();
        of_store(written)
    }

    fn sync_status(&self, store: &mut Store) -> Result<SyncStatus> {
        Ok(SyncStatus {
            spokes: self.hub.spokes(),
            ..self.sync.status(store)?
        })
    }

    fn status(&self, store: &mut Store) -> Result<Status> {
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            mode: self.about.mode.to_owned(),
            store: self.about.store.display().to_string(),
            schema: self.about.schema,
            open_tasks: store.open_tasks()?,
            started_at: self.about.started_at.to_string(),
            warning: store.warning().map(str::to_owned),
        })
    }

    /// Writes a copy of the store, on a thread of its own so that writes go on meanwhile.
    async fn backup(&self, path: String) -> Result<Vec<u8>, Failure> {
        let _one = self.backup.lock().await;
        // Nothing here may keep the store's thread alive: a backup may take longer than the shutdown.
        let source = self.about.store.clone();
        let target = PathBuf::from(&path);
        let copied = task::spawn_blocking(move || store::write_copy(&source, &target))
            .await
            .map_err(|_| Failure::new(code::INTERNAL, Error::new("the backup was interrupted")))?;
        copied
            .and_then(|()| rpc::result(&Written { path }))
            .map_err(|error| Failure::new(code::BACKUP, error))
    }

    /// Has the spoke go through a round; returns what it did and the state of the sync after it.
    async fn sync_now(self: &Arc<Self>, accept_deletes: bool) -> Result<Vec<u8>, Failure> {
        let mut accepted = 0;
        if accept_deletes {
            let apply = |store: &mut Store| store.apply_deletions(true);
            while let Some(deleted) = of_store(self.store.call(apply).await)? {
                accepted += deleted;
            }
            let accept = |store: &mut Store| store.accept_deletions(clock::now());
            of_store(self.store.call(accept).await)?;
        }
        let done = self.sync.now().await.map_err(|error| {
            let code = match error.kind() {
                Kind::Usage => code::NO_HUB,
                Kind::Unreachable | Kind::Full => code::HUB_AWAY,
                _ => code::SYNC,
            };
            Failure::new(code, error)
        })?;
        self.read(move |this, store| {
            Ok(SyncRound {
                sent: done.sent,
                received: done.received,
                accepted_deletes: accepted,
                status: this.sync_status(store)?,
            })
        })
        .await
    }
}

fn of_hub<T: Serialize>(done: Result<T>) -> Result<Vec<u8>, Failure> {
    let failed = |error: Error| {
        let code = match error.kind() {
            Kind::Usage => code::NO_HUB,
            Kind::Invalid => code::INVALID_PARAMS,
            Kind::NotFound => code::NO_MACHINE,
            _ => code::STORE,
        };
        Failure::new(code, error)
    };
    done.and_then(|result| rpc::result(&result)).map_err(failed)
}

fn of_store<T>(called: Result<Result<T>, StoreGone>) -> Result<T, Failure> {
    let lost = |gone: StoreGone| Failure::new(code::INTERNAL, gone.into());
    called.map_err(lost)?.map_err(|error| {
        let code = match error.kind() {
            Kind::Invalid => code::INVALID_PARAMS,
            Kind::NotFound => code::NO_TASK,
            Kind::Ambiguous => code::AMBIGUOUS,
            Kind::Conflict => code::OPERATION_REUSED,
            Kind::Busy => code::TOO_LATE,
            _ => return Failure::new(code::STORE, error.context("the store failed")),
        };
        Failure::new(code, error)
    })
}
