//! Cadence: when the timer runs, and what systemd, launchd and cron call that. Pure.
//!
//! Schedulers differ in what they can express. systemd can express every cadence: as calendar events where the interval
//! divides a day, since only those are caught up after the machine slept or was off, else as pauses counted from the end of
//! the last run. launchd takes any number of seconds, or times of day. cron takes what divides an hour or a day.

use std::fmt;
use std::time::Duration;

use jiff::civil::{DateTime, Time, time};
use jiff::tz::{AmbiguousOffset, Offset};
use jiff::{Timestamp, ToSpan, Zoned};
use serde::{Deserialize, Serialize};

use crate::config::{Interval, SHORTEST_EVERY};
use crate::error::{Error, Result};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The most `OnCalendar=` lines of a timer. An interval that needs more is expressed as pauses.
const MOST_EVENTS: usize = 24;
/// How far systemd may move a time of day, so that many machines do not poll in the same second.
const SPREAD_AT: Duration = Duration::from_secs(5 * MINUTE);
/// How far systemd may move a run of the longest intervals.
const LONGEST_SPREAD: Duration = Duration::from_secs(30 * MINUTE);
/// The longest skipped time, in seconds, whose lines cron runs late (cron(8)).
const LONGEST_CAUGHT_UP: i32 = 3 * 60 * 60;
/// From the machine's start to the first run, where the cadence is expressed as pauses.
const AFTER_BOOT: Duration = Duration::from_secs(5 * MINUTE);

/// When the timer runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Cadence {
    /// Once in every interval: whole seconds, 60 at least.
    Every(Duration),
    /// At these local times of day: sorted, without duplicates, one at least.
    At(Vec<Time>),
}

/// What starts a systemd timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Values of `OnCalendar=`; missed ones are caught up.
    Calendar(Vec<String>),
    /// `OnBootSec=` and `OnUnitInactiveSec=`.
    Pauses {
        /// From the machine's start to the first run.
        boot: Duration,
        /// From the end of a run to the next.
        between: Duration,
    },
}

impl Cadence {
    /// Returns the cadence of one run in every `interval`, cut to whole seconds.
    ///
    /// # Errors
    ///
    /// `interval` is shorter than 60 s.
    pub fn every(interval: Duration) -> Result<Cadence> {
        if interval.as_secs() < SHORTEST_EVERY {
            let shortest = Interval::from_secs(SHORTEST_EVERY);
            let interval = Interval::from(interval);
            let message = format!("{interval} is too often: the shortest interval is {shortest}");
            return Err(Error::usage(message));
        }
        Ok(Cadence::Every(Duration::from_secs(interval.as_secs())))
    }

    /// Parses an interval such as `6h`.
    pub(crate) fn parse_every(text: &str) -> Result<Cadence> {
        Cadence::every(*text.parse::<Interval>()?)
    }

    /// Parses times of day such as `03:30,15:30`.
    pub(crate) fn parse_at(text: &str) -> Result<Cadence> {
        let mut times: Vec<Time> = text.split(',').map(parse_time).collect::<Result<_>>()?;
        times.sort_unstable();
        times.dedup();
        Ok(Cadence::At(times))
    }

    /// Parses `every 6h` or `at 03:30,15:30`, as [`Cadence`] displays it.
    ///
    /// # Errors
    ///
    /// `words` is neither.
    pub fn parse(words: &str) -> Result<Cadence> {
        match words.split_once(' ') {
            Some(("every", interval)) => Cadence::parse_every(interval),
            Some(("at", times)) => Cadence::parse_at(times),
            _ => Err(Error::new(format!("'{words}' is not a cadence"))),
        }
    }

    /// Returns the longest time from one run to the next, without spread and the length of a run.
    pub(crate) fn longest_gap(&self) -> Duration {
        match self {
            Cadence::Every(interval) => *interval,
            Cadence::At(times) => {
                let seconds = |time: &Time| {
                    let since_midnight = time.duration_since(Time::midnight());
                    since_midnight.as_secs().unsigned_abs()
                };
                let tomorrow = times.first().map(|first| DAY + seconds(first));
                let next = times.iter().skip(1).map(seconds).chain(tomorrow);
                let gaps = times
                    .iter()
                    .zip(next)
                    .map(|(time, next)| next - seconds(time));
                Duration::from_secs(gaps.max().unwrap_or(DAY))
            }
        }
    }

