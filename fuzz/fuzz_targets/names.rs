//! Any text as a checksum file, as the names of assets and as a signature: no panic, and nothing found that is not there.
#![no_main]

use heph::release::asset::{self, Asset};
use heph::release::checksums;
use heph::release::trust::archive::{ProofFile, ProofFiles, expect};
use libfuzzer_sys::fuzz_target;
use semver::Version;

const ARCHIVE: &str = "heph-v1.0.0-x86_64-unknown-linux-gnu.tar.gz";
/// The example of minisign's manual.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

fuzz_target!(|text: &str| {
    if let Ok(digest) = checksums::sha256(text, ARCHIVE, true) {
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
    let file = |name: &str| ProofFile {
        name: name.to_owned(),
        content: text.as_bytes().to_owned(),
    };
    let proofs = ProofFiles {
        checksums: Some(file("SHA256SUMS")),
        checksums_signature: Some(file("SHA256SUMS.minisig")),
        signature: None,
    };
    // Without the key, nobody can make a valid signature.
    assert!(expect(ARCHIVE, &proofs, &[KEY.parse().unwrap()]).is_err());
});
