//! `heph completions`: print shell completions.

use clap::ValueEnum;
use clap_complete::Generator;
use clap_complete::shells::{Bash, Fish, Zsh};

use super::ui::Ui;
use crate::error::{Exit, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell to print them for
    shell: Shell,
}

/// A shell that heph has completions for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Through bash-completion
    Bash,
    /// A function on fpath
    Zsh,
    /// A file below ~/.config/fish/completions
    Fish,
}

impl Shell {
    /// All of them.
    pub const ALL: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

    /// Returns the name under which the shell looks for the completions of `heph`.
    pub fn file_name(self) -> &'static str {
        match self {
            Shell::Bash => "heph.bash",
            Shell::Zsh => "_heph",
            Shell::Fish => "heph.fish",
        }
    }
}

/// Returns the completions of `heph` for `shell`.
pub fn script(shell: Shell) -> Vec<u8> {
    fn generated(generator: impl Generator) -> Vec<u8> {
        let mut script = Vec::new();
        clap_complete::generate(generator, &mut super::command(), "heph", &mut script);
        script
    }
    match shell {
        Shell::Bash => generated(Bash),
        Shell::Zsh => generated(Zsh),
        Shell::Fish => generated(Fish),
    }
}

/// Prints them. Needs neither settings nor a home folder: shells ask while they start.
pub(super) fn run(ui: &Ui, args: &Args) -> Result<Exit> {
    ui.raw(&script(args.shell));
    Ok(Exit::Done)
}
