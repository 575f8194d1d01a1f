//! Release 0.1.0 on either side: files that it wrote, and files of this heph as it reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::generated::FileState;
use super::legacy::{self, Written};
use super::schedule::Scheduler;
use super::schedule::job::tests::any_job;
use super::service::definition::tests::any_definition;
use crate::config::ServiceManager;
use crate::paths::{HephdPaths, Paths};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/release-0.1.0");

/// Returns the folders of files that release 0.1.0 wrote, with what they were made from.
fn variants(kind: &str) -> Vec<(PathBuf, Value)> {
    let folders = fs::read_dir(Path::new(FIXTURES).join(kind)).unwrap();
    let folders = folders.map(|folder| folder.unwrap().path());
    folders
        .map(|folder| {
            let expected = fs::read(folder.join("expected.json")).unwrap();
            (folder, serde_json::from_slice(&expected).unwrap())
        })
        .collect()
}

fn paths_in(folder: &Path) -> Paths {
    Paths {
        systemd_units: folder.into(),
        launch_agents: folder.into(),
        hephd: HephdPaths::in_folders(folder, None),
        ..Paths::in_home(Path::new("/home/jo"))
    }
}

/// Checks that the service file in `folder` is taken over.
fn assert_service(choice: ServiceManager, folder: &Path, expected: &Value) {
    let manager = super::service::choose(choice, &paths_in(folder)).unwrap();
    let file = manager.read().unwrap();
    assert_eq!(file.state, FileState::OlderTemplate, "{folder:?}");
    let definition = file.source.unwrap();
    assert_eq!(definition.foreign, [] as [&str; 0]);
    let flags = definition.flags.iter();
    let flags: BTreeMap<_, _> = flags.map(|(flag, value)| (flag.name(), value)).collect();
    let said = json!({
        "program": definition.program,
        "flags": flags,
        "environment": definition.environment.0,
        "log": definition.log,
    });
    assert_eq!(&said, expected, "{folder:?}");
}

#[test]
fn every_flag_and_variable_of_hephd_is_taken_over_from_release_0_1_0() {
    let variants = variants("units");
    assert_eq!(variants.len(), 5);
    for (folder, expected) in variants {
        for choice in [ServiceManager::Systemd, ServiceManager::Launchd] {
            assert_service(choice, &folder, &expected["service"]);
        }
        let manager = super::service::choose(ServiceManager::Systemd, &paths_in(&folder)).unwrap();
        let socket = manager.socket_state().unwrap();
        assert_eq!(socket, Some(FileState::OlderTemplate));
    }
}

#[test]
fn every_flag_and_variable_of_hephd_is_taken_over_from_before_release_0_1_0() {
    for (folder, expected) in variants("units-template-1") {
        assert_service(ServiceManager::Systemd, &folder, &expected["service"]);
    }
}

#[test]
fn every_cadence_and_variable_of_the_timer_is_taken_over_from_release_0_1_0() {
    for (folder, expected) in variants("units") {
        let schedulers = [Scheduler::Systemd, Scheduler::Launchd, Scheduler::Cron];
        for scheduler in schedulers {
            let job = scheduler.backend(&paths_in(&folder)).read().unwrap();
            let job = job.unwrap();
            let invocation = &job.invocation;
            let said = json!({
                "cadence": job.cadence.to_string(),
                "notify_only": invocation.notify_only,
                "config": invocation.config,
                "program": invocation.program,
                "environment": invocation.environment,
            });
            let expected = &expected["timer"][scheduler.to_string()];
            assert_eq!(&said, expected, "{folder:?} {scheduler}");
            assert!(
                invocation.log.ends_with("heph/self-update.log"),
                "{invocation:?}"
            );
        }
    }
}

#[test]
fn flags_that_a_person_edited_into_a_file_of_release_0_1_0_are_taken_over() {
    let unit = "[Service]\nExecStart=\"/bin/hephd\" --mode local \\\n  --hub-url='https://a b' --verbose\n";
    let written = legacy::service(unit).unwrap();
    let command = [
        "/bin/hephd",
        "--mode",
        "local",
        "--hub-url=https://a b",
        "--verbose",
    ];
    assert_eq!(written.command, command);
    let agent = "<plist><dict><key>ProgramArguments</key>\n<array><string>/bin/hephd</string>\
        <string>--mode</string>\n<string>local</string></array></dict></plist>";
    let written = legacy::agent(agent).unwrap();
    assert_eq!(written.command, ["/bin/hephd", "--mode", "local"]);
}

