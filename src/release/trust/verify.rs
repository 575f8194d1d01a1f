//! Verifies the signature of a tag by ssh-keygen or gpgv, with the configured keys and no others.
//!
//! A signature by an expired key is not valid, whatever date the tag claims: the clock of this machine counts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::tag::{Signature, TagObject};
use crate::config::trust::{LARGEST_FILE, read, signers};
use crate::config::{Signers, Trust};
use crate::error::{Error, Result, ResultExt};
use crate::os::files;
use crate::os::process::{Output, Run};
use crate::os::text::excerpt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignatureCheck {
    /// A listed key made it over exactly this content: the name of the signer in the list, and the fingerprint.
    Valid(String),
    /// The reason.
    Invalid(String),
    /// Nothing here can verify one of its kind; the reason.
    Unsupported(String),
}

/// Verifies the signature of `object`; `None` if it is unsigned. The verifiers get their files in `folder`.
///
/// # Errors
///
/// The keys cannot be read (exit 2), or the verifier is missing or does not work.
pub(crate) fn verify(
    object: &TagObject,
    trust: &Trust,
    folder: &Path,
) -> Result<Option<SignatureCheck>> {
    let verdict = match (
        object.signature,
        &trust.tag_signers,
        &trust.tag_openpgp_keyring,
    ) {
        (Signature::None, ..) => return Ok(None),
        (Signature::Ssh(signature), Some(signers), _) => {
            ssh(object.payload, signature, signers, folder)?
        }
        (Signature::OpenPgp(signature), _, Some(keyring)) => {
            openpgp(object.payload, signature, keyring, folder)?
        }
        (Signature::Ssh(_), None, _) => {
            unsupported("it was made by an SSH key, and `tag-signers` is empty")
        }
        (Signature::OpenPgp(_), _, None) => {
            unsupported("it was made by an OpenPGP key, and `tag-openpgp-keyring` is not set")
        }
        (Signature::Other(_), ..) => unsupported("it was made neither by SSH nor by OpenPGP"),
    };
    Ok(Some(verdict))
}

fn invalid(why: impl Into<String>) -> SignatureCheck {
    SignatureCheck::Invalid(why.into())
}

fn unsupported(why: &str) -> SignatureCheck {
    SignatureCheck::Unsupported(why.to_owned())
}

/// Verifies as git does (gpg-interface.c): ssh-keygen finds the principals of the key, then verifies for each.
fn ssh(
    payload: &[u8],
    signature: &[u8],
    listed: &Signers,
    folder: &Path,
) -> Result<SignatureCheck> {
    let program = program("ssh-keygen", "OpenSSH")?;
    let list = match listed {
        Signers::File(file) => {
            read(file)?.with_context(|| missing(file, "tag-signers"))?;
            file.clone()
        }
        Signers::Inline(lines) => {
            let text: String = lines.iter().map(|entry| entry.line() + "\n").collect();
            written(folder, "allowed_signers", text.as_bytes())?
        }
    };
    let signature = written(folder, "signature", signature)?;
    let run = |action: &str| {
        clean(&program, folder)
            .args(["-Y", action])
            .arg("-f")
            .arg(&list)
            .arg("-s")
            .arg(&signature)
    };
    let found = run("find-principals").output()?;
    let found = found.status.success().then(|| found.text());
    let mut said = "no listed key made it, or the key is not valid now".to_owned();
    for principal in found.iter().flat_map(|found| found.lines()) {
        let verified = run("verify")
            .args(["-n", signers::NAMESPACE, "-I", principal])
            .input(payload)
            .output()?;
        if verified.status.success() {
            return Ok(SignatureCheck::Valid(signer(principal, &verified.text())));
        }
        said = last_line(&verified);
    }
    Ok(invalid(said))
}

/// Returns the signer and the fingerprint in `Good "git" signature for <principal> with ED25519 key SHA256:…`.
fn signer(principal: &str, said: &str) -> String {
    let fingerprint = said
        .split_whitespace()
        .rfind(|word| word.starts_with("SHA256:"));
    match fingerprint {
        Some(fingerprint) => format!("{principal} ({fingerprint})"),
        None => principal.to_owned(),
    }
}

