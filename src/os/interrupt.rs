//! Ctrl-C, SIGTERM and SIGHUP, deferred instead of obeyed at once.
//!
//! An update must not end between two steps that belong together. So the signals only set a flag: steps that may be
//! abandoned check it, steps that must finish do not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Result, ResultExt, ensure};

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Turns SIGINT, SIGTERM and SIGHUP into a flag from now on. Idempotent.
pub fn watch() -> Result<()> {
    let flag = FLAG.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag))
            .context("cannot watch for signals")?;
    }
    Ok(())
}

/// Returns whether a signal asked this process to end.
pub fn requested() -> bool {
    FLAG.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Fails if a signal asked this process to end. The error says that nothing was changed, so call it only where that is true.
pub fn check() -> Result<()> {
    ensure!(!requested(), "interrupted; nothing was changed");
    Ok(())
}
