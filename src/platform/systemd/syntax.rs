//! The syntax of unit files, as far as heph's own need it: systemd.syntax(7), and "COMMAND LINES" in systemd.service(5).

/// What systemd starts where the path of a program holds characters that it takes for no program (`string_is_safe` in its
/// `string-util.c`): a shell that becomes the program, so that the process stays the one that systemd knows.
use crate::error::{Result, ResultExt, bail};
const BY_SHELL: [&str; 3] = ["/bin/sh", "-c", r#"exec "$$0" "$$@""#];

/// Returns the value of `ExecStart=` that runs `program`, an absolute path, with `arguments`. None of them may hold control
/// characters.
pub fn command(program: &str, arguments: &[String]) -> String {
    let mut command = if program.contains(['\'', '"', '\\', '$']) {
        let [shell, option, script] = BY_SHELL;
        format!("{shell} {option} '{script}' {}", argument(program))
    } else {
        word(program)
    };
    for text in arguments {
        command.push(' ');
        command.push_str(&argument(text));
    }
    command
}

/// Returns the program and its arguments that the value of `ExecStart=` runs, [`command`]'s shell taken away.
///
/// # Errors
///
/// It cannot be told, because only systemd can expand what is in it.
pub fn read_command(value: &str) -> Result<Vec<String>> {
    let words: Vec<String> = split(value)?
        .iter()
        .map(|word| unescape_specifiers(word))
        .collect::<Result<_>>()?;
    let (program, arguments) = match words.strip_prefix(&BY_SHELL.map(str::to_owned)) {
        Some([program, arguments @ ..]) => (unescape_variables(program)?, arguments),
        _ => {
            // No variable is expanded in the program itself.
            let (program, arguments) = words.split_first().context("it names no program")?;
            (program.clone(), arguments)
        }
    };
    let arguments = arguments.iter().map(|word| unescape_variables(word));
    std::iter::once(Ok(program)).chain(arguments).collect()
}

/// Returns `text` as one word of a list in which specifiers are expanded, but no variables, such as `Environment=`.
pub fn word(text: &str) -> String {
    quote(&escape_specifiers(text))
}

fn argument(text: &str) -> String {
    word(&escape_variables(text))
}

/// Returns `text` with its percent signs doubled, so that it holds no specifier (systemd.unit(5)).
pub fn escape_specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

/// Returns what systemd makes of `text` where only `%%` is a specifier in it.
///
/// # Errors
///
/// It holds another specifier, whose value only systemd knows.
pub fn unescape_specifiers(text: &str) -> Result<String> {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        plain.push(c);
        if c == '%' && rest.next() != Some('%') {
            bail!("'{text}' holds a specifier: write '%%' for a percent sign");
        }
    }
    Ok(plain)
}

/// Returns `text` with its dollar signs doubled, so that no variable is expanded in it.
pub fn escape_variables(text: &str) -> String {
    text.replace('$', "$$")
}

/// Returns what systemd makes of `word` where no variable is expanded in it.
///
/// # Errors
///
/// It is `$NAME` or holds `${NAME}`, whose value only systemd knows.
pub fn unescape_variables(word: &str) -> Result<String> {
    let mut plain = String::new();
    let mut rest = word.chars().peekable();
    while let Some(c) = rest.next() {
        plain.push(c);
        if c != '$' {
            continue;
        }
        match rest.peek() {
            Some('$') => drop(rest.next()),
            Some('{') => bail!("'{word}' holds a variable: write '$$' for a dollar sign"),
            // A dollar sign that does not open the word stands for itself.
            _ if plain.len() > 1 => {}
            _ => bail!("'{word}' is a variable: write '$$' for a dollar sign"),
        }
    }
    Ok(plain)
}

/// Returns `text` as one quoted word. It must hold no control characters.
pub fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Splits a value into words at white space, takes their quotes away and undoes their C-style escapes.
///
/// # Errors
///
/// A quote is left open, an escape is unknown, a word is not UTF-8, or a lone `;` starts a second command.
pub fn split(value: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = value.as_bytes();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(words);
        }
        let raw_end = rest
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(rest.len());
        match &rest[..raw_end] {
            b";" => bail!("it holds more than one command"),
            b"\\;" => {
                words.push(";".to_owned());
                rest = &rest[raw_end..];
            }
            _ => {
                let (word, after) = first_word(rest)?;
                words.push(String::from_utf8(word).context("a word of it is not UTF-8")?);
                rest = after;
            }
        }
    }
}

