//! `make soak`: what takes long by nature, at greater length.

/// Returns how often something is done: `usually`, and many times that in a soak test.
pub fn times(usually: u64) -> u64 {
    usually * factor()
}

/// Returns whether this is a soak test.
pub fn is_long() -> bool {
    factor() > 1
}

fn factor() -> u64 {
    let factor = std::env::var("HEPH_SOAK").ok();
    factor.map_or(1, |text| text.parse().expect("HEPH_SOAK is a number"))
}
