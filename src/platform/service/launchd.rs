//! The launchd back end: the agent `org.hephaestus.hephd`.
//!
//! launchd holds no socket for hephd: handing one over needs a call of its own (launch_activate_socket(3)), which only unsafe
//! code can make. Clients wait for the socket to come back instead.
//!
//! A job whose property list did not change is not loaded again: `kickstart -k` is enough.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::definition::{Definition, Source};
use super::manager::{Activity, Manager, Process};
use crate::error::Result;
use crate::os::files;
use crate::paths::Paths;
use crate::platform::generated::{self, Format, OnDisk, Planned, Values};
use crate::platform::launchd::launchctl::Agent;
use crate::platform::launchd::plist;
use crate::platform::legacy;

const LABEL: &str = "org.hephaestus.hephd";

const FORMAT: Format<Source> = Format {
    template: include_str!("../../../templates/org.hephaestus.hephd.plist"),
    mode: files::SHARED,
    values,
    legacy: Some(|text| legacy::agent(text).map(Source::from)),
};

fn values(source: &Source) -> Result<Values> {
    let command = [&source.program].into_iter().chain(&source.arguments);
    let mut values = vec![("log", plist::escape(&source.log))];
    values.extend(command.map(|word| ("argument", plist::escape(word))));
    values.extend(plist::entries(&source.environment));
    Ok(values)
}

/// launchd, for the agents of this user.
#[derive(Debug)]
pub(super) struct Launchd(Agent);

impl Launchd {
    pub fn new(paths: &Paths) -> Launchd {
        Launchd(Agent::new(LABEL, &paths.launch_agents))
    }

    fn run(&self, files: &[Planned], kill: bool) -> Result<()> {
        let domain = self.0.loaded()?.map(|(domain, _)| domain);
        let is_due = files.iter().any(|file| file.is_due);
        if is_due || domain.is_none() {
            self.0.check_enabled()?;
        }
        match &domain {
            // Before the file is written: if this run is interrupted in between, the next start loads the new file and does
            // not take the job for an up-to-date one.
            Some(domain) if is_due => self.0.bootout(domain)?,
            Some(domain) if self.0.kickstart(domain, kill)? => return Ok(()),
            _ => {}
        }
        generated::write(files)?;
        self.0.bootstrap(domain)
    }
}

/// Returns the process of a loaded job, from the state that `print` shows. Pure.
fn process(state: &str) -> Process {
    let pid = state.lines().find_map(|line| line.strip_prefix("\tpid = "));
    let pid = pid.and_then(|pid| pid.trim().parse().ok());
    // Under KeepAlive a job without a process is between two starts.
    let activity = pid.map_or(Activity::Starting, |_: u32| Activity::Running);
    Process { activity, pid }
}

