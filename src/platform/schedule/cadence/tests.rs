//! Tests of cadences: the settings of each scheduler, read back by small interpreters of their own.

use super::*;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use proptest::prelude::*;

fn every(text: &str) -> Cadence {
    Cadence::parse_every(text).unwrap()
}

fn calendar_of(cadence: &Cadence) -> Option<Vec<String>> {
    match cadence.systemd() {
        Trigger::Calendar(events) => Some(events),
        Trigger::Pauses { .. } => None,
    }
}

#[test]
fn intervals_and_times_of_day_are_read_and_shown() {
    for (text, shown) in [
        ("6h", "every 6h"),
        ("360m", "every 6h"),
        ("90s", "every 90s"),
    ] {
        assert_eq!(every(text).to_string(), shown);
    }
    for (text, shown) in [
        ("03:30", "at 03:30"),
        ("15:30,3:30,03:30", "at 03:30,15:30"),
        ("00:00, 23:59", "at 00:00,23:59"),
    ] {
        assert_eq!(Cadence::parse_at(text).unwrap().to_string(), shown);
    }
}

#[test]
fn an_interval_that_is_too_short_and_a_malformed_time_of_day_are_wrong_usage() {
    for text in ["0s", "1s", "59s", "6", "", "-1h"] {
        let error = Cadence::parse_every(text).unwrap_err();
        assert_eq!(error.exit().code(), 2, "{text}");
    }
    for text in [
        "", ",", "24:00", "03:60", "3", "03:3", "03:030", "+3:30", "03:30,", "03.30", "٣:30",
        "03:30:00",
    ] {
        let error = Cadence::parse_at(text).unwrap_err();
        assert_eq!(error.exit().code(), 2, "{text}");
    }
}

#[test]
fn systemd_gets_calendar_events_where_the_interval_divides_a_day() {
    let cases: &[(&str, &[&str])] = &[
        ("60s", &["*-*-* *:*:00"]),
        ("90s", &["*-*-* *:00/3:00", "*-*-* *:01/3:30"]),
        ("5m", &["*-*-* *:00/5:00"]),
        ("30m", &["*-*-* *:00/30:00"]),
        (
            "45m",
            &[
                "*-*-* 00/3:00/45:00",
                "*-*-* 01/3:30:00",
                "*-*-* 02/3:15:00",
            ],
        ),
        ("1h", &["*-*-* *:00:00"]),
        ("6h", &["*-*-* 00/6:00:00"]),
        ("1d", &["*-*-* 00:00:00"]),
    ];
    for (interval, events) in cases {
        assert_eq!(
            calendar_of(&every(interval)).unwrap(),
            *events,
            "{interval}"
        );
    }
    let at = Cadence::parse_at("03:30,15:30").unwrap();
    assert_eq!(
        calendar_of(&at).unwrap(),
        ["*-*-* 03:30:00", "*-*-* 15:30:00"]
    );
}

#[test]
fn systemd_gets_pauses_elsewhere() {
    for (interval, boot) in [("7h", 300), ("61s", 61), ("2d", 300), ("100m", 300)] {
        let cadence = every(interval);
        let pauses = Trigger::Pauses {
            boot: Duration::from_secs(boot),
            between: cadence.longest_gap(),
        };
        assert_eq!(cadence.systemd(), pauses, "{interval}");
    }
}

#[test]
fn cron_gets_a_minute_that_is_fixed_for_the_machine() {
    let cases = [
        ("1m", "* * * * *"),
        ("5m", "3-59/5 * * * *"),
        ("30m", "13-59/30 * * * *"),
        ("1h", "13 * * * *"),
        ("6h", "13 3-23/6 * * *"),
        ("12h", "13 9-23/12 * * *"),
        ("1d", "13 21 * * *"),
    ];
    let number = 24 * 60 * 1000 + 21 * 60 + 13;
    for (interval, fields) in cases {
        assert_eq!(
            every(interval).cron(number).unwrap(),
            [fields],
            "{interval}"
        );
    }
    let at = Cadence::parse_at("03:30,15:05").unwrap();
    assert_eq!(at.cron(number).unwrap(), ["30 3 * * *", "5 15 * * *"]);
}

