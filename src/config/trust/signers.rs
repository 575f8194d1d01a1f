//! Allowed-signers files, line by line (ssh-keygen(1), "ALLOWED SIGNERS").
//!
//! heph parses them to validate and to show them. Only ssh-keygen judges signatures.

use std::ops::Range;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, bail};

/// The principal of a bare key without a usable comment.
const NAMELESS: &str = "signer";
/// The namespace of git's signatures (git-config(1), `gpg.format`).
pub(crate) const NAMESPACE: &str = "git";

/// One line: a key, and what it may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The signers, comma-separated, patterns allowed.
    pub principals: String,
    /// Whether the key is a certificate authority.
    pub authority: bool,
    /// What the key may sign; `None`: anything.
    pub namespaces: Option<String>,
    /// `YYYYMMDD[HHMM[SS]][Z]`, in local time without the `Z`.
    pub valid_after: Option<String>,
    pub valid_before: Option<String>,
    /// Such as `ssh-ed25519`.
    pub kind: String,
    /// The key in base64.
    pub key: String,
    pub comment: String,
}

/// Whether a key is valid at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Valid,
    Expired,
    NotYet,
}

impl Standing {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Standing::Valid => "valid",
            Standing::Expired => "expired",
            Standing::NotYet => "not-yet",
        }
    }
}

impl Entry {
    /// Returns the fingerprint as ssh-keygen shows it: `SHA256:…`.
    pub(crate) fn fingerprint(&self) -> String {
        let bytes = STANDARD.decode(&self.key).unwrap_or_default();
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(bytes)))
    }

    /// Returns whether the key is valid at `now`; dates without a zone are in `zone`.
    pub(crate) fn standing(&self, now: Timestamp, zone: &TimeZone) -> Standing {
        let instant = |date: &Option<String>| date.as_deref().and_then(|date| instant(date, zone));
        if instant(&self.valid_before).is_some_and(|end| end < now) {
            Standing::Expired
        } else if instant(&self.valid_after).is_some_and(|start| now < start) {
            Standing::NotYet
        } else {
            Standing::Valid
        }
    }

    /// Returns when the key expires.
    pub(crate) fn ends(&self, zone: &TimeZone) -> Option<Timestamp> {
        self.valid_before
            .as_deref()
            .and_then(|date| instant(date, zone))
    }

    /// Returns the line in its canonical form.
    pub(crate) fn line(&self) -> String {
        let quoted = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("{name}=\"{value}\""))
        };
        let options = [
            self.authority.then(|| "cert-authority".to_owned()),
            quoted("namespaces", &self.namespaces),
            quoted("valid-after", &self.valid_after),
            quoted("valid-before", &self.valid_before),
        ];
        let options: Vec<String> = options.into_iter().flatten().collect();
        let principals = if self.principals.contains(' ') {
            format!("\"{}\"", self.principals)
        } else {
            self.principals.clone()
        };
        [
            principals,
            options.join(","),
            self.kind.clone(),
            self.key.clone(),
            self.comment.clone(),
        ]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
    }
}

/// Returns whether `line` is empty or a comment.
pub(crate) fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Accepts a line of an allowed-signers file, or a bare public key, which may then sign for git and nothing else.
impl FromStr for Entry {
    type Err = Error;

    fn from_str(line: &str) -> Result<Entry> {
        if line.contains(['\n', '\r', '\0']) {
            bail!("it is more than one line");
        }
        let words = words(line)?;
        let kind_at = words.iter().take(3).position(|word| is_kind(word));
        let Some(kind_at) = kind_at else {
            bail!("it names no kind of SSH key, such as ssh-ed25519");
        };
        let kind = &words[kind_at];
        let Some(key) = words.get(kind_at + 1) else {
            bail!("there is no key after {kind}");
        };
        if !is_key(kind, key) {
            bail!("its key is not of the kind {kind}");
        }
        let comment = words[kind_at + 2..].join(" ");
        let mut entry = Entry {
            principals: String::new(),
            authority: false,
            namespaces: None,
            valid_after: None,
            valid_before: None,
            kind: kind.clone(),
            key: key.clone(),
            comment,
        };
        if kind_at == 0 {
            entry.principals = principal_of(&entry.comment).to_owned();
            entry.namespaces = Some(NAMESPACE.to_owned());
            return Ok(entry);
        }
        entry.principals = words[0].replace('"', "");
        if entry.principals.is_empty() {
            bail!("it names no signer");
        }
        if kind_at == 2 {
            options(&words[1], &mut entry)?;
        }
        Ok(entry)
    }
}

/// Parses each line of a file that is not blank.
pub(crate) fn file(text: &str) -> Vec<Result<Entry>> {
    let lines = text.lines().filter(|line| !is_blank(line));
    lines.map(|line| line.trim().parse()).collect()
}

/// Splits at blanks outside of quotes.
fn words(line: &str) -> Result<Vec<String>> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                words.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    if quoted {
        bail!("a quotation mark is not closed");
    }
    words.retain(|word| !word.is_empty());
    Ok(words)
}

fn is_kind(word: &str) -> bool {
    let word = word.strip_suffix("@openssh.com").unwrap_or(word);
    let word = word.strip_prefix("sk-").unwrap_or(word);
    matches!(
        word,
        "ssh-ed25519"
            | "ssh-rsa"
            | "ecdsa-sha2-nistp256"
            | "ecdsa-sha2-nistp384"
            | "ecdsa-sha2-nistp521"
    )
}

/// Returns whether `key` is the base64 of a key that calls itself `kind` (RFC 4253, 6.6).
fn is_key(kind: &str, key: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(key) else {
        return false;
    };
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return false;
    };
    u32::from_be_bytes(*length) as usize == kind.len()
        && rest.starts_with(kind.as_bytes())
        && rest.len() > kind.len() + 4
}

