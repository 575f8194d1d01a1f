//! XML property lists, as far as heph's own need it: writing text, and reading dictionaries back. Pure.

use crate::error::{Result, ResultExt};
use roxmltree::{Document, Node, ParsingOptions};

/// No property list of heph's nests deeper.
const DEEPEST: u8 = 16;

/// A value in a property list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `<dict>`, in the order of the file.
    Dict(Vec<(String, Value)>),
    /// `<array>`.
    Array(Vec<Value>),
    /// `<true/>` or `<false/>`.
    Bool(bool),
    /// The text of anything else: strings, numbers, dates.
    Text(String),
}

impl Value {
    /// Returns the value of `key`, where this is a dictionary that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries()
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// Returns the entries, none where this is no dictionary.
    pub fn entries(&self) -> &[(String, Value)] {
        match self {
            Value::Dict(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the items, none where this is no array.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// Returns the text of a string or number.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Returns `text` as character data (XML 1.0, section 2.4).
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Reads a property list.
///
/// # Errors
///
/// It is no XML, or holds no value.
pub fn parse(text: &str) -> Result<Value> {
    let options = ParsingOptions {
        // Every property list names Apple's DTD; roxmltree loads none and bounds entities.
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).context("it is no XML")?;
    let value = document.root_element().first_element_child();
    value
        .map(|node| read(node, DEEPEST))
        .context("it holds no value")
}

fn read(node: Node, depth: u8) -> Value {
    let elements = || node.children().filter(Node::is_element);
    match node.tag_name().name() {
        // The recursion ends, however deep the file is.
        _ if depth == 0 => Value::Text(text_of(node)),
        "dict" => {
            let elements: Vec<_> = elements().collect();
            let pairs = elements.chunks_exact(2);
            Value::Dict(
                pairs
                    .map(|pair| (text_of(pair[0]), read(pair[1], depth - 1)))
                    .collect(),
            )
        }
        "array" => Value::Array(elements().map(|node| read(node, depth - 1)).collect()),
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => Value::Text(text_of(node)),
    }
}

fn text_of(node: Node) -> String {
    node.descendants()
        .filter(Node::is_text)
        .filter_map(|text| text.text())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::generated::tests::any_text;
    use proptest::prelude::*;

    #[test]
    fn dictionaries_arrays_and_texts_are_read() {
        let value = parse(
            "<?xml version=\"1.0\"?><!DOCTYPE plist PUBLIC \"x\" \"y\"><plist><dict>
            <key>a</key><!-- c --><array><string>1</string><string/><string><![CDATA[<]]></string></array>
            <key>b</key><true/><key>c</key><integer>5</integer></dict></plist>",
        )
        .unwrap();
        let items: Vec<_> = value.get("a").unwrap().items().iter().collect();
        assert_eq!(
            items
                .iter()
                .filter_map(|item| item.text())
                .collect::<Vec<_>>(),
            ["1", "", "<"]
        );
        assert_eq!(value.get("b"), Some(&Value::Bool(true)));
        assert_eq!(value.get("c").unwrap().text(), Some("5"));
        assert_eq!(value.get("d"), None);
    }

    proptest! {
        #[test]
        fn any_text_survives_escaping(text in any_text()) {
            let list = format!("<plist><string>{}</string></plist>", escape(&text));
            prop_assert_eq!(parse(&list).unwrap(), Value::Text(text));
        }

        #[test]
        fn no_text_panics(text in "(?s).*", inner in "[<>/&;a-z!\\[\\]\"-]{0,40}") {
            let _ = parse(&text);
            let _ = parse(&format!("<plist><dict>{inner}</dict></plist>"));
        }
    }
}