#[test]
fn an_interval_beyond_cron_is_an_error_that_lists_what_is_not() {
    for interval in ["90s", "7m", "45m", "90m", "5h", "7h", "2d"] {
        let error = every(interval).cron(0).unwrap_err();
        assert_eq!(error.exit().code(), 2);
        let hint = error.hint().unwrap();
        let listed = hint
            .split([' ', ','])
            .filter(|word| word.parse::<Interval>().is_ok());
        assert_eq!(listed.clone().count(), 19);
        for word in listed {
            assert!(every(word).cron(0).is_ok(), "{word}");
        }
    }
}

#[test]
fn the_longest_gap_goes_over_midnight() {
    for (times, minutes) in [
        ("03:30", 24 * 60),
        ("03:30,15:30", 12 * 60),
        ("01:00,02:00,20:00", 18 * 60),
    ] {
        let gap = Cadence::parse_at(times).unwrap().longest_gap();
        assert_eq!(gap, Duration::from_secs(minutes * 60), "{times}");
    }
}

#[test]
fn the_next_run_of_cron_is_the_next_matching_local_minute() {
    let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let now = |hour, minute| {
        let now = date(2026, 11, 21).at(hour, minute, 30, 0);
        now.to_zoned(berlin.clone()).unwrap()
    };
    let next = |cadence: &Cadence, now: &Zoned| {
        let next = cadence.next_by_cron(13, now).unwrap();
        next.strftime("%d %H:%M").to_string()
    };
    let at = Cadence::parse_at("03:30,15:30").unwrap();
    assert_eq!(next(&at, &now(3, 29)), "21 03:30");
    assert_eq!(next(&at, &now(3, 30)), "21 15:30");
    assert_eq!(next(&at, &now(20, 0)), "22 03:30");
    assert_eq!(next(&every("1m"), &now(23, 59)), "22 00:00");
    assert_eq!(next(&every("6h"), &now(5, 0)), "21 06:13");
    assert!(every("7h").next_by_cron(0, &now(5, 0)).is_none());
}

/// Returns the first runs of `cadence` by cron after `now`, as local times with their offsets.
fn runs_by_cron(cadence: &Cadence, zone: &str, now: &str, count: usize) -> Vec<String> {
    let zone = TimeZone::posix(zone).unwrap();
    let mut now = now.parse::<DateTime>().unwrap().to_zoned(zone).unwrap();
    let mut runs = Vec::new();
    for _ in 0..count {
        now = cadence.next_by_cron(13, &now).unwrap();
        runs.push(now.strftime("%d %H:%M %:z").to_string());
    }
    runs
}

const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
/// Half an hour of summer time.
const LORD_HOWE: &str = "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0";
/// The clock is changed at midnight.
const CAIRO: &str = "EET-2EEST,M4.5.5/0,M10.5.4/24";

#[test]
fn cron_runs_a_skipped_time_of_day_late_and_a_repeated_one_once() {
    let at = |times| Cadence::parse_at(times).unwrap();
    for (times, zone, now, expected) in [
        (
            "02:30",
            BERLIN,
            "2026-03-28T12:00",
            ["29 03:00 +02:00", "30 02:30 +02:00"],
        ),
        (
            "02:00,02:59",
            BERLIN,
            "2026-03-29T00:00",
            ["29 03:00 +02:00", "30 02:00 +02:00"],
        ),
        (
            "02:30,03:00",
            BERLIN,
            "2026-03-29T00:00",
            ["29 03:00 +02:00", "30 02:30 +02:00"],
        ),
        (
            "02:30",
            BERLIN,
            "2026-10-24T12:00",
            ["25 02:30 +02:00", "26 02:30 +01:00"],
        ),
        (
            "03:00",
            BERLIN,
            "2026-10-24T12:00",
            ["25 03:00 +01:00", "26 03:00 +01:00"],
        ),
        (
            "02:15",
            LORD_HOWE,
            "2026-10-03T12:00",
            ["04 02:30 +11:00", "05 02:15 +11:00"],
        ),
        (
            "01:45",
            LORD_HOWE,
            "2026-04-04T12:00",
            ["05 01:45 +11:00", "06 01:45 +10:30"],
        ),
        (
            "00:30",
            CAIRO,
            "2026-04-23T12:00",
            ["24 01:00 +03:00", "25 00:30 +03:00"],
        ),
        (
            "23:30",
            CAIRO,
            "2026-10-29T12:00",
            ["29 23:30 +03:00", "30 23:30 +02:00"],
        ),
    ] {
        let runs = runs_by_cron(&at(times), zone, now, 2);
        assert_eq!(runs, expected, "{times} {zone}");
    }
    // Between the two passes of the hour, the day's run is over.
    let between = date(2026, 10, 25)
        .at(0, 45, 0, 0)
        .to_zoned(TimeZone::UTC)
        .unwrap();
    let between = between.with_time_zone(TimeZone::posix(BERLIN).unwrap());
    let next = at("02:30").next_by_cron(13, &between).unwrap();
    assert_eq!(next.date(), date(2026, 10, 26));
}

