//! Comments, messages, help and documents are written in the words of the trade.

use std::fs;
use std::path::{Path, PathBuf};

use super::commands::files;

/// Phrases that stand for a word of the trade, and that word. Each matches whole words, in any case.
const PHRASES: [(&str, &str); 35] = [
    ("is none", "say what is missing"),
    ("are none", "say what is missing"),
    ("was none", "say what is missing"),
    ("none any more", "already invalid"),
    ("nobody else's", "only one's own"),
    ("nobody but", "only"),
    ("will not do", "is invalid, or cannot be used"),
    ("is told", "is notified, or receives"),
    ("are told", "are notified, or receive"),
    ("was told", "was acknowledged"),
    ("be told", "be notified"),
    ("told of", "notified of"),
    ("told by", "determined by"),
    ("told from", "distinguished from"),
    ("tells of", "reports"),
    ("tells how", "reports how"),
    ("hears of", "learns of"),
    ("hears how", "receives"),
    ("comes of", "results from"),
    ("came of", "resulted from"),
    ("came to", "resulted in"),
    ("begin anew", "resync from scratch"),
    ("begins anew", "resyncs from scratch"),
    ("makes room", "is evicted"),
    ("make room for", "be evicted for"),
    ("whoever", "any client, or the caller"),
    ("which is much", "expensive"),
    ("what is much", "what is expensive"),
    ("says of itself", "reports"),
    ("of no use", "unusable"),
    ("of use", "usable"),
    ("was ended", "was killed"),
    ("has its turn", "runs"),
    ("will do", "is valid"),
    ("says not", "does not say"),
];

#[test]
fn sources_help_and_documents_speak_the_language_of_the_trade() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts: Vec<PathBuf> = ["README.md", "CHANGELOG.md", "Makefile", "dist.sh"]
        .map(|name| root.join(name))
        .into();
    for folder in ["src", "docs", "templates"] {
        texts.extend(files(&root.join(folder), ""));
    }
    // The schema of a store that was released stays as it is, with its comments.
    texts.retain(|path| path.extension().is_none_or(|extension| extension != "sql"));
    let mut found = Vec::new();
    for path in texts {
        let text = fs::read_to_string(&path).unwrap();
        let place = path.strip_prefix(root).unwrap().display().to_string();
        for (number, line) in (1..).zip(text.lines()) {
            let words = words(line);
            for (phrase, instead) in PHRASES {
                if words.contains(&format!(" {phrase} ")) {
                    found.push(format!("{place}:{number}: '{phrase}': {instead}"));
                }
            }
            let comment = line.trim_start().trim_start_matches(['/', '!']);
            if comment.len() < line.trim_start().len() && comment.starts_with(" Who ") {
                found.push(format!("{place}:{number}: 'Who …' as a subject"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Returns the words of `line` in lower case, with one space before and after each.
fn words(line: &str) -> String {
    let line = line.to_lowercase();
    let letters = |c: char| !(c.is_alphanumeric() || ['\'', '_'].contains(&c));
    let words: Vec<&str> = line
        .split(letters)
        .filter(|word| !word.is_empty())
        .collect();
    format!(" {} ", words.join(" "))
}

#[test]
fn a_phrase_is_found_as_words_only() {
    assert!(words("// There is none, so").contains(" is none "));
    assert!(!words("this nonesuch").contains(" is none "));
}
