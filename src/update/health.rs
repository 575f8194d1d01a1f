//! Whether a hephd is healthy: before an update, and after its restart. Pure functions of what was observed.

use std::path::Path;
use std::time::Duration;

use semver::Version;

use crate::platform::service::Obstacle;

/// One observation of hephd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// When, counted from the end of the restart.
    pub at: Duration,
    /// The version and process id that answered on the socket; `None` without an answer.
    pub answer: Option<(Version, u32)>,
}

/// How hephd is, as far as the observations show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not known yet: look again.
    Pending,
    /// The expected version answered from one process for the whole settle time.
    Healthy,
    /// Unhealthy, and why.
    Unhealthy(String),
}

/// Judges `observations`, in order of time, of a hephd that should be `expected`, by semver precedence.
///
/// One death is enough to be unhealthy: a service manager hides a daemon that dies every few seconds behind restarts, so
/// a change of process within the settle time counts as a death, as does silence after an answer.
pub fn judge(
    observations: &[Observation],
    expected: &Version,
    settle: Duration,
    timeout: Duration,
) -> Health {
    let mut first: Option<(Duration, u32)> = None;
    for observation in observations {
        let at = observation.at;
        match (&observation.answer, first) {
            (Some((version, _)), _) if version.cmp_precedence(expected).is_ne() => {
                return Health::Unhealthy(format!("hephd answers as {version}, not as {expected}"));
            }
            (Some((_, pid)), None) => first = Some((at, *pid)),
            (Some((_, pid)), Some((since, before))) if *pid != before => {
                return Health::Unhealthy(format!(
                    "hephd {expected} died {:.1} s after it first answered and was started again",
                    (at - since).as_secs_f64()
                ));
            }
            (None, Some((since, _))) => {
                return Health::Unhealthy(format!(
                    "hephd {expected} stopped answering {:.1} s after it first answered",
                    (at - since).as_secs_f64()
                ));
            }
            (None, None) if at >= timeout => {
                return Health::Unhealthy(format!(
                    "hephd {expected} did not answer within {timeout:?}"
                ));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    match (first, observations.last()) {
        (Some((since, _)), Some(last)) if last.at - since >= settle => Health::Healthy,
        _ => Health::Pending,
    }
}

/// hephd as it is before its restart.
#[derive(Clone, Debug)]
pub struct Condition<'a> {
    /// Why the service manager cannot start it again.
    pub obstacle: Option<Obstacle>,
    /// The main process of the service.
    pub service: Option<u32>,
    /// Whether it has started, as far as the service manager knows.
    pub is_up: bool,
    /// What is at the socket.
    pub at_socket: AtSocket,
    pub socket: &'a Path,
}

/// What is at the socket of hephd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtSocket {
    /// The hephd with this process id.
    Process(u32),
    /// A listener that does not answer.
    Silence,
    /// Nothing listens.
    Nobody,
}

/// Returns what is wrong with hephd so that no release could become healthy; `None` if nothing is, or if the next release may
/// be the cure: a hephd that crashes or hangs may do so because of its own release.
pub fn ailment(condition: &Condition) -> Option<Obstacle> {
    let socket = condition.socket.display();
    match (&condition.obstacle, condition.service, condition.at_socket) {
        (Some(obstacle), ..) => Some(obstacle.clone()),
        (None, Some(pid), AtSocket::Nobody) if condition.is_up => Some(Obstacle {
            what: format!(
                "hephd, process {pid}, cannot be reached: nothing listens on its socket '{socket}'"
            ),
            hint: "`heph daemon restart`".to_owned(),
        }),
        (None, service, AtSocket::Process(other)) if service != Some(other) => Some(Obstacle {
            what: format!(
                "process {other} answers on '{socket}', and it is not that of the service"
            ),
            hint: format!("stop it with `kill {other}`, then `heph daemon restart`"),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(looks: &[(u64, Option<(&str, u32)>)]) -> Health {
        let observations: Vec<_> = looks
            .iter()
            .map(|(at, answer)| Observation {
                at: Duration::from_secs(*at),
                answer: answer.map(|(version, pid)| (version.parse().unwrap(), pid)),
            })
            .collect();
        judge(
            &observations,
            &"1.1.0".parse().unwrap(),
            Duration::from_secs(10),
            Duration::from_secs(60),
        )
    }

    fn unhealthy_because(verdict: Health, words: &str) {
        match verdict {
            Health::Unhealthy(reason) => assert!(reason.contains(words), "{reason}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_daemon_that_stays_is_healthy_after_the_settle_time_and_not_before() {
        let good = Some(("1.1.0", 7));
        assert_eq!(seen(&[]), Health::Pending);
        assert_eq!(seen(&[(0, good), (9, good)]), Health::Pending);
        assert_eq!(seen(&[(0, good), (9, good), (10, good)]), Health::Healthy);
        assert_eq!(
            seen(&[(0, None), (50, good), (59, good)]),
            Health::Pending,
            "the settle time counts from the first answer"
        );
        assert_eq!(seen(&[(0, None), (50, good), (60, good)]), Health::Healthy);
    }

    #[test]
    fn another_version_another_process_silence_and_no_answer_are_unhealthy() {
        let good = Some(("1.1.0", 7));
        unhealthy_because(seen(&[(0, Some(("1.0.0", 7)))]), "answers as 1.0.0");
        unhealthy_because(seen(&[(0, good), (3, Some(("1.1.0", 8)))]), "died 3.0 s");
        unhealthy_because(seen(&[(0, good), (3, None)]), "stopped answering 3.0 s");
        unhealthy_because(seen(&[(0, None), (60, None)]), "did not answer within 60s");
    }

    #[test]
    fn only_what_no_release_can_cure_is_an_ailment() {
        use AtSocket::*;
        let obstacle = Obstacle {
            what: "heph.service is masked".to_owned(),
            hint: "unmask it".to_owned(),
        };
        for (obstacle, service, at_socket, words) in [
            (None, Some(7), Process(7), None),
            (None, Some(7), Silence, None),
            (None, None, Nobody, None),
            (None, None, Silence, None),
            (None, Some(7), Nobody, Some("process 7, cannot be reached")),
            (None, Some(7), Process(8), Some("process 8 answers")),
            (None, None, Process(8), Some("process 8 answers")),
            (Some(obstacle.clone()), Some(7), Process(7), Some("masked")),
            (Some(obstacle), None, Nobody, Some("masked")),
        ] {
            let condition = Condition {
                obstacle,
                service,
                is_up: true,
                at_socket,
                socket: Path::new("/run/s"),
            };
            let found = ailment(&condition);
            match words {
                None => assert_eq!(found, None, "{condition:?}"),
                Some(words) => assert!(found.unwrap().what.contains(words), "{condition:?}"),
            }
        }
        let starting = Condition {
            obstacle: None,
            service: Some(7),
            is_up: false,
            at_socket: Nobody,
            socket: Path::new("/run/s"),
        };
        assert_eq!(ailment(&starting), None);
    }

    #[test]
    fn a_pre_release_must_match_and_build_metadata_need_not() {
        let built = Some(("1.1.0+build.5", 7));
        assert_eq!(seen(&[(0, built), (10, built)]), Health::Healthy);
        unhealthy_because(
            seen(&[(0, Some(("1.1.0-rc.1", 7)))]),
            "answers as 1.1.0-rc.1",
        );
    }

    proptest! {
        #[test]
        fn healthy_needs_one_process_of_the_expected_version_to_the_end(
            looks in prop::collection::vec((0u64..5, prop::option::of((prop::bool::weighted(0.9), 1u32..3))), 0..20),
        ) {
            let mut at = 0;
            let observations: Vec<_> = looks.iter().map(|(step, answer)| {
                at += step;
                let version = |good| if good { "1.1.0" } else { "1.0.0" }.parse().unwrap();
                Observation { at: Duration::from_secs(at), answer: answer.map(|(good, pid)| (version(good), pid)) }
            }).collect();
            let expected = "1.1.0".parse().unwrap();
            if judge(&observations, &expected, Duration::from_secs(10), Duration::from_secs(60)) == Health::Healthy {
                let answered: Vec<_> = observations.iter().skip_while(|o| o.answer.is_none()).collect();
                let first = answered[0].answer.clone();
                prop_assert!(answered.iter().all(|o| o.answer == first));
                prop_assert_eq!(first.unwrap().0, expected);
            }
        }
    }
}
