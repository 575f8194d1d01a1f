//! Cadence: when the timer runs, and what systemd, launchd and cron call that. Pure.
//!
//! Schedulers differ in what they can express. systemd can express every cadence: as calendar events where the interval
//! divides a day, since only those are caught up after the machine slept or was off, else as pauses counted from the end of
//! the last run. launchd takes any number of seconds, or times of day. cron takes what divides an hour or a day.

use std::fmt;
use std::time::Duration;

use jiff::Zoned;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};

use crate::config::{Interval, SHORTEST_EVERY};
use crate::error::Error;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The most `OnCalendar=` lines of a timer. An interval that needs more is expressed as pauses.
const MOST_EVENTS: usize = 24;
/// How far systemd may move a time of day, so that many machines do not poll in the same second.
const SPREAD_AT: Duration = Duration::from_secs(5 * MINUTE);
/// How far systemd may move a run of the longest intervals.
const LONGEST_SPREAD: Duration = Duration::from_secs(30 * MINUTE);
/// From the machine's start to the first run, where the cadence is expressed as pauses.
const AFTER_BOOT: Duration = Duration::from_secs(5 * MINUTE);

/// When the timer runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Cadence {
    /// Once in every interval: whole seconds, 60 at least.
    Every(Duration),
    /// At these local times of day: sorted, without duplicates, one at least.
    At(Vec<TimeOfDay>),
}

/// A local time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
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
    pub fn every(interval: Duration) -> Result<Cadence, Error> {
        if interval.as_secs() < SHORTEST_EVERY {
            let shortest = Interval::from_secs(SHORTEST_EVERY);
            let interval = Interval::from(interval);
            let message = format!("{interval} is too often: the shortest interval is {shortest}");
            return Err(Error::usage(message));
        }
        Ok(Cadence::Every(Duration::from_secs(interval.as_secs())))
    }

    /// Reads an interval such as `6h`.
    ///
    /// # Errors
    ///
    /// `text` is not an interval, or is shorter than 60 s.
    pub fn parse_every(text: &str) -> Result<Cadence, Error> {
        Cadence::every(*text.parse::<Interval>()?)
    }

    /// Reads times of day such as `03:30,15:30`.
    ///
    /// # Errors
    ///
    /// One of them is not a time of day.
    pub fn parse_at(text: &str) -> Result<Cadence, Error> {
        let mut times: Vec<TimeOfDay> = text
            .split(',')
            .map(TimeOfDay::parse)
            .collect::<Result<_, _>>()?;
        times.sort_unstable();
        times.dedup();
        Ok(Cadence::At(times))
    }

    /// Reads what [`Cadence`] displays: `every 6h` or `at 03:30,15:30`.
    ///
    /// # Errors
    ///
    /// `words` is neither.
    pub fn parse(words: &str) -> Result<Cadence, Error> {
        match words.split_once(' ') {
            Some(("every", interval)) => Cadence::parse_every(interval),
            Some(("at", times)) => Cadence::parse_at(times),
            _ => Err(Error::new(format!("'{words}' is not a cadence"))),
        }
    }

    /// Returns the longest time from one run to the next, without spread and the length of a run.
    pub fn longest_gap(&self) -> Duration {
        match self {
            Cadence::Every(interval) => *interval,
            Cadence::At(times) => {
                let seconds: Vec<u64> = times.iter().map(TimeOfDay::seconds).collect();
                let over_midnight = match (seconds.first(), seconds.last()) {
                    (Some(first), Some(last)) => first + DAY - last,
                    _ => DAY,
                };
                let within = seconds.windows(2).map(|pair| pair[1] - pair[0]).max();
                Duration::from_secs(within.unwrap_or(0).max(over_midnight))
            }
        }
    }

    /// Returns how far systemd may move each run, by the same amount on one machine: a tenth of the interval, 30 min at most.
    pub fn spread(&self) -> Duration {
        match self {
            Cadence::Every(interval) => {
                let tenth = Duration::from_secs(interval.as_secs() / 10);
                tenth.min(LONGEST_SPREAD)
            }
            Cadence::At(_) => SPREAD_AT,
        }
    }

    /// Returns how far systemd may round a run, to wake the machine less often: a sixtieth of the interval, 1 min at most.
    pub fn accuracy(&self) -> Duration {
        let sixtieth = self.longest_gap().as_secs() / 60;
        Duration::from_secs(sixtieth.clamp(1, MINUTE))
    }

    /// Returns what starts a systemd timer of this cadence (systemd.timer(5), systemd.time(7)).
    pub fn systemd(&self) -> Trigger {
        match self {
            Cadence::At(times) => Trigger::Calendar(
                times
                    .iter()
                    .map(|time| format!("*-*-* {time}:00"))
                    .collect(),
            ),
            Cadence::Every(interval) => match calendar(interval.as_secs()) {
                Some(events) => Trigger::Calendar(events),
                None => Trigger::Pauses {
                    boot: AFTER_BOOT.min(*interval),
                    between: *interval,
                },
            },
        }
    }

    /// Returns the time fields of the crontab lines of this cadence (crontab(5)).
    ///
    /// cron has no spread of its own: `number`, which differs from machine to machine, selects the minute of the interval at
    /// which the job runs. Times of day are kept to the minute.
    ///
    /// # Errors
    ///
    /// cron cannot express the interval; the hint lists what it can.
    pub fn cron(&self, number: u64) -> Result<Vec<String>, Error> {
        if let Cadence::At(times) = self {
            let fields = |time: &TimeOfDay| format!("{} {} * * *", time.minute, time.hour);
            return Ok(times.iter().map(fields).collect());
        }
        let (first, step) = self
            .cron_minutes(number)
            .ok_or_else(|| inexpressible_in_cron(self))?;
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

    /// Returns the next run after `now` of a cron with the fields of [`Cadence::cron`] for `number`.
    pub fn next_by_cron(&self, number: u64, now: &Zoned) -> Option<Zoned> {
        let Cadence::At(times) = self else {
            let (first, step) = self.cron_minutes(number)?;
            let minutes = (first..DAY / MINUTE).step_by(usize::try_from(step).ok()?);
            let times = minutes.map(|minute| TimeOfDay {
                hour: (minute / 60) as u8,
                minute: (minute % 60) as u8,
            });
            return Cadence::At(times.collect()).next_by_cron(number, now);
        };
        let days = [now.date(), now.date().tomorrow().ok()?];
        let all = days.iter().flat_map(|day| {
            times.iter().filter_map(|time| {
                let time = Time::new(time.hour as i8, time.minute as i8, 0, 0).ok()?;
                day.to_datetime(time).to_zoned(now.time_zone().clone()).ok()
            })
        });
        all.filter(|time| time > now).min()
    }
}

