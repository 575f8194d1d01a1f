//! Tag objects, as git stores annotated tags (git-mktag(1)). Pure; a form that git itself does not write is rejected.
//!
//! Everything before the signature is signed, so what is parsed here is what was signed.

use crate::error::{Error, Result, bail};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagObject<'a> {
    /// The object that is tagged, in lower-case hexadecimal.
    pub target: &'a str,
    pub kind: &'a str,
    /// The tag's name, which the signature covers, unlike the name of the ref.
    pub name: &'a str,
    pub payload: &'a [u8],
    pub signature: Signature<'a>,
}

/// The end of a tag object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signature<'a> {
    None,
    /// Made by an SSH key.
    Ssh(&'a [u8]),
    /// Made by an OpenPGP key.
    OpenPgp(&'a [u8]),
    /// Of a kind that git knows and heph does not verify, such as X.509.
    Other(&'a [u8]),
}

pub(crate) fn parse(content: &[u8]) -> Result<TagObject<'_>> {
    let mut rest = content;
    let target = header(&mut rest, "object")?;
    let kind = header(&mut rest, "type")?;
    let name = header(&mut rest, "tag")?;
    if rest.starts_with(b"tagger ") {
        header(&mut rest, "tagger")?;
    }
    if !rest.starts_with(b"\n") {
        bail!("it has an unknown header");
    }
    let digits = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !matches!(target.len(), 40 | 64) || !target.bytes().all(digits) {
        bail!("it does not name an object");
    }
    let signature = signature_of(rest)?;
    let length = match signature {
        Signature::None => 0,
        Signature::Ssh(text) | Signature::OpenPgp(text) | Signature::Other(text) => text.len(),
    };
    Ok(TagObject {
        target,
        kind,
        name,
        payload: &content[..content.len() - length],
        signature,
    })
}

/// Takes the line `<name> <value>` off `rest` and returns the value.
fn header<'a>(rest: &mut &'a [u8], name: &str) -> Result<&'a str> {
    let wrong = || Error::new(format!("its header '{name}' is missing or out of order"));
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or_else(wrong)?;
    let (line, after) = rest.split_at(end);
    let value = line
        .strip_prefix(name.as_bytes())
        .and_then(|line| line.strip_prefix(b" "))
        .ok_or_else(wrong)?;
    *rest = &after[1..];
    if value.is_empty() || value.iter().any(u8::is_ascii_control) {
        bail!("its header '{name}' is not valid");
    }
    // The tagger's name may be in any encoding, and nothing depends on it.
    match std::str::from_utf8(value) {
        Ok(text) => Ok(text),
        Err(_) if name == "tagger" => Ok(""),
        Err(_) => bail!("its header '{name}' is not UTF-8"),
    }
}

/// How signatures begin and end, as git knows them (gpg-interface.c).
const SIGNATURES: [(&[u8], &[u8]); 4] = [
    (SSH, b"-----END SSH SIGNATURE-----"),
    (OPENPGP, b"-----END PGP SIGNATURE-----"),
    (b"-----BEGIN PGP MESSAGE-----", b"-----END PGP MESSAGE-----"),
    (
        b"-----BEGIN SIGNED MESSAGE-----",
        b"-----END SIGNED MESSAGE-----",
    ),
];
const SSH: &[u8] = b"-----BEGIN SSH SIGNATURE-----";
const OPENPGP: &[u8] = b"-----BEGIN PGP SIGNATURE-----";

