//! `org.hephaestus.hephd.plist`, written from its template and read back. Pure.

use crate::error::{Result, ResultExt};
use crate::platform::generated::fill;
use crate::platform::launchd::plist::{self, Value, escape};
use crate::platform::service::definition::{Definition, Written};

const TEMPLATE: &str = include_str!("../../../../templates/org.hephaestus.hephd.plist");

/// Returns the property list of `definition`.
pub fn render(definition: &Definition) -> String {
    let program = std::iter::once(definition.program.clone());
    let arguments = program.chain(definition.flags.to_arguments());
    let variables = definition.environment.iter();
    let variables = variables
        .map(|(name, value)| format!("<key>{name}</key><string>{}</string>", escape(value)));
    let values = [
        (
            "argument",
            arguments.map(|argument| escape(&argument)).collect(),
        ),
        ("variable", variables.collect()),
        ("log", vec![escape(&definition.log)]),
    ];
    fill(TEMPLATE, &values)
}

/// Reads a property list back, be it edited or from another version of heph.
///
/// # Errors
///
/// It is no XML property list, or names no program.
pub fn parse(plist: &str) -> Result<Written> {
    let job = plist::parse(plist)?;
    let command = job
        .get("ProgramArguments")
        .context("it holds no ProgramArguments")?
        .items()
        .iter()
        .map(text_of)
        .collect();
    let variables = job.get("EnvironmentVariables").map(Value::entries);
    let variables = variables
        .unwrap_or_default()
        .iter()
        .map(|(name, value)| (name.clone(), text_of(value)))
        .collect();
    let log = job.get("StandardOutPath").map(text_of);
    Written::new(command, variables, log)
}