#[test]
fn cron_runs_an_interval_of_up_to_an_hour_by_the_clock_and_a_longer_one_at_its_times() {
    let spring = "2026-03-29T00:50";
    let autumn = "2026-10-25T01:50";
    for (interval, now, expected) in [
        (
            "30m",
            spring,
            ["29 01:13 +01:00", "29 01:43 +01:00", "29 03:13 +02:00"],
        ),
        (
            "1h",
            spring,
            ["29 01:13 +01:00", "29 03:13 +02:00", "29 04:13 +02:00"],
        ),
        (
            "1h",
            autumn,
            ["25 02:13 +02:00", "25 02:13 +01:00", "25 03:13 +01:00"],
        ),
        (
            "2h",
            spring,
            ["29 03:00 +02:00", "29 04:13 +02:00", "29 06:13 +02:00"],
        ),
        (
            "2h",
            autumn,
            ["25 02:13 +02:00", "25 04:13 +01:00", "25 06:13 +01:00"],
        ),
        (
            "6h",
            autumn,
            ["25 06:13 +01:00", "25 12:13 +01:00", "25 18:13 +01:00"],
        ),
    ] {
        let runs = runs_by_cron(&every(interval), BERLIN, now, 3);
        assert_eq!(runs, expected, "{interval} {now}");
    }
}

/// Asks systemd itself. On a machine without it there is nothing to compare with.
#[test]
fn systemd_skips_a_skipped_time_of_day_and_takes_the_first_pass_of_a_repeated_one() {
    if !std::path::Path::new("/usr/share/zoneinfo/Europe/Berlin").exists() {
        return;
    }
    for (cadence, base, expected) in [
        (
            Cadence::parse_at("02:30").unwrap(),
            "2026-03-28 23:50:00",
            "2026-03-30 00:30",
        ),
        (
            Cadence::parse_at("02:30").unwrap(),
            "2026-10-24 23:50:00",
            "2026-10-25 00:30",
        ),
        (every("30m"), "2026-03-29 01:40:00", "2026-03-29 01:00"),
        (every("6h"), "2026-10-25 00:10:00", "2026-10-25 05:00"),
    ] {
        let events = calendar_of(&cadence).unwrap();
        let asked = crate::os::process::Run::new("systemd-analyze")
            .env("TZ", "Europe/Berlin")
            .arg("calendar")
            .arg(format!("--base-time={base}"))
            .args(&events)
            .success();
        let Ok(said) = asked else { return };
        assert!(
            said.text().contains(&format!(" {expected}:00 UTC")),
            "{}",
            said.text()
        );
    }
}

/// Returns the values of `0..below` that a field of a calendar event or crontab names; a bare `a/n` goes to the end.
fn values(field: &str, below: u64) -> Vec<u64> {
    let number = |text: &str| text.parse::<u64>().unwrap();
    let mut all = Vec::new();
    for part in field.split(',') {
        let (range, step) = part
            .split_once('/')
            .map_or((part, 1), |(range, step)| (range, number(step)));
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (0, below - 1),
            Some((first, last)) => (number(first), number(last)),
            None if part.contains('/') => (number(range), below - 1),
            None => (number(range), number(range)),
        };
        all.extend((first..=last).step_by(step as usize));
    }
    assert!(all.iter().all(|value| *value < below), "{field}");
    all
}

fn longest_gap(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times.dedup();
    times.push(times[0] + DAY);
    times
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap()
}

fn of_calendar(events: &[String]) -> Vec<u64> {
    let mut times = Vec::new();
    for event in events {
        let fields: Vec<&str> = event.strip_prefix("*-*-* ").unwrap().split(':').collect();
        for hour in values(fields[0], 24) {
            for minute in values(fields[1], 60) {
                times.extend(
                    values(fields[2], 60)
                        .iter()
                        .map(|second| hour * HOUR + minute * MINUTE + second),
                );
            }
        }
    }
    times
}

