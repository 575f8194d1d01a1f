//! Settings of `[self-update.trust]`, and the files of keys beside the settings file.

use std::fs;
use std::path::PathBuf;

use heph::config::{Config, Require, Signers, Trust};
use tempfile::TempDir;

const SSH: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBbVnWRGrrVxYqGYGyJzn8pgmM3pTDoLpHyBm3cAiuMe a@b";
const MINISIGN: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

/// A settings folder with these files in it.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::Builder::new().prefix("hö %h ").tempdir().unwrap();
    fs::create_dir(folder.path().join("trust")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn load(folder: &TempDir) -> heph::error::Result<Trust> {
    Ok(Config::load(&folder.path().join("config.toml"))?
        .self_update
        .trust)
}

fn trust(text: &str) -> heph::error::Result<Trust> {
    load(&folder(&[(
        "config.toml",
        &format!("[self-update.trust]\n{text}\n"),
    )]))
}

#[test]
fn without_keys_a_checksum_is_required_and_with_one_a_signature() {
    for (text, require) in [
        ("", Require::Checksum),
        ("tag-signers = '/keys'", Require::Signature),
        ("tag-openpgp-keyring = '/ring'", Require::Signature),
        (
            &format!("minisign-keys = ['{MINISIGN}']"),
            Require::Signature,
        ),
        (
            "tag-signers = '/keys'\nrequire = 'checksum'",
            Require::Checksum,
        ),
        ("require = 'none'\ntag-signers = '/keys'", Require::None),
        ("require = 'signature'", Require::Signature),
    ] {
        assert_eq!(trust(text).unwrap().require(), require, "{text}");
    }
}

#[test]
fn signers_are_a_path_or_keys() {
    let file = |path: &str| Some(Signers::File(PathBuf::from(path)));
    let inline = |lines: &[&str]| {
        Some(Signers::Inline(
            lines.iter().map(|line| line.parse().unwrap()).collect(),
        ))
    };
    let whole = format!("a@b namespaces=\"git\" {SSH}");
    for (text, signers) in [
        ("'/my keys/ä'".to_owned(), file("/my keys/ä")),
        (format!("'{SSH}'"), inline(&[SSH])),
        (format!("['{SSH}', '{whole}']"), inline(&[SSH, &whole])),
        (
            format!("'''\n# mine\n{SSH}\n\n{whole}\n'''"),
            inline(&[SSH, &whole]),
        ),
    ] {
        let read = trust(&format!("tag-signers = {text}")).unwrap();
        assert_eq!(read.tag_signers, signers, "{text}");
    }
}

#[test]
fn what_is_no_key_is_refused_with_its_line() {
    for text in [
        "tag-signers = []",
        "tag-signers = 'relative'",
        "tag-signers = ''",
        "tag-signers = 7",
        "tag-signers = ['ssh-ed25519 AAAA']",
        "tag-signers = ['/a/path']",
        "tag-signers = '''\n# nothing\n\n'''",
        "tag-openpgp-keyring = ['/a']",
        "minisign-keys = []",
        "minisign-keys = ['RWQ']",
        &format!("minisign-keys = '{MINISIGN}'"),
        &format!("minisign-keys = ['{MINISIGN}', '{MINISIGN}']"),
        "require = 'maybe'",
        "requires = 'signature'",
    ] {
        let error = format!("{:#}", trust(text).expect_err(text));
        assert!(error.contains("line "), "{error}");
    }
}

#[test]
fn keys_beside_the_settings_hold_unless_the_settings_name_others() {
    let beside = folder(&[
        ("trust/allowed_signers", SSH),
        ("trust/minisign.pub", MINISIGN),
    ]);
    let file = beside.path().join("trust/allowed_signers");
    let read = load(&beside).unwrap();
    assert_eq!(read.tag_signers, Some(Signers::File(file.clone())));
    assert_eq!(
        (read.require(), read.minisign_keys),
        (Require::Signature, vec![MINISIGN.parse().unwrap()])
    );

    fs::write(
        beside.path().join("config.toml"),
        "[self-update.trust]\ntag-signers = '/others'\nrequire = 'checksum'\n",
    )
    .unwrap();
    let read = load(&beside).unwrap();
    assert_eq!(read.tag_signers, Some(Signers::File("/others".into())));
    assert_eq!(read.require(), Require::Checksum);
}

#[test]
fn a_broken_file_of_keys_never_counts_as_none() {
    for (name, text) in [
        ("trust/minisign.pub", ""),
        ("trust/minisign.pub", "untrusted comment: mine\nnonsense\n"),
    ] {
        let error = load(&folder(&[(name, text)])).expect_err(text);
        assert_eq!(error.exit().code(), 2);
    }
    let unreadable = folder(&[]);
    fs::create_dir(unreadable.path().join("trust/allowed_signers")).unwrap();
    assert!(load(&unreadable).is_err());
    // An empty list of signers is a list: nobody's signature counts.
    let nobody = load(&folder(&[("trust/allowed_signers", "")])).unwrap();
    assert_eq!(nobody.require(), Require::Signature);
}
