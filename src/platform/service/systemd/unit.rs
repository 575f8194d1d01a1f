//! `heph.service`. Pure.

use crate::error::Result;
use crate::os::files;
use crate::platform::generated::{Format, Values};
use crate::platform::legacy;
use crate::platform::service::definition::{Definition, Source};
use crate::platform::systemd::syntax::{command, escape_specifiers, variables};

pub(super) const FORMAT: Format<Source> = Format {
    template: include_str!("../../../../templates/heph.service"),
    mode: files::SHARED,
    values,
    legacy: Some(|text| legacy::service(text).map(Source::from)),
};

/// Returns the unit of `definition`.
///
/// # Errors
///
/// It holds a value that [`Definition::new`] rejects.
pub fn render(definition: &Definition) -> Result<String> {
    FORMAT.render(&definition.source())
}

fn values(source: &Source) -> Result<Values> {
    let mut values = vec![
        ("command", command(&source.program, &source.arguments)),
        // No list of words: it is not quoted, and only specifiers are expanded in it.
        ("log", escape_specifiers(&source.log)),
    ];
    values.extend(variables(&source.environment));
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::service::arguments::tests::flags;
    use crate::platform::service::definition::Environment;
    use crate::platform::service::definition::tests::environment;

    fn definition(home: &str, arguments: &[&str], environment: Environment) -> Definition {
        Definition {
            program: format!("{home}/.cargo/bin/hephd"),
            flags: flags(arguments),
            environment,
            log: format!("{home}/.local/share/heph/hephd.log"),
            foreign: Vec::new(),
        }
    }

    fn render(definition: &Definition) -> String {
        super::render(definition).unwrap()
    }

    #[test]
    fn the_plain_unit() {
        insta::assert_snapshot!(render(&definition("/home/me", &[], Environment::default())), @r##"
        # Made by heph, template 3. If you edit it, heph stops updating it; `heph daemon restart --force` rewrites it.
        # To change a flag of hephd: `heph daemon restart --hub-url URL`, or `heph daemon restart --unset hub-url`.
        # For settings of your own: `systemctl --user edit heph.service`. To remove it: `heph daemon uninstall`.
        # Made from: {"program":"/home/me/.cargo/bin/hephd","arguments":[],"environment":{},"log":"/home/me/.local/share/heph/hephd.log"}

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
        let flags = ["--mode=server", "--hub-url=https://hub/?a=%20&b=$c;\"d\""];
        let environment = environment(&[("HEPH_DB", "/data/100% \"mine\"/$x/heph.db")]);
        insta::assert_snapshot!(render(&definition(home, &flags, environment)), @r##"
        # Made by heph, template 3. If you edit it, heph stops updating it; `heph daemon restart --force` rewrites it.
        # To change a flag of hephd: `heph daemon restart --hub-url URL`, or `heph daemon restart --unset hub-url`.
        # For settings of your own: `systemctl --user edit heph.service`. To remove it: `heph daemon uninstall`.
        # Made from: {"program":"/home/jo's 100% \"$é\" \\ & <co>/.cargo/bin/hephd","arguments":["--mode=server","--hub-url=https://hub/?a=%20&b=$c;\"d\""],"environment":{"HEPH_DB":"/data/100% \"mine\"/$x/heph.db"},"log":"/home/jo's 100% \"$é\" \\ & <co>/.local/share/heph/hephd.log"}

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
}
