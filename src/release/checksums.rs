//! Checksum files, as people and their tools write them. Pure.
//!
//! `sha256sum` writes `DIGEST  NAME`; BSD's `sha256` and openssl write `SHA256 (NAME) = DIGEST`; PowerShell's `Get-FileHash`
//! writes `SHA256 DIGEST PATH`; some scripts put the name first. Around such lines are comments, headings, signatures and
//! digests of other kinds. So a line counts if it has a SHA-256 and a name, and every other line is ignored: what is ignored
//! vouches for nothing.

use std::collections::BTreeMap;

use super::asset::base_name;
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::text::quoted;

const DIGITS: usize = 64;
/// The names of the algorithm, in lower case.
const ALGORITHM: [&str; 3] = ["sha256", "sha-256", "sha2-256"];

/// Returns the SHA-256, in lower-case hexadecimal, that the checksum file `text` has for the file `name`. A lone digest counts
/// if `alone`: the text belongs to that file only.
///
/// A path counts by its last part, because a list may have been made in another folder. A path that is `name` itself counts
/// before all others.
///
/// # Errors
///
/// [`Kind::Unfit`](crate::error::Kind): it contradicts itself. Otherwise it says nothing about `name`.
pub fn sha256(text: &str, name: &str, alone: bool) -> Result<String> {
    let mut found: BTreeMap<&str, String> = BTreeMap::new();
    for entry in text.lines().filter_map(entry) {
        let path = match entry.path {
            // What sha256sum calls its standard input.
            None | Some("-") if alone => name,
            None => continue,
            Some(path) => plain(path),
        };
        if base_name(path) != name {
            continue;
        }
        let digest = entry.digest.to_ascii_lowercase();
        if let Some(other) = found.insert(path, digest.clone())
            && other != digest
        {
            return Err(Error::unfit(format!(
                "it has two different checksums of {}",
                quoted(name)
            )));
        }
    }
    if let Some(digest) = found.remove(name) {
        return Ok(digest);
    }
    let mut digests = found.into_values();
    let first = digests.next();
    if digests.any(|other| Some(&other) != first.as_ref()) {
        bail!(
            "it lists {} in several folders, with different checksums",
            quoted(name)
        );
    }
    first.with_context(|| format!("it does not list {}", quoted(name)))
}

struct Entry<'a> {
    digest: &'a str,
    path: Option<&'a str>,
}

fn entry(line: &str) -> Option<Entry<'_>> {
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let line = line.trim_matches(blank);
    if line.starts_with(['#', ';']) || line.starts_with("//") {
        return None;
    }
    if let Some((algorithm, rest)) = line.split_once('(')
        && let Some((path, rest)) = rest.rsplit_once(')')
        && let Some(digest) = rest.trim_start().strip_prefix('=')
    {
        let digest = digest.trim_start();
        let counts = is_sha256(algorithm.trim_end()) && is_digest(digest);
        return counts.then_some(Entry {
            digest,
            path: Some(path),
        });
    }
    let line = match line.split_once(char::is_whitespace) {
        Some((algorithm, rest)) if is_sha256(algorithm) => rest.trim_start(),
        _ => line,
    };
    let digest = |word| {
        let word = strip_algorithm(word);
        is_digest(word).then_some(word)
    };
    if let Some(digest) = digest(line) {
        return Some(Entry { digest, path: None });
    }
    // A backslash first means that the path has some, too, each written twice.
    if let Some((first, rest)) = line.split_once(char::is_whitespace)
        && let Some(digest) = digest(first.strip_prefix('\\').unwrap_or(first))
    {
        let path = rest.trim_start();
        // A star marks a file that was read in binary mode.
        let path = path.strip_prefix('*').unwrap_or(path);
        return Some(Entry {
            digest,
            path: Some(path),
        });
    }
    let (path, last) = line.rsplit_once(|c: char| c.is_whitespace() || matches!(c, ':' | '='))?;
    Some(Entry {
        digest: digest(last)?,
        path: Some(path.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '='))),
    })
}

fn is_sha256(word: &str) -> bool {
    ALGORITHM.iter().any(|name| word.eq_ignore_ascii_case(name))
}

/// Takes `sha256:` off a digest.
fn strip_algorithm(word: &str) -> &str {
    match word.split_once(':') {
        Some((algorithm, digest)) if is_sha256(algorithm) => digest,
        _ => word,
    }
}

