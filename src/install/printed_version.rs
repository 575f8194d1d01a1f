//! The version of a program in what it prints for `--version`. Pure.
//!
//! Programs print a line such as `tool 1.0.0`, and also `tool/1.0.0`, `tool-1.0.0`, `Tool (v1.0.0)`, `version=1.0.0` or a
//! sentence, in colours, and with the versions of what they were built with before it or behind it. So each version is read
//! with the word before it, its label. The one that the program's own name labels counts; without one, the first that is
//! not labelled by a compiler, a library or a system.
//!
//! A version is read as a whole or not at all: `1.0.0` is not in `11.0.0`, `1.0.0.1`, `1.0.0-rc.1` or `2.0-1.0.0`.

use semver::Version;

/// Words between a name and its version.
const BETWEEN: [&str; 9] = [
    "version", "ver", "v", "release", "is", "cli", "client", "command", "line",
];
/// Names of what programs are built with or run on.
const OTHERS: [&str; 44] = [
    "rustc",
    "rust",
    "cargo",
    "gcc",
    "g++",
    "cc",
    "clang",
    "llvm",
    "go",
    "golang",
    "zig",
    "ghc",
    "swift",
    "java",
    "openjdk",
    "jdk",
    "jre",
    "jvm",
    "node",
    "nodejs",
    "deno",
    "bun",
    "python",
    "perl",
    "ruby",
    "lua",
    "luajit",
    "dotnet",
    "compiler",
    "toolchain",
    "runtime",
    "libc",
    "glibc",
    "musl",
    "openssl",
    "zlib",
    "sqlite",
    "libgit2",
    "libcurl",
    "pcre2",
    "linux",
    "darwin",
    "macos",
    "kernel",
];

/// Returns the version that a program which is called one of `names` reports in `text`.
pub(super) fn in_output(text: &str, names: &[&str]) -> Option<Version> {
    let text = without_colours(text);
    let mut first = None;
    for line in text.lines() {
        let mut label = "";
        for word in words(line) {
            let Some((own, version)) = versioned(word) else {
                if !BETWEEN.iter().any(|other| other.eq_ignore_ascii_case(word)) {
                    label = word;
                }
                continue;
            };
            let of = if own.is_empty() { label } else { own };
            label = "";
            if names.iter().any(|name| name.eq_ignore_ascii_case(of)) {
                // Also if it is not a semver: no other version is that of the program.
                return version.parse().ok();
            }
            let another = OTHERS.iter().any(|other| other.eq_ignore_ascii_case(of));
            if first.is_none() && !another {
                first = version.parse().ok();
            }
        }
    }
    first
}

/// Splits a line where no version can go on.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let between = |c: char| c.is_whitespace() || "()[]{}<>,;:=/|@\"'`*".contains(c);
    let words = line
        .split(between)
        .map(|word| word.trim_end_matches(['.', '!', '?']));
    words.filter(|word| !word.is_empty())
}

/// Splits `tool-v1.0.0` into the name, which may be empty, and what looks like a version.
fn versioned(word: &str) -> Option<(&str, &str)> {
    let ends = word.match_indices(['-', '_']).map(|(at, _)| at);
    let parts = ends.map(|at| (&word[..at], &word[at + 1..]));
    std::iter::once(("", word))
        .chain(parts)
        .find_map(|(name, rest)| {
            let rest = rest.strip_prefix(['v', 'V']).unwrap_or(rest);
            let (major, rest_of_it) = rest.split_once('.')?;
            let digits = !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit());
            let minor = rest_of_it.starts_with(|c: char| c.is_ascii_digit());
            (digits && minor).then_some((name, rest))
        })
}

