//! The syntax of XML property lists, as far as heph's own need it. Pure.

use std::collections::BTreeMap;

/// Returns `text` as character data (XML 1.0, section 2.4).
pub(in crate::platform) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Returns the entries of a dictionary of strings.
pub(in crate::platform) fn entries(strings: &BTreeMap<String, String>) -> Vec<String> {
    let entry = |(key, value): (&String, &String)| {
        format!(
            "<key>{}</key><string>{}</string>",
            escape(key),
            escape(value)
        )
    };
    strings.iter().map(entry).collect()
}
