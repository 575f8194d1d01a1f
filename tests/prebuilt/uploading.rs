//! Releases whose upload is under way, and lists of checksums as people write them.

use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};

use super::kit::{Key, Kit, TAG, archive, stem, sum_line};
use crate::support::forge::{Forge, Published, Served, Speaks};

fn name() -> String {
    format!("{}.tar.gz", stem())
}

/// Returns one archive, always the same: another one would have other times in it.
fn bytes() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| archive("1.0.0", "tar.gz"))
}

/// Publishes the release anew, `hours` ago and without files.
fn published(kit: &Kit, hours: i64) {
    kit.forge.unpublish();
    let at = Timestamp::now() - SignedDuration::from_hours(hours);
    kit.forge.publish(Published {
        at: at.to_string(),
        ..Published::new(TAG)
    });
}

/// A machine whose release was published an hour ago, on a forge of this kind.
fn young(speaks: Speaks, settings: &str) -> Kit {
    let mut kit = Kit::new();
    let forge = match speaks {
        Speaks::Github => "github",
        Speaks::Gitlab => "gitlab",
        _ => "forgejo",
    };
    kit.forge = Forge::speaking(speaks);
    kit.tag();
    published(&kit, 1);
    let kit = kit.asking(settings);
    let file = kit.path.join(".config/heph/config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, text.replace("\"forgejo\"", &format!("{forge:?}"))).unwrap();
    kit
}

/// Asserts that the release waits for the next run, and that nothing has changed.
#[track_caller]
fn assert_waits(kit: &Kit, why: &str) {
    let before = kit.installation();
    let report = kit.self_update("apply").reports(0, "skipped");
    report.because(&["v1.0.0 is not complete yet", why]);
    assert_eq!(kit.installation(), before);
    assert!(kit.quarantined().is_empty());
}

#[test]
fn a_list_without_the_archive_is_waited_for_on_any_forge() {
    for (speaks, delivery) in [
        (Speaks::Forgejo, "auto"),
        (Speaks::Github, "prebuilt"),
        (Speaks::Gitlab, "auto"),
    ] {
        let kit = young(speaks, &format!("delivery = \"{delivery}\""));
        let other = sum_line("heph-v1.0.0-sparc-sun-solaris.tar.gz", b"x");
        kit.attach(&name(), bytes());
        let list = kit.attach("SHA256SUMS", other.as_bytes());
        assert_waits(&kit, "does not list");

        let complete = other + &sum_line(&name(), bytes());
        published(&kit, 1);
        kit.attach(&name(), bytes());
        kit.attach("SHA256SUMS", complete.as_bytes());
        kit.forge.serve(&list, Served::new(complete.as_bytes()));
        kit.assert_updates();
    }
}

#[test]
fn a_signature_or_an_archive_that_is_late_is_waited_for() {
    let key = &Key::owner().public;
    let kit = young(
        Speaks::Forgejo,
        &format!("delivery = \"auto\"\n[self-update.trust]\nminisign-keys = [{key:?}]"),
    );
    kit.publish("tar.gz", bytes());
    assert_waits(&kit, "is not signed");
    published(&kit, 2);
    kit.publish_signed("tar.gz", bytes(), Key::owner());
    kit.assert_updates();

    let kit = young(Speaks::Github, "delivery = \"prebuilt\"");
    assert_waits(&kit, "offers no files");
    kit.attach("SHA256SUMS", sum_line(&name(), bytes()).as_bytes());
    assert_waits(&kit, "has no archive of 'heph'");
    kit.publish("tar.gz", bytes());
    kit.assert_updates();
}

#[test]
fn what_is_still_lacking_hours_later_is_a_failure_that_every_run_tries_again() {
    let kit = young(Speaks::Forgejo, "delivery = \"prebuilt\"");
    published(&kit, 7);
    kit.attach(&name(), bytes());
    kit.attach("SHA256SUMS", b"");
    for _ in 0..2 {
        kit.assert_refused(1, "failed", "does not list");
        assert!(kit.quarantined().is_empty());
    }
    published(&kit, 8);
    kit.publish("tar.gz", bytes());
    kit.assert_updates();
}

#[test]
fn what_is_there_and_wrong_is_an_alarm_however_young_the_release() {
    let kit = young(Speaks::Forgejo, "delivery = \"auto\"");
    kit.attach("SHA256SUMS", sum_line(&name(), b"another").as_bytes());
    kit.attach(&name(), bytes());
    kit.assert_refused(1, "failed", "is not what its owner published");
    assert_eq!(kit.quarantined(), ["1.0.0"]);
}

#[test]
fn lists_are_read_as_people_write_them() {
    let sum = sum_line(&name(), bytes());
    let (digest, _) = sum.split_once(' ').unwrap();
    let other = sum_line("other", b"x");
    for list in [
        format!("# made by CI\n{other}{sum}"),
        sum.replace("  ", "  ./"),
        sum.replace("  ", " *"),
        format!("{sum}{}  {}\n", "0".repeat(128), name()),
        format!("\u{feff}{sum}"),
        format!("{sum}{sum}"),
        sum.replace("  ", "  dist/linux/"),
        format!("SHA256 ({}) = {digest}\r\n", name()),
        format!("{}  {}\r\n", digest.to_uppercase(), name()),
    ] {
        let kit = Kit::new();
        kit.attach("SHA256SUMS", list.as_bytes());
        kit.attach(&name(), bytes());
        kit.assert_updates();
    }
}

#[test]
fn a_signature_may_be_made_in_another_folder_or_of_the_legacy_form_for_a_list() {
    // rsign writes the path that it was given.
    for (comment, legacy) in [
        ("timestamp:1\tfile:dist/SHA256SUMS\tprehashed", false),
        ("timestamp:1\tfile:./SHA256SUMS", true),
        ("file:C:\\dist\\SHA256SUMS", false),
    ] {
        let kit = Kit::new().trusting(&[Key::owner()]);
        // A byte that is not UTF-8 is signed like any other.
        let sums = [b"# gr\xfcn\n", sum_line(&name(), bytes()).as_bytes()].concat();
        let options: &[&str] = match legacy {
            true => &["-l", "-t", comment],
            false => &["-t", comment],
        };
        let signature = Key::owner().sign("SHA256SUMS", &sums, options);
        kit.attach("SHA256SUMS.minisig", &signature);
        kit.attach("SHA256SUMS", &sums);
        kit.attach(&name(), bytes());
        let signer = format!("minisign {}", Key::owner().public);
        assert_eq!(kit.assert_updates()["signed_by"], signer);
    }
    let kit = Kit::new().trusting(&[Key::owner()]);
    let comment = "file:dist/heph-v0.9.0.tar.gz";
    let signature = Key::owner().sign(&name(), bytes(), &["-t", comment]);
    kit.attach(&format!("{}.minisig", name()), &signature);
    kit.attach(&name(), bytes());
    kit.assert_refused(1, "failed", "was made for");
    assert_eq!(kit.quarantined(), ["1.0.0"]);
}
