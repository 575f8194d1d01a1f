//! hephd's flags, declared once: hephd takes them, and `heph daemon start` and `restart` keep them in its service.

use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueEnum};

use crate::error::{Error, Result};

/// The flags of hephd that its service keeps, in the order of its command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Flags {
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
    /// Let the hub serve every address without tokens: any client can read and write every task
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub(crate) insecure_no_auth: bool,
    /// How many requests a minute one user may send to the hub
    #[arg(long, value_name = "N")]
    pub(crate) sync_rate: Option<NonZeroU32>,
    /// Scopes to log in for, separated by spaces, instead of those that the provider says it supports
    #[arg(long, value_name = "SCOPES")]
    pub(crate) oidc_scopes: Option<String>,
    /// Let the token go to the hub over plain http: for a tailnet, or a network whose members you all trust
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub(crate) hub_plain_http: bool,
    /// Let the hub serve every address, to the machines that `heph hub invite` has invited
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub(crate) invited_only: bool,
    /// How much one user may store on the hub, or the hub on a spoke, such as 512MiB; 1GiB by default
    #[arg(long, value_name = "SIZE")]
    pub(crate) quota_bytes: Option<ByteSize>,
    /// How many operations one user may store on the hub
    #[arg(long, value_name = "N")]
    pub(crate) quota_operations: Option<NonZeroU64>,
    /// How far ahead of the hub's clock that of a machine may be, such as 30m; 24h by default
    #[arg(long, value_name = "TIME")]
    pub(crate) max_clock_drift: Option<Length>,
}

/// A length of time that is not zero: `90s`, `30m`, `24h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Length(pub(crate) Duration);

impl FromStr for Length {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Length, &'static str> {
        const FORM: &str = "write it like 90s, 30m, 24h or 7d";
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit: u64 = match &text[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return Err(FORM),
        };
        let number: u32 = digits.parse().map_err(|_| FORM)?;
        let seconds = NonZeroU32::new(number).ok_or("it is zero")?;
        Ok(Length(Duration::from_secs(unit * u64::from(seconds.get()))))
    }
}

/// A number of bytes that is not zero: `512MiB`, `2GiB`, or the bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) NonZeroU64);

impl FromStr for ByteSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ByteSize, &'static str> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let shift = match &text[digits.len()..] {
            "" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err("write it like 512MiB or 2GiB"),
        };
        let number: u64 = digits.parse().map_err(|_| "write it like 512MiB or 2GiB")?;
        let bytes = number.checked_mul(1 << shift).and_then(NonZeroU64::new);
        bytes.map(ByteSize).ok_or("it is zero or too large")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One user's tasks on this machine
    Local,
    /// A hub for many machines
    Server,
}

static COMMAND: LazyLock<Command> =
    LazyLock::new(|| Flags::augment_args(Command::new("hephd").no_binary_name(true)));

impl Flags {
    pub(crate) fn is_hub(&self) -> bool {
        self.mode == Some(Mode::Server)
    }

    /// Parses arguments of hephd as its command line does.
    pub(crate) fn parse(arguments: Vec<String>) -> Result<Flags> {
        let matches = COMMAND.clone().try_get_matches_from(arguments);
        matches
            .and_then(|matches| Flags::from_arg_matches(&matches))
            .map_err(|error| {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                Error::usage(line.trim_start_matches("error: "))
            })
    }
}

/// One of [`Flags`], by its name. The order is that of the declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flag {
    place: usize,
    id: &'static str,
    name: &'static str,
    is_switch: bool,
}

impl Flag {
    /// Returns every flag, in order.
    pub fn all() -> impl Iterator<Item = Flag> {
        COMMAND
            .get_arguments()
            .enumerate()
            .map(|(place, arg)| Flag {
                place,
                id: arg.get_id().as_str(),
                name: arg.get_long().unwrap_or_default(),
                is_switch: arg.get_num_args().is_some_and(|n| n.min_values() == 0),
            })
    }

    /// Returns the flag called `name`, with or without leading dashes.
    pub(crate) fn named(name: &str) -> Option<Flag> {
        let name = name.strip_prefix("--").unwrap_or(name);
        Flag::all().find(|flag| flag.name == name)
    }

    /// Returns the name, without the dashes.
    pub(crate) fn name(self) -> &'static str {
        self.name
    }

    /// Returns whether the flag may stand without a value, which then is `true`.
    pub(crate) fn is_switch(self) -> bool {
        self.is_switch
    }
}

/// The flags that a command line has, each with the text of its value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given(pub(crate) Vec<(Flag, String)>);

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        Flags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Flags::augment_args_for_update(command)
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Given, clap::Error> {
        let given = |flag: &Flag| matches.value_source(flag.id) == Some(ValueSource::CommandLine);
        let text = |flag: Flag| {
            let value = matches.get_raw(flag.id)?.next()?;
            Some((flag, value.to_str()?.to_owned()))
        };
        Ok(Given(Flag::all().filter(given).filter_map(text).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Given::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_by_name_with_or_without_dashes() {
        let names: Vec<_> = Flag::all().map(Flag::name).collect();
        // The order of the arguments in the services of release 0.1.0, which stays.
        let first = ["mode", "hub-url", "http-addr", "oidc-issuer"];
        let then = [
            "oidc-audience",
            "oidc-client-id",
            "insecure-no-auth",
            "sync-rate",
        ];
        assert_eq!(names[..8], [first, then].concat());
        let name = |name| Flag::named(name).map(Flag::name);
        assert_eq!(name("--hub-url"), Some("hub-url"));
        assert_eq!(name("hub-url"), Some("hub-url"));
        assert_eq!(name("-hub-url"), None);
        assert_eq!(name("hub_url"), None);
    }

    #[test]
    fn a_size_has_a_unit_or_is_a_number_of_bytes() {
        let bytes = |text: &str| text.parse::<ByteSize>().map(|size| size.0.get());
        for (text, expected) in [
            ("1", 1),
            ("7KiB", 7 << 10),
            ("512MiB", 512 << 20),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "0",
            "0GiB",
            "GiB",
            "1.5GiB",
            "-1",
            "1 GiB",
            "1gib",
            "99999999999TiB",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_length_of_time_has_a_unit() {
        let seconds = |text: &str| text.parse::<Length>().map(|length| length.0.as_secs());
        for (text, expected) in [("90s", 90), ("30m", 1800), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "0h",
            "24",
            "h",
            "1.5h",
            "-1h",
            "1 h",
            "1y",
            "99999999999h",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_is_on_the_command_line_is_given() {
        let given = |arguments: &[&str]| {
            let matches = COMMAND.clone().get_matches_from(arguments);
            let given = Given::from_arg_matches(&matches).unwrap().0.into_iter();
            given
                .map(|(flag, value)| format!("{}={value}", flag.name()))
                .collect::<Vec<_>>()
        };
        assert!(given(&[]).is_empty());
        assert_eq!(
            given(&["--sync-rate", "9", "--insecure-no-auth", "--mode=local"]),
            ["mode=local", "insecure-no-auth=true", "sync-rate=9"]
        );
        assert_eq!(
            given(&["--insecure-no-auth=false"]),
            ["insecure-no-auth=false"]
        );
    }

    #[test]
    fn what_cannot_be_parsed_is_wrong_usage() {
        let error = Flags::parse(vec!["--sync-rate=0".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid value '0' for '--sync-rate <N>': number would be zero for non-zero type"
        );
        assert_eq!(error.exit().code(), 2);
    }
}
