//! Tests of the back ends: whole rendered files, and baking, reading back and baking again.

use super::*;
use crate::schedule::job::tests::{any_job, odd, plain};
use proptest::prelude::*;

fn paths_of(home: &str) -> Paths {
    let home = Path::new(home);
    Paths {
        home: home.into(),
        config: home.join(".config/heph/config.toml"),
        data: home.join(".local/share/heph"),
        state: home.join(".local/state/heph"),
        cache: home.join(".cache/heph"),
        store: home.join(".local/share/heph/heph.db"),
        socket: home.join("run/heph/hephd.sock"),
        systemd_units: home.join(".config/systemd/user"),
        launch_agents: home.join("Library/LaunchAgents"),
    }
}

const HOME: &str = "/home/me";
const ODD_HOME: &str = "/home/jo's 100% \"$é\" \\ & <co>";

fn rendered(scheduler: Scheduler, job: &Job, home: &str) -> Vec<String> {
    let files = scheduler.files(job, &paths_of(home)).unwrap();
    files.into_iter().map(|file| file.text).collect()
}

#[test]
fn the_units() {
    let units = rendered(Scheduler::Systemd, &plain("every 6h"), HOME);
    insta::assert_snapshot!(units[0], @r##"
    # Made by heph, template 1. Edits to this file are lost at the next `heph self-update enable`.
    # For settings of your own: `systemctl --user edit heph-self-update.service`. To remove it: `heph self-update disable`.

    [Unit]
    Description=Keep heph current

    [Service]
    Type=oneshot
    ExecStart="/home/me/.cargo/bin/heph" "self-update" "apply" "--scheduled"
    Environment="HOME=/home/me"
    Environment="PATH=/home/me/.cargo/bin:/usr/bin:/bin"
    # 75: try again later, such as a forge that cannot be reached. 100: a newer release exists.
    SuccessExitStatus=75
    # A oneshot service has no limit of its own, and a build may hang.
    TimeoutStartSec=3h
    # heph ends what it started; a switch that is under way is finished or undone first.
    KillMode=mixed
    TimeoutStopSec=5min
    Nice=19
    CPUSchedulingPolicy=batch
    CPUWeight=10
    IOSchedulingClass=idle
    # Files, because not every user manager has a journal.
    StandardOutput=append:/home/me/.local/state/heph/self-update.log
    StandardError=append:/home/me/.local/state/heph/self-update.log
    "##);
    insta::assert_snapshot!(units[1], @r##"
    # Made by heph, template 1. Edits to this file are lost at the next `heph self-update enable`.
    # To change when it runs: `heph self-update enable --every 6h` or `--at 03:30`. To remove it: `heph self-update disable`.
    # Cadence: every 6h

    [Unit]
    Description=Start heph-self-update.service every 6h

    [Timer]
    OnCalendar=*-*-* 00/6:00:00
    Persistent=true
    # By how much is drawn once for this machine, so that many machines do not poll in the same second.
    RandomizedDelaySec=30m
    FixedRandomDelay=true
    AccuracySec=1m

    [Install]
    WantedBy=timers.target
    "##);
}

#[test]
fn the_units_of_an_odd_home() {
    let units = rendered(Scheduler::Systemd, &odd("at 03:30,15:30"), ODD_HOME);
    insta::assert_snapshot!(units[0], @r##"
    # Made by heph, template 1. Edits to this file are lost at the next `heph self-update enable`.
    # For settings of your own: `systemctl --user edit heph-self-update.service`. To remove it: `heph self-update disable`.

    [Unit]
    Description=Look for a new release of heph

    [Service]
    Type=oneshot
    ExecStart=/bin/sh -c 'exec "$$0" "$$@"' "/home/jo's 100%% \"$$é\" \\ & <co>/bin/heph" "--config" "/home/jo's 100%% \"$$é\" \\ & <co>/my config.toml" "self-update" "check" "--scheduled"
    Environment="HOME=/home/jo's 100%% \"$é\" \\ & <co>"
    Environment="https_proxy=http://me:p%%40ss`x`$y@proxy:1/?a=1&b=2#c"
    # 75: try again later, such as a forge that cannot be reached. 100: a newer release exists.
    SuccessExitStatus=75 100
    # A oneshot service has no limit of its own, and a build may hang.
    TimeoutStartSec=3h
    # heph ends what it started; a switch that is under way is finished or undone first.
    KillMode=mixed
    TimeoutStopSec=5min
    Nice=19
    CPUSchedulingPolicy=batch
    CPUWeight=10
    IOSchedulingClass=idle
    # Files, because not every user manager has a journal.
    StandardOutput=append:/home/jo's 100%% "$é" \ & <co>/.local/state/heph/self-update.log
    StandardError=append:/home/jo's 100%% "$é" \ & <co>/.local/state/heph/self-update.log
    "##);
    insta::assert_snapshot!(units[1], @r##"
    # Made by heph, template 1. Edits to this file are lost at the next `heph self-update enable`.
    # To change when it runs: `heph self-update enable --every 6h` or `--at 03:30`. To remove it: `heph self-update disable`.
    # Cadence: at 03:30,15:30

    [Unit]
    Description=Start heph-self-update.service at 03:30,15:30

    [Timer]
    OnCalendar=*-*-* 03:30:00
    OnCalendar=*-*-* 15:30:00
    Persistent=true
    # By how much is drawn once for this machine, so that many machines do not poll in the same second.
    RandomizedDelaySec=5m
    FixedRandomDelay=true
    AccuracySec=1m

    [Install]
    WantedBy=timers.target
    "##);
}

#[test]
fn the_timer_of_an_interval_that_no_calendar_can_express() {
    let units = rendered(Scheduler::Systemd, &plain("every 7h"), HOME);
    insta::assert_snapshot!(units[1], @r##"
    # Made by heph, template 1. Edits to this file are lost at the next `heph self-update enable`.
    # To change when it runs: `heph self-update enable --every 6h` or `--at 03:30`. To remove it: `heph self-update disable`.
    # Cadence: every 7h

    [Unit]
    Description=Start heph-self-update.service every 7h

    [Timer]
    OnBootSec=5m
    OnUnitInactiveSec=7h
    # By how much is drawn once for this machine, so that many machines do not poll in the same second.
    RandomizedDelaySec=30m
    FixedRandomDelay=true
    AccuracySec=1m

    [Install]
    WantedBy=timers.target
    "##);
}

#[test]
fn the_agent_of_an_interval() {
    let agent = rendered(Scheduler::Launchd, &plain("every 6h"), HOME);
    insta::assert_snapshot!(agent[0], @r##"
    <?xml version="1.0" encoding="UTF-8"?>
    <!-- Made by heph, template 1. Edits to this file are lost at the next `heph self-update enable`.
         To change when it runs: `heph self-update enable`, whose help lists how. To remove it: `heph self-update disable`. -->
    <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
    <plist version="1.0">
    <dict>
        <key>Label</key>
        <string>org.hephaestus.self-update</string>
        <key>ProgramArguments</key>
        <array>
            <string>/home/me/.cargo/bin/heph</string>
            <string>self-update</string>
            <string>apply</string>
            <string>--scheduled</string>
        </array>
        <key>EnvironmentVariables</key>
        <dict>
            <key>HOME</key><string>/home/me</string>
            <key>PATH</key><string>/home/me/.cargo/bin:/usr/bin:/bin</string>
        </dict>
        <key>StartInterval</key><integer>21600</integer>
        <!-- True for intervals: they start anew at each login, and launchd does not count while the machine sleeps. -->
        <key>RunAtLoad</key>
        <true/>
        <key>ProcessType</key>
        <string>Background</string>
        <key>LowPriorityIO</key>
        <true/>
        <key>Nice</key>
        <integer>19</integer>
        <!-- Seconds from SIGTERM to SIGKILL; a switch that is under way is finished or undone first. -->
        <key>ExitTimeOut</key>
        <integer>300</integer>
        <key>StandardOutPath</key>
        <string>/home/me/.local/state/heph/self-update.log</string>
        <key>StandardErrorPath</key>
        <string>/home/me/.local/state/heph/self-update.log</string>
    </dict>
    </plist>
    "##);
}

#[test]
fn the_agent_of_times_of_day_in_an_odd_home() {
    let agent = rendered(Scheduler::Launchd, &odd("at 03:30,15:30"), ODD_HOME);
    insta::assert_snapshot!(agent[0], @r##"
    <?xml version="1.0" encoding="UTF-8"?>
    <!-- Made by heph, template 1. Edits to this file are lost at the next `heph self-update enable`.
         To change when it runs: `heph self-update enable`, whose help lists how. To remove it: `heph self-update disable`. -->
    <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
    <plist version="1.0">
    <dict>
        <key>Label</key>
        <string>org.hephaestus.self-update</string>
        <key>ProgramArguments</key>
        <array>
            <string>/home/jo's 100% "$é" \ &amp; &lt;co&gt;/bin/heph</string>
            <string>--config</string>
            <string>/home/jo's 100% "$é" \ &amp; &lt;co&gt;/my config.toml</string>
            <string>self-update</string>
            <string>check</string>
            <string>--scheduled</string>
        </array>
        <key>EnvironmentVariables</key>
        <dict>
            <key>HOME</key><string>/home/jo's 100% "$é" \ &amp; &lt;co&gt;</string>
            <key>https_proxy</key><string>http://me:p%40ss`x`$y@proxy:1/?a=1&amp;b=2#c</string>
        </dict>
        <key>StartCalendarInterval</key><array>
            <dict><key>Hour</key><integer>3</integer><key>Minute</key><integer>30</integer></dict>
            <dict><key>Hour</key><integer>15</integer><key>Minute</key><integer>30</integer></dict>
        </array>
        <!-- True for intervals: they start anew at each login, and launchd does not count while the machine sleeps. -->
        <key>RunAtLoad</key>
        <false/>
        <key>ProcessType</key>
        <string>Background</string>
        <key>LowPriorityIO</key>
        <true/>
        <key>Nice</key>
        <integer>19</integer>
        <!-- Seconds from SIGTERM to SIGKILL; a switch that is under way is finished or undone first. -->
        <key>ExitTimeOut</key>
        <integer>300</integer>
        <key>StandardOutPath</key>
        <string>/home/jo's 100% "$é" \ &amp; &lt;co&gt;/.local/state/heph/self-update.log</string>
        <key>StandardErrorPath</key>
        <string>/home/jo's 100% "$é" \ &amp; &lt;co&gt;/.local/state/heph/self-update.log</string>
    </dict>
    </plist>
    "##);
}

#[test]
fn the_script_and_the_lines_of_the_crontab() {
    let script = rendered(Scheduler::Cron, &plain("every 6h"), HOME);
    insta::assert_snapshot!(script[0], @r##"
    #!/bin/sh
    # Made by heph, template 1. Edits to this file are lost at the next `heph self-update enable`.
    # The crontab's block between '# BEGIN heph' and '# END heph' starts it. To remove both: `heph self-update disable`.
    # Cadence: every 6h

    exec >>/home/me/.local/state/heph/self-update.log 2>&1

    # The command sees these variables and no others.
    set -- env -i \
        HOME=/home/me \
        PATH=/home/me/.cargo/bin:/usr/bin:/bin \
        "$(command -v nice)" -n 19 \
        /home/me/.cargo/bin/heph self-update apply --scheduled

    # Low priority and a time limit, where there are tools for it. After the limit, heph has 5 minutes to finish or undo a
    # switch that is under way.
    if ionice -c 3 true 2>/dev/null; then
        set -- ionice -c 3 "$@"
    fi
    if timeout -k 300 10800 true 2>/dev/null; then
        set -- timeout -k 300 10800 "$@"
    fi
    exec "$@"
    "##);
    let lines = cron::block(&plain("every 6h").cadence, &paths_of(HOME), 90).unwrap();
    insta::assert_snapshot!(lines.join("\n"), @r##"
    # Made by heph. To change it: `heph self-update enable`. To remove it: `heph self-update disable`.
    30 1-23/6 * * * '/home/me/.local/share/heph/self-update-job.sh'
    "##);
}

#[test]
fn the_script_and_the_lines_of_the_crontab_in_an_odd_home() {
    let script = rendered(Scheduler::Cron, &odd("at 03:30,15:30"), ODD_HOME);
    insta::assert_snapshot!(script[0], @r##"
    #!/bin/sh
    # Made by heph, template 1. Edits to this file are lost at the next `heph self-update enable`.
    # The crontab's block between '# BEGIN heph' and '# END heph' starts it. To remove both: `heph self-update disable`.
    # Cadence: at 03:30,15:30

    exec >>"/home/jo's 100% \""'$é" '"\\ & <co>/.local/state/heph/self-update.log" 2>&1

    # The command sees these variables and no others.
    set -- env -i \
        HOME="/home/jo's 100% \""'$é" '"\\ & <co>" \
        https_proxy='http://me:p%40ss`x`$y@proxy:1/?a=1&b=2#c' \
        "$(command -v nice)" -n 19 \
        "/home/jo's 100% \""'$é" '"\\ & <co>/bin/heph" --config "/home/jo's 100% \""'$é" '"\\ & <co>/my config.toml" self-update check --scheduled

    # Low priority and a time limit, where there are tools for it. After the limit, heph has 5 minutes to finish or undo a
    # switch that is under way.
    if ionice -c 3 true 2>/dev/null; then
        set -- ionice -c 3 "$@"
    fi
    if timeout -k 300 10800 true 2>/dev/null; then
        set -- timeout -k 300 10800 "$@"
    fi
    exec "$@"
    "##);
    let lines = cron::block(&odd("at 03:30,15:30").cadence, &paths_of(ODD_HOME), 90).unwrap();
    insta::assert_snapshot!(lines.join("\n"), @r##"
    # Made by heph. To change it: `heph self-update enable`. To remove it: `heph self-update disable`.
    30 3 * * * '/home/jo'"'"'s 100\% "$é" \'' & <co>/.local/share/heph/self-update-job.sh'
    30 15 * * * '/home/jo'"'"'s 100\% "$é" \'' & <co>/.local/share/heph/self-update-job.sh'
    "##);
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
        let script = script.replace("$(command -v nice)", "nice").replace("if ", "if false && ");
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
        assert!(
            Fault::hint_of(&error).unwrap().contains("--force"),
            "{error:#}"
        );
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