impl Manager for Launchd {
    fn name(&self) -> &'static str {
        "launchd"
    }

    fn file(&self) -> &Path {
        self.0.file()
    }

    fn read(&self) -> Result<OnDisk<Definition>> {
        Ok(FORMAT.read(self.file())?.and_then(Definition::try_from))
    }

    fn plan(&self, definition: &Definition) -> Result<Vec<Planned>> {
        Ok(vec![
            FORMAT.plan(self.file().to_owned(), &definition.source())?,
        ])
    }

    fn runtime_dir(&self) -> Option<PathBuf> {
        None
    }

    fn answers(&self) -> Result<()> {
        // launchd is the first process of the machine.
        Ok(())
    }

    fn process(&self) -> Result<Process> {
        let loaded = self.0.loaded()?;
        Ok(loaded.map_or(Process::STOPPED, |(_, state)| process(&state)))
    }

    fn start(&self, files: &[Planned], _limit: Duration) -> Result<()> {
        self.run(files, false)
    }

    fn restart(&self, files: &[Planned], _limit: Duration) -> Result<()> {
        self.run(files, true)
    }

    fn stop(&self) -> Result<bool> {
        // KeepAlive starts a killed process again: only an unloaded job stays down.
        let state = self.0.unload()?;
        Ok(state.is_some_and(|state| process(&state).pid.is_some()))
    }

    fn uninstall(&self) -> Result<bool> {
        let was_loaded = self.0.unload()?.is_some();
        Ok(generated::remove(self.file())? || was_loaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::service::arguments::tests::flags;
    use crate::platform::service::definition::Environment;
    use crate::platform::service::definition::tests::{any_definition, environment};
    use proptest::prelude::*;

    fn definition(home: &str, arguments: &[&str], environment: Environment) -> Definition {
        Definition {
            program: format!("{home}/.cargo/bin/hephd"),
            flags: flags(arguments),
            environment,
            log: format!("{home}/Library/Application Support/heph/hephd.log"),
            foreign: Vec::new(),
        }
    }

    fn render(definition: &Definition) -> String {
        FORMAT.render(&definition.source()).unwrap()
    }

    #[test]
    fn the_plain_agent() {
        insta::assert_snapshot!(render(&definition("/Users/me", &[], Environment::default())), @r##"
        <?xml version="1.0" encoding="UTF-8"?>
        <!-- Made by heph, template 2. If you edit it, heph stops updating it; a forced `heph daemon restart` rewrites it.
             To change a flag of hephd: `heph daemon restart`, whose help lists them. To remove it: `heph daemon uninstall`. -->
        <!-- Made from: {"program":"/Users/me/.cargo/bin/hephd","arguments":[],"environment":{},"log":"/Users/me/Library/Application Support/heph/hephd.log"} -->
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
        let flags = ["--mode=server", "--hub-url=https://hub/?a=1&b=]]>"];
        let environment = environment(&[("HEPH_DB", "/data/<mine> & yours/heph.db")]);
        insta::assert_snapshot!(render(&definition("/Users/jo's \"é\" & <co>", &flags, environment)), @r##"
        <?xml version="1.0" encoding="UTF-8"?>
        <!-- Made by heph, template 2. If you edit it, heph stops updating it; a forced `heph daemon restart` rewrites it.
             To change a flag of hephd: `heph daemon restart`, whose help lists them. To remove it: `heph daemon uninstall`. -->
        <!-- Made from: {"program":"/Users/jo's \"é\" & <co>/.cargo/bin/hephd","arguments":["\u002d\u002dmode=server","\u002d\u002dhub-url=https://hub/?a=1&b=]]>"],"environment":{"HEPH_DB":"/data/<mine> & yours/heph.db"},"log":"/Users/jo's \"é\" & <co>/Library/Application Support/heph/hephd.log"} -->
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
    fn the_process_follows_from_what_launchctl_prints() {
        // The shape of real output; nested blocks have their own pids.
        let state = "gui/501/org.hephaestus.hephd = {\n\tactive count = 1\n\tstate = running\n\tspawn type = daemon (3)\n\tpid = 4711\n\tendpoints = {\n\t\tpid = 1\n\t}\n}\n";
        assert_eq!(process(state).pid, Some(4711));
        assert_eq!(process(state).activity, Activity::Running);
        let between =
            "gui/501/x = {\n\tstate = spawn scheduled\n\tendpoints = {\n\t\tpid = 1\n\t}\n}\n";
        assert_eq!(process(between).pid, None);
        assert_eq!(process(between).activity, Activity::Starting);
    }

    proptest! {
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
            let expected: Vec<_> = definition.environment.0.into_iter().collect();
            prop_assert_eq!(variables, expected);
            for key in ["StandardOutPath", "StandardErrorPath"] {
                prop_assert_eq!(text(&job[key]), definition.log.clone());
            }
            prop_assert_eq!(text(&job["Label"]), "org.hephaestus.hephd");
            prop_assert!(job["RunAtLoad"].as_boolean().unwrap() && job["KeepAlive"].as_boolean().unwrap());
        }
    }
}
