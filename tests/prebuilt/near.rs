//! Files that lead to services of the machine or its network: the metadata service of a cloud stands for all of them.

use super::kit::{Kit, TAG, archive, stem};
use crate::support::forge::{Attached, Published};
use crate::support::http::Reply;

const METADATA: &str = "https://169.254.169.254/latest/meta-data";
const REFUSED: &str = "only this machine can reach";

fn redirect() -> Reply {
    Reply::with(302, &[("Location", METADATA)], b"")
}

#[test]
fn a_file_that_the_forge_lists_at_such_an_address_is_not_requested() {
    for near in [METADATA, "https://0.0.0.0/x", "https://[fe80::1]/x"] {
        let kit = Kit::new();
        let listed = |name: String| Attached {
            url: format!("{near}/{name}"),
            name,
            size: None,
        };
        kit.forge.unpublish();
        kit.forge.publish(Published {
            assets: [format!("{}.tar.gz", stem()), "SHA256SUMS".to_owned()]
                .map(listed)
                .into(),
            ..Published::new(TAG)
        });
        kit.assert_refused(1, "failed", REFUSED);
        assert!(kit.quarantined().is_empty());
    }
}

#[test]
fn a_redirect_of_a_checksum_to_such_an_address_is_not_followed() {
    let kit = Kit::new();
    kit.publish("tar.gz", &archive("1.0.0", "tar.gz"));
    let sums = kit.attach("SHA256SUMS", b"x");
    kit.forge.script(&sums, redirect());
    kit.assert_refused(1, "failed", REFUSED);
}

#[test]
fn a_redirect_of_an_archive_to_such_an_address_is_not_followed() {
    let kit = Kit::new();
    let path = kit.publish("tar.gz", &archive("1.0.0", "tar.gz"));
    kit.forge.script(&path, redirect());
    kit.assert_refused(1, "failed", REFUSED);
    assert!(kit.quarantined().is_empty());
}

#[test]
fn a_redirect_of_the_feed_to_such_an_address_is_not_followed() {
    let kit = Kit::new();
    kit.forge.script(&kit.forge.latest_path(), redirect());
    kit.assert_refused(1, "failed", REFUSED);
}
