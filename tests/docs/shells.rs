//! The completions, as shells use them.

use std::process::Command;

/// Returns what bash offers for `line`, whose last word is unfinished.
fn offered(line: &[&str]) -> String {
    let script = r#"
        source <("$1" completions bash); shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _heph heph "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash")
        .args([
            "--noprofile",
            "--norc",
            "-c",
            script,
            "bash",
            env!("CARGO_BIN_EXE_heph"),
        ])
        .args(line)
        .output()
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes_commands_and_options() {
    assert_eq!(offered(&["heph", "self-u"]), "self-update\n");
    assert_eq!(offered(&["heph", "self-update", "doc"]), "doctor\n");
    assert_eq!(
        offered(&["heph", "self-update", "doctor", "--js"]),
        "--json\n"
    );
    assert_eq!(offered(&["heph", "completions", "z"]), "zsh\n");
}
