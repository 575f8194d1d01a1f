//! What cargo built for these tests.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::call::Call;

/// Returns the path of `heph`.
pub fn heph() -> PathBuf {
    folder().join("heph")
}

/// Returns the path of `hephd`.
pub fn hephd() -> PathBuf {
    folder().join("hephd")
}

/// Returns the folder with both, as small as they are in a release: they are copied, digested and verified all the time.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = cache().join("programs");
        std::fs::create_dir_all(&folder).unwrap();
        let built = [
            ("heph", option_env!("CARGO_BIN_EXE_heph")),
            ("hephd", option_env!("CARGO_BIN_EXE_hephd")),
        ];
        for (name, path) in built {
            // By a rename: another run of the tests may have it open.
            let new = folder.join(format!(".{name}.{}", std::process::id()));
            let strip = Call::of("strip").args(&[Path::new("-o"), &new, named(path)]);
            strip.exits(0);
            std::fs::rename(new, folder.join(name)).unwrap();
        }
        folder
    })
}

/// Returns a folder below the build folder, for what the next run of the tests can use again.
pub fn cache() -> &'static Path {
    named(option_env!("CARGO_TARGET_TMPDIR"))
}

/// Cargo names these to tests, and not to examples.
fn named(path: Option<&'static str>) -> &'static Path {
    Path::new(path.expect("only tests know what was built for them"))
}