    /// Returns how far systemd may move each run, by the same amount on one machine: a tenth of the interval, 30 min at most.
    pub(super) fn spread(&self) -> Duration {
        match self {
            Cadence::Every(interval) => {
                Duration::from_secs(interval.as_secs() / 10).min(LONGEST_SPREAD)
            }
            Cadence::At(_) => SPREAD_AT,
        }
    }

    /// Returns how far systemd may round a run, to wake the machine less often: a sixtieth of the interval, 1 min at most.
    pub(super) fn accuracy(&self) -> Duration {
        let sixtieth = self.longest_gap().as_secs() / 60;
        Duration::from_secs(sixtieth.clamp(1, MINUTE))
    }

    /// Returns what starts a systemd timer of this cadence (systemd.timer(5), systemd.time(7)).
    pub fn systemd(&self) -> Trigger {
        match self {
            Cadence::At(times) => {
                Trigger::Calendar(times.iter().map(|time| format!("*-*-* {time}")).collect())
            }
            Cadence::Every(interval) => match calendar(interval.as_secs()) {
                Some(events) => Trigger::Calendar(events),
                None => Trigger::Pauses {
                    boot: AFTER_BOOT.min(*interval),
                    between: *interval,
                },
            },
        }
    }

    /// Returns the time fields of the crontab lines of this cadence (crontab(5)), or an error where cron cannot express it.
    ///
    /// cron has no spread of its own: `number`, which differs from machine to machine, selects the minute of the interval at
    /// which the job runs. Times of day are kept to the minute.
    pub(super) fn cron(&self, number: u64) -> Result<Vec<String>> {
        if let Cadence::At(times) = self {
            let fields = |time: &Time| format!("{} {} * * *", time.minute(), time.hour());
            return Ok(times.iter().map(fields).collect());
        }
        let (first, step) = self.cron_minutes(number).ok_or_else(|| {
            Error::usage(format!("cron cannot run a job {self}")).with_hint(
                "cron can run it every 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h or 1d \
                 (--every), or at times of day (--at)",
            )
        })?;
        let field = |first: u64, last: u64, step: u64| match step {
            1 => "*".to_owned(),
            _ if first + step > last => first.to_string(),
            _ => format!("{first}-{last}/{step}"),
        };
        Ok(vec![if step < 60 {
            format!("{} * * * *", field(first, 59, step))
        } else {
            format!("{} {} * * *", first % 60, field(first / 60, 23, step / 60))
        }])
    }

    /// Returns the first minute of the day, and the minutes from one to the next, at which cron runs an interval.
    fn cron_minutes(&self, number: u64) -> Option<(u64, u64)> {
        let Cadence::Every(interval) = self else {
            return None;
        };
        let seconds = interval.as_secs();
        let fits = HOUR.is_multiple_of(seconds) && seconds.is_multiple_of(MINUTE)
            || DAY.is_multiple_of(seconds) && seconds.is_multiple_of(HOUR);
        let step = seconds / MINUTE;
        fits.then(|| (number % step, step))
    }

