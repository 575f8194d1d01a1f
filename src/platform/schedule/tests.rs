//! Tests of the back ends: baking, reading back and baking again.

mod rendered;

use super::*;
use crate::platform::schedule::job::tests::{any_job, plain};
use proptest::prelude::*;
use std::path::Path;

fn paths_of(home: &str) -> Paths {
    Paths::in_home(Path::new(home))
}

const HOME: &str = "/home/me";

fn rendered(scheduler: Scheduler, job: &Job, home: &str) -> Vec<String> {
    let files = scheduler.plan(job, &paths_of(home)).unwrap();
    files.into_iter().map(|file| file.text).collect()
}

proptest! {
    #[test]
    fn baked_read_back_and_baked_again_is_byte_identical(job in any_job()) {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths_of(folder.path().to_str().unwrap());
        for scheduler in Scheduler::ALL {
            let backend = scheduler.backend(&paths);
            let Ok(files) = backend.plan(&job) else {
                // cron cannot express every interval.
                prop_assert!(scheduler == Scheduler::Cron && job.cadence.cron(0).is_err());
                continue;
            };
            prop_assert!(generated::write(&files).unwrap());
            prop_assert!(backend.files().unwrap().iter().all(|(_, state)| *state == FileState::Current));
            let again = backend.read().unwrap().unwrap();
            prop_assert_eq!(&again, &job);
            prop_assert!(!generated::write(&backend.plan(&again).unwrap()).unwrap(), "nothing is left to write");
        }
    }

    #[test]
    fn an_agent_says_the_same_to_another_parser(job in any_job()) {
        let agent = rendered(Scheduler::Launchd, &job, HOME);
        let value = plist::Value::from_reader_xml(agent[0].as_bytes()).unwrap();
        let agent = value.as_dictionary().unwrap();
        let text = |value: &plist::Value| value.as_string().unwrap().to_owned();
        let arguments: Vec<_> = agent["ProgramArguments"].as_array().unwrap().iter().map(text).collect();
        prop_assert_eq!(arguments, job.invocation.command().unwrap());
        let variables = agent["EnvironmentVariables"].as_dictionary().unwrap().iter();
        let variables: Environment = variables.map(|(name, value)| (name.clone(), text(value))).collect();
        prop_assert_eq!(variables, job.invocation.environment);
        match &job.cadence {
            Cadence::Every(interval) => {
                let seconds = agent["StartInterval"].as_unsigned_integer();
                prop_assert_eq!(seconds, Some(interval.as_secs()));
                prop_assert!(!agent.contains_key("StartCalendarInterval"));
            }
            Cadence::At(times) => {
                prop_assert_eq!(agent["StartCalendarInterval"].as_array().unwrap().len(), times.len());
                prop_assert!(!agent.contains_key("StartInterval"));
            }
        }
    }

    #[test]
    fn a_shell_runs_what_the_script_says(job in any_job()) {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths_of(folder.path().to_str().unwrap());
        let cadence = Cadence::parse("at 03:30").unwrap();
        let invocation = Invocation { log: log(&paths), ..job.invocation };
        let job = Job { cadence, invocation };
        let script = Scheduler::Cron.plan(&job, &paths).unwrap();
        // The shell itself says how it reads the words.
        let script = script[0].text.replace("exec \"$@\"", "printf '%s\\0' \"$@\" >&3");
        let script = script.replace("$(command -v nice)", "nice").replace("\nif ", "\nif false && ");
        let script = format!("exec 3>&1\nmkdir -p \"$(dirname \"$0\")\"\n{script}");
        let run = crate::os::process::Run::new("/bin/sh").arg("-c").arg(script);
        std::fs::create_dir_all(&paths.state).unwrap();
        let said = run.arg(paths.state.join("x")).success().unwrap().text();
        let mut expected = vec!["env".to_owned(), "-i".to_owned()];
        expected.extend(job.invocation.environment.iter().map(|(name, value)| format!("{name}={value}")));
        expected.extend(["nice", "-n", "19"].map(str::to_owned));
        expected.extend(job.invocation.command().unwrap());
        let said: Vec<_> = said.split_terminator('\0').map(str::to_owned).collect();
        prop_assert_eq!(said, expected);
    }
}

