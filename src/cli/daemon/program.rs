//! The hephd that a service file starts: the link in bin-dir, or the one of a package manager, which stays valid from release
//! to release.

use std::path::PathBuf;

use crate::cli::Context;
use crate::error::{Error, Result, ResultExt};
use crate::os::stable_path;
use crate::platform::service::definition::Definition;
use crate::update;

/// Returns the path of hephd for a service file: the path in the current file if it exists, else the one in bin-dir, else,
/// without an installation, the one beside heph. Never a path into a slot.
pub(super) fn find(context: &Context, before: Option<&Definition>) -> Result<PathBuf> {
    let program = find_any(context, before)?;
    let stable = stable_path::stable(&program, std::env::var_os("PATH"));
    if stable_path::has_version(&stable) {
        context.ui.warn(format!(
            "'{}' is the path of one version, and no link leads to it: run `heph daemon restart` after an upgrade",
            stable.display()
        ));
    }
    Ok(stable)
}

fn find_any(context: &Context, before: Option<&Definition>) -> Result<PathBuf> {
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
    // The operating system may return a path with links resolved, hence the check for slots.
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
        "cannot find hephd: '{}' does not exist",
        looked.display()
    ))
    .with_hint("install it beside heph: `cargo install` installs both"))
}
