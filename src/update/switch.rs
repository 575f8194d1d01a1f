//! The switch: which slot is in use, and the links to its commands.

use super::World;
use super::journal::SlotRef;
use crate::error::{Error, Result, ResultExt};
use crate::install::slots::Slot;

/// Points `current` at `slot`, unless it does so already.
pub(super) fn to(world: World, slot: &Slot) -> Result<()> {
    let slots = world.slots();
    let there = || matches!(slots.current(), Ok(Some(current)) if current.name == slot.name);
    if there() {
        return Ok(());
    }
    world.bin_dir()?.retire(slot)?;
    match slots.switch(slot) {
        // The rename itself may have happened although syncing the folder failed.
        Err(_) if there() => Ok(()),
        other => other,
    }
}

pub(super) fn open(world: World, slot: &SlotRef) -> Result<Slot> {
    world.slots().open(&slot.slot)?.with_context(|| {
        Error::new(format!("the slot of {} is gone", slot.version)).with_hint(format!(
            "`heph self-update apply --to {}` installs it again",
            slot.version
        ))
    })
}

/// Makes the links of bin-dir those to `slot`, at the second attempt if the disk fails once.
pub(super) fn relink(world: World, slot: &Slot) -> Result<()> {
    let relink = || world.bin_dir()?.relink(slot);
    relink().or_else(|_| relink())
}
