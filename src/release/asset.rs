//! Assets: the files that a release offers for download, and which of them are for this machine.
//!
//! A name says what a file is: `<package>-v<version>-<target>.tar.gz`, as users of cargo-dist and cargo-binstall publish
//! it, with `SHA256SUMS` or `<archive>.sha256` and the signatures of minisign, `<file>.minisig`, beside it. Names are built
//! here and looked up, never parsed, so other files in the list do not matter.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::os::http;

/// The most assets of one release that are kept.
pub const MOST: usize = 300;
const LONGEST_NAME: usize = 200;
const LONGEST_URL: usize = 2048;
/// Names of the file that has the checksums of all assets.
const SUMS: [&str; 4] = [
    "SHA256SUMS",
    "SHA256SUMS.txt",
    "sha256sums.txt",
    "sha256.sum",
];

/// One file of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// A plain file name.
    pub name: String,
    /// An https URL, or http on loopback.
    pub url: String,
    /// Its size in bytes, if the forge lists it.
    pub size: Option<u64>,
}

impl Asset {
    /// Returns the asset, if its name is a plain file name and its URL may be requested.
    pub fn new(name: String, url: String, size: Option<u64>) -> Option<Asset> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        let named = !name.is_empty()
            && name.len() <= LONGEST_NAME
            && !name.starts_with(['.', '-'])
            && name.bytes().all(plain);
        let found = url.len() <= LONGEST_URL && http::check(&url).is_ok();
        (named && found).then_some(Asset { name, url, size })
    }
}

/// How an archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// tar, compressed by gzip.
    TarGz,
    /// tar, compressed by bzip2.
    TarBz2,
    /// tar, compressed by xz.
    TarXz,
    /// tar, compressed by zstd.
    TarZst,
    /// zip.
    Zip,
}

impl Format {
    /// Returns whether a file that starts with these bytes can be of this format. (RFC 1952, section 2.3.1; bzip2(1); the xz
    /// file format, section 2.1.1.1; RFC 8878, section 3.1, also of a frame to skip; APPNOTE.TXT of zip, section 4.3.)
    pub fn begins(self, bytes: &[u8]) -> bool {
        match self {
            Format::TarGz => bytes.starts_with(&[0x1f, 0x8b]),
            Format::TarBz2 => bytes.starts_with(b"BZh"),
            Format::TarXz => bytes.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]),
            Format::TarZst => matches!(
                bytes,
                [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
            ),
            Format::Zip => bytes.starts_with(b"PK"),
        }
    }
}

/// The endings of archives; an earlier one is preferred, because it takes less time and memory to unpack.
const FORMATS: [(&str, Format); 9] = [
    (".tar.zst", Format::TarZst),
    (".tar.gz", Format::TarGz),
    (".tgz", Format::TarGz),
    (".tar.xz", Format::TarXz),
    (".txz", Format::TarXz),
    (".tar.bz2", Format::TarBz2),
    (".tbz2", Format::TarBz2),
    (".tbz", Format::TarBz2),
    (".zip", Format::Zip),
];

/// An archive, and the published files that may vouch for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The archive.
    pub archive: Asset,
    pub(crate) format: Format,
    /// The file with the checksums of all assets.
    pub(crate) sums: Option<Asset>,
    /// Its signature.
    pub(crate) sums_signature: Option<Asset>,
    /// The file with the checksum of the archive.
    pub(crate) sum: Option<Asset>,
    /// The signature of the archive itself.
    pub(crate) signature: Option<Asset>,
}

/// Returns the best archive of `package` for one of `targets`, the first of which is the best.
pub fn choose(
    assets: &[Asset],
    package: &str,
    version: &Version,
    targets: &[String],
) -> Option<Offer> {
    let find = |name: &str| assets.iter().find(|asset| asset.name == name).cloned();
    let (archive, format) = targets.iter().find_map(|target| {
        stems(package, version, target).iter().find_map(|stem| {
            FORMATS
                .iter()
                .find_map(|(ending, format)| Some((find(&format!("{stem}{ending}"))?, *format)))
        })
    })?;
    let beside = |asset: &Asset, ending: &str| find(&format!("{}{ending}", asset.name));
    let sums = SUMS.iter().find_map(|name| find(name));
    Some(Offer {
        sums_signature: sums.as_ref().and_then(|sums| beside(sums, ".minisig")),
        sums,
        sum: beside(&archive, ".sha256"),
        signature: beside(&archive, ".minisig"),
        archive,
        format,
    })
}

/// Returns what an archive may be called, up to its ending. The name with neither version nor `v` is cargo-dist's.
fn stems(package: &str, version: &Version, target: &str) -> [String; 5] {
    [
        format!("{package}-v{version}-{target}"),
        format!("{package}-{version}-{target}"),
        format!("{package}-{target}-v{version}"),
        format!("{package}-{target}-{version}"),
        format!("{package}-{target}"),
    ]
}

/// Returns the targets whose binaries run here, the best first, as rustc names them; empty on an unknown system.
pub fn targets() -> Vec<String> {
    let musl = cfg!(target_env = "musl");
    targets_of(std::env::consts::ARCH, std::env::consts::OS, musl)
}