#[test]
fn a_file_of_release_0_1_0_that_cannot_be_understood_is_an_error() {
    for command in [
        "",
        "ExecStart=",
        "ExecStart=/bin/hephd --mode=%i",
        "ExecStart=/bin/hephd $FLAGS",
        "ExecStart=/bin/hephd ; /bin/true",
        "ExecStart=/bin/hephd\nExecStart=/bin/true",
        "ExecStart=/bin/hephd --mode=\\n",
        "ExecStart=\"/bin/hephd",
    ] {
        let unit = format!("[Service]\n{command}\n");
        assert!(legacy::service(&unit).is_err(), "{command}");
    }
    for agent in [
        "",
        "no xml",
        "<plist></plist>",
        "<plist><dict><key>ProgramArguments</key></dict></plist>",
        "<plist><dict><key>ProgramArguments</key><array/></dict></plist>",
        "<dict><key>ProgramArguments</key><array><string><![CDATA[/bin/hephd]]></string></array></dict>",
    ] {
        assert!(legacy::agent(agent).is_err(), "{agent}");
    }
    for script in [
        "",
        "# Cadence: every 6h\n",
        "\nset -- env -i \\\n A=1 \\\n heph\n",
    ] {
        assert!(legacy::script(script).is_err(), "{script}");
    }
}

/// Returns the texts of the files of `plan`, after a check that release 0.1.0 takes them for heph's own.
fn texts(plan: Vec<super::generated::Planned>) -> Vec<String> {
    let texts = plan.into_iter().map(|file| file.text);
    texts
        .inspect(|text| {
            let mut head = text.lines().take(3);
            assert!(
                head.any(|line| line.contains("Made by heph, template ")),
                "{text}"
            );
        })
        .collect()
}

proptest! {
    // Its readers understand all that `legacy` does. So a roll-back to it keeps every flag, variable and cadence.

    #[test]
    fn release_0_1_0_reads_the_service_files_of_this_heph(definition in any_definition()) {
        let expected = definition.source();
        for choice in [ServiceManager::Systemd, ServiceManager::Launchd] {
            let manager = super::service::choose(choice, &paths_in(Path::new("/"))).unwrap();
            let texts = texts(manager.plan(&definition).unwrap());
            let text = texts.last().unwrap();
            let written = match choice {
                ServiceManager::Systemd => legacy::service(text),
                _ => legacy::agent(text),
            };
            prop_assert_eq!(&super::service::definition::Source::from(written.unwrap()), &expected);
        }
    }

    #[test]
    fn release_0_1_0_reads_the_timers_of_this_heph(job in any_job()) {
        let invocation = &job.invocation;
        let written = |cadence: Option<String>| Written {
            command: invocation.command().unwrap(),
            variables: invocation.environment.clone().into_iter().collect(),
            log: Some(invocation.log.to_str().unwrap().to_owned()),
            cadence,
        };
        let cadence = job.cadence.to_string();
        let paths = paths_in(Path::new("/"));
        let units = texts(Scheduler::Systemd.plan(&job, &paths).unwrap());
        prop_assert_eq!(legacy::service(&units[0]).unwrap(), written(None));
        prop_assert_eq!(legacy::cadence(&units[1]).unwrap(), cadence.clone());
        let agent = texts(Scheduler::Launchd.plan(&job, &paths).unwrap());
        let mut said = legacy::agent(&agent[0]).unwrap();
        let parsed = super::schedule::cadence::Cadence::parse(&said.cadence.take().unwrap());
        prop_assert_eq!(parsed.unwrap(), job.cadence.clone());
        prop_assert_eq!(said, written(None));
        if let Ok(script) = Scheduler::Cron.plan(&job, &paths) {
            prop_assert_eq!(legacy::script(&texts(script)[0]).unwrap(), written(Some(cadence)));
        }
    }

    #[test]
    fn no_text_panics(text in "(?s).*", inner in "[<>/&;a-z!\\[\\]\\\\\"' =$%-]{0,40}") {
        let _ = legacy::agent(&text);
        let _ = legacy::agent(&format!("<plist><dict><key>ProgramArguments</key>{inner}</dict></plist>"));
        let _ = legacy::script(&text);
        let _ = legacy::script(&format!("# Cadence: x\nset -- env -i {inner}"));
        let _ = legacy::service(&text);
        for key in ["ExecStart", "Environment", "StandardOutput"] {
            let _ = legacy::service(&format!("[Service]\n{key}={inner}"));
        }
    }
}
