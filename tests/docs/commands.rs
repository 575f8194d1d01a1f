//! Every command that a document, a message or a generated file names is one that heph has.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind;

/// A command line, and where it stands.
struct Named {
    place: String,
    line: String,
    /// Whether it is to be typed as it is; else it may name a command without what it needs.
    whole: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("'{}': {error}", path.display()))
}

fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["README.md", "CHANGELOG.md"]
        .map(|name| root().join(name))
        .into();
    found.extend(files(&root().join("docs"), "md"));
    found
}

/// Returns the files below `folder` that end in `extension`, or all.
pub(super) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if extension.is_empty() || path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_command(text: &str) -> bool {
    text.starts_with("heph ") || text.starts_with("hephd ")
}

/// Returns the blocks of code of a document, fenced or indented, each with the number of its first line.
fn blocks(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut blocks: Vec<(usize, Vec<&str>)> = Vec::new();
    let (mut fenced, mut open) = (false, false);
    for (number, line) in (1..).zip(text.lines()) {
        let fence = line.trim_start().starts_with("```");
        if fence {
            fenced = !fenced;
        }
        let code = match fenced {
            true if !fence => Some(line),
            false if !fence => line.strip_prefix("    "),
            _ => None,
        };
        match (code, open) {
            (Some(code), true) => blocks.last_mut().unwrap().1.push(code),
            (Some(code), false) => blocks.push((number, vec![code])),
            (None, _) => {}
        }
        // An empty line ends no block.
        open = code.is_some() || (open && line.is_empty());
    }
    blocks
}

/// Returns what a person types in a block: the lines after a prompt, or, in a block without one, all that start a command.
fn typed(block: &[&str]) -> Vec<String> {
    let prompted: Vec<_> = block
        .iter()
        .filter_map(|line| line.strip_prefix("$ "))
        .collect();
    if prompted.is_empty() {
        block.iter().map(ToString::to_string).collect()
    } else {
        prompted.into_iter().map(str::to_owned).collect()
    }
}

/// Returns the commands between backticks in prose or source text.
fn quoted(text: &str) -> Vec<String> {
    // A string of Rust goes on after a backslash; a comment or a paragraph on the next line.
    let text = text.replace("\\\n", "\n");
    let mut found = Vec::new();
    for (at, _) in text.match_indices("`heph") {
        let rest = &text[at + 1..];
        let span = rest.split('`').next().unwrap_or_default();
        let words: Vec<&str> = span
            .split_whitespace()
            .filter(|word| !["//", "///", "//!", "#"].contains(word))
            .collect();
        let line = words.join(" ");
        if is_command(&line) {
            found.push(line);
        }
    }
    found
}

fn named() -> Vec<Named> {
    let mut named = Vec::new();
    for path in documents() {
        let text = read(&path);
        let place = path.strip_prefix(root()).unwrap().display().to_string();
        for (line, block) in blocks(&text) {
            let typed = typed(&block).into_iter();
            named.extend(typed.filter(|line| is_command(line)).map(|typed| Named {
                place: format!("{place}, in the block at line {line}"),
                line: typed,
                whole: true,
            }));
        }
        named.extend(quoted(&text).into_iter().map(|line| Named {
            place: place.clone(),
            line,
            whole: false,
        }));
    }
    for path in [
        files(&root().join("src"), "rs"),
        files(&root().join("templates"), ""),
    ]
    .concat()
    {
        let place = path.strip_prefix(root()).unwrap().display().to_string();
        named.extend(quoted(&read(&path)).into_iter().map(|line| Named {
            place: place.clone(),
            line,
            whole: false,
        }));
    }
    named
}

/// Returns the words of the first command of a shell line, with examples in place of what is to be filled in.
fn words(line: &str) -> Vec<String> {
    let words = shlex::split(line).unwrap_or_default();
    words
        .into_iter()
        .take_while(|word| !["|", "||", "&&", ";", ">", ">>", "2>", "&"].contains(&word.as_str()))
        .map(|word| match word.as_str() {
            "VERSION" => "1.2.3".to_owned(),
            "FLAG" => "hub-url".to_owned(),
            // What a format string fills in.
            word if word.starts_with('{') => "1.2.3".to_owned(),
            word => word.to_owned(),
        })
        .collect()
}