/// As [`targets`], for a heph that was built for this processor and system. Binaries of musl carry their own C library,
/// so they run beside glibc; the reverse does not hold.
fn targets_of(arch: &str, os: &str, musl: bool) -> Vec<String> {
    let (arch, abi) = match arch {
        "x86" => ("i686", ""),
        "arm" => ("armv7", "eabihf"),
        "riscv64" => ("riscv64gc", ""),
        "powerpc64" if cfg!(target_endian = "little") => ("powerpc64le", ""),
        other => (other, ""),
    };
    let linux = |libc: &str| format!("{arch}-unknown-linux-{libc}{abi}");
    match os {
        "linux" if musl => vec![linux("musl")],
        "linux" => vec![linux("gnu"), linux("musl")],
        "macos" => vec![
            format!("{arch}-apple-darwin"),
            "universal-apple-darwin".to_owned(),
        ],
        _ => Vec::new(),
    }
}

/// Returns the last part of a path, as Unix or Windows writes it.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "x86_64-unknown-linux-gnu";

    fn asset(name: &str) -> Asset {
        let url = format!("https://forge.example/{name}");
        Asset::new(name.to_owned(), url, Some(1)).unwrap()
    }

    fn chosen(names: &[&str]) -> Option<String> {
        let assets: Vec<_> = names.iter().map(|name| asset(name)).collect();
        let targets = targets_of("x86_64", "linux", false);
        choose(&assets, "heph", &Version::new(1, 2, 3), &targets)
            .map(|offer| offer.archive.name.clone())
    }

    #[test]
    fn the_archive_for_this_machine_is_found_by_its_name() {
        for name in [
            "heph-v1.2.3-x86_64-unknown-linux-gnu.tar.gz",
            "heph-1.2.3-x86_64-unknown-linux-gnu.tgz",
            "heph-x86_64-unknown-linux-gnu-v1.2.3.tar.xz",
            "heph-x86_64-unknown-linux-gnu.tar.zst",
            "heph-1.2.3-x86_64-unknown-linux-musl.zip",
            "heph-1.2.3-x86_64-unknown-linux-gnu.tar.bz2",
            "heph-1.2.3-x86_64-unknown-linux-gnu.tbz",
        ] {
            assert_eq!(chosen(&["README.md", name]).as_deref(), Some(name));
        }
        for other in [
            "heph-v1.2.4-x86_64-unknown-linux-gnu.tar.gz",
            "heph-v1.2.3-aarch64-unknown-linux-gnu.tar.gz",
            "hephd-v1.2.3-x86_64-unknown-linux-gnu.tar.gz",
            "heph-v1.2.3-x86_64-unknown-linux-gnu.tar.gz.minisig",
            "heph-v1.2.3-x86_64-unknown-linux-gnu.tar.lz",
            "heph-v1.2.3-x86_64-unknown-linux-gnu",
            "Heph-v1.2.3-x86_64-unknown-linux-gnu.tar.gz",
        ] {
            assert_eq!(chosen(&[other]), None, "{other}");
        }
    }

    #[test]
    fn glibc_is_preferred_to_musl_and_zstd_to_xz() {
        let gnu = format!("heph-v1.2.3-{HERE}.tar.xz");
        let musl = "heph-v1.2.3-x86_64-unknown-linux-musl.tar.zst";
        assert_eq!(chosen(&[musl, &gnu]).as_deref(), Some(gnu.as_str()));
        let zstd = format!("heph-v1.2.3-{HERE}.tar.zst");
        assert_eq!(chosen(&[&gnu, &zstd]), Some(zstd));
        assert_eq!(
            targets_of("x86_64", "linux", true),
            ["x86_64-unknown-linux-musl"]
        );
        assert_eq!(
            targets_of("arm", "linux", false)[0],
            "armv7-unknown-linux-gnueabihf"
        );
        assert_eq!(
            targets_of("aarch64", "macos", false)[0],
            "aarch64-apple-darwin"
        );
        assert!(targets_of("x86_64", "windows", false).is_empty());
    }

    #[test]
    fn what_vouches_for_an_archive_is_found_beside_it() {
        let archive = format!("heph-v1.2.3-{HERE}.tar.gz");
        let names = [
            archive.clone(),
            format!("{archive}.sha256"),
            format!("{archive}.minisig"),
            "sha256sums.txt".to_owned(),
            "sha256sums.txt.minisig".to_owned(),
        ];
        let assets: Vec<_> = names.iter().map(|name| asset(name)).collect();
        let offer = choose(&assets, "heph", &Version::new(1, 2, 3), &[HERE.to_owned()]).unwrap();
        assert_eq!(offer.format, Format::TarGz);
        let named = |asset: Option<Asset>| asset.unwrap().name;
        assert_eq!(named(offer.sum), names[1]);
        assert_eq!(named(offer.signature), names[2]);
        assert_eq!(named(offer.sums), names[3]);
        assert_eq!(named(offer.sums_signature), names[4]);
    }

    #[test]
    fn an_asset_has_a_plain_name_and_a_url_that_may_be_requested() {
        let url = "https://forge.example/a";
        for (name, url) in [
            ("", url),
            ("../a", url),
            ("a/b", url),
            ("-a", url),
            (".a", url),
            ("a b", url),
            ("a\n", url),
            ("é", url),
            ("a", "http://forge.example/a"),
            ("a", "file:///a"),
            ("a", "https://me:secret@forge.example/a"),
        ] {
            assert_eq!(Asset::new(name.to_owned(), url.to_owned(), None), None);
        }
    }
}
