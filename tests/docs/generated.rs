//! Man pages and completions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_mangen::Man;
use heph::cli::completions::{Shell, script};

fn commands() -> [clap::Command; 2] {
    [heph::cli::command(), heph::hephd::Hephd::command()]
}

/// The files below `docs/` that are made, with their content.
fn made() -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for command in commands() {
        let mut command = command.disable_help_subcommand(true);
        command.build();
        pages(&command, &mut files);
    }
    for shell in Shell::ALL {
        let path = Path::new("completions").join(shell.file_name());
        files.insert(path, String::from_utf8(script(shell)).unwrap());
    }
    files
}

fn pages(command: &clap::Command, files: &mut BTreeMap<PathBuf, String>) {
    let page = Man::new(command.clone()).manual("heph");
    let mut text = Vec::new();
    page.render(&mut text).unwrap();
    let path = Path::new("man").join(page.get_filename());
    files.insert(path, String::from_utf8(text).unwrap());
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        pages(below, files);
    }
}

#[test]
fn the_committed_pages_and_completions_are_those_of_this_code() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let made = made();
    if std::env::var_os("HEPH_UPDATE_DOCS").is_some() {
        for folder in ["man", "completions"] {
            let _ = fs::remove_dir_all(docs.join(folder));
            fs::create_dir_all(docs.join(folder)).unwrap();
        }
        for (path, text) in &made {
            fs::write(docs.join(path), text).unwrap();
        }
    }
    let mut stale: Vec<PathBuf> = Vec::new();
    for (path, text) in &made {
        if fs::read_to_string(docs.join(path)).ok().as_ref() != Some(text) {
            stale.push(path.clone());
        }
    }
    for folder in ["man", "completions"] {
        let committed = fs::read_dir(docs.join(folder)).into_iter().flatten();
        for file in committed.map(|entry| entry.unwrap().file_name()) {
            let path = Path::new(folder).join(file);
            if !made.contains_key(&path) {
                stale.push(path);
            }
        }
    }
    assert!(
        stale.is_empty(),
        "run `make docs`; these are stale: {stale:?}"
    );
}

#[test]
fn no_help_text_ends_in_a_full_stop() {
    fn look(command: &clap::Command) {
        let name = command.get_name();
        let about = command.get_about().map(ToString::to_string);
        let about = about.unwrap_or_else(|| panic!("'{name}' says nothing of itself"));
        assert!(!about.ends_with('.'), "{name}: {about}");
        for argument in command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set())
        {
            let help = argument.get_help().map(ToString::to_string);
            let help = help.unwrap_or_else(|| panic!("{name} {} has no help", argument.get_id()));
            assert!(!help.ends_with('.'), "{name} {}: {help}", argument.get_id());
        }
        for below in command
            .get_subcommands()
            .filter(|below| below.get_name() != "help")
        {
            look(below);
        }
    }
    commands().iter().for_each(look);
}

#[test]
fn the_command_line_is_free_of_contradictions() {
    for command in commands() {
        command.debug_assert();
    }
}
