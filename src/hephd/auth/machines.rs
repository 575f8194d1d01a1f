//! The machines that were invited to this hub, each known by the hash of its secret.
//!
//! They are machines of the hub's owner, whose tasks they see: an invitation is made on the hub's own machine, by the user
//! that hephd runs as. The list is one small file. Once it exists, a hub without a provider serves nobody else, also after the
//! last machine was revoked.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result, ResultExt};
use crate::login::secret::{self, Secret};
use crate::os::files;
use crate::os::text::excerpt;

/// The schema of the file.
const SCHEMA: u32 = 1;
/// The largest file that is read.
const LARGEST_FILE: u64 = 1 << 20;
/// The most machines that may be invited.
const MOST: usize = 1_000;
/// The longest name of a machine, in bytes.
const LONGEST_NAME: usize = 64;

/// A machine that was invited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::hephd) struct Machine {
    pub(in crate::hephd) name: String,
    /// The hash of its secret.
    hash: String,
    pub(in crate::hephd) invited_at: Timestamp,
}

/// What `heph hub invite` is about.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::hephd) struct Invited {
    pub(in crate::hephd) name: String,
    pub(in crate::hephd) secret: Secret,
    /// Whether the machine had another secret before, which is invalid now.
    pub(in crate::hephd) was_replaced: bool,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct List {
    schema: u32,
    /// The URL of the hub as the last invitation named it.
    url: Option<String>,
    machines: Vec<Machine>,
}

impl Default for List {
    fn default() -> List {
        List {
            schema: SCHEMA,
            url: None,
            machines: Vec::new(),
        }
    }
}

/// The list of a running hub.
#[derive(Debug)]
pub(in crate::hephd) struct Machines {
    path: PathBuf,
    /// `None` before the first invitation.
    list: Mutex<Option<List>>,
}

impl Machines {
    /// Reads the list at `path`.
    ///
    /// # Errors
    ///
    /// It exists and cannot be read: without it the hub would serve machines that were revoked, or everybody.
    pub(in crate::hephd) fn load(path: &Path) -> Result<Machines> {
        let cannot = || {
            format!(
                "cannot read the machines of this hub in '{}'",
                path.display()
            )
        };
        let list: Option<List> =
            files::read_json_if_there(path, LARGEST_FILE).with_context(cannot)?;
        if let Some(schema) = list.as_ref().map(|list| list.schema)
            && schema != SCHEMA
        {
            let why = format!("they have schema {schema}, and this hephd knows {SCHEMA}");
            return Err(Error::new(why).context(cannot()));
        }
        Ok(Machines {
            path: path.to_owned(),
            list: Mutex::new(list),
        })
    }

    /// Returns whether a machine was ever invited.
    pub(super) fn has_any(&self) -> bool {
        self.lock().is_some()
    }

    /// Returns the name of the machine with this secret.
    pub(super) fn named_by(&self, secret: &str) -> Option<String> {
        let hash = secret::hash(secret);
        let list = self.lock();
        let mut machines = list.iter().flat_map(|list| &list.machines);
        let machine = machines.find(|machine| machine.hash == hash)?;
        Some(machine.name.clone())
    }

    /// Returns the machines, by name.
    pub(in crate::hephd) fn all(&self) -> Vec<Machine> {
        let list = self.lock();
        list.iter().flat_map(|list| list.machines.clone()).collect()
    }

    /// Returns the URL of the hub as the last invitation named it.
    pub(in crate::hephd) fn url(&self) -> Option<String> {
        self.lock().as_ref()?.url.clone()
    }

    /// Invites a machine, with a name that is free if it has none, and remembers `url` for the next one. Writes the file.
    pub(in crate::hephd) fn invite(
        &self,
        name: Option<&str>,
        url: Option<&str>,
        now: Timestamp,
    ) -> Result<Invited> {
        let secret = Secret::generate()?;
        let mut list = self.lock();
        let mut changed = list.clone().unwrap_or_default();
        let hash = secret::hash(secret.text());
        let (name, was_replaced) = changed.invite(name, hash, now)?;
        if let Some(url) = url {
            changed.url = Some(url.to_owned());
        }
        self.save(&mut list, changed)?;
        Ok(Invited {
            name,
            secret,
            was_replaced,
        })
    }

    /// Revokes the secret of a machine. Writes the file.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`] where no machine has this name.
    pub(in crate::hephd) fn revoke(&self, name: &str) -> Result<()> {
        let mut list = self.lock();
        let mut changed = list.clone().unwrap_or_default();
        changed.revoke(name)?;
        self.save(&mut list, changed)
    }