impl TryFrom<String> for Cadence {
    type Error = Error;

    fn try_from(words: String) -> Result<Cadence, Error> {
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
                let times: Vec<String> = times.iter().map(TimeOfDay::to_string).collect();
                write!(f, "at {}", times.join(","))
            }
        }
    }
}

impl TimeOfDay {
    fn parse(text: &str) -> Result<TimeOfDay, Error> {
        let number = |text: &str, below: u8| {
            let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            let number: u8 = text.parse().ok().filter(|_| digits)?;
            (number < below).then_some(number)
        };
        text.trim()
            .split_once(':')
            .filter(|(_, minute)| minute.len() == 2)
            .and_then(|(hour, minute)| {
                Some(TimeOfDay {
                    hour: number(hour, 24)?,
                    minute: number(minute, 60)?,
                })
            })
            .ok_or_else(|| {
                let message = format!("'{text}' is not a time of day such as 03:30");
                Error::usage(message)
            })
    }

    fn seconds(&self) -> u64 {
        u64::from(self.hour) * HOUR + u64::from(self.minute) * MINUTE
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
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
    let step = minutes.windows(2).map(|pair| pair[1] - pair[0]).next();
    match (minutes, step) {
        ([_, _, ..], Some(1)) if minutes.len() == 60 => "*".to_owned(),
        ([first, _, ..], Some(step))
            if minutes
                .iter()
                .copied()
                .eq((*first..60).step_by(step as usize)) =>
        {
            format!("{first:02}/{step}")
        }
        _ => {
            let minutes: Vec<String> = minutes
                .iter()
                .map(|minute| format!("{minute:02}"))
                .collect();
            minutes.join(",")
        }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn inexpressible_in_cron(cadence: &Cadence) -> Error {
    Error::usage(format!("cron cannot run a job {cadence}")).with_hint(
        "cron can run it every 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h or 1d \
         (--every), or at times of day (--at)",
    )
}

#[cfg(test)]
pub(crate) mod tests;
