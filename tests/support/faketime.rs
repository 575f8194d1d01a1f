//! A clock that is wrong, for a program that does not know it.

/// Returns an environment whose clock is off by `hours`, for a program that does not know it (faketime(1)). What counts how
/// long something takes goes on as it is.
pub fn off_by(hours: &str) -> [(&str, &str); 3] {
    [
        ("LD_PRELOAD", library()),
        ("FAKETIME", hours),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
}

/// Returns an environment in which time runs so many times as fast, also what counts how long something takes.
pub fn times_as_fast(factor: u32) -> [(&'static str, String); 2] {
    [
        ("LD_PRELOAD", library().to_owned()),
        ("FAKETIME", format!("+0 x{factor}")),
    ]
}

/// Returns where Debian has the library of faketime.
fn library() -> &'static str {
    let places = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    ];
    let found = places
        .into_iter()
        .find(|place| std::path::Path::new(place).exists());
    found.expect("this test needs the package faketime; tests/support/packages.sh installs it")
}
