//! What follows when a release cannot be installed from archives although nothing about it is wrong. Pure.
//!
//! A release is published first and its files are uploaded after that, one by one, by jobs that may take hours. A run that
//! arrives in between waits for the next one, while the release is young enough: it would otherwise compile for minutes what
//! is an archive an hour later. After that, what is lacking is lacking for good, and cargo builds the release if it may.

use crate::config::Delivery;

/// What is lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// An archive for this machine.
    Archive,
    /// What an archive needs beside it, or its content: it is missing, or not readable yet.
    Proof,
    /// Something that no upload brings: heph, its settings or this machine cannot use what is there.
    Support,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    /// Look again at the next run.
    Wait,
    /// Have cargo build the release.
    Build,
    /// Fail, without blaming the release.
    Fail,
}

/// Decides what to do about `lack` in a release that is `young`. `archives_so_far` says whether what is installed came from an
/// archive, so that this release is likely to have one, too.
pub(super) fn next_step(
    lack: Lack,
    delivery: Delivery,
    young: bool,
    archives_so_far: bool,
) -> NextStep {
    let expected = match lack {
        Lack::Archive => archives_so_far || delivery == Delivery::Prebuilt,
        Lack::Proof => true,
        Lack::Support => false,
    };
    match delivery {
        _ if expected && young => NextStep::Wait,
        Delivery::Prebuilt => NextStep::Fail,
        Delivery::Auto | Delivery::Cargo => NextStep::Build,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_under_way_is_waited_for_and_later_cargo_builds() {
        use Delivery::{Auto, Prebuilt};
        use Lack::{Archive, Proof, Support};
        use NextStep::{Build, Fail, Wait};
        for (lack, delivery, young, archives_so_far, expected) in [
            (Proof, Auto, true, false, Wait),
            (Proof, Auto, true, true, Wait),
            (Proof, Auto, false, true, Build),
            (Proof, Prebuilt, true, false, Wait),
            (Proof, Prebuilt, false, true, Fail),
            // Most projects publish no archives at all.
            (Archive, Auto, true, false, Build),
            (Archive, Auto, true, true, Wait),
            (Archive, Auto, false, true, Build),
            (Archive, Prebuilt, true, false, Wait),
            (Archive, Prebuilt, false, true, Fail),
            (Support, Auto, true, true, Build),
            (Support, Auto, false, false, Build),
            (Support, Prebuilt, true, true, Fail),
        ] {
            let found = next_step(lack, delivery, young, archives_so_far);
            let row = format!("{lack:?} {delivery:?} {young} {archives_so_far}");
            assert_eq!(found, expected, "{row}");
        }
    }
}
