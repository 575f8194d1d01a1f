//! Running programs side by side: in turn, so that whatever disturbs the machine disturbs all of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// GNU time: its own memory is so small that it does not show in the figures of what it runs.
const TIME: &str = "/usr/bin/time";

/// A program with its arguments and its whole environment.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<PathBuf>,
    environment: Vec<(String, PathBuf)>,
}

impl Program {
    /// Returns `path` with these arguments and nothing in its environment.
    pub fn new(path: impl Into<PathBuf>, arguments: &[&str]) -> Program {
        Program {
            path: path.into(),
            arguments: arguments.iter().map(PathBuf::from).collect(),
            environment: Vec::new(),
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<PathBuf>) -> Program {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<PathBuf>) -> Program {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Sets variables.
    pub fn envs(self, variables: impl IntoIterator<Item = (&'static str, PathBuf)>) -> Program {
        variables
            .into_iter()
            .fold(self, |program, (name, value)| program.env(name, value))
    }

    /// Returns it as a command.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end, which must be a good one, and returns what it printed.
    #[track_caller]
    pub fn output(&self) -> String {
        let output = self.command().output().unwrap();
        assert!(
            output.status.success(),
            "{:?} {:?} {}: {}",
            self.path,
            self.arguments,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns how long it takes from start to end, with nobody reading what it prints.
    fn wall(&self) -> Duration {
        let mut command = self.command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let status = command.status().unwrap();
        let took = start.elapsed();
        assert!(
            status.success(),
            "{:?} {:?} {status}",
            self.path,
            self.arguments
        );
        took
    }

    /// Returns the most memory that it, or a program that it runs and waits for, has had at once, in bytes.
    pub fn peak(&self, scratch: &Path) -> u64 {
        let file = scratch.join("peak");
        let mut timed = Program::new(TIME, &["--format=%M"])
            .arg("--output")
            .arg(&file);
        timed.arguments.push(self.path.clone());
        timed.arguments.extend(self.arguments.iter().cloned());
        timed.environment.clone_from(&self.environment);
        timed.output();
        let kib: u64 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        kib << 10
    }
}

/// A program to be measured, and what puts things in order before each of its runs.
pub struct Contender<'a> {
    pub program: Program,
    pub before: &'a dyn Fn(),
}

/// What was measured of one contender.
#[derive(Clone, Debug)]
pub struct Measured {
    pub wall: Samples,
    /// Bytes.
    pub peak: u64,
}

/// Runs the contenders in turn, `runs` times each for the time and a few times more for the memory.
pub fn side_by_side<const N: usize>(
    contenders: [Contender; N],
    runs: usize,
    scratch: &Path,
) -> [Measured; N] {
    const WARM_UP: usize = 2;
    const MEMORY: usize = 5;
    let mut wall = [const { Vec::new() }; N];
    let mut peak = [const { Vec::new() }; N];
    for run in 0..runs + WARM_UP {
        for (contender, wall) in contenders.iter().zip(&mut wall) {
            (contender.before)();
            let took = contender.program.wall();
            if run >= WARM_UP {
                wall.push(took);
            }
        }
    }
    for _ in 0..MEMORY {
        for (contender, peak) in contenders.iter().zip(&mut peak) {
            (contender.before)();
            peak.push(contender.program.peak(scratch));
        }
    }
    std::array::from_fn(|nth| {
        peak[nth].sort_unstable();
        Measured {
            wall: Samples::of(std::mem::take(&mut wall[nth])),
            peak: peak[nth][MEMORY / 2],
        }
    })
}

/// How long something took, many times; sorted, never empty.
#[derive(Clone, Debug)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Returns these, sorted.
    pub fn of(mut samples: Vec<Duration>) -> Samples {
        assert!(!samples.is_empty());
        samples.sort_unstable();
        Samples(samples)
    }

    /// Runs `work` this many times.
    pub fn take(runs: usize, mut work: impl FnMut()) -> Samples {
        Samples::of(
            (0..runs)
                .map(|_| {
                    let start = Instant::now();
                    work();
                    start.elapsed()
                })
                .collect(),
        )
    }

    /// Returns the one in the middle, or the mean of the two that are.
    pub fn median(&self) -> Duration {
        let count = self.0.len();
        (self.0[(count - 1) / 2] + self.0[count / 2]) / 2
    }

    /// Returns the one that this share of the others is below.
    pub fn at(&self, share: f64) -> Duration {
        let last = self.0.len() - 1;
        self.0[(last as f64 * share).round() as usize]
    }
}
