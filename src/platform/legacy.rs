//! Reads generated files of release 0.1.0 and before, which carry no comment with their source.
//!
//! An install of that release keeps its flags, variables and cadence: each of its files is read here until heph has rewritten
//! it, hephd's at the first update and the timer's at the next `heph self-update enable`. This module may go once no machine
//! upgrades from 0.1.0; `Format::legacy` goes with it. It reads what that release wrote, and common edits of it; anything else
//! is an error rather than a guess.

use crate::error::{Result, ResultExt, bail, ensure};
use crate::platform::systemd::syntax::{BY_SHELL, settings};

const CADENCE: &str = "# Cadence: ";
/// Precedes the variables in the script that cron starts.
const ENV: &str = "\nset -- env -i";
/// Stands between the variables and the command there.
const NICE: [&str; 3] = ["$(command -v nice)", "-n", "19"];

/// The content of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    pub variables: Vec<(String, String)>,
    pub log: Option<String>,
    /// As `Cadence` displays it; the service of a systemd timer has none.
    pub cadence: Option<String>,
}

fn checked(written: Written) -> Result<Written> {
    ensure!(!written.command.is_empty(), "it names no program");
    Ok(written)
}

/// Reads `heph.service` or `heph-self-update.service`.
pub fn service(text: &str) -> Result<Written> {
    let mut written = Written::default();
    for (key, value) in settings(text, "Service") {
        match key.as_str() {
            // An empty value takes back what came before.
            "ExecStart" if value.is_empty() => written.command.clear(),
            "Environment" if value.is_empty() => written.variables.clear(),
            "ExecStart" => {
                ensure!(
                    written.command.is_empty(),
                    "it starts more than one program"
                );
                written.command =
                    command(&value).with_context(|| format!("cannot read 'ExecStart={value}'"))?;
            }
            "Environment" => {
                for word in words(&value)? {
                    let variable = word.split_once('=').context("a variable has no value")?;
                    written.variables.push(owned(variable));
                }
            }
            "StandardOutput" => {
                let log = value.strip_prefix("append:");
                written.log = log.map(|log| undoubled(log, '%')).transpose()?;
            }
            _ => {}
        }
    }
    checked(written)
}

/// Reads the cadence of `heph-self-update.timer`, or of a script.
pub fn cadence(text: &str) -> Result<String> {
    let cadence = text.lines().find_map(|line| line.strip_prefix(CADENCE));
    Ok(cadence.context("it names no cadence")?.to_owned())
}

/// Reads a property list.
pub fn agent(text: &str) -> Result<Written> {
    let elements = elements(text)?;
    let strings = |key, end| {
        let inside = below(&elements, key, end).iter();
        inside
            .filter(|(tag, _)| tag != "/key" && tag != "/string")
            .map(|(tag, text)| match tag.as_str() {
                "key" | "string" => Ok(text.clone()),
                _ => bail!("it holds a <{tag}> where heph writes none"),
            })
            .collect::<Result<Vec<_>>>()
    };
    let command = strings("ProgramArguments", "/array")?;
    let variables = strings("EnvironmentVariables", "/dict")?;
    let one = |key| Some(behind(&elements, key).first()?.1.clone());
    let numbers: Vec<_> = below(&elements, "StartCalendarInterval", "/array")
        .iter()
        .filter(|(tag, _)| tag == "integer")
        .collect();
    let times = numbers.chunks_exact(2);
    let times: Vec<_> = times
        .map(|time| format!("{}:{:0>2}", time[0].1, time[1].1))
        .collect();
    let variables = variables.chunks_exact(2);
    checked(Written {
        command,
        variables: variables
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect(),
        log: one("StandardOutPath"),
        cadence: match one("StartInterval") {
            Some(seconds) => Some(format!("every {seconds}s")),
            None if times.is_empty() => None,
            None => Some(format!("at {}", times.join(","))),
        },
    })
}

