//! hephd's flags, declared once: hephd takes them, and `heph daemon start` and `restart` keep them in its service.

use std::num::NonZeroU32;

use clap::{ArgAction, Args, FromArgMatches, ValueEnum};

use crate::error::{Error, Result};

/// The flags of hephd that its service keeps, in the order of its command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Flags {
    /// Run alone, which is the default, or as a hub
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    /// Sync with the hub at this URL
    #[arg(long, value_name = "URL")]
    pub(crate) hub_url: Option<String>,
    /// Address the hub listens on
    #[arg(long, value_name = "ADDR")]
    pub(crate) http_addr: Option<String>,
    /// OpenID provider that issues the tokens
    #[arg(long, value_name = "URL")]
    pub(crate) oidc_issuer: Option<String>,
    /// Audience that tokens must name
    #[arg(long, value_name = "NAME")]
    pub(crate) oidc_audience: Option<String>,
    /// Client id to log in with
    #[arg(long, value_name = "ID")]
    pub(crate) oidc_client_id: Option<String>,
    /// Let the hub serve every address without tokens: whoever can connect reads and writes every task
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub(crate) insecure_no_auth: bool,
    /// How many requests a minute one user may send to the hub
    #[arg(long, value_name = "N")]
    pub(crate) sync_rate: Option<NonZeroU32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One user's tasks on this machine
    Local,
    /// A hub for many machines
    Server,
}

impl Flags {
    pub(crate) fn is_hub(&self) -> bool {
        self.mode == Some(Mode::Server)
    }

    /// Parses arguments of hephd as its command line does.
    pub(crate) fn parse(arguments: Vec<String>) -> Result<Flags> {
        let command = clap::Command::new("hephd").no_binary_name(true);
        Flags::augment_args(command)
            .try_get_matches_from(arguments)
            .and_then(|matches| Flags::from_arg_matches(&matches))
            .map_err(|error| {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                Error::usage(line.trim_start_matches("error: "))
            })
    }
}