    /// Writes `changed`, and only then uses it.
    fn save(&self, list: &mut Option<List>, changed: List) -> Result<()> {
        files::write_json(&self.path, &changed)?;
        *list = Some(changed);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<List>> {
        // A change is one assignment.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    /// Adds a machine, or replaces the secret of the one with this name. Returns its name and whether it was replaced.
    fn invite(
        &mut self,
        name: Option<&str>,
        hash: String,
        now: Timestamp,
    ) -> Result<(String, bool)> {
        let name = match name {
            Some(name) => {
                check_name(name)?;
                name.to_owned()
            }
            None => self.free_name(),
        };
        let machine = Machine {
            name: name.clone(),
            hash,
            invited_at: now,
        };
        let known = self.machines.iter().position(|known| known.name == name);
        match known {
            Some(place) => self.machines[place] = machine,
            None if self.machines.len() >= MOST => {
                return Err(Error::new(format!(
                    "cannot invite '{name}': {MOST} machines are invited"
                ))
                .with_hint("`heph hub revoke NAME` for those that are gone"));
            }
            None => self.machines.push(machine),
        }
        self.machines.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((name, known.is_some()))
    }

    fn revoke(&mut self, name: &str) -> Result<()> {
        let before = self.machines.len();
        self.machines.retain(|machine| machine.name != name);
        if self.machines.len() == before {
            let shown = excerpt(name, LONGEST_NAME);
            return Err(Error::new(format!("no machine '{shown}' is invited"))
                .with_kind(Kind::NotFound)
                .with_hint("`heph hub machines` lists them"));
        }
        Ok(())
    }

    fn free_name(&self) -> String {
        let taken = |name: &String| self.machines.iter().any(|machine| machine.name == *name);
        let mut names = (1..).map(|number| format!("machine-{number}"));
        names
            .find(|name| !taken(name))
            .unwrap_or_else(|| "machine".to_owned())
    }
}

/// Checks that a name can stand in a table, in a log and on a command line.
fn check_name(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts_plain = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_plain && name.len() <= LONGEST_NAME && name.chars().all(is_plain) {
        return Ok(());
    }
    let shown = excerpt(name, LONGEST_NAME);
    Err(Error::new(format!("'{shown}' is not a name for a machine"))
        .with_kind(Kind::Invalid)
        .with_hint("up to 64 letters, digits, '-', '_' and '.', such as laptop"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn machines() -> (tempfile::TempDir, Machines) {
        let folder = tempfile::tempdir().unwrap();
        let machines = Machines::load(&folder.path().join("machines.json")).unwrap();
        (folder, machines)
    }

    fn reload(machines: &Machines) -> Machines {
        Machines::load(&machines.path).unwrap()
    }

    #[test]
    fn a_machine_is_known_by_its_secret_until_it_is_revoked() {
        let (_folder, machines) = machines();
        assert!(!machines.has_any());
        let laptop = machines.invite(Some("laptop"), None, at(1)).unwrap();
        let desk = machines.invite(Some("desk"), None, at(2)).unwrap();
        assert_ne!(laptop.secret, desk.secret);
        for machines in [&machines, &reload(&machines)] {
            let name = |secret: &Secret| machines.named_by(secret.text());
            assert_eq!(name(&laptop.secret).as_deref(), Some("laptop"));
            assert_eq!(name(&desk.secret).as_deref(), Some("desk"));
            assert_eq!(name(&Secret::generate().unwrap()), None);
        }
        machines.revoke("laptop").unwrap();
        machines.revoke("desk").unwrap();
        assert_eq!(machines.named_by(laptop.secret.text()), None);
        assert!(reload(&machines).has_any(), "the hub stays closed");
        let error = machines.revoke("laptop").unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
    }

    #[test]
    fn a_second_invitation_replaces_the_secret() {
        let (_folder, machines) = machines();
        let first = machines.invite(Some("laptop"), None, at(1)).unwrap();
        assert!(!first.was_replaced);
        let second = machines.invite(Some("laptop"), None, at(2)).unwrap();
        assert!(second.was_replaced);
        assert_eq!(machines.named_by(first.secret.text()), None);
        assert!(machines.named_by(second.secret.text()).is_some());
        assert_eq!(machines.all().len(), 1);
        assert_eq!(machines.all()[0].invited_at, at(2));
    }

    #[test]
    fn a_machine_without_a_name_gets_one_that_is_free() {
        let (_folder, machines) = machines();
        let name = || machines.invite(None, None, at(1)).unwrap().name;
        assert_eq!(name(), "machine-1");
        assert_eq!(name(), "machine-2");
        machines.revoke("machine-1").unwrap();
        assert_eq!(name(), "machine-1");
    }

    #[test]
    fn the_url_is_remembered_and_the_file_holds_no_secret() {
        let (_folder, machines) = machines();
        let url = "https://hub.example";
        let invited = machines.invite(None, Some(url), at(1)).unwrap();
        machines.invite(None, None, at(2)).unwrap();
        assert_eq!(reload(&machines).url().as_deref(), Some(url));
        let text = std::fs::read_to_string(&machines.path).unwrap();
        assert!(!text.contains(invited.secret.text()));
        assert!(!text.contains("hephs_"), "{text}");
    }

    #[test]
    fn names_that_no_table_could_show_are_rejected() {
        let (_folder, machines) = machines();
        for name in ["", "-x", "a b", "a/b", "\u{1b}[2J", "ä", &"x".repeat(65)] {
            let error = machines.invite(Some(name), None, at(1)).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{name}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
        assert!(!machines.has_any(), "nothing was written");
    }

    #[test]
    fn a_damaged_list_opens_no_hub() {
        let (_folder, machines) = machines();
        for text in ["", "{}", "{\"schema\":2,\"url\":null,\"machines\":[]}"] {
            std::fs::write(&machines.path, text).unwrap();
            let error = Machines::load(&machines.path).unwrap_err();
            assert!(
                error.to_string().contains("machines of this hub"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_invited_and_revoked_each_name_has_one_secret(
            steps in proptest::collection::vec((0u8..4, any::<bool>()), 0..40),
        ) {
            let mut list = List::default();
            for (number, (name, revokes)) in steps.into_iter().enumerate() {
                let name = format!("m{name}");
                if revokes {
                    let known = list.machines.iter().any(|machine| machine.name == name);
                    prop_assert_eq!(list.revoke(&name).is_ok(), known);
                } else {
                    list.invite(Some(&name), number.to_string(), at(0)).unwrap();
                }
                let names: Vec<_> = list.machines.iter().map(|machine| &machine.name).collect();
                let mut sorted = names.clone();
                sorted.sort();
                sorted.dedup();
                prop_assert_eq!(names, sorted);
            }
        }
    }
}