/// Takes out what a terminal interprets (ECMA-48): sequences that end in a letter, such as colours, and those of operating
/// system commands, such as links, which end in BEL or ST.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            plain.push(c);
            continue;
        }
        match rest.next() {
            Some('[') => {
                rest.find(|c| ('\u{40}'..='\u{7e}').contains(c));
            }
            Some(']') => {
                while let Some(c) = rest.next() {
                    match c {
                        '\u{7}' => break,
                        '\u{1b}' => {
                            rest.next();
                            break;
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Option<String> {
        in_output(text, &["tool"]).map(|version| version.to_string())
    }

    #[test]
    fn the_version_is_found_in_the_words_that_people_print() {
        for text in [
            "tool 1.0.0",
            "1.0.0",
            "v1.0.0\n",
            "tool v1.0.0 (abc123)",
            "tool/1.0.0",
            "tool/1.0.0 linux/amd64",
            "tool-1.0.0",
            "tool_v1.0.0",
            "tool@1.0.0",
            "tool: 1.0.0",
            "tool (1.0.0)",
            "tool [v1.0.0]",
            "tool version=1.0.0",
            "version=1.0.0",
            "Version: \"1.0.0\"",
            "tool, version 1.0.0.",
            "This is tool 1.0.0, built today.",
            "Tool Version V1.0.0",
            "The Tool\nhttps://tool.example/\n\nVersion 1.0.0",
            "https://tool.example/releases/tag/v1.0.0",
            "\u{1b}[1;32mtool\u{1b}[0m \u{1b}[33m1.0.0\u{1b}[0m",
            "\u{1b}]8;;https://tool.example/2.0.0\u{1b}\\tool\u{1b}]8;;\u{1b}\\ 1.0.0",
            "\u{1b}]0;title 2.0.0\u{7}tool 1.0.0",
            "rustc 1.80.0\ntool 1.0.0",
            "built with rustc 1.80.0 (051478957 2024-07-21)\n1.0.0",
            "built by gcc version 12.2.0 for tool 1.0.0",
            "GCC 12.2.0, OpenSSL 3.0.11\ntool 1.0.0",
            "go1.22.3 tool 1.0.0",
            "libfoo 2.0.0\ntool 1.0.0",
            "tool 1.0.0 libcurl/7.88.1 zlib/1.2.13",
            "*** Tool command line (64-bit) v1.0.0 ***",
            "warning: protocol 2.0.0 is old\ntool 1.0.0",
            "Another Name 1.0.0 (rustc 1.80.0)",
            "x86_64-unknown-linux-gnu 1.0.0",
            "\r\ntool 1.0.0\r\n",
        ] {
            assert_eq!(found(text).as_deref(), Some("1.0.0"), "{text:?}");
        }
        assert_eq!(found("tool-1.0.0-rc.1").as_deref(), Some("1.0.0-rc.1"));
        assert_eq!(
            found("tool, v2.0.0-rc.1+b.5, x").as_deref(),
            Some("2.0.0-rc.1+b.5")
        );
    }

    #[test]
    fn what_is_not_a_version_of_the_program_is_not_taken_for_one() {
        for text in [
            "",
            "hello",
            "tool 1.0",
            "tool 1.0.0.1",
            "tool 1.0.0~rc1",
            "tool 2.0-1.0.0",
            "tool 1.0\nother 1.0.0",
            "rustc 1.0.0",
            "built with go1.0.0",
            "running on linux 1.0.0",
            "tool 01.0.0",
            "127.0.0.1",
            "2026-11-28",
            "\u{1b}[1.0.0m",
        ] {
            assert_eq!(found(text), None, "{text:?}");
        }
        for (text, other) in [
            ("tool 11.0.0", "11.0.0"),
            ("tool 1.0.0-rc.1", "1.0.0-rc.1"),
            ("tool 2.0.0-1.0.0", "2.0.0-1.0.0"),
            ("tool 2.0.0 (protocol 1.0.0)", "2.0.0"),
            ("rustc 1.0.0\ntool 2.0.0", "2.0.0"),
        ] {
            assert_eq!(found(text).as_deref(), Some(other), "{text:?}");
        }
    }

    fn version() -> impl Strategy<Value = Version> {
        let part = || 0u64..30;
        (
            part(),
            part(),
            part(),
            prop::option::of("(rc|alpha)\\.[1-9]"),
        )
            .prop_map(|(major, minor, patch, pre)| {
                let pre = pre.map(|pre| format!("-{pre}")).unwrap_or_default();
                format!("{major}.{minor}.{patch}{pre}").parse().unwrap()
            })
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), escapes in "(\u{1b}|\\[|\\]|1|\\.|0|-|v|tool| |\u{7}|é){0,20}") {
            let _ = in_output(&text, &["tool"]);
            let _ = in_output(&escapes, &["tool"]);
        }

        #[test]
        fn another_version_is_never_taken_for_that_of_the_program(
            own in version(),
            other in version(),
            before in prop::sample::select(vec!["rustc ", "libfoo-", "built by gcc version ", "protocol: ", "v", ""]),
            between in prop::sample::select(vec![" ", "/", "-", " v", " version ", ", version=", " (", "@", ": "]),
            behind in prop::sample::select(vec!["", ".", ")", ",", " (abc)", "\u{1b}[0m"]),
        ) {
            let line = format!("tool{between}{own}{behind}");
            for text in [
                line.clone(),
                format!("{before}{other}\n{line}"),
                format!("{line}\n{before}{other}"),
                format!("{line} {before}{other}"),
            ] {
                prop_assert_eq!(in_output(&text, &["tool"]), Some(own.clone()), "{}", text);
            }
        }

        #[test]
        fn a_version_that_goes_on_is_another_one(own in version(), before in "[0-9]{1,2}", behind in "[.~][0-9a-z]{1,3}|[0-9]") {
            for text in [format!("tool {before}{own}"), format!("tool {own}{behind}"), format!("{own}{behind}")] {
                prop_assert_ne!(in_output(&text, &["tool"]), Some(own.clone()), "{}", text);
            }
        }
    }
}