/// Returns why the command line is none, if it is none.
fn trouble(named: &Named) -> Option<String> {
    let words = words(&named.line);
    let command = match words.first().map(String::as_str) {
        Some("heph") => heph::cli::command(),
        _ => heph::hephd::Hephd::command(),
    };
    let error = command.try_get_matches_from(&words).err()?;
    let fine = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        // It names a group of commands, or a command by its name.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingSubcommand
        | ErrorKind::MissingRequiredArgument => !named.whole,
        _ => false,
    };
    (!fine).then(|| error.to_string())
}

/// Of other programs, or of no program: what starts like a command and is none.
fn is_no_command(line: &str) -> bool {
    // What `--version` prints.
    line.split(' ')
        .nth(1)
        .is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn every_command_line_is_one_that_heph_takes() {
    let named = named();
    assert!(named.len() > 100, "only {} were found", named.len());
    let mut wrong = String::new();
    for command in named.iter().filter(|named| !is_no_command(&named.line)) {
        if let Some(trouble) = trouble(command) {
            wrong.push_str(&format!(
                "{}: `{}`: {trouble}\n",
                command.place, command.line
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_command_and_option_is_in_a_document() {
    fn look(command: &clap::Command, name: &str, text: &str, missing: &mut Vec<String>) {
        let below: Vec<_> = command
            .get_subcommands()
            .filter(|below| !below.is_hide_set() && below.get_name() != "help")
            .collect();
        if below.is_empty() && !text.contains(name) {
            missing.push(name.to_owned());
        }
        for option in command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set())
        {
            let Some(long) = option.get_long() else {
                continue;
            };
            if !text.contains(&format!("--{long}")) && !text.contains(&format!("`{long}`")) {
                missing.push(format!("{name} --{long}"));
            }
        }
        for command in below {
            look(
                command,
                &format!("{name} {}", command.get_name()),
                text,
                missing,
            );
        }
    }
    let text: String = documents().iter().map(|path| read(path)).collect();
    let mut missing = Vec::new();
    look(&heph::cli::command(), "heph", &text, &mut missing);
    assert!(missing.is_empty(), "no document tells of {missing:?}");
}

#[test]
fn every_target_of_make_exists() {
    let makefile = read(&root().join("Makefile"));
    let text: String = documents().iter().map(|path| read(path)).collect();
    for (at, _) in text.match_indices("make ") {
        let before = text[..at].chars().next_back();
        let rest = &text[at + "make ".len()..];
        let name: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
        // Only what is typed: between backticks or at the start of a line of code.
        let spaces = text[..at].ends_with("\n    ") || text[..at].ends_with("$ ");
        if before == Some('`') || spaces {
            assert!(
                makefile.contains(&format!("\n{name}:")),
                "there is no `make {name}`"
            );
        }
    }
}

#[test]
fn every_link_between_documents_leads_to_a_file() {
    for path in documents() {
        let text = read(&path);
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if target.starts_with("https://") || file.is_empty() {
                continue;
            }
            let there = path.parent().unwrap().join(file).exists();
            assert!(
                there,
                "'{}' links to '{target}', which is not there",
                path.display()
            );
        }
    }
}

#[test]
fn what_is_installed_comes_from_the_repository_of_the_package() {
    let readme = read(&root().join("README.md"));
    let line = format!(
        "cargo install --locked --git {} heph",
        env!("CARGO_PKG_REPOSITORY")
    );
    assert!(readme.contains(&line), "README.md does not say `{line}`");
}

#[test]
fn every_settings_block_is_one_that_heph_takes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let mut read_so_many = 0;
    for path in documents() {
        let text = read(&path);
        for (line, block) in blocks(&text) {
            if !block.contains(&"[self-update]") {
                continue;
            }
            read_so_many += 1;
            fs::write(&file, block.join("\n")).unwrap();
            if let Err(error) = heph::config::Config::load_named(&file) {
                panic!(
                    "'{}', in the block at line {line}: {error:#}",
                    path.display()
                );
            }
        }
    }
    assert!(read_so_many > 4, "only {read_so_many} were found");
}
