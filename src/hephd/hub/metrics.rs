//! Metrics of a hub for Prometheus (text exposition format 0.0.4). They name neither users nor tasks.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Write as _};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::client::wire::SpokeStatus;

/// The most spokes that are kept.
const MOST_SPOKES: usize = 1_000;
/// How long a spoke counts after its last sync.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The upper bounds of the sync lag, in seconds.
const LAGS: [u32; 8] = [1, 5, 30, 120, 600, 3_600, 86_400, 604_800];
/// The longest version in a label.
const LONGEST_VERSION: usize = 40;

#[derive(Debug, Default)]
pub(super) struct Metrics {
    requests: BTreeMap<(&'static str, u16), u64>,
    denied: BTreeMap<&'static str, u64>,
    received: u64,
    accepted: u64,
    refused: u64,
    sent: u64,
    resets: u64,
    lags: [u64; LAGS.len()],
    lag_sum: f64,
    lag_count: u64,
    spokes: HashMap<(String, String), Spoke>,
}

#[derive(Debug)]
struct Spoke {
    /// The name of the machine, if it was invited.
    machine: Option<String>,
    version: String,
    at: Instant,
    seen: Timestamp,
    /// How long its latest operations had waited, in milliseconds.
    lag: Option<i64>,
    behind: bool,
}

/// One successful exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange<'a> {
    pub(super) user: &'a str,
    /// The name of the machine, if it was invited.
    pub(super) machine: Option<&'a str>,
    /// When it was.
    pub(super) seen: Timestamp,
    pub(super) spoke: &'a str,
    pub(super) version: &'a str,
    /// How many operations the spoke sent.
    pub(super) received: usize,
    /// How many of them were new.
    pub(super) accepted: u64,
    /// How many of them were rejected.
    pub(super) refused: usize,
    /// How many operations the hub sent.
    pub(super) sent: usize,
    /// Whether the spoke has to resync from scratch.
    pub(super) reset: bool,
    /// Whether the spoke has more to fetch.
    pub(super) more: bool,
    /// The age of the oldest operation that was received, in milliseconds.
    pub(super) lag: Option<i64>,
}

/// Current values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gauges {
    /// How many operations the store has; `None` if it does not answer.
    pub(super) operations: Option<u64>,
    /// The size of the store on disk.
    pub(super) bytes: u64,
    /// The bytes free on its disk; `None` if the system does not say.
    pub(super) free: Option<u64>,
    pub(super) connections: usize,
    /// When hephd started, in seconds since 1970.
    pub(super) started: f64,
}

impl Metrics {
    pub(super) fn answered(&mut self, path: &'static str, status: u16) {
        *self.requests.entry((path, status)).or_default() += 1;
    }

    /// Counts a request that was not authenticated, by the reason.
    pub(super) fn denied(&mut self, word: &'static str) {
        *self.denied.entry(word).or_default() += 1;
    }

    /// Counts an exchange. Returns whether the spoke is new.
    pub(super) fn exchanged(&mut self, exchange: &Exchange<'_>, now: Instant) -> bool {
        self.received += exchange.received as u64;
        self.accepted += exchange.accepted;
        self.refused += exchange.refused as u64;
        self.sent += exchange.sent as u64;
        self.resets += u64::from(exchange.reset);
        let lag = exchange.lag.filter(|_| exchange.accepted > 0);
        if let Some(lag) = lag {
            self.lagged(lag);
        }
        let key = (exchange.user.to_owned(), exchange.spoke.to_owned());
        let former_lag = self.spokes.get(&key).and_then(|spoke| spoke.lag);
        let is_new = !self.spokes.contains_key(&key);
        if is_new && self.spokes.len() >= MOST_SPOKES {
            self.evict(now);
        }
        let spoke = Spoke {
            machine: exchange.machine.map(str::to_owned),
            version: label(exchange.version),
            at: now,
            seen: exchange.seen,
            lag: lag.or(former_lag),
            behind: exchange.more,
        };
        self.spokes.insert(key, spoke);
        is_new
    }

    /// Returns the spokes that have synced since the hub started, the latest first.
    pub(super) fn spokes(&self) -> Vec<SpokeStatus> {
        let mut spokes: Vec<_> = self
            .spokes
            .iter()
            .map(|((user, id), spoke)| SpokeStatus {
                machine: spoke.machine.clone(),
                user: Some(user.clone()).filter(|user| !user.is_empty()),
                spoke: id.clone(),
                version: spoke.version.clone(),
                last_seen: spoke.seen,
                lag_seconds: spoke.lag.map(|lag| u64::try_from(lag / 1000).unwrap_or(0)),
                is_behind: spoke.behind,
            })
            .collect();
        spokes.sort_by(|a, b| {
            let names = (&a.user, &a.machine, &a.spoke).cmp(&(&b.user, &b.machine, &b.spoke));
            b.last_seen.cmp(&a.last_seen).then(names)
        });
        spokes
    }

