//! What cargo built for these tests.

use std::path::Path;

/// Returns the path of `heph`.
pub fn heph() -> &'static Path {
    built(option_env!("CARGO_BIN_EXE_heph"))
}

/// Returns the path of `hephd`.
pub fn hephd() -> &'static Path {
    built(option_env!("CARGO_BIN_EXE_hephd"))
}

/// Returns a folder below the build folder, for what the next run of the tests can use again.
pub fn cache() -> &'static Path {
    built(option_env!("CARGO_TARGET_TMPDIR"))
}

/// Cargo names these to tests, and not to examples.
fn built(path: Option<&'static str>) -> &'static Path {
    Path::new(path.expect("only tests know what was built for them"))
}
