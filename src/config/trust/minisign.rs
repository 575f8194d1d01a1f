//! Minisign public keys, as text (<https://jedisct1.github.io/minisign/>, "Public key format").

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, Result, ResultExt, bail};

/// How many bytes a key is: "Ed", the key's number, the key.
const LENGTH: usize = 2 + 8 + 32;

/// A minisign public key: base64, "RW…".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Returns the key as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the number by which minisign names the key, as it shows it: 16 digits, base 16.
    pub(crate) fn number(&self) -> String {
        let bytes = STANDARD.decode(&self.0).unwrap_or_default();
        let number = bytes.get(2..10).unwrap_or_default();
        number
            .iter()
            .rev()
            .map(|byte| format!("{byte:02X}"))
            .collect()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Key> {
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| Error::usage("this is not base64"))?;
        match bytes.strip_prefix(b"Ed") {
            Some(_) if bytes.len() == LENGTH => Ok(Key(text.to_owned())),
            Some(_) => bail!("this is {} bytes long, not {LENGTH}", bytes.len()),
            None => bail!("this is base64, but of something else"),
        }
    }
}

/// Returns the keys in a file that `minisign -G` wrote, or several of them one after the other.
///
/// # Errors
///
/// A line is not a key, or there is no key.
pub(crate) fn file(text: &str) -> Result<Vec<Key>> {
    let mut keys: Vec<Key> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with("untrusted comment:") || line.starts_with('#') {
            continue;
        }
        let not_a_key = || format!("line {} is not a minisign public key", at + 1);
        let key: Key = line.parse().with_context(not_a_key)?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if keys.is_empty() {
        bail!("there is no minisign public key in it");
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    // From the manual of minisign.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn a_key_is_known_by_its_number() {
        assert_eq!(KEY.parse::<Key>().unwrap().number(), "E7620F1842B4E81F");
    }

    #[test]
    fn other_text_is_refused() {
        for bad in [
            "",
            "RW",
            "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3AA==",
            " RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
            "RUQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
            "ssh-ed25519 AAAA",
        ] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }

    #[test]
    fn files_are_read_with_their_comments() {
        let one = format!("untrusted comment: minisign public key\n{KEY}\n");
        assert_eq!(file(&one).unwrap(), [KEY.parse().unwrap()]);
        assert_eq!(file(&format!("{one}{one}")).unwrap().len(), 1);
        assert!(file("untrusted comment: x\n").is_err());
        assert!(
            file(&format!("{one}nonsense\n"))
                .unwrap_err()
                .to_string()
                .contains("line 3")
        );
    }
}