    fn lagged(&mut self, milliseconds: i64) {
        // A spoke whose clock is ahead has no lag.
        let seconds = milliseconds.max(0) as f64 / 1000.0;
        for (bound, count) in LAGS.iter().zip(&mut self.lags) {
            *count += u64::from(seconds <= f64::from(*bound));
        }
        self.lag_sum += seconds;
        self.lag_count += 1;
    }

    /// Drops the spokes that are long gone; without any, the one that synced longest ago.
    fn evict(&mut self, now: Instant) {
        self.spokes.retain(|_, spoke| spoke.is_recent(now));
        if self.spokes.len() < MOST_SPOKES {
            return;
        }
        let oldest = self.spokes.iter().min_by_key(|(_, spoke)| spoke.at);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.spokes.remove(&key);
        }
    }

    pub(super) fn text(&self, gauges: &Gauges, now: Instant) -> String {
        let mut page = Page::default();
        page.family("heph_hub_info", "gauge", "The hub itself.");
        page.sample(
            "heph_hub_info",
            &[("version", &env!("CARGO_PKG_VERSION"))],
            1,
        );
        page.family(
            "heph_hub_start_time_seconds",
            "gauge",
            "When hephd started, since 1970.",
        );
        page.sample("heph_hub_start_time_seconds", &[], gauges.started);

        page.family("heph_hub_requests_total", "counter", "Requests answered.");
        for ((path, status), count) in &self.requests {
            let labels: [(_, &dyn Display); 2] = [("path", path), ("status", status)];
            page.sample("heph_hub_requests_total", &labels, count);
        }
        page.family(
            "heph_hub_denied_total",
            "counter",
            "Requests that were not authenticated, by reason.",
        );
        for (word, count) in &self.denied {
            page.sample("heph_hub_denied_total", &[("reason", word)], count);
        }
        page.one(
            "heph_hub_connections",
            "gauge",
            "Open connections.",
            gauges.connections,
        );

        page.one(
            "heph_hub_operations_received_total",
            "counter",
            "Operations that spokes sent, including repeated ones.",
            self.received,
        );
        page.one(
            "heph_hub_operations_accepted_total",
            "counter",
            "Operations among them that were new.",
            self.accepted,
        );
        page.one(
            "heph_hub_operations_refused_total",
            "counter",
            "Operations among them that were rejected.",
            self.refused,
        );
        page.one(
            "heph_hub_operations_sent_total",
            "counter",
            "Operations that were sent to spokes.",
            self.sent,
        );
        page.one(
            "heph_hub_resets_total",
            "counter",
            "Exchanges after which a spoke resyncs from scratch.",
            self.resets,
        );

        let lag = "heph_hub_sync_lag_seconds";
        page.family(lag, "histogram", "For each request that brought something new: how long ago, by the spoke's clock, the oldest of its operations was made.");
        for (bound, count) in LAGS.iter().zip(&self.lags) {
            page.sample(&format!("{lag}_bucket"), &[("le", bound)], count);
        }
        page.sample(&format!("{lag}_bucket"), &[("le", &"+Inf")], self.lag_count);
        page.sample(&format!("{lag}_sum"), &[], self.lag_sum);
        page.sample(&format!("{lag}_count"), &[], self.lag_count);

        let recent = || self.spokes.values().filter(|spoke| spoke.is_recent(now));
        page.family("heph_hub_spokes", "gauge", "Spokes that synced in the last 24 hours (1000 at most), by the version of their last sync.");
        let mut versions: BTreeMap<&str, u32> = BTreeMap::new();
        for spoke in recent() {
            *versions.entry(&spoke.version).or_default() += 1;
        }
        for (version, count) in versions {
            page.sample("heph_hub_spokes", &[("version", &version)], count);
        }
        let behind = recent().filter(|spoke| spoke.behind).count();
        page.one(
            "heph_hub_spokes_behind",
            "gauge",
            "Spokes among them that had more to fetch after their last sync.",
            behind,
        );

        if let Some(operations) = gauges.operations {
            page.one(
                "heph_store_operations",
                "gauge",
                "Operations in the store.",
                operations,
            );
        }
        page.one(
            "heph_store_bytes",
            "gauge",
            "Size of the store on disk, including its write-ahead log.",
            gauges.bytes,
        );
        if let Some(free) = gauges.free {
            page.one(
                "heph_store_free_bytes",
                "gauge",
                "Free space on the disk of the store.",
                free,
            );
        }
        page.text
    }
}

impl Spoke {
    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < DAY
    }
}

