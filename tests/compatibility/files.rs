//! Units, property lists, scripts and crontabs of release 0.1.0: they say what they were made from, and stay in force
//! until they are written afresh, to the same effect.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::{Value, json};

use super::{crontab, text};
use crate::support::call::Call;
use crate::support::home::{Home, ODD_NAME};
use crate::support::mac::Mac;
use crate::support::machine::Machine;

const VARIANTS: [&str; 5] = [
    "units/plain",
    "units/spoke",
    "units/hub",
    "units/open-hub",
    "units/odd-home",
];
const UNITS: [&str; 4] = [
    "heph.service",
    "heph.socket",
    "heph-self-update.service",
    "heph-self-update.timer",
];

fn name_of_home(variant: &str) -> &'static str {
    match variant.ends_with("odd-home") {
        true => ODD_NAME,
        false => "jo",
    }
}

/// What a user had.
struct Had<'a> {
    /// The folder among the fixtures.
    variant: &'static str,
    home: &'a Home,
    /// What the files were made from.
    from: Value,
}

impl Had<'_> {
    fn new<'a>(variant: &'static str, home: &'a Home) -> Had<'a> {
        let from = text(&format!("{variant}/expected.json"), home);
        let had = Had {
            variant,
            home,
            from: serde_json::from_str(&any_port(from)).unwrap(),
        };
        let log = had.from["service"]["log"].as_str().unwrap().to_owned();
        let places = had.variables("HEPH_").into_iter().map(|(_, path)| path);
        for file in places.chain([log]) {
            fs::create_dir_all(Path::new(&file).parent().unwrap()).unwrap();
        }
        had
    }

    /// Writes the fixture `file` to `folder`.
    fn puts(&self, file: &str, folder: &Path) -> PathBuf {
        let text = any_port(text(&format!("{}/{file}", self.variant), self.home));
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(file);
        fs::write(&path, text).unwrap();
        path
    }

    /// The variables, with names that begin so, of the shell that started hephd.
    fn variables(&self, prefix: &str) -> Vec<(String, String)> {
        let all = self.from["service"]["environment"].as_object().unwrap();
        let all = all.iter().filter(|(name, _)| name.starts_with(prefix));
        all.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect()
    }

    /// `heph` in another shell, which knows of folders and of nothing else.
    fn heph(&self, words: &[impl AsRef<str>]) -> Call {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        self.home.heph(&words).envs(self.variables("XDG_"))
    }

    /// `heph daemon start`, as it was run.
    fn start(&self) -> Call {
        let mut words = vec!["daemon".to_owned(), "start".to_owned()];
        for (flag, value) in self.from["service"]["flags"].as_object().unwrap() {
            words.push(match value.as_str().unwrap() {
                "true" => format!("--{flag}"),
                value => format!("--{flag}={value}"),
            });
        }
        self.heph(&words).envs(self.variables(""))
    }

    /// `heph self-update enable`, as it was run or, where `again`, without what is to stay as it is.
    fn enable(&self, scheduler: &str, again: bool) -> Call {
        let from = &self.from["timer"][scheduler];
        let mut words = Vec::new();
        if let Some(config) = from["config"].as_str() {
            let settings = self.home.path.join(".config/heph/config.toml");
            fs::copy(settings, config).unwrap();
            words.extend(["--config", config]);
        }
        words.extend(["self-update", "enable"]);
        if !again {
            let (kind, when) = from["cadence"].as_str().unwrap().split_once(' ').unwrap();
            words.push(if kind == "at" { "--at" } else { "--every" });
            words.push(when);
            words.extend((from["notify_only"] == json!(true)).then_some("--notify-only"));
        }
        self.heph(&words)
    }

    /// What heph says is what the files were made from.
    fn assert_read(&self, scheduler: &str) {
        if scheduler != "cron" {
            let status = self.heph(&["daemon", "status", "--json"]).json();
            let from = &self.from["service"];
            for key in ["program", "flags", "log"] {
                assert_eq!(status[key], from[key], "{} {key}", self.variant);
            }
            for (key, variable) in [("store", "HEPH_DB"), ("socket", "HEPH_SOCKET")] {
                if let Some(path) = from["environment"].get(variable) {
                    assert_eq!(status[key], *path, "{}", self.variant);
                }
            }
        }
        if let Some(from) = self.from.get("timer").map(|timer| &timer[scheduler]) {
            let status = self.heph(&["self-update", "status", "--json"]).json();
            let keys = ["cadence", "notify_only"];
            assert_eq!(keys.map(|key| &status[key]), keys.map(|key| &from[key]));
            assert_eq!(status["scheduler"], scheduler, "{}", self.variant);
        }
    }

    /// The `files` are read, and written afresh without being told anything again; then they are what they would have been
    /// if this heph had been told it all.
    fn assert_kept(&self, scheduler: &str, files: &[PathBuf]) {
        let read = || -> Vec<String> {
            let text = |file: &PathBuf| fs::read_to_string(file).unwrap();
            files.iter().map(text).collect()
        };
        let serves = scheduler != "cron";
        self.assert_read(scheduler);
        if serves {
            self.heph(&["daemon", "restart"]).exits(0);
        }
        self.enable(scheduler, true).exits(0);
        self.assert_read(scheduler);
        let kept = read();
        self.heph(&["self-update", "disable"]).exits(0);
        if serves {
            self.heph(&["daemon", "uninstall"]).exits(0);
            self.start().exits(0);
        }
        self.enable(scheduler, false).exits(0);
        assert_eq!(kept, read(), "{}", self.variant);
    }
}

