//! `heph.service`, written from its template and read back. Pure.

use crate::error::{Result, ResultExt, ensure};
use crate::platform::generated::fill;
use crate::platform::service::definition::{Definition, Written};
use crate::platform::systemd::syntax::{
    command, escape_specifiers, read_command, settings, split, unescape_specifiers, word,
};

const TEMPLATE: &str = include_str!("../../../../templates/heph.service");

/// Returns the unit of `definition`.
pub fn render(definition: &Definition) -> String {
    let Definition { program, flags, .. } = definition;
    let command = command(program, &flags.to_arguments());
    let variables = definition.environment.iter();
    let variables = variables.map(|(name, value)| word(&format!("{name}={value}")));
    // The value of StandardOutput= is no list of words: it is not quoted, only specifiers are expanded in it.
    let values = [
        ("command", vec![command]),
        ("variable", variables.collect()),
        ("log", vec![escape_specifiers(&definition.log)]),
    ];
    fill(TEMPLATE, &values)
}

/// Reads a unit back, be it edited or from another version of heph.
///
/// # Errors
///
/// Its command line cannot be told: it is missing, or uses what only systemd can expand.
pub fn parse(unit: &str) -> Result<Written> {
    let mut command = Vec::new();
    let mut variables = Vec::new();
    let mut log = None;
    for (key, value) in settings(unit, "Service") {
        match key.as_str() {
            // An empty value takes back what came before.
            "ExecStart" | "Environment" if value.is_empty() => match key.as_str() {
                "ExecStart" => command.clear(),
                _ => variables.clear(),
            },
            "ExecStart" => {
                ensure!(command.is_empty(), "it starts more than one program");
                command = read_command(&value)
                    .with_context(|| format!("cannot read 'ExecStart={value}'"))?;
            }
            "Environment" => {
                let words =
                    split(&value).with_context(|| format!("cannot read 'Environment={value}'"))?;
                for word in words {
                    let word = unescape_specifiers(&word)?;
                    let (name, value) = word.split_once('=').unwrap_or((&word, ""));
                    variables.push((name.to_owned(), value.to_owned()));
                }
            }
            "StandardOutput" => {
                log = value
                    .strip_prefix("append:")
                    .map(unescape_specifiers)
                    .transpose()?;
            }
            _ => {}
        }
    }
    Written::new(command, variables, log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::generated::template_of;
    use crate::platform::service::arguments::{Baked, Flag};
    use crate::platform::service::definition::Environment;
    use crate::platform::service::definition::tests::{any_definition, environment, paths};
    use proptest::prelude::*;

    fn definition(home: &str, flags: &[(Flag, &str)], environment: Environment) -> Definition {
        let mut baked = Baked::default();
        for (flag, value) in flags {
            baked.set(*flag, *value).unwrap();
        }
        Definition {
            program: format!("{home}/.cargo/bin/hephd"),
            flags: baked,
            environment,
            log: format!("{home}/.local/share/heph/hephd.log"),
        }
    }

    #[test]
    fn the_plain_unit() {
        insta::assert_snapshot!(render(&definition("/home/me", &[], Environment::default())), @r##"
        # Made by heph, template 2. Edits to this file are lost at the next `heph daemon restart`.
        # To change a flag of hephd: `heph daemon restart --hub-url URL`, or `heph daemon restart --unset hub-url`.
        # For settings of your own: `systemctl --user edit heph.service`. To remove it: `heph daemon uninstall`.

        [Unit]
        Description=hephd, the task store of heph
        # Wanted and not required: where the socket cannot be had, hephd itself says why, and tries on.
        Wants=heph.socket
        After=heph.socket
        # Restart=always is to bring hephd back however often it ends, so its starts are not rationed.
        StartLimitIntervalSec=0

        [Service]
        Type=notify
        ExecStart="/home/me/.cargo/bin/hephd"
        Restart=always
        RestartSec=1
        # hephd asks for more by itself while it migrates its store (EXTEND_TIMEOUT_USEC).
        TimeoutStartSec=60
        # hephd gives what is in flight 5 s.
        TimeoutStopSec=10
        # Files, because not every user manager has a journal.
        StandardOutput=append:/home/me/.local/share/heph/hephd.log
        StandardError=append:/home/me/.local/share/heph/hephd.log

        [Install]
        WantedBy=default.target
        "##);
    }

    #[test]
    fn the_unit_of_an_odd_home_with_flags_and_variables() {
        let home = "/home/jo's 100% \"$é\" \\ & <co>";
        let flags = [
            (Flag::Mode, "server"),
            (Flag::HubUrl, "https://hub/?a=%20&b=$c;\"d\""),
        ];
        let environment = environment(&[("HEPH_DB", "/data/100% \"mine\"/$x/heph.db")]);
        insta::assert_snapshot!(render(&definition(home, &flags, environment)), @r##"
        # Made by heph, template 2. Edits to this file are lost at the next `heph daemon restart`.
        # To change a flag of hephd: `heph daemon restart --hub-url URL`, or `heph daemon restart --unset hub-url`.
        # For settings of your own: `systemctl --user edit heph.service`. To remove it: `heph daemon uninstall`.

        [Unit]
        Description=hephd, the task store of heph
        # Wanted and not required: where the socket cannot be had, hephd itself says why, and tries on.
        Wants=heph.socket
        After=heph.socket
        # Restart=always is to bring hephd back however often it ends, so its starts are not rationed.
        StartLimitIntervalSec=0

        [Service]
        Type=notify
        ExecStart=/bin/sh -c 'exec "$$0" "$$@"' "/home/jo's 100%% \"$$é\" \\ & <co>/.cargo/bin/hephd" "--mode=server" "--hub-url=https://hub/?a=%%20&b=$$c;\"d\""
        Environment="HEPH_DB=/data/100%% \"mine\"/$x/heph.db"
        Restart=always
        RestartSec=1
        # hephd asks for more by itself while it migrates its store (EXTEND_TIMEOUT_USEC).
        TimeoutStartSec=60
        # hephd gives what is in flight 5 s.
        TimeoutStopSec=10
        # Files, because not every user manager has a journal.
        StandardOutput=append:/home/jo's 100%% "$é" \ & <co>/.local/share/heph/hephd.log
        StandardError=append:/home/jo's 100%% "$é" \ & <co>/.local/share/heph/hephd.log

        [Install]
        WantedBy=default.target
        "##);
    }

    #[test]
    fn flags_of_an_edited_unit_are_read_back() {
        let plain = render(&definition("/home/me", &[], Environment::default()));
        let edited = plain.replace(
            "hephd\"\n",
            "hephd\" --mode local \\\n  --hub-url='https://a b' --verbose\n",
        );
        let written = parse(&edited).unwrap();
        assert_eq!(
            written.flags.to_arguments(),
            ["--mode=local", "--hub-url=https://a b"]
        );
        assert_eq!(written.foreign, ["--verbose"]);
        assert_eq!(template_of(&edited), Some(2));
    }

    #[test]
    fn a_unit_whose_command_only_systemd_can_tell_is_refused() {
        for command in [
            "",
            "ExecStart=",
            "ExecStart=hephd",
            "ExecStart=-/bin/hephd",
            "ExecStart=/bin/hephd --mode=%i",
            "ExecStart=/bin/hephd $FLAGS",
            "ExecStart=/bin/hephd ; /bin/true",
            "ExecStart=/bin/hephd\nExecStart=/bin/true",
            "ExecStart=/bin/hephd --mode=\\n",
        ] {
            assert!(
                parse(&format!("[Service]\n{command}\n")).is_err(),
                "{command}"
            );
        }
    }

    proptest! {
        #[test]
        fn baked_read_back_and_baked_again_is_byte_identical(definition in any_definition()) {
            let unit = render(&definition);
            let written = parse(&unit).unwrap();
            prop_assert_eq!(&written.foreign, &Vec::<String>::new());
            let again = written.definition(&paths()).unwrap();
            prop_assert_eq!(&again, &definition);
            prop_assert_eq!(render(&again), unit);
        }

        #[test]
        fn no_unit_panics(unit in "(?s)(\\[Service\\]\n)?(ExecStart|Environment|StandardOutput)=.*") {
            let _ = parse(&unit);
        }
    }
}