/// Returns the version of a spoke as a label. Any other text is replaced: clients must not choose labels.
fn label(version: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    if !version.is_empty() && version.len() <= LONGEST_VERSION && version.chars().all(plain) {
        version.to_owned()
    } else {
        "unknown".to_owned()
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.text.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{value}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Exchange<'_> = Exchange {
        user: "https://id.example alice",
        machine: None,
        seen: Timestamp::UNIX_EPOCH,
        spoke: "01A",
        version: "1.2.3",
        received: 3,
        accepted: 2,
        refused: 1,
        sent: 5,
        reset: false,
        more: true,
        lag: Some(4_500),
    };

    #[test]
    fn the_owner_sees_which_machines_sync_and_how_late() {
        let mut metrics = Metrics::default();
        let now = Instant::now();
        metrics.exchanged(&SYNC, now);
        let of_the_owner = Exchange {
            user: "",
            machine: Some("laptop"),
            spoke: "01B",
            seen: Timestamp::from_second(9).unwrap(),
            lag: Some(-1),
            more: false,
            ..SYNC
        };
        metrics.exchanged(&of_the_owner, now);
        // Nothing new says nothing of the lag.
        let idle = Exchange {
            accepted: 0,
            lag: None,
            seen: Timestamp::from_second(10).unwrap(),
            ..of_the_owner
        };
        metrics.exchanged(&idle, now);
        let spokes = metrics.spokes();
        assert_eq!(spokes.len(), 2);
        assert_eq!(spokes[0].machine.as_deref(), Some("laptop"));
        assert_eq!(spokes[0].user, None);
        assert_eq!(spokes[0].lag_seconds, Some(0));
        assert_eq!(spokes[0].last_seen.as_second(), 10);
        assert!(!spokes[0].is_behind);
        assert_eq!(spokes[1].user.as_deref(), Some("https://id.example alice"));
        assert_eq!(spokes[1].lag_seconds, Some(4));
        assert!(spokes[1].is_behind);
    }

    #[test]
    fn the_page_has_every_count_and_names_no_user() {
        let now = Instant::now();
        let mut metrics = Metrics::default();
        metrics.answered("/v1/sync", 200);
        metrics.answered("/v1/sync", 200);
        metrics.answered("other", 404);
        metrics.denied("expired");
        assert!(metrics.exchanged(&SYNC, now));
        assert!(!metrics.exchanged(&SYNC, now));
        let retried = Exchange {
            accepted: 0,
            spoke: "01B",
            version: "a\"b\n",
            more: false,
            ..SYNC
        };
        metrics.exchanged(&retried, now);
        let gauges = Gauges {
            operations: Some(9),
            bytes: 4096,
            free: Some(8192),
            connections: 2,
            started: 1.5,
        };
        let text = metrics.text(&gauges, now);
        for line in [
            "heph_hub_requests_total{path=\"/v1/sync\",status=\"200\"} 2",
            "heph_hub_requests_total{path=\"other\",status=\"404\"} 1",
            "heph_hub_denied_total{reason=\"expired\"} 1",
            "heph_hub_operations_received_total 9",
            "heph_hub_operations_accepted_total 4",
            "heph_hub_operations_sent_total 15",
            "heph_hub_sync_lag_seconds_bucket{le=\"1\"} 0",
            "heph_hub_sync_lag_seconds_bucket{le=\"5\"} 2",
            "heph_hub_sync_lag_seconds_bucket{le=\"+Inf\"} 2",
            "heph_hub_sync_lag_seconds_sum 9",
            "heph_hub_spokes{version=\"1.2.3\"} 1",
            "heph_hub_spokes{version=\"unknown\"} 1",
            "heph_hub_spokes_behind 1",
            "heph_store_operations 9",
            "heph_store_bytes 4096",
            "heph_store_free_bytes 8192",
            "heph_hub_start_time_seconds 1.5",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "no {line} in\n{text}"
            );
        }
        assert!(!text.contains("alice") && !text.contains("01A"), "{text}");
        let tomorrow = metrics.text(&gauges, now + DAY);
        assert!(!tomorrow.contains("heph_hub_spokes{"), "{tomorrow}");
    }

    #[test]
    fn every_sample_has_its_family_before_it() {
        let text = Metrics::default().text(&Gauges::default(), Instant::now());
        let mut family = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap().to_owned();
            } else if !line.starts_with('#') {
                assert!(line.starts_with(&family), "{line} under {family}");
            }
        }
    }

    #[test]
    fn spokes_do_not_fill_the_memory() {
        let now = Instant::now();
        let mut metrics = Metrics::default();
        for n in 0..MOST_SPOKES + 50 {
            let at = now + Duration::from_secs(n as u64);
            metrics.exchanged(
                &Exchange {
                    spoke: &n.to_string(),
                    ..SYNC
                },
                at,
            );
        }
        assert_eq!(metrics.spokes.len(), MOST_SPOKES);
        let key = |n: usize| (SYNC.user.to_owned(), n.to_string());
        assert!(!metrics.spokes.contains_key(&key(0)), "the oldest goes");
        assert!(metrics.spokes.contains_key(&key(MOST_SPOKES + 49)));
    }
}
