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
    let seconds = length.as_secs_f64();
    match seconds {
        10.0.. => format!("{seconds:.0} s"),
        1.0.. => format!("{seconds:.1} s"),
        0.01.. => format!("{:.1} ms", seconds * 1e3),
        0.001.. => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{:.0} µs", seconds * 1e6),
    }
}

/// Returns the median, and the range that nine of ten lie in.
pub fn spread(samples: &Samples) -> String {
    format!(
        "{} ({} to {})",
        time(samples.median()),
        time(samples.at(0.05)),
        time(samples.at(0.95))
    )
}

/// Returns bytes as MiB.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Returns the ratio, the goal and whether it is met, as three cells.
pub fn verdict(ratio: f64, goal: f64) -> [String; 3] {
    let met = if ratio <= goal { "met" } else { "**missed**" };
    [
        format!("{ratio:.2}"),
        format!("≤ {goal:.1}"),
        met.to_owned(),
    ]
}

/// Returns `one / other`.
pub fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