/// Reads `self-update-job.sh`.
pub fn script(text: &str) -> Result<Written> {
    let (before, after) = text.split_once(ENV).context("it runs nothing")?;
    let words = after.split("\n\n").next().unwrap_or(after);
    // No value holds a newline, so these are the ones between the words.
    let words = shlex::split(&words.replace("\\\n", "\n")).context("a quote in it is left open")?;
    let nice = words.windows(NICE.len()).position(|window| window == NICE);
    let nice = nice.context("it runs nothing")?;
    let variables = words[..nice].iter().map(|word| word.split_once('='));
    let log = before
        .rsplit_once("\nexec >>")
        .and_then(|(_, log)| log.lines().next());
    let log = log.and_then(|log| shlex::split(log)?.into_iter().next());
    checked(Written {
        command: words[nice + NICE.len()..].to_vec(),
        variables: variables
            .map(|variable| variable.map(owned).context("a variable has no value"))
            .collect::<Result<_>>()?,
        log,
        cadence: Some(cadence(text)?),
    })
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Returns the program and the arguments of a value of `ExecStart=`.
fn command(value: &str) -> Result<Vec<String>> {
    let words = words(value)?;
    let by_shell = words.strip_prefix(&BY_SHELL.map(str::to_owned));
    let is_bare = by_shell.is_none();
    let words = by_shell.unwrap_or(&words).iter().enumerate();
    words
        .map(|(index, word)| match index {
            // No variable is expanded in the program itself.
            0 if is_bare => Ok(word.clone()),
            _ => undoubled(word, '$'),
        })
        .collect()
}

/// Returns the words of a value in a unit, without quotes, escapes and doubled percent signs.
fn words(value: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            (' ' | '\t', None) => words.extend(word.take()),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, Some(open)) if c == open => quote = None,
            ('\\', _) => match rest.next() {
                Some(escaped @ ('\\' | '"' | '\'')) => word.get_or_insert_default().push(escaped),
                _ => bail!("it holds an escape that heph does not write"),
            },
            _ => word.get_or_insert_default().push(c),
        }
    }
    ensure!(quote.is_none(), "a quote in it is left open");
    words.extend(word);
    ensure!(
        !words.iter().any(|word| word == ";"),
        "it holds more than one command"
    );
    words.iter().map(|word| undoubled(word, '%')).collect()
}

/// Returns `text` with every two of `sign` made one; a single one stands for what only systemd knows.
fn undoubled(text: &str, sign: char) -> Result<String> {
    let two = String::from_iter([sign, sign]);
    let is_plain = !text.replace(&two, "").contains(sign);
    ensure!(
        is_plain,
        "'{text}' holds a single '{sign}': write '{two}' for the sign itself"
    );
    Ok(text.replace(&two, &sign.to_string()))
}

/// A tag and the text behind it.
type Element = (String, String);

/// Returns the elements of a property list, without its comments.
fn elements(plist: &str) -> Result<Vec<Element>> {
    let parts = plist.split("<!--");
    let parts = parts.map(|part| part.split_once("-->").map_or(part, |(_, behind)| behind));
    let plist: String = parts.collect();
    let tags = plist.split('<').skip(1);
    tags.map(|element| {
        let (tag, text) = element.split_once('>').context("it is no property list")?;
        let text = text.replace("&lt;", "<").replace("&gt;", ">");
        Ok((tag.to_owned(), text.replace("&amp;", "&")))
    })
    .collect()
}

/// Returns what follows `key`.
fn behind<'a>(elements: &'a [Element], key: &str) -> &'a [Element] {
    let start = elements
        .iter()
        .position(|(tag, text)| tag == "key" && text == key);
    // The key itself, and its end.
    start
        .and_then(|start| elements.get(start + 2..))
        .unwrap_or_default()
}

/// Returns what is in the collection behind `key`, which ends with `end`.
fn below<'a>(elements: &'a [Element], key: &str, end: &str) -> &'a [Element] {
    let inside = behind(elements, key).get(1..).unwrap_or_default();
    let length = inside.iter().position(|(tag, _)| tag == end);
    &inside[..length.unwrap_or_default()]
}
