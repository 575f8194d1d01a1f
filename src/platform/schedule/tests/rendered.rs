//! Whole generated files.

use super::*;
use crate::platform::schedule::job::tests::odd;

const ODD_HOME: &str = "/home/jo's 100% \"$é\" \\ & <co>";

fn block(job: &Job, home: &str) -> Vec<String> {
    cron::Cron::new(&paths_of(home), 90).block(job).unwrap()
}

#[test]
fn the_units() {
    let units = rendered(Scheduler::Systemd, &plain("every 6h"), HOME);
    insta::assert_snapshot!(units[0], @r##"
    # Made by heph, template 2. If you edit it, heph stops updating it; `heph self-update enable --force` rewrites it.
    # For settings of your own: `systemctl --user edit heph-self-update.service`. To remove it: `heph self-update disable`.
    # Made from: {"program":"/home/me/.cargo/bin/heph","notify_only":false,"environment":{"HOME":"/home/me","PATH":"/home/me/.cargo/bin:/usr/bin:/bin"},"log":"/home/me/.local/state/heph/self-update.log"}

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
    # Made by heph, template 2. If you edit it, heph stops updating it; `heph self-update enable --force` rewrites it.
    # To change when it runs: `heph self-update enable --every 6h` or `--at 03:30`. To remove it: `heph self-update disable`.
    # Cadence: every 6h
    # Made from: {"cadence":"every 6h"}

    [Unit]
    Description=Start heph-self-update.service every 6h

    [Timer]
    OnCalendar=*-*-* 00/6:00:00
    Persistent=true
    # Drawn once for this machine, so that many machines do not poll in the same second.
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
    # Made by heph, template 2. If you edit it, heph stops updating it; `heph self-update enable --force` rewrites it.
    # For settings of your own: `systemctl --user edit heph-self-update.service`. To remove it: `heph self-update disable`.
    # Made from: {"program":"/home/jo's 100% \"$é\" \\ & <co>/bin/heph","config":"/home/jo's 100% \"$é\" \\ & <co>/my config.toml","notify_only":true,"environment":{"HOME":"/home/jo's 100% \"$é\" \\ & <co>","https_proxy":"http://me:p%40ss`x`$y@proxy:1/?a=1&b=2#c"},"log":"/home/jo's 100% \"$é\" \\ & <co>/.local/state/heph/self-update.log"}

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
    # Made by heph, template 2. If you edit it, heph stops updating it; `heph self-update enable --force` rewrites it.
    # To change when it runs: `heph self-update enable --every 6h` or `--at 03:30`. To remove it: `heph self-update disable`.
    # Cadence: at 03:30,15:30
    # Made from: {"cadence":"at 03:30,15:30"}

    [Unit]
    Description=Start heph-self-update.service at 03:30,15:30

    [Timer]
    OnCalendar=*-*-* 03:30:00
    OnCalendar=*-*-* 15:30:00
    Persistent=true
    # Drawn once for this machine, so that many machines do not poll in the same second.
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
    # Made by heph, template 2. If you edit it, heph stops updating it; `heph self-update enable --force` rewrites it.
    # To change when it runs: `heph self-update enable --every 6h` or `--at 03:30`. To remove it: `heph self-update disable`.
    # Cadence: every 7h
    # Made from: {"cadence":"every 7h"}

    [Unit]
    Description=Start heph-self-update.service every 7h

    [Timer]
    OnBootSec=5m
    OnUnitInactiveSec=7h
    # Drawn once for this machine, so that many machines do not poll in the same second.
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
    <!-- Made by heph, template 2. If you edit it, heph stops updating it; a forced `heph self-update enable` rewrites it.
         To change when it runs: `heph self-update enable`, whose help lists how. To remove it: `heph self-update disable`. -->
    <!-- Made from: {"program":"/home/me/.cargo/bin/heph","notify_only":false,"environment":{"HOME":"/home/me","PATH":"/home/me/.cargo/bin:/usr/bin:/bin"},"log":"/home/me/.local/state/heph/self-update.log","cadence":"every 6h"} -->
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
        <!-- True for intervals: launchd restarts them at each login, and does not count while the machine sleeps. -->
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
    <!-- Made by heph, template 2. If you edit it, heph stops updating it; a forced `heph self-update enable` rewrites it.
         To change when it runs: `heph self-update enable`, whose help lists how. To remove it: `heph self-update disable`. -->
    <!-- Made from: {"program":"/home/jo's 100% \"$é\" \\ & <co>/bin/heph","config":"/home/jo's 100% \"$é\" \\ & <co>/my config.toml","notify_only":true,"environment":{"HOME":"/home/jo's 100% \"$é\" \\ & <co>","https_proxy":"http://me:p%40ss`x`$y@proxy:1/?a=1&b=2#c"},"log":"/home/jo's 100% \"$é\" \\ & <co>/.local/state/heph/self-update.log","cadence":"at 03:30,15:30"} -->
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
        <!-- True for intervals: launchd restarts them at each login, and does not count while the machine sleeps. -->
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
    # Made by heph, template 2. If you edit it, heph stops updating it; `heph self-update enable --force` rewrites it.
    # The crontab's block between '# BEGIN heph' and '# END heph' starts it. To remove both: `heph self-update disable`.
    # Cadence: every 6h
    # Made from: {"program":"/home/me/.cargo/bin/heph","notify_only":false,"environment":{"HOME":"/home/me","PATH":"/home/me/.cargo/bin:/usr/bin:/bin"},"log":"/home/me/.local/state/heph/self-update.log","cadence":"every 6h"}

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
    let lines = block(&plain("every 6h"), HOME);
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
    # Made by heph, template 2. If you edit it, heph stops updating it; `heph self-update enable --force` rewrites it.
    # The crontab's block between '# BEGIN heph' and '# END heph' starts it. To remove both: `heph self-update disable`.
    # Cadence: at 03:30,15:30
    # Made from: {"program":"/home/jo's 100% \"$é\" \\ & <co>/bin/heph","config":"/home/jo's 100% \"$é\" \\ & <co>/my config.toml","notify_only":true,"environment":{"HOME":"/home/jo's 100% \"$é\" \\ & <co>","https_proxy":"http://me:p%40ss`x`$y@proxy:1/?a=1&b=2#c"},"log":"/home/jo's 100% \"$é\" \\ & <co>/.local/state/heph/self-update.log","cadence":"at 03:30,15:30"}

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
    let lines = block(&odd("at 03:30,15:30"), ODD_HOME);
    insta::assert_snapshot!(lines.join("\n"), @r##"
    # Made by heph. To change it: `heph self-update enable`. To remove it: `heph self-update disable`.
    30 3 * * * '/home/jo'"'"'s 100'"$(printf '\045')"' "$é" \'' & <co>/.local/share/heph/self-update-job.sh'
    30 15 * * * '/home/jo'"'"'s 100'"$(printf '\045')"' "$é" \'' & <co>/.local/share/heph/self-update-job.sh'
    "##);
}
