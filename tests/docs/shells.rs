//! The completions, as shells use them.

use crate::support::call::Call;
use crate::support::programs;

/// Returns what bash offers for `line`, whose last word is unfinished.
fn offered(line: &[&str]) -> String {
    let script = r#"
        source <("$1" completions bash); shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _heph heph "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let bash = Call::of("bash").args(&["--noprofile", "--norc", "-c", script, "bash"]);
    let bash = bash.args(&[programs::heph()]).args(line);
    bash.ends().quietly().out
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
