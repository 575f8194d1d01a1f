//! The syntax of unit files, as far as heph's own need it: systemd.syntax(7), and "COMMAND LINES" in systemd.service(5).

use std::collections::BTreeMap;

/// Starts a program whose path holds characters that systemd allows in no program (`string_is_safe` in its
/// `string-util.c`): a shell that becomes the program, so that the process stays the one that systemd knows.
pub const BY_SHELL: [&str; 3] = ["/bin/sh", "-c", r#"exec "$$0" "$$@""#];

/// Returns the value of `ExecStart=` that runs `program`, an absolute path, with `arguments`, all without control characters.
pub fn command(program: &str, arguments: &[String]) -> String {
    let program = if program.contains(['\'', '"', '\\', '$']) {
        let [shell, option, script] = BY_SHELL;
        format!("{shell} {option} '{script}' {}", argument(program))
    } else {
        word(program)
    };
    let arguments = arguments.iter().map(|text| argument(text));
    let words: Vec<String> = [program].into_iter().chain(arguments).collect();
    words.join(" ")
}

/// Returns `text` as one word of a list in which specifiers are expanded, but no variables, such as `Environment=`.
pub fn word(text: &str) -> String {
    let text = escape_specifiers(text);
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Returns the value of each line `Environment={{variable}}` of a template.
pub fn variables(
    environment: &BTreeMap<String, String>,
) -> impl Iterator<Item = (&'static str, String)> {
    let variables = environment.iter();
    variables.map(|(name, value)| ("variable", word(&format!("{name}={value}"))))
}

fn argument(text: &str) -> String {
    word(&text.replace('$', "$$"))
}

/// Returns `text` with its percent signs doubled, so that it holds no specifier (systemd.unit(5)).
pub fn escape_specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

/// Returns the settings of the section `wanted`, in order: continued lines joined, comments left out.
pub fn settings(unit: &str, wanted: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut section = String::new();
    let mut pending = String::new();
    for line in unit.lines() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        if let Some(continued) = line.strip_suffix('\\') {
            pending.push_str(continued);
            pending.push(' ');
            continue;
        }
        pending.push_str(line);
        let line = std::mem::take(&mut pending);
        let line = line.trim_matches([' ', '\t', '\r']);
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            section = name.to_owned();
        } else if let Some((key, value)) = line.split_once('=')
            && section == wanted
        {
            settings.push((key.trim().to_owned(), value.trim_ascii_start().to_owned()));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_program_that_systemd_takes_for_none_is_started_by_a_shell() {
        let plain = command("/home/me/100% heph", &["a$b".to_owned()]);
        assert_eq!(plain, r#""/home/me/100%% heph" "a$$b""#);
        let odd = command("/home/jo's/heph", &["x".to_owned()]);
        assert_eq!(
            odd,
            r#"/bin/sh -c 'exec "$$0" "$$@"' "/home/jo's/heph" "x""#
        );
    }

    #[test]
    fn settings_are_read_through_comments_and_continued_lines() {
        let unit = "[Unit]\nExecStart=/no\n[Service]\n# ExecStart=/no\nExecStart = /bin/x \\\n# between\n; too\n  -a\n\n[Install]\nB=c\n";
        assert_eq!(
            settings(unit, "Service"),
            [("ExecStart".to_owned(), "/bin/x    -a".to_owned())]
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).*") {
            let _ = settings(&text, "Service");
        }
    }
}
