//! A hub with two users, of whom one means no good.

use std::path::Path;

use serde_json::json;

use super::issuer::Issuer;
use super::signer::Signer;
use super::{Hub, request};
use crate::support::call::Words;
use crate::support::disk::Disk;
use crate::support::node::Node;

/// The hub, and the tokens of its users.
pub(super) struct Scene {
    pub(super) hub: Hub,
    pub(super) mallory: String,
    pub(super) bob: String,
    pub(super) disk: Option<Disk>,
    _issuer: Issuer,
}

impl Scene {
    pub(super) fn start(flags: &(impl Words + ?Sized)) -> Scene {
        Scene::prepared(flags, |_| None)
    }

    /// The same, with the hub's store on a disk of this size.
    pub(super) fn on_disk(size: &str) -> Scene {
        Scene::prepared("", |data| Some(Disk::small(data, &format!("size={size}"))))
    }

    fn prepared(
        flags: &(impl Words + ?Sized),
        prepare: impl FnOnce(&Path) -> Option<Disk>,
    ) -> Scene {
        let signer = Signer::ec();
        let issuer = Issuer::start(&[signer.jwk("k")]);
        let mut node = Node::hub_down();
        node.add_flags(&issuer.flags());
        node.add_flags(flags);
        let disk = prepare(&node.data());
        let hub = Hub(node.up());
        let token = |subject| signer.token("k", &issuer.claims(subject, json!({})));
        let (mallory, bob) = (token("mallory"), token("bob"));
        hub.sync(Some(&bob), &request("01B", &[]));
        Scene {
            hub,
            mallory,
            bob,
            disk,
            _issuer: issuer,
        }
    }
}
