//! Hooks: the user's own commands, run after an outcome. A hook that fails or hangs is reported and changes nothing.

use std::time::Duration;

use semver::Version;

use crate::config::Hook;
use crate::os::process::Run;

/// The time limit of a hook.
const LIMIT: Duration = Duration::from_secs(30);
/// The variable that every hook has.
const EVENT: &str = "HEPH_EVENT";

/// The environment of a hook, beside the JSON on its standard input. A variable without a value is empty.
#[derive(Clone, Debug, Default)]
pub struct News<'a> {
    /// `HEPH_EVENT`: `available`, `updated` or `failed`.
    pub event: &'static str,
    /// `HEPH_OUTCOME`: as in the JSON.
    pub outcome: String,
    /// `HEPH_FROM`: the version before.
    pub from: Option<&'a Version>,
    /// `HEPH_TO`: the version that was wanted.
    pub to: Option<&'a Version>,
    /// `HEPH_REASON`: a sentence.
    pub reason: Option<&'a str>,
}

/// Runs `hook` with `json` on its standard input; returns a sentence if it failed.
///
/// A run that a hook started runs no hooks: a hook that retries would start itself without end.
pub fn run(hook: Option<&Hook>, news: &News, json: &[u8]) -> Option<String> {
    let hook = hook?;
    if std::env::var_os(EVENT).is_some() {
        return None;
    }
    let version = |version: Option<&Version>| version.map(ToString::to_string).unwrap_or_default();
    let run = Run::new(&hook.program)
        .args(&hook.arguments)
        .env(EVENT, news.event)
        .env("HEPH_OUTCOME", &news.outcome)
        .env("HEPH_FROM", version(news.from))
        .env("HEPH_TO", version(news.to))
        .env("HEPH_REASON", news.reason.unwrap_or_default())
        .input(json)
        .limit(LIMIT);
    run.success()
        .err()
        .map(|error| format!("the hook on-{} failed: {}", news.event, error.one_line()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(words: &[&str]) -> Hook {
        let (program, arguments) = words.split_first().unwrap();
        Hook {
            program: (*program).to_owned(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    #[test]
    fn a_hook_gets_the_json_and_the_variables_and_no_shell_reads_its_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("news");
        let script = r#"cat > "$1"; printf '%s %s %s|%s' "$HEPH_EVENT" "$HEPH_FROM" "$HEPH_TO" "$2" >> "$1""#;
        let hook = hook(&[
            "sh",
            "-c",
            script,
            "sh",
            file.to_str().unwrap(),
            "$(touch no); 'x",
        ]);
        let news = News {
            event: "updated",
            from: Some(&Version::new(1, 0, 0)),
            to: Some(&Version::new(1, 1, 0)),
            ..News::default()
        };
        assert_eq!(run(Some(&hook), &news, b"{}"), None);
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "{}updated 1.0.0 1.1.0|$(touch no); 'x"
        );
    }

    #[test]
    fn a_failing_or_missing_hook_is_one_sentence() {
        let news = News {
            event: "failed",
            ..News::default()
        };
        let said = run(
            Some(&hook(&["sh", "-c", "echo no >&2; exit 4"])),
            &news,
            b"{}",
        )
        .unwrap();
        assert!(
            said.contains("on-failed") && said.contains("exited with 4") && said.contains("no"),
            "{said}"
        );
        assert!(
            run(Some(&hook(&["/nonexistent/hook"])), &news, b"{}")
                .unwrap()
                .contains("/nonexistent/hook")
        );
        assert_eq!(run(None, &news, b"{}"), None);
    }
}
