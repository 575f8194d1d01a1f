//! The form of the attack table. Whatever a row says, the installation must be untouched, and cargo not even asked.

use super::place::Place;

/// What is to be seen of an attack.
pub struct Row {
    name: &'static str,
    attack: fn(&mut Place),
    code: i32,
    outcome: &'static str,
    /// What the reason says.
    words: &'static [&'static str],
    /// Whether the timer will leave that release alone from now on.
    quarantined: bool,
}

/// A release that is refused for good.
pub const fn refused(
    name: &'static str,
    attack: fn(&mut Place),
    words: &'static [&'static str],
) -> Row {
    Row {
        name,
        attack,
        code: 1,
        outcome: "failed",
        words,
        quarantined: true,
    }
}

/// Trouble of this machine or of the moment, which says nothing of the release.
pub const fn trouble(
    name: &'static str,
    attack: fn(&mut Place),
    code: i32,
    outcome: &'static str,
    words: &'static [&'static str],
) -> Row {
    Row {
        name,
        attack,
        code,
        outcome,
        words,
        quarantined: false,
    }
}

#[track_caller]
#[allow(clippy::print_stdout, reason = "names the row, where it fails")]
pub fn hold(rows: &[Row]) {
    for row in rows {
        println!("{}", row.name);
        let mut place = Place::new();
        place.trust_alice();
        (row.attack)(&mut place);
        let before = place.picture();
        let report = place.self_update("apply").reports(row.code, row.outcome);
        report.because(row.words);
        assert_eq!(place.picture(), before, "{}: nothing was touched", row.name);
        assert_eq!(place.installed(), "tiny 1.0.0", "{}", row.name);
        assert!(
            !place.path.join(".cargo/git").exists(),
            "{}: cargo was not even asked",
            row.name
        );
        assert!(!place.path.join(".local/share/heph/current").exists());
        let listed = place.quarantine();
        assert_eq!(
            listed.iter().any(|(version, _)| version == "1.1.0"),
            row.quarantined,
            "{}: {listed:?}",
            row.name
        );
        if row.quarantined {
            place.self_update("apply").reports(0, "skipped");
            assert_eq!(place.picture(), before, "{}", row.name);
        }
    }
}