#[test]
fn what_no_file_can_carry_is_rejected_by_all() {
    let broken: [fn(&mut Invocation); 5] = [
        |invocation| invocation.program = "heph".into(),
        |invocation| invocation.program = "/a\nb".into(),
        |invocation| invocation.config = Some("/a\tb".into()),
        |invocation| invocation.environment = [("A".into(), "a\nb".into())].into(),
        |invocation| invocation.environment = [("A B".into(), "a".into())].into(),
    ];
    for damage in broken {
        let mut job = plain("every 6h");
        damage(&mut job.invocation);
        for scheduler in Scheduler::ALL {
            assert!(scheduler.plan(&job, &paths_of(HOME)).is_err(), "{job:?}");
        }
    }
    let far = format!("/{}", "x".repeat(1000));
    let job = plain("every 6h");
    assert!(Scheduler::Cron.plan(&job, &paths_of(&far)).is_err());
}

#[test]
fn a_file_that_was_edited_is_read_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths_of(folder.path().to_str().unwrap());
    for scheduler in Scheduler::ALL {
        let backend = scheduler.backend(&paths);
        let job = plain("every 6h");
        let files = backend.plan(&job).unwrap();
        generated::write(&files).unwrap();
        let edited = files[0].text.replace("apply", "conquer");
        std::fs::write(&files[0].path, &edited).unwrap();
        assert_eq!(backend.read().unwrap().as_ref(), Some(&job));
        let error = check_replaceable(&*backend).unwrap_err();
        assert!(error.to_string().contains("edited by hand"), "{error:#}");
        assert!(error.hint().unwrap().contains("--force"), "{error:#}");
    }
}

#[test]
fn a_file_that_cannot_be_read_back_or_was_made_by_hand_is_an_error_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths_of(folder.path().to_str().unwrap());
    for scheduler in Scheduler::ALL {
        let backend = scheduler.backend(&paths);
        let files = backend.plan(&plain("every 6h")).unwrap();
        generated::write(&files).unwrap();
        let edited = files[0].text.replace("Made from: {", "Made from: ");
        std::fs::write(&files[0].path, &edited).unwrap();
        let error = backend.read().unwrap_err();
        assert!(error.hint().unwrap().contains("--force"), "{error:#}");
        std::fs::write(&files[0].path, "mine\n").unwrap();
        let error = backend.read().unwrap_err();
        assert!(error.to_string().contains("not made by heph"), "{error:#}");
        assert!(error.hint().unwrap().contains("--force"), "{error:#}");
        assert!(check_replaceable(&*backend).is_err());
    }
}

#[test]
fn the_setting_chooses_the_scheduler_and_auto_looks_around() {
    let never = || panic!("nobody needs to know");
    let pick = |manager, macos, systemd: fn() -> bool| Scheduler::pick(manager, macos, systemd);
    assert_eq!(
        pick(ServiceManager::Systemd, true, never),
        Scheduler::Systemd
    );
    assert_eq!(
        pick(ServiceManager::Launchd, false, never),
        Scheduler::Launchd
    );
    assert_eq!(pick(ServiceManager::None, true, never), Scheduler::Cron);
    assert_eq!(pick(ServiceManager::Auto, true, never), Scheduler::Launchd);
    assert_eq!(
        pick(ServiceManager::Auto, false, || true),
        Scheduler::Systemd
    );
    assert_eq!(pick(ServiceManager::Auto, false, || false), Scheduler::Cron);
}

#[test]
fn a_log_beyond_its_bound_is_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths_of(folder.path().to_str().unwrap());
    trim_log(&paths);
    files::create_private_dir(&paths.state).unwrap();
    for (size, left) in [(LOG_LIMIT, LOG_LIMIT), (LOG_LIMIT + 1, 0)] {
        std::fs::write(log(&paths), vec![b'x'; size as usize]).unwrap();
        trim_log(&paths);
        assert_eq!(log(&paths).metadata().unwrap().len(), left);
    }
}
