//! Any text as a checksum file, as the names of assets and as a signature: no panic, and nothing found that is not there.
#![no_main]

use heph::config::Trust;
use heph::release::asset::{self, Asset};
use heph::release::trust::archive::{ProofTexts, ProofAssets, expect};
use libfuzzer_sys::fuzz_target;
use semver::Version;

const ARCHIVE: &str = "heph-v1.0.0-x86_64-unknown-linux-gnu.tar.gz";
/// The example of minisign's manual.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

fuzz_target!(|text: &str| {
    if let Ok(digest) = asset::checksum(text, ARCHIVE, true) {
        assert!(digest.len() == 64 && text.to_ascii_lowercase().contains(&digest));
    }
    let assets: Vec<Asset> = text
        .split(' ')
        .filter_map(|name| Asset::new(name.to_owned(), format!("https://f.example/{name}"), None))
        .collect();
    let targets = ["x86_64-unknown-linux-gnu".to_owned()];
    if let Some(offer) = asset::choose(&assets, "heph", &Version::new(1, 0, 0), &targets) {
        assert!(offer.archive.name.starts_with("heph-"));
    }
    let list = Asset::new(
        "SHA256SUMS".to_owned(),
        "https://f.example/a".to_owned(),
        None,
    );
    let wanted = ProofAssets {
        checksums: list.as_ref(),
        checksums_signature: list.as_ref(),
        signature: None,
    };
    let fetched = ProofTexts {
        checksums: Some(text.to_owned()),
        checksums_signature: Some(text.to_owned()),
        signature: None,
    };
    let trust = Trust {
        minisign_keys: vec![KEY.to_owned()],
        ..Trust::default()
    };
    // Nobody who lacks the key can make a signature that holds.
    assert!(expect(ARCHIVE, &wanted, &fetched, &trust).is_err());
});