    /// Returns the next run after `now` of a cron with the fields of [`Cadence::cron`] for `number`, as cron(8) of Debian,
    /// Fedora and their kin decides it where the clock is changed by up to three hours: a line with `*` for the hour follows the
    /// clock. Any other runs once a day at each of its times: at the first pass of an hour that comes twice, and, where its
    /// time is skipped, as soon as it is.
    pub(super) fn next_by_cron(&self, number: u64, now: &Zoned) -> Option<Zoned> {
        let (times, follows_the_clock) = match self {
            Cadence::At(times) => (times.clone(), false),
            Cadence::Every(interval) => {
                let (first, step) = self.cron_minutes(number)?;
                let minutes = (first..DAY / MINUTE).step_by(step as usize);
                let times =
                    minutes.map(|minute| time((minute / 60) as i8, (minute % 60) as i8, 0, 0));
                (times.collect(), interval.as_secs() <= HOUR)
            }
        };
        let runs = |at: DateTime| -> Vec<Timestamp> {
            let zone = now.time_zone();
            let instant = |offset: Offset| offset.to_timestamp(at).ok();
            let runs = match zone.to_ambiguous_timestamp(at).offset() {
                AmbiguousOffset::Unambiguous { offset } => [instant(offset), None],
                AmbiguousOffset::Fold { before, after } => [
                    instant(before),
                    instant(after).filter(|_| follows_the_clock),
                ],
                AmbiguousOffset::Gap { before, after } => {
                    let skipped = after.seconds() - before.seconds();
                    let caught_up = !follows_the_clock && skipped <= LONGEST_CAUGHT_UP;
                    // By the clock of after, the time is before the change.
                    let before = instant(after).filter(|_| caught_up);
                    let change = before.and_then(|before| zone.following(before).next());
                    [change.map(|change| change.timestamp()), None]
                }
            };
            runs.into_iter().flatten().collect()
        };
        // A change at midnight may belong to the day before, or after.
        let days = (-1..=2).filter_map(|days| now.date().checked_add(days.days()).ok());
        days.flat_map(|day| times.iter().map(move |time| day.to_datetime(*time)))
            .flat_map(runs)
            .filter(|run| *run > now.timestamp())
            .min()
            .map(|run| run.to_zoned(now.time_zone().clone()))
    }
}

impl TryFrom<String> for Cadence {
    type Error = Error;

    fn try_from(words: String) -> Result<Cadence> {
        Cadence::parse(&words)
    }
}

impl From<Cadence> for String {
    fn from(cadence: Cadence) -> String {
        cadence.to_string()
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cadence::Every(interval) => write!(f, "every {}", Interval::from(*interval)),
            Cadence::At(times) => {
                let times = times.iter().map(|time| time.strftime("%H:%M").to_string());
                write!(f, "at {}", times.collect::<Vec<_>>().join(","))
            }
        }
    }
}

fn parse_time(text: &str) -> Result<Time> {
    // strptime also takes a minute of one digit.
    let has_two_digits = text
        .trim()
        .rsplit(':')
        .next()
        .is_some_and(|minute| minute.len() == 2);
    let time = Time::strptime("%H:%M", text.trim()).ok();
    time.filter(|_| has_two_digits)
        .ok_or_else(|| Error::usage(format!("'{text}' is not a time of day such as 03:30")))
}

/// Returns the calendar events of every `seconds` from midnight on; `None` where `seconds` does not divide a day, or too many
/// events would be needed.
fn calendar(seconds: u64) -> Option<Vec<String>> {
    if !DAY.is_multiple_of(seconds) {
        return None;
    }
    // The pattern of minutes and seconds repeats after so many seconds. Both divide a day, and so does this.
    let cycle = seconds / gcd(seconds, HOUR) * HOUR;
    let hours = cycle / HOUR;
    // One event can list minutes, as long as hour and second are the same.
    let mut events: Vec<((u64, u64), Vec<u64>)> = Vec::new();
    for time in (0..cycle).step_by(usize::try_from(seconds).ok()?) {
        let (key, minute) = ((time / HOUR, time % MINUTE), time % HOUR / MINUTE);
        match events.iter_mut().find(|(there, _)| *there == key) {
            Some((_, minutes)) => minutes.push(minute),
            None => events.push((key, vec![minute])),
        }
    }
    if events.len() > MOST_EVENTS {
        return None;
    }
    let show = |((hour, second), minutes): &((u64, u64), Vec<u64>)| {
        let hour = match hours {
            1 => "*".to_owned(),
            24 => format!("{hour:02}"),
            _ => format!("{hour:02}/{hours}"),
        };
        format!("*-*-* {hour}:{}:{second:02}", show_minutes(minutes))
    };
    Some(events.iter().map(show).collect())
}

/// Returns the minute field of a calendar event: `*`, a step, or a list.
fn show_minutes(minutes: &[u64]) -> String {
    let steps = |first: u64, step: u64| (first..60).step_by(step as usize);
    match minutes {
        _ if minutes.len() == 60 => "*".to_owned(),
        [first, second, ..] if steps(*first, second - first).eq(minutes.iter().copied()) => {
            format!("{first:02}/{}", second - first)
        }
        _ => {
            let minutes = minutes.iter().map(|minute| format!("{minute:02}"));
            minutes.collect::<Vec<_>>().join(",")
        }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
pub(crate) mod tests;
