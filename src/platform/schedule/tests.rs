//! Tests of the back ends: baking, reading back and baking again.

mod rendered;

use super::*;
use crate::platform::schedule::job::tests::{any_job, plain};
use proptest::prelude::*;

fn paths_of(home: &str) -> Paths {
    Paths::in_home(Path::new(home))
}

const HOME: &str = "/home/me";

fn rendered(scheduler: Scheduler, job: &Job, home: &str) -> Vec<String> {
    let files = scheduler.files(job, &paths_of(home)).unwrap();
    files.into_iter().map(|file| file.text).collect()
}

proptest! {
    #[test]
    fn baked_read_back_and_baked_again_is_byte_identical(job in any_job()) {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths_of(folder.path().to_str().unwrap());
        for scheduler in Scheduler::ALL {
            let Ok(files) = scheduler.files(&job, &paths) else {
                // cron cannot express every interval.
                prop_assert!(scheduler == Scheduler::Cron && job.cadence.cron(0).is_err());
                continue;
            };
            prop_assert!(generated::write(&files, false).unwrap());
            let again = scheduler.read(&paths).unwrap().unwrap();
            prop_assert_eq!(&again, &job);
            prop_assert_eq!(&scheduler.files(&again, &paths).unwrap(), &files);
            prop_assert!(!generated::write(&files, false).unwrap(), "nothing is left to write");
        }
    }

    #[test]
    fn an_agent_says_the_same_to_another_parser(job in any_job()) {
        let agent = rendered(Scheduler::Launchd, &job, HOME);
        let value = plist::Value::from_reader_xml(agent[0].as_bytes()).unwrap();
        let agent = value.as_dictionary().unwrap();
        let text = |value: &plist::Value| value.as_string().unwrap().to_owned();
        let arguments: Vec<_> = agent["ProgramArguments"].as_array().unwrap().iter().map(text).collect();
        let exe = job.exe.to_str().unwrap().to_owned();
        let expected: Vec<_> = std::iter::once(exe).chain(job.arguments().unwrap()).collect();
        prop_assert_eq!(arguments, expected);
        let variables = agent["EnvironmentVariables"].as_dictionary().unwrap().iter();
        let variables: Environment = variables.map(|(name, value)| (name.clone(), text(value))).collect();
        prop_assert_eq!(variables, job.env);
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
        let job = Job { cadence: Cadence::parse("at 03:30").unwrap(), ..job };
        let script = Scheduler::Cron.files(&job, &paths).unwrap();
        // The shell itself says how it reads the words.
        let script = script[0].text.replace("exec \"$@\"", "printf '%s\\0' \"$@\" >&3");
        let script = script.replace("$(command -v nice)", "nice").replace("\nif ", "\nif false && ");
        let script = format!("exec 3>&1\nmkdir -p \"$(dirname \"$0\")\"\n{script}");
        let run = crate::os::process::Run::new("/bin/sh").arg("-c").arg(script);
        std::fs::create_dir_all(&paths.state).unwrap();
        let said = run.arg(paths.state.join("x")).success().unwrap().text();
        let mut expected = vec!["env".to_owned(), "-i".to_owned()];
        expected.extend(job.env.iter().map(|(name, value)| format!("{name}={value}")));
        expected.extend(["nice", "-n", "19", job.program().unwrap()].map(str::to_owned));
        expected.extend(job.arguments().unwrap());
        let said: Vec<_> = said.split_terminator('\0').map(str::to_owned).collect();
        prop_assert_eq!(said, expected);
    }
}

#[test]
fn what_no_file_can_carry_is_refused_by_all() {
    let broken = [
        Job {
            exe: "heph".into(),
            ..plain("every 6h")
        },
        Job {
            exe: "/a\nb".into(),
            ..plain("every 6h")
        },
        Job {
            config: Some("/a\tb".into()),
            ..plain("every 6h")
        },
        Job {
            env: [("A".into(), "a\nb".into())].into(),
            ..plain("every 6h")
        },
        Job {
            env: [("A B".into(), "a".into())].into(),
            ..plain("every 6h")
        },
    ];
    for job in broken {
        for scheduler in Scheduler::ALL {
            assert!(scheduler.files(&job, &paths_of(HOME)).is_err(), "{job:?}");
        }
    }
    let far = format!("/{}", "x".repeat(1000));
    assert!(
        Scheduler::Cron
            .files(&plain("every 6h"), &paths_of(&far))
            .is_err()
    );
}

#[test]
fn a_file_that_heph_would_not_have_written_is_told_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths_of(folder.path().to_str().unwrap());
    for scheduler in Scheduler::ALL {
        let files = scheduler.files(&plain("every 6h"), &paths).unwrap();
        generated::write(&files, false).unwrap();
        let edited = files[0].text.replace("apply", "conquer");
        std::fs::write(&files[0].path, &edited).unwrap();
        let error = scheduler.read(&paths).unwrap_err();
        assert!(error.hint().unwrap().contains("--force"), "{error:#}");
        std::fs::write(&files[0].path, "mine\n").unwrap();
        let error = scheduler.read(&paths).unwrap_err();
        assert!(error.to_string().contains("not made by heph"), "{error:#}");
        assert!(scheduler.remove(&paths, false).is_err());
        assert_eq!(std::fs::read(&files[0].path).unwrap(), b"mine\n");
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
