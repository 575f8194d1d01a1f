//! The syntax of XML property lists, as far as heph's own need it. Pure.

use std::collections::BTreeMap;

/// Returns `text` as character data (XML 1.0, section 2.4).
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Returns the value of each line `{{variable}}` of a template, whose dictionary holds `environment`.
pub fn entries(
    environment: &BTreeMap<String, String>,
) -> impl Iterator<Item = (&'static str, String)> {
    environment.iter().map(|(name, value)| {
        let (name, value) = (escape(name), escape(value));
        (
            "variable",
            format!("<key>{name}</key><string>{value}</string>"),
        )
    })
}
