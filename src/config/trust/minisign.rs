//! Minisign public keys, as text (<https://jedisct1.github.io/minisign/>, "Public key format").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How many bytes a key is: "Ed", the key's number, the key.
const LENGTH: usize = 2 + 8 + 32;

/// Returns whether `key` is a minisign public key, or why it is not.
pub fn check(key: &str) -> Result<(), String> {
    number(key).map(drop)
}

/// Returns the number by which minisign names `key`, as it shows it: 16 digits, base 16.
///
/// # Errors
///
/// Why it is no key, to finish the sentence "this …".
pub fn number(key: &str) -> Result<String, String> {
    let bytes = STANDARD
        .decode(key)
        .map_err(|_| "this is not base64".to_owned())?;
    match bytes.strip_prefix(b"Ed") {
        Some(rest) if bytes.len() == LENGTH => {
            let digits = rest[..8].iter().rev().map(|byte| format!("{byte:02X}"));
            Ok(digits.collect())
        }
        Some(_) => Err(format!("this is {} bytes long, not {LENGTH}", bytes.len())),
        None => Err("this is base64, but of something else".to_owned()),
    }
}

/// Returns the keys in a file that `minisign -G` wrote, or several of them one after the other.
///
/// # Errors
///
/// Why it will not do, to finish the sentence `'FILE' …`.
pub fn file(text: &str) -> Result<Vec<String>, String> {
    let mut keys: Vec<String> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with("untrusted comment:") || line.starts_with('#') {
            continue;
        }
        check(line).map_err(|why| format!("line {} is no minisign public key: {why}", at + 1))?;
        if !keys.iter().any(|key| key == line) {
            keys.push(line.to_owned());
        }
    }
    if keys.is_empty() {
        return Err("holds no minisign public key".to_owned());
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
        assert_eq!(number(KEY).as_deref(), Ok("E7620F1842B4E81F"));
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
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_are_read_with_their_comments() {
        let one = format!("untrusted comment: minisign public key\n{KEY}\n");
        assert_eq!(file(&one), Ok(vec![KEY.to_owned()]));
        assert_eq!(file(&format!("{one}{one}")).unwrap().len(), 1);
        assert!(file("untrusted comment: x\n").is_err());
        assert!(
            file(&format!("{one}nonsense\n"))
                .unwrap_err()
                .contains("line 3")
        );
    }
}