/// Returns the principal of a bare key: its comment where that is one plain word.
fn principal_of(comment: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
    if !comment.is_empty() && !comment.starts_with('-') && comment.chars().all(plain) {
        comment
    } else {
        NAMELESS
    }
}

/// Parses `a,b="c,d"`.
fn options(text: &str, entry: &mut Entry) -> Result<()> {
    let mut quoted = false;
    let parts = text.split(|c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (
                name,
                value.strip_prefix('"').and_then(|v| v.strip_suffix('"')),
            ),
            None => (part, None),
        };
        let valued = || -> Result<String> {
            match value {
                Some(value) => Ok(value.to_owned()),
                None => bail!("{name} has no value in quotes"),
            }
        };
        let date = || -> Result<String> {
            match valued()? {
                date if instant(&date, &TimeZone::UTC).is_some() => Ok(date),
                _ => bail!("{name} is not a date"),
            }
        };
        // OpenSSH ignores the case of names.
        match name.to_ascii_lowercase().as_str() {
            "cert-authority" if value.is_none() => entry.authority = true,
            "namespaces" => entry.namespaces = Some(valued()?),
            "valid-after" => entry.valid_after = Some(date()?),
            "valid-before" => entry.valid_before = Some(date()?),
            _ => bail!("ssh-keygen does not know one of its options"),
        }
    }
    Ok(())
}

/// Returns when `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS` is: in UTC with a `Z` behind it, else in `zone`.
fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (digits, zone) = match text.strip_suffix('Z') {
        Some(digits) => (digits, &TimeZone::UTC),
        None => (text, zone),
    };
    let all = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !all || !matches!(digits.len(), 8 | 12 | 14) {
        return None;
    }
    let part = |range: Range<usize>| digits.get(range).map_or(Some(0), |part| part.parse().ok());
    let year: i16 = digits[..4].parse().ok()?;
    let time = DateTime::new(
        year,
        part(4..6)?,
        part(6..8)?,
        part(8..10)?,
        part(10..12)?,
        part(12..14)?,
        0,
    );
    Some(time.ok()?.to_zoned(zone.clone()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(line: &str) -> Result<Entry> {
        line.parse()
    }

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIBbVnWRGrrVxYqGYGyJzn8pgmM3pTDoLpHyBm3cAiuMe";

    #[test]
    fn bare_keys_sign_for_git_only() {
        let bare = entry(&format!("ssh-ed25519 {KEY} alice@example.org")).unwrap();
        assert_eq!(
            bare.line(),
            format!("alice@example.org namespaces=\"git\" ssh-ed25519 {KEY} alice@example.org")
        );
        for comment in ["", "my key", "-x", "a,b", "*", "ü"] {
            let bare = entry(&format!("ssh-ed25519 {KEY} {comment}")).unwrap();
            assert_eq!(bare.principals, "signer", "{comment}");
        }
    }

    #[test]
    fn whole_lines_keep_all_they_say() {
        for text in [
            format!("a@b,*@c ssh-ed25519 {KEY}"),
            format!("a@b cert-authority,namespaces=\"git,file\" ssh-ed25519 {KEY} x y"),
            format!(
                "a@b namespaces=\"git\",valid-after=\"20200101Z\",valid-before=\"202601010000\" ssh-ed25519 {KEY}"
            ),
            format!("\"a b\" ssh-ed25519 {KEY}"),
        ] {
            assert_eq!(entry(&text).unwrap().line(), text);
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for text in [
            "".to_owned(),
            "a@b".to_owned(),
            "a@b ssh-ed25519".to_owned(),
            "a@b ssh-ed25519 AAAA".to_owned(),
            format!("a@b ssh-rsa {KEY}"),
            format!("a@b ssh-dss {KEY}"),
            format!("a@b oops ssh-ed25519 {KEY}"),
            format!("a@b valid-before=\"soon\" ssh-ed25519 {KEY}"),
            format!("a@b namespaces=git ssh-ed25519 {KEY}"),
            format!("a@b namespaces=\"git ssh-ed25519 {KEY}"),
            format!("a@b ssh-ed25519 {KEY}\nb ssh-ed25519 {KEY}"),
            format!("\"\" ssh-ed25519 {KEY}"),
        ] {
            assert!(entry(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_counts_from_its_first_instant_to_its_last() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        for (options, standing) in [
            ("namespaces=\"git\"", Standing::Valid),
            ("valid-before=\"20260101120000Z\"", Standing::Valid),
            ("valid-before=\"202601011159Z\"", Standing::Expired),
            ("valid-before=\"202601011359\"", Standing::Expired),
            ("valid-before=\"20260102\"", Standing::Valid),
            ("valid-after=\"20260102\"", Standing::NotYet),
            (
                "valid-after=\"20260101\",valid-before=\"20270101\"",
                Standing::Valid,
            ),
        ] {
            let entry = entry(&format!("a@b {options} ssh-ed25519 {KEY}")).unwrap();
            assert_eq!(entry.standing(now, &zone), standing, "{options}");
        }
        for bad in [
            "2026",
            "20261301",
            "20260230",
            "2026010125",
            "20260101T00",
            "éé2601",
        ] {
            assert!(
                entry(&format!("a@b valid-before=\"{bad}\" ssh-ed25519 {KEY}")).is_err(),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_reads_back_the_same(text in "[a-z\"=, #]{0,12} ?(namespaces=\"[a-z,]{0,5}\")? ?ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBbVnWRGrrVxYqGYGyJzn8pgmM3pTDoLpHyBm3cAiuMe ?[a-z ]{0,5}") {
            if let Ok(read) = entry(&text) {
                prop_assert_eq!(entry(&read.line()).unwrap(), read);
            }
        }
    }
}