/// Returns the signature at the end of `message`.
///
/// The last one counts, as for git; what is before it is signed, even if it looks like a signature. Other blocks between
/// dashes, such as a certificate in the notes, are text. Nothing may be behind the signature: programs differ in whether
/// they notice.
fn signature_of(message: &[u8]) -> Result<Signature<'_>> {
    let mut last = None;
    let mut at = 0;
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let begun = SIGNATURES.iter().find(|(begin, _)| line.starts_with(begin));
        last = begun.map(|kind| (at, line, kind)).or(last);
        at += line.len();
    }
    let Some((start, first, (begin, end))) = last else {
        return Ok(Signature::None);
    };
    let text = &message[start..];
    if first.strip_suffix(b"\n").unwrap_or(first) != *begin {
        bail!("its signature does not begin with a line of its own");
    }
    let ending = text
        .strip_suffix(b"\n")
        .unwrap_or(text)
        .rsplit(|byte| *byte == b'\n')
        .next();
    if ending != Some(*end) {
        bail!("its signature does not end with the tag");
    }
    Ok(match *begin {
        SSH => Signature::Ssh(text),
        OPENPGP => Signature::OpenPgp(text),
        _ => Signature::Other(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "object 6aadeef590353fb7f1a81cc72bc59fe6c0e7627d\ntype commit\ntag v1.0.0\ntagger A <a@b> 1767225600 +0000\n\n";
    const SIGNED: &str = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n";

    #[test]
    fn a_tag_is_taken_apart() {
        let text = format!("{HEAD}Release 1.0.0\n");
        let tag = parse(text.as_bytes()).unwrap();
        assert_eq!(
            (tag.target, tag.kind, tag.name),
            (
                "6aadeef590353fb7f1a81cc72bc59fe6c0e7627d",
                "commit",
                "v1.0.0"
            )
        );
        assert_eq!(
            (tag.payload, tag.signature),
            (text.as_bytes(), Signature::None)
        );
    }

    #[test]
    fn what_is_signed_is_all_before_the_signature() {
        let head = format!("{HEAD}Release\n\n----- a rule -----\n");
        let text = format!("{head}{SIGNED}");
        let tag = parse(text.as_bytes()).unwrap();
        assert_eq!(tag.payload, head.as_bytes());
        assert_eq!(tag.signature, Signature::Ssh(SIGNED.as_bytes()));
        let pgp = text.replace("SSH", "PGP");
        assert!(matches!(
            parse(pgp.as_bytes()).unwrap().signature,
            Signature::OpenPgp(_)
        ));
    }

    #[test]
    fn blocks_between_dashes_in_the_notes_are_text() {
        let key =
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDM=\n-----END PGP PUBLIC KEY BLOCK-----\n";
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        for notes in [key, certificate, "-----BEGIN x\n", "-----BEGIN \n"] {
            let head = format!("{HEAD}Release\n{notes}");
            let unsigned = parse(head.as_bytes()).unwrap();
            assert_eq!(unsigned.signature, Signature::None, "{notes}");
            let text = format!("{head}{SIGNED}");
            let signed = parse(text.as_bytes()).unwrap();
            assert_eq!(signed.payload, head.as_bytes());
            assert_eq!(signed.signature, Signature::Ssh(SIGNED.as_bytes()));
            let behind = format!("{HEAD}Release\n{SIGNED}{notes}");
            assert!(parse(behind.as_bytes()).is_err(), "{notes}");
        }
    }

    #[test]
    fn of_several_signatures_the_last_one_counts_and_covers_the_others() {
        let pgp = SIGNED.replace("SSH", "PGP");
        for before in [SIGNED, &pgp, "-----BEGIN PGP SIGNATURE-----\n"] {
            let head = format!("{HEAD}Release\n{before}");
            let text = format!("{head}{SIGNED}");
            let tag = parse(text.as_bytes()).unwrap();
            assert_eq!(tag.payload, head.as_bytes());
            assert_eq!(tag.signature, Signature::Ssh(SIGNED.as_bytes()));
        }
        let x509 = SIGNED.replace("SSH SIGNATURE", "SIGNED MESSAGE");
        let text = format!("{HEAD}Release\n{x509}");
        let tag = parse(text.as_bytes()).unwrap();
        assert_eq!(tag.signature, Signature::Other(x509.as_bytes()));
    }

    #[test]
    fn an_old_tag_without_a_tagger_and_a_name_in_another_encoding_are_read() {
        let old = HEAD.replace("tagger A <a@b> 1767225600 +0000\n", "");
        assert_eq!(parse(old.as_bytes()).unwrap().name, "v1.0.0");
        let latin = [
            HEAD.split('A').next().unwrap().as_bytes(),
            b"\xe9 <a@b> 1 +0\n\nx",
        ]
        .concat();
        assert_eq!(parse(&latin).unwrap().name, "v1.0.0");
    }

    #[test]
    fn other_forms_are_rejected() {
        let good = format!("{HEAD}Release\n{SIGNED}");
        for (from, to) in [
            ("object 6", "object 6\nobject 6"),
            ("object 6a", "object 6A"),
            ("object 6", "object "),
            ("object ", "object  "),
            ("type commit\ntag v1.0.0\n", "tag v1.0.0\ntype commit\n"),
            ("type commit\n", ""),
            ("tag v1.0.0", "tag "),
            ("tag v1.0.0", "tag v1.0.0\r"),
            ("tag v1.0.0", "tag v1.0.0\0"),
            ("+0000\n\n", "+0000\ngpgsig x\n\n"),
            ("+0000\n\n", "+0000\ntag v2.0.0\n\n"),
            ("BEGIN SSH SIGNATURE-----", "BEGIN SSH SIGNATURE----- x"),
            ("BEGIN SSH SIGNATURE", "BEGIN SIGNED MESSAGE"),
            ("-----END SSH SIGNATURE-----\n", ""),
            (
                "-----END SSH SIGNATURE-----\n",
                "-----END SSH SIGNATURE-----\nmore\n",
            ),
            ("-----END SSH", "-----END PGP"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"").is_err());
        assert!(parse(b"tree 6aadeef590353fb7f1a81cc72bc59fe6c0e7627d\n\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_payload_and_signature_are_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..80), signed in any::<bool>()) {
            let _ = parse(&bytes);
            let mut content = HEAD.as_bytes().to_vec();
            content.extend(&bytes);
            content.push(b'\n');
            if signed {
                content.extend(SIGNED.as_bytes());
            }
            if let Ok(tag) = parse(&content) {
                let end = match tag.signature {
                    Signature::None => &[][..],
                    Signature::Ssh(end) | Signature::OpenPgp(end) | Signature::Other(end) => end,
                };
                prop_assert_eq!([tag.payload, end].concat(), content);
            }
        }
    }
}
