//! Feeds, good and bad, asked over the wire: a table of answers, every release in it, what is remembered, TLS, and git.

mod binary;
mod cooldown;
mod detected;
mod git;
mod lists;
mod machine;
mod many_refs;
mod other_tags;
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