fn text_of(value: &Value) -> String {
    value.text().unwrap_or_default().to_owned()
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
            log: format!("{home}/Library/Application Support/heph/hephd.log"),
        }
    }

    #[test]
    fn the_plain_agent() {
        insta::assert_snapshot!(render(&definition("/Users/me", &[], Environment::default())), @r##"
        <?xml version="1.0" encoding="UTF-8"?>
        <!-- Made by heph, template 1. Edits to this file are lost at the next `heph daemon restart`.
             To change a flag of hephd: `heph daemon restart`, whose help lists them. To remove it: `heph daemon uninstall`. -->
        <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
        <plist version="1.0">
        <dict>
            <key>Label</key>
            <string>org.hephaestus.hephd</string>
            <key>ProgramArguments</key>
            <array>
                <string>/Users/me/.cargo/bin/hephd</string>
            </array>
            <key>EnvironmentVariables</key>
            <dict>
            </dict>
            <key>RunAtLoad</key>
            <true/>
            <key>KeepAlive</key>
            <true/>
            <!-- Seconds from one start to the next at least; launchd's own default is 10. -->
            <key>ThrottleInterval</key>
            <integer>1</integer>
            <!-- Seconds from SIGTERM to SIGKILL; hephd gives what is in flight 5. -->
            <key>ExitTimeOut</key>
            <integer>10</integer>
            <key>StandardOutPath</key>
            <string>/Users/me/Library/Application Support/heph/hephd.log</string>
            <key>StandardErrorPath</key>
            <string>/Users/me/Library/Application Support/heph/hephd.log</string>
        </dict>
        </plist>
        "##);
    }

    #[test]
    fn the_agent_of_an_odd_home_with_flags_and_variables() {
        let flags = [
            (Flag::Mode, "server"),
            (Flag::HubUrl, "https://hub/?a=1&b=]]>"),
        ];
        let environment = environment(&[("HEPH_DB", "/data/<mine> & yours/heph.db")]);
        insta::assert_snapshot!(render(&definition("/Users/jo's \"é\" & <co>", &flags, environment)), @r##"
        <?xml version="1.0" encoding="UTF-8"?>
        <!-- Made by heph, template 1. Edits to this file are lost at the next `heph daemon restart`.
             To change a flag of hephd: `heph daemon restart`, whose help lists them. To remove it: `heph daemon uninstall`. -->
        <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
        <plist version="1.0">
        <dict>
            <key>Label</key>
            <string>org.hephaestus.hephd</string>
            <key>ProgramArguments</key>
            <array>
                <string>/Users/jo's "é" &amp; &lt;co&gt;/.cargo/bin/hephd</string>
                <string>--mode=server</string>
                <string>--hub-url=https://hub/?a=1&amp;b=]]&gt;</string>
            </array>
            <key>EnvironmentVariables</key>
            <dict>
                <key>HEPH_DB</key><string>/data/&lt;mine&gt; &amp; yours/heph.db</string>
            </dict>
            <key>RunAtLoad</key>
            <true/>
            <key>KeepAlive</key>
            <true/>
            <!-- Seconds from one start to the next at least; launchd's own default is 10. -->
            <key>ThrottleInterval</key>
            <integer>1</integer>
            <!-- Seconds from SIGTERM to SIGKILL; hephd gives what is in flight 5. -->
            <key>ExitTimeOut</key>
            <integer>10</integer>
            <key>StandardOutPath</key>
            <string>/Users/jo's "é" &amp; &lt;co&gt;/Library/Application Support/heph/hephd.log</string>
            <key>StandardErrorPath</key>
            <string>/Users/jo's "é" &amp; &lt;co&gt;/Library/Application Support/heph/hephd.log</string>
        </dict>
        </plist>
        "##);
    }

    #[test]
    fn flags_of_an_edited_agent_are_read_back() {
        let plain = render(&definition("/Users/me", &[], Environment::default()));
        let edited = plain.replace(
            "    </array>",
            "<string>--mode</string><!-- mine --><string><![CDATA[local]]></string>\n<string/></array>",
        );
        let written = parse(&edited).unwrap();
        assert_eq!(written.flags.to_arguments(), ["--mode=local"]);
        assert_eq!(written.foreign, [""]);
        assert_eq!(template_of(&edited), Some(1));
    }

    #[test]
    fn a_file_that_is_no_agent_is_refused() {
        for text in [
            "",
            "no xml",
            "<plist></plist>",
            "<plist><dict><key>ProgramArguments</key></dict></plist>",
            "<plist><dict><key>ProgramArguments</key><array/></dict></plist>",
            "<plist><dict><key>ProgramArguments</key><array><string>hephd</string></array></dict></plist>",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn baked_read_back_and_baked_again_is_byte_identical(definition in any_definition()) {
            let agent = render(&definition);
            let written = parse(&agent).unwrap();
            prop_assert_eq!(&written.foreign, &Vec::<String>::new());
            let again = written.definition(&paths()).unwrap();
            prop_assert_eq!(&again, &definition);
            prop_assert_eq!(render(&again), agent);
        }

        #[test]
        fn another_parser_reads_the_same(definition in any_definition()) {
            let value = ::plist::Value::from_reader_xml(render(&definition).as_bytes()).unwrap();
            let job = value.as_dictionary().unwrap();
            let text = |value: &::plist::Value| value.as_string().unwrap().to_owned();
            let arguments: Vec<_> = job["ProgramArguments"].as_array().unwrap().iter().map(text).collect();
            let expected: Vec<_> = std::iter::once(definition.program.clone()).chain(definition.flags.to_arguments()).collect();
            prop_assert_eq!(arguments, expected);
            let variables: Vec<_> = job["EnvironmentVariables"].as_dictionary().unwrap().iter()
                .map(|(name, value)| (name.clone(), text(value))).collect();
            let expected: Vec<_> = definition.environment.iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(variables, expected);
            for key in ["StandardOutPath", "StandardErrorPath"] {
                prop_assert_eq!(text(&job[key]), definition.log.clone());
            }
            prop_assert_eq!(text(&job["Label"]), "org.hephaestus.hephd");
            prop_assert!(job["RunAtLoad"].as_boolean().unwrap() && job["KeepAlive"].as_boolean().unwrap());
        }

        #[test]
        fn no_agent_panics(text in "(?s).*", inner in "[<>/&;a-z!\\[\\]\"-]{0,40}") {
            let _ = parse(&text);
            let _ = parse(&format!("<plist><dict>{inner}</dict></plist>"));
        }
    }
}