fn first_word(mut rest: &[u8]) -> Result<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut quote = None;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, quote) {
            (b'\\', _) => rest = unescape(rest, &mut word)?,
            (_, Some(open)) if byte == open => quote = None,
            (b'"' | b'\'', None) => quote = Some(byte),
            (_, None) if byte.is_ascii_whitespace() => return Ok((word, rest)),
            _ => word.push(byte),
        }
    }
    if quote.is_some() {
        bail!("a quote in it is left open");
    }
    Ok((word, rest))
}

/// Reads the escape whose backslash is just behind; returns what follows it.
fn unescape<'a>(rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8]> {
    let (&kind, after) = rest.split_first().context("it ends in a backslash")?;
    let simple = match kind {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b's' => b' ',
        b'\\' | b'"' | b'\'' => kind,
        b'x' => return numbered(after, 2, 16, word, true),
        b'u' => return numbered(after, 4, 16, word, false),
        b'U' => return numbered(after, 8, 16, word, false),
        b'0'..=b'7' => return numbered(rest, 3, 8, word, true),
        _ => bail!("'\\{}' is no escape that systemd knows", char::from(kind)),
    };
    word.push(simple);
    Ok(after)
}

/// Reads `digits` digits that name a byte or a character.
fn numbered<'a>(
    rest: &'a [u8],
    digits: usize,
    radix: u32,
    word: &mut Vec<u8>,
    byte: bool,
) -> Result<&'a [u8]> {
    let number = rest
        .get(..digits)
        .filter(|digits| {
            digits
                .iter()
                .all(|digit| char::from(*digit).is_digit(radix))
        })
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| u32::from_str_radix(digits, radix).ok())
        .filter(|number| *number != 0);
    let read = match number {
        Some(number) if byte => u8::try_from(number).ok().map(|byte| word.push(byte)),
        Some(number) => char::from_u32(number)
            .map(|c| word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes())),
        None => None,
    };
    read.context("a numbered escape in it names no character")?;
    Ok(&rest[digits..])
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
    use crate::platform::generated::tests::any_text;
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
    fn words_are_read_as_the_manual_says() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  a\tb ", &["a", "b"]),
            (r#""a b" 'c "d'"#, &["a b", "c \"d"]),
            (r#"--x="a b"c"#, &["--x=a bc"]),
            (r#""" ''"#, &["", ""]),
            (r"a\sb \x41\101 \u00e9\U0001f600", &["a b", "AA", "é😀"]),
            (r"\xc3\xa9", &["é"]),
            (r#"\\ \" \' \t"#, &["\\", "\"", "'", "\t"]),
            (r#"\; ";" ;; a;b"#, &[";", ";", ";;", "a;b"]),
        ];
        for (value, words) in cases {
            assert_eq!(split(value).unwrap(), *words, "{value}");
        }
    }

    #[test]
    fn what_systemd_refuses_or_runs_otherwise_is_an_error() {
        for value in [
            "\"open", "'open", "a\\", r"\q", r"\x4", r"\xff", r"\0", r"\x00", r"\ud800", r"\777",
            "a ; b", r"\xé9",
        ] {
            assert!(split(value).is_err(), "{value}");
        }
        for text in ["%h", "50%", "%%%"] {
            assert!(unescape_specifiers(text).is_err(), "{text}");
        }
        for word in ["$HOME", "a${HOME}", "${", "$"] {
            assert!(unescape_variables(word).is_err(), "{word}");
        }
        assert_eq!(unescape_variables("a$b$$c$").unwrap(), "a$b$c$");
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
        fn any_command_is_read_back(program in any_text(), arguments in proptest::collection::vec(any_text(), 0..4)) {
            let program = format!("/{program}");
            let read = read_command(&command(&program, &arguments)).unwrap();
            prop_assert_eq!(&read[0], &program);
            prop_assert_eq!(&read[1..], &arguments);
        }

        #[test]
        fn any_words_survive_quoting(words in proptest::collection::vec(any_text(), 0..5)) {
            let line = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&line).unwrap(), words);
        }

        #[test]
        fn any_text_survives_escaping(text in any_text()) {
            prop_assert_eq!(unescape_specifiers(&escape_specifiers(&text)).unwrap(), text.clone());
            prop_assert_eq!(unescape_variables(&escape_variables(&text)).unwrap(), text);
        }

        #[test]
        fn no_text_panics(text in "(?s).*", bytes in "[\\\\xuU0-9a-f\"' ;]{0,12}") {
            for text in [text, bytes] {
                let _ = split(&text);
                let _ = settings(&text, "Service");
                let _ = unescape_specifiers(&text);
                let _ = unescape_variables(&text);
            }
        }
    }
}
