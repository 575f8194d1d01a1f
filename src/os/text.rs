//! Strangers' words, fit to show: text that comes from the network, from another program or from another release.
//!
//! Architecture invariant: nothing shown from here steers a terminal or reverses the direction of a line.

/// How many characters [`quoted`] shows.
const LONGEST_QUOTE: usize = 60;

/// Returns `text` with control characters, and those that reorder a line, escaped.
pub(crate) fn printable(text: &str) -> String {
    escape(text, |c| c.is_control() || reorders(c))
}

/// Returns [`printable`] text that may have several lines: newlines and tabs stay.
pub(crate) fn multiline(text: &str) -> String {
    escape(text, |c| {
        !matches!(c, '\n' | '\t') && (c.is_control() || reorders(c))
    })
}

/// Returns the first `longest` characters of `text`, [`printable`], with an ellipsis where more follows.
pub(crate) fn excerpt(text: &str, longest: usize) -> String {
    let mut shown = printable(cut(text, longest));
    if cut(text, longest).len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Returns a short excerpt of `text` in double quotes, with everything invisible escaped.
pub(crate) fn quoted(text: &str) -> String {
    let start = cut(text, LONGEST_QUOTE);
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{:?}", format!("{start}{more}"))
}

/// Returns the last `lines` lines of `text`.
pub(crate) fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Returns whether a terminal writes text in another order for `c` (Unicode Standard Annex 9, section 2), or starts a line.
fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, harmful: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if harmful(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

fn cut(text: &str, longest: usize) -> &str {
    let end = text.char_indices().nth(longest);
    end.map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_would_steer_a_terminal_is_escaped() {
        for (text, shown) in [
            ("plain, žluťoučký 🐎", "plain, žluťoučký 🐎"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\nb\tc", "a\\nb\\tc"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("abc\u{202e}fed", "abc\\u{202e}fed"),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert_eq!(multiline("a\n\tb\r\u{202e}"), "a\n\tb\\r\\u{202e}");
    }

    #[test]
    fn an_excerpt_is_cut_between_characters() {
        assert_eq!(excerpt("é\u{1b}é", 3), "é\\u{1b}é");
        assert_eq!(excerpt("é\u{1b}éé", 3), "é\\u{1b}é…");
        assert_eq!(quoted("a\"\u{200b}"), r#""a\"\u{200b}""#);
        assert_eq!(quoted(&"é".repeat(100)), format!("\"{}…\"", "é".repeat(60)));
    }

    #[test]
    fn the_last_lines_are_those_before_blank_ones() {
        assert_eq!(last_lines("a\nb\nc\n\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }

    proptest! {
        #[test]
        fn no_text_gets_through_unescaped(text in any::<String>(), longest in 0usize..50) {
            for shown in [printable(&text), excerpt(&text, longest), quoted(&text)] {
                prop_assert!(!shown.contains(|c: char| c.is_control() || reorders(c)), "{shown:?}");
            }
        }
    }
}
