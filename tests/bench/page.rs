//! docs/benchmarks.md: tables made anew by each run, and what people wrote below them, which stays.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::measure::Samples;

/// What stands above the part that is kept.
const KEPT: &str = "<!-- Written by hand: `make bench` keeps all from here on. -->";

/// The page as far as it is written.
#[derive(Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Begins a section.
    pub fn section(&mut self, title: &str, how: &str) {
        write!(self.text, "\n## {title}\n\n{how}\n").unwrap();
    }

    /// Adds a table; the first row is its head.
    pub fn table<const N: usize>(&mut self, rows: impl IntoIterator<Item = [String; N]>) {
        self.text.push('\n');
        for (nth, row) in rows.into_iter().enumerate() {
            writeln!(self.text, "| {} |", row.join(" | ")).unwrap();
            if nth == 0 {
                // Figures stand at the right, names at the left.
                writeln!(self.text, "|---|{}", "--:|".repeat(N - 1)).unwrap();
            }
        }
    }

    /// Returns what is written so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes the page to `file`, below `head`, and keeps the part of that file that was written by hand.
    pub fn save(&self, head: &str, file: &Path) {
        let old = fs::read_to_string(file).unwrap_or_default();
        let kept = old.find(KEPT).map_or("", |start| &old[start..]);
        let text = format!("{head}{}\n{kept}", self.text);
        fs::write(file, text.trim_end().to_owned() + "\n").unwrap();
    }
}

/// Returns a row of words.
pub fn row<const N: usize>(words: [&str; N]) -> [String; N] {
    words.map(str::to_owned)
}

/// Returns a length of time with three digits or so.
pub fn time(length: Duration) -> String {
    let (unit, scale) = unit(length);
    format!("{} {unit}", digits(length, scale))
}

/// Returns the median, and the range that nine of ten lie in.
pub fn spread(samples: &Samples) -> String {
    let (unit, scale) = unit(samples.median());
    let [low, middle, high] =
        [samples.at(0.05), samples.median(), samples.at(0.95)].map(|length| digits(length, scale));
    format!("{middle} {unit} ({low} to {high})")
}

/// Returns the unit that suits `length`, and how many of it are a second.
fn unit(length: Duration) -> (&'static str, f64) {
    match length.as_secs_f64() {
        1.0.. => ("s", 1.0),
        0.001.. => ("ms", 1e3),
        _ => ("µs", 1e6),
    }
}

fn digits(length: Duration, scale: f64) -> String {
    let value = length.as_secs_f64() * scale;
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Returns bytes as MiB.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Returns the ratio, the goal and whether it is met, as three cells.
pub fn verdict(ratio: f64, goal: f64) -> [String; 3] {
    verdict_of(ratio, goal, 1)
}

/// As [`verdict`], for a goal with this many decimals.
pub fn verdict_of(ratio: f64, goal: f64, decimals: usize) -> [String; 3] {
    let met = if ratio <= goal { "met" } else { "**missed**" };
    [
        format!("{ratio:.2}"),
        format!("≤ {goal:.decimals$}"),
        met.to_owned(),
    ]
}

/// Returns `one / other`.
pub fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