fn is_digest(word: &str) -> bool {
    word.len() == DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Takes `./` off a path.
fn plain(path: &str) -> &str {
    path.trim_start_matches("./")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    const NAME: &str = "a.tar.gz";

    fn one() -> String {
        "a".repeat(DIGITS)
    }

    fn two() -> String {
        "B".repeat(DIGITS)
    }

    #[test]
    fn lists_are_read_as_people_write_them() {
        let (one, two) = (one(), two());
        let sha512 = "c".repeat(128);
        for text in [
            format!("{two}  other.tar.gz\n{one} *a.tar.gz\n"),
            format!("{one}  ./a.tar.gz"),
            format!("{one} *./a.tar.gz"),
            format!("{one}  a.tar.gz "),
            format!("{one}\ta.tar.gz"),
            format!("{one} a.tar.gz"),
            format!("{one}  dist/a.tar.gz"),
            format!("{one} */home/runner/work/a.tar.gz"),
            format!("\\{one} *dist\\\\a.tar.gz"),
            format!("{}  a.tar.gz\r\n\r\n", one.to_uppercase()),
            format!("\u{feff}{one}  a.tar.gz\r\n{two}  b\r\n"),
            format!("# made by CI\n{one}  a.tar.gz\n; end\n// end"),
            format!("{one}  a.tar.gz\n{sha512}  a.tar.gz\n"),
            format!("{one}  a.tar.gz\n{}  ./a.tar.gz\n", one.to_uppercase()),
            format!("{two}  old/a.tar.gz\n{one}  a.tar.gz\n"),
            format!("SHA256 (a.tar.gz) = {one}\r\n\r\n"),
            format!("SHA256(dist/a.tar.gz)= {one}"),
            format!("SHA2-256(a.tar.gz)= {one}\nSHA512 (a.tar.gz) = {sha512}"),
            format!(
                "SHA256          {}       C:\\dist\\a.tar.gz",
                one.to_uppercase()
            ),
            format!("sha256:{one}  a.tar.gz"),
            format!("a.tar.gz: {one}"),
            format!("a.tar.gz  {one}"),
            format!("a.tar.gz={one}"),
            format!(
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{one}  a.tar.gz\n-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----"
            ),
        ] {
            assert_eq!(sha256(&text, NAME, false), Ok(one.clone()), "{text}");
        }
    }

    #[test]
    fn a_file_of_its_own_may_have_the_digest_alone() {
        let one = one();
        for text in [
            one.clone(),
            format!("{one}\n"),
            format!("{one}  -\n"),
            format!("# sha256\nsha256:{one}\n"),
            format!("{one}\n{one}\n"),
        ] {
            assert_eq!(sha256(&text, NAME, true), Ok(one.clone()), "{text}");
            assert!(sha256(&text, NAME, false).is_err(), "{text}");
        }
    }

    #[test]
    fn what_does_not_list_the_file_is_a_lack() {
        let (one, two) = (one(), two());
        for text in [
            String::new(),
            "<html>not found</html>".to_owned(),
            one.clone(),
            format!("{one}  b.tar.gz"),
            format!("{one}  a.tar.gz.minisig"),
            format!("{one}  xa.tar.gz"),
            format!("{one}  A.tar.gz"),
            format!("{one}0  a.tar.gz"),
            format!("{}  a.tar.gz", &one[1..]),
            format!("{}  a.tar.gz", "é".repeat(32)),
            format!("# {one}  a.tar.gz"),
            format!("MD5 (a.tar.gz) = {one}"),
            format!("BLAKE3 (a.tar.gz) = {one}"),
            format!("SHA256 (a.tar.gz) = {one}0"),
            format!("{one}  x86/a.tar.gz\n{two}  arm/a.tar.gz"),
        ] {
            let error = sha256(&text, NAME, false).expect_err(&text);
            assert_ne!(error.kind(), Kind::Unfit, "{text}");
        }
    }

    #[test]
    fn a_list_that_contradicts_itself_is_an_alarm() {
        let (one, two) = (one(), two());
        for (text, alone) in [
            (format!("{one}  a.tar.gz\n{two}  a.tar.gz"), false),
            (format!("{one}  a.tar.gz\n{two} *./a.tar.gz"), false),
            (format!("{one}  dist/a.tar.gz\n{two}  dist/a.tar.gz"), false),
            (format!("{one}  a.tar.gz\nSHA256 (a.tar.gz) = {two}"), false),
            (format!("{one}\n{two}"), true),
        ] {
            let error = sha256(&text, NAME, alone).expect_err(&text);
            assert_eq!(error.kind(), Kind::Unfit, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_nothing_is_found_that_is_not_there(
            text in "([0-9a-fé]{0,70}|[0-9a-f]{64}| |\\*|a|/|SHA256 \\(|\\) = |:|\n){0,12}",
            alone: bool,
        ) {
            if let Ok(digest) = sha256(&text, "a", alone) {
                prop_assert!(digest.len() == DIGITS && text.contains(&digest));
                prop_assert!(alone || text.contains('a'));
            }
        }

        #[test]
        fn another_digest_is_never_taken_for_that_of_the_file(
            own in "[0-9a-f]{64}",
            others in prop::collection::vec(("[0-9a-f]{64}", "[b-z./*]{1,9}", "  | \\*|\t"), 0..6),
            at: prop::sample::Index,
        ) {
            let mut lines: Vec<String> = others
                .iter()
                .map(|(digest, path, between)| format!("{digest}{between}{path}"))
                .collect();
            lines.insert(at.index(lines.len() + 1), format!("{own}  a"));
            prop_assert_eq!(sha256(&lines.join("\n"), "a", false), Ok(own));
        }
    }
}