/// The ports of the fixtures may be taken; any other will do.
fn any_port(text: String) -> String {
    text.replace(":28787", ":0").replace(":28788", ":0")
}

/// Runs `test` for all variants at the same time: most of it is waiting.
fn each(test: impl Fn(&'static str) + Sync) {
    thread::scope(|scope| {
        for variant in VARIANTS {
            scope.spawn(|| test(variant));
        }
    });
}

#[test]
fn units_of_systemd_keep_what_they_say() {
    each(|variant| {
        let machine = Machine::named(name_of_home(variant));
        machine.home.configure("service-manager = \"systemd\"\n");
        let had = Had::new(variant, &machine);
        let folder = machine.unit("");
        let files = UNITS.map(|unit| had.puts(unit, &folder));
        machine.manager.systemctl("daemon-reload").exits(0);
        let enable = "enable --now heph.service heph-self-update.timer";
        machine.manager.systemctl(enable).exits(0);
        had.assert_kept("systemd", &files);
    });
}

#[test]
fn a_unit_from_before_there_were_sockets_keeps_what_it_says() {
    for variant in ["units-template-1/spoke", "units-template-1/odd-home"] {
        let machine = Machine::named(name_of_home(variant));
        let had = Had::new(variant, &machine);
        let folder = machine.unit("");
        had.puts("heph.service", &folder);
        machine.manager.systemctl("daemon-reload").exits(0);
        let enable = "enable --now heph.service";
        machine.manager.systemctl(enable).exits(0);
        let files = || ["heph.service", "heph.socket"].map(|unit| fs::read(folder.join(unit)));
        had.assert_read("systemd");
        had.heph(&["daemon", "restart"]).exits(0);
        had.assert_read("systemd");
        let kept = files().map(Result::unwrap);
        had.heph(&["daemon", "uninstall"]).exits(0);
        had.start().exits(0);
        assert_eq!(kept, files().map(Result::unwrap), "{variant}");
    }
}

#[test]
fn agents_of_launchd_keep_what_they_say() {
    each(|variant| {
        let mac = Mac::of(Home::named(name_of_home(variant)).with_commands());
        let had = Had::new(variant, &mac);
        let files = ["hephd", "self-update"].map(|label| {
            let agent = mac.agent(label);
            let name = agent.file_name().unwrap().to_str().unwrap();
            had.puts(name, agent.parent().unwrap());
            let load = mac.command("launchctl").args("bootstrap gui/0");
            // Not through a pipe: what supervises the job would hold it open.
            let loaded = load.args(&[&agent]).into_command().status();
            assert!(loaded.unwrap().success(), "{variant}");
            agent
        });
        had.assert_kept("launchd", &files);
    });
}

#[test]
fn a_job_of_cron_keeps_what_it_says() {
    each(|variant| {
        let mut home = Home::named(name_of_home(variant)).with_commands();
        home.configure("service-manager = \"none\"\n");
        let tools = crontab(&home);
        home.set("PATH", format!("{}:/usr/bin:/bin", tools.display()));
        let had = Had::new(variant, &home);
        let data = had.variables("XDG_DATA_HOME").pop();
        let data = data.map_or(home.data(), |(_, data)| Path::new(&data).join("heph"));
        let job = had.puts("self-update-job.sh", &data);
        fs::set_permissions(&job, Permissions::from_mode(0o700)).unwrap();
        let files = [job, had.puts("crontab", &home.path)];
        had.assert_kept("cron", &files);
    });
}