fn of_crontab(lines: &[String]) -> Vec<u64> {
    let mut times = Vec::new();
    for line in lines {
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!(fields[2..], ["*", "*", "*"]);
        for hour in values(fields[1], 24) {
            times.extend(
                values(fields[0], 60)
                    .iter()
                    .map(|minute| hour * HOUR + minute * MINUTE),
            );
        }
    }
    times
}

pub(crate) fn any_cadence() -> impl Strategy<Value = Cadence> {
    let divisors: Vec<u64> = (60..=DAY)
        .filter(|seconds| DAY.is_multiple_of(*seconds))
        .collect();
    let time = (0i8..24, 0i8..60).prop_map(|(hour, minute)| time(hour, minute, 0, 0));
    prop_oneof![
        (60u64..=30 * DAY).prop_map(|seconds| Cadence::Every(Duration::from_secs(seconds))),
        proptest::sample::select(divisors)
            .prop_map(|seconds| Cadence::Every(Duration::from_secs(seconds))),
        proptest::collection::btree_set(time, 1..6)
            .prop_map(|times| Cadence::At(times.into_iter().collect())),
    ]
}

proptest! {
    #[test]
    fn what_is_shown_is_read_back(cadence in any_cadence()) {
        prop_assert_eq!(Cadence::parse(&cadence.to_string()).unwrap(), cadence);
    }

    #[test]
    fn no_text_panics(text in ".*", near in "[0-9:,]{0,8}") {
        for text in [text, near] {
            let _ = Cadence::parse_at(&text);
            let _ = Cadence::parse_every(&text);
            let _ = Cadence::parse(&text);
        }
    }

    #[test]
    fn systemd_never_waits_longer_than_the_cadence_and_its_spread(cadence in any_cadence()) {
        let most = cadence.longest_gap().as_secs();
        match cadence.systemd() {
            Trigger::Calendar(events) => prop_assert_eq!(longest_gap(of_calendar(&events)), most),
            Trigger::Pauses { boot, between } => {
                prop_assert_eq!(between.as_secs(), most);
                prop_assert!(boot <= between);
            }
        }
        prop_assert!(cadence.spread() <= Duration::from_secs(30 * MINUTE));
        if let Cadence::Every(interval) = &cadence {
            prop_assert!(cadence.spread() * 10 <= *interval);
        }
        prop_assert!(cadence.accuracy() * 60 <= cadence.longest_gap().max(Duration::from_secs(60)));
    }

    #[test]
    fn cron_never_waits_longer_than_the_cadence(cadence in any_cadence(), number: u64) {
        if let Ok(lines) = cadence.cron(number) {
            prop_assert_eq!(longest_gap(of_crontab(&lines)), cadence.longest_gap().as_secs());
        }
    }

    #[test]
    fn no_day_of_summer_time_or_winter_time_is_without_each_run_of_cron(cadence in any_cadence(), number: u64, hour in 0i64..24 * 365) {
        let zone = TimeZone::posix(BERLIN).unwrap();
        let start = date(2026, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp();
        let now = (start + std::time::Duration::from_secs(hour.unsigned_abs() * HOUR)).to_zoned(zone);
        if let Some(next) = cadence.next_by_cron(number, &now) {
            let wait = next.timestamp().duration_since(now.timestamp());
            prop_assert!(next > now);
            // One hour is skipped or repeated in a year.
            prop_assert!(wait.unsigned_abs() <= cadence.longest_gap() + Duration::from_secs(HOUR));
        }
    }

    #[test]
    fn the_next_run_of_cron_is_one_that_its_lines_name(cadence in any_cadence(), number: u64, second in 0i64..86400) {
        let midnight = date(2026, 11, 21).at(0, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap();
        let now = midnight.timestamp().as_second() + second;
        let zoned = jiff::Timestamp::from_second(now).unwrap().to_zoned(TimeZone::UTC);
        let next = cadence.next_by_cron(number, &zoned).map(|next| next.timestamp().as_second() - midnight.timestamp().as_second());
        let expected = cadence.cron(number).ok().map(|lines| {
            let times = of_crontab(&lines).into_iter();
            times.flat_map(|time| [time, time + DAY]).filter(|time| *time > second as u64).min().unwrap() as i64
        });
        prop_assert_eq!(next, expected);
    }
}