fn openpgp(
    payload: &[u8],
    signature: &[u8],
    keyring: &Path,
    folder: &Path,
) -> Result<SignatureCheck> {
    let program = program("gpgv", "GnuPG")?;
    files::read_if_there(keyring, LARGEST_FILE)
        .with_context(|| Error::usage("cannot use a file of trusted keys"))?
        .with_context(|| missing(keyring, "tag-openpgp-keyring"))?;
    let signature = written(folder, "signature", signature)?;
    let payload = written(folder, "payload", payload)?;
    // A home without any keys of its own.
    let home = folder.join("gnupg");
    files::create_private_dir(&home)?;
    let output = clean(&program, folder)
        .arg("--homedir")
        .arg(&home)
        .arg("--keyring")
        .arg(keyring)
        .args(["--status-fd", "1", "--"])
        .arg(&signature)
        .arg(&payload)
        .output()?;
    Ok(match openpgp_status(&output.text()) {
        SignatureCheck::Valid(_) if !output.status.success() => invalid(last_line(&output)),
        check => check,
    })
}

/// Interprets the status lines of gpgv (GnuPG, doc/DETAILS). It exits with 0 for an expired key as well.
fn openpgp_status(said: &str) -> SignatureCheck {
    let mut good = Vec::new();
    let mut valid = Vec::new();
    let lines = said
        .lines()
        .filter_map(|line| line.strip_prefix("[GNUPG:] "));
    for line in lines {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "GOODSIG" => good.push(rest.split_once(' ').map_or(rest, |(_, name)| name)),
            "VALIDSIG" => valid.push(rest.split(' ').next().unwrap_or_default()),
            "EXPKEYSIG" => return invalid("the key has expired"),
            "EXPSIG" => return invalid("it has expired"),
            "REVKEYSIG" => return invalid("the key was revoked"),
            "BADSIG" => return invalid("it was not made over this tag"),
            "ERRSIG" | "NO_PUBKEY" => return invalid("no listed key made it"),
            _ => {}
        }
    }
    match (good.as_slice(), valid.as_slice()) {
        ([name], [fingerprint]) => SignatureCheck::Valid(format!("{name} ({fingerprint})")),
        ([], _) | (_, []) => invalid("gpgv does not call it good"),
        _ => invalid("there is more than one"),
    }
}

fn program(name: &str, package: &str) -> Result<PathBuf> {
    which::which(name).map_err(|_| {
        Error::new(format!("cannot find {name}, which verifies signed tags"))
            .with_hint(format!("install {package}, or put {name} on PATH"))
    })
}

/// Returns a run without access to the user's own keys and settings.
fn clean(program: &Path, folder: &Path) -> Run {
    let variables = [
        ("HOME", folder.as_os_str().to_owned()),
        ("LC_ALL", "C".into()),
        ("PATH", std::env::var_os("PATH").unwrap_or_default()),
    ];
    Run::new(program).only_env(variables.map(|(name, value)| (OsString::from(name), value)))
}

fn written(folder: &Path, name: &str, content: &[u8]) -> Result<PathBuf> {
    let path = folder.join(name);
    files::write_atomic(&path, content, files::PRIVATE)?;
    Ok(path)
}

fn missing(file: &Path, key: &str) -> Error {
    let file = file.display();
    Error::usage(format!("there is no file '{file}', which `{key}` names"))
        .with_hint("`heph self-update trust show` lists the keys")
}

fn last_line(output: &Output) -> String {
    let line = output.last_lines(1);
    let line = line.trim();
    if line.is_empty() {
        return "the verifier does not say why".to_owned();
    }
    excerpt(line, 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpgv_is_believed_only_when_it_says_one_good_thing_and_no_other() {
        let good = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 2F88 Old <old@x>\n[GNUPG:] VALIDSIG 98C0 2020-01-01 1577840400 0\n";
        let by = "Old <old@x> (98C0)".to_owned();
        assert_eq!(openpgp_status(good), SignatureCheck::Valid(by));
        for bad in [
            String::new(),
            good.replace("GOODSIG", "EXPKEYSIG"),
            good.replace("GOODSIG", "REVKEYSIG"),
            good.replace("GOODSIG", "BADSIG"),
            good.replace("VALIDSIG", "X"),
            good.replace("[GNUPG:] ", ""),
            format!("{good}[GNUPG:] ERRSIG 1\n"),
            format!("{good}{good}"),
        ] {
            let check = openpgp_status(&bad);
            assert!(matches!(check, SignatureCheck::Invalid(_)), "{bad}");
        }
    }
}
