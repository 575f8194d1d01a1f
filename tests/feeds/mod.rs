//! Feeds, good and bad, asked over the wire: a table of answers, what is remembered, TLS, and git.

mod binary;
mod git;
mod remembering;
mod rows;
mod table;
mod tls;

use std::path::Path;

use heph::config::SelfUpdate;
use heph::release::Policy;
use heph::release::feed::Feed;

/// Returns the feed that the settings name, with the file `cache`.
fn feed<'a>(settings: &'a SelfUpdate, cache: &'a Path) -> Feed<'a> {
    Feed {
        repository: &settings.repository,
        forge: settings.forge,
        tag_prefix: &settings.tag_prefix,
        policy: Policy {
            pin: settings.pin.clone(),
            prereleases: settings.prereleases,
            cooldown: settings.cooldown,
        },
        cache,
    }
}
