//! Which hephd a service file starts: the link in bin-dir, which stays valid from release to release.

use std::path::PathBuf;

use crate::cli::Context;
use crate::error::{Error, Result, ResultExt};
use crate::platform::service::definition::Definition;
use crate::update;

/// Returns the path of hephd that a service file is to name: the one it names already while that exists, else the one
/// in bin-dir, else, for a heph that is no installation, the one beside it. Never one into a slot.
///
/// # Errors
///
/// None of them exists.
pub fn find(context: &Context, before: Option<&Definition>) -> Result<PathBuf> {
    let named = before.map(|before| PathBuf::from(&before.program));
    if let Some(named) = named.filter(|named| named.is_file()) {
        return Ok(named);
    }
    let bin_dir = update::bin_dir(&context.config.self_update, &context.paths);
    let linked = bin_dir.map(|bin_dir| bin_dir.path.join("hephd"));
    if let Ok(linked) = &linked
        && linked.is_file()
    {
        return Ok(linked.clone());
    }
    // The operating system may answer with links resolved, hence the look at slots.
    let beside = std::env::current_exe()
        .context("cannot tell where this heph is")?
        .with_file_name("hephd");
    let slots = context.paths.versions();
    let slots = slots.canonicalize().unwrap_or(slots);
    if beside.is_file() && !beside.starts_with(&slots) {
        return Ok(beside);
    }
    let looked = linked.unwrap_or(beside);
    Err(Error::new(format!(
        "cannot find hephd: there is no '{}'",
        looked.display()
    ))
    .with_hint("install it where heph is: `cargo install` puts both there"))
}
