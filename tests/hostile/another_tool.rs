//! Settings for another tool on a machine that has heph: whatever heph does for the tool, hephd is not touched.

use std::fs;

use super::scene::{NEW, OLD, Scene};
use crate::support::files::{executable, script};
use crate::support::wait::eventually;

/// A machine whose heph keeps `tool` current as well, in the bin-dir of heph or in one of its own.
struct Workbench {
    scene: Scene,
    config: String,
}

impl Workbench {
    fn new(in_bin_dir_of_heph: bool) -> Workbench {
        let scene = Scene::new();
        let bin = if in_bin_dir_of_heph {
            "~/.cargo/bin"
        } else {
            "~/own"
        };
        let config = scene.write(
            "tool.toml",
            format!(
                "[self-update]\nrepository = \"{}\"\nforge = \"forgejo\"\npackages = [\"tool\"]\nbin-dir = \"{bin}\"\n",
                scene.forge.repository()
            ),
        );
        // Records and builds `tool`.
        let cargo = scene.path.join("tools/cargo");
        let text = fs::read_to_string(&cargo).unwrap();
        fs::remove_file(&cargo).unwrap();
        executable(&cargo, text.replace("\"heph ${tag#v}", "\"tool ${tag#v}"));
        let config = config.to_str().unwrap().to_owned();
        Workbench { scene, config }
    }

    /// Publishes a release of the tool.
    fn publish(&self, version: &str) {
        let scene = &self.scene;
        script(
            &scene.release(version).join("tool"),
            &format!("echo tool {version}"),
        );
        scene.forge.unpublish();
        scene.tell(version);
    }

    fn heph(&self, words: &str) -> crate::support::call::Call {
        let scene = &self.scene;
        let heph = scene.heph(&["--config", &self.config]).args(words);
        let own = |name| scene.path.join("tool's own").join(name);
        let heph = heph.env("XDG_DATA_HOME", own("data"));
        let heph = heph.env("XDG_STATE_HOME", own("state"));
        heph.env("HEPH_SOCKET", scene.socket())
    }

    /// Asserts that the tool is updated and that hephd runs on as it did.
    #[track_caller]
    fn assert_updates(&self, version: &str) {
        let pid = self.scene.pid();
        self.publish(version);
        self.heph("self-update apply").exits(0).says("updated");
        for _ in 0..2 {
            self.heph("self-update apply").exits(0).says("up to date");
        }
        assert_eq!(self.scene.pid(), pid, "hephd was left alone");
        assert_eq!(self.scene.running().as_deref(), Some(OLD));
    }
}

#[test]
fn applying_it_again_and_again_leaves_hephd_running() {
    for in_bin_dir_of_heph in [true, false] {
        let bench = Workbench::new(in_bin_dir_of_heph);
        // Lower and higher than the version that hephd has.
        for version in ["0.0.9", "9.9.1", "9.9.2"] {
            bench.assert_updates(version);
        }
        let pid = bench.scene.pid();
        bench.heph("self-update rollback").exits(0);
        assert_eq!(bench.scene.pid(), pid);
    }
}

#[test]
fn a_hephd_that_cannot_be_reached_is_left_as_it_is() {
    let bench = Workbench::new(false);
    let scene = &bench.scene;
    let pid = scene.manager.property("heph.service", "MainPID");
    fs::remove_dir_all(scene.socket().parent().unwrap()).unwrap();
    bench.publish("9.9.1");
    bench.heph("self-update apply").exits(0).says("updated");
    bench.publish("9.9.2");
    bench.heph("self-update apply").exits(0).says("updated");
    bench.heph("self-update rollback").exits(0);
    assert_eq!(scene.manager.property("heph.service", "MainPID"), pid);
    assert!(!scene.socket().exists());
}

#[test]
fn status_doctor_and_check_do_not_speak_of_hephd() {
    for in_bin_dir_of_heph in [true, false] {
        let bench = Workbench::new(in_bin_dir_of_heph);
        bench.publish("9.9.1");
        bench.heph("self-update apply").exits(0);
        bench.publish("9.9.2");
        for command in ["status", "check", "doctor"] {
            let ended = bench.heph(&format!("self-update {command}")).ends();
            let said = format!("{}{}", ended.out, ended.err);
            assert!(
                !said.contains("hephd") && !said.contains("running "),
                "{said}"
            );
        }
        let check = bench.heph("self-update check --json").ends().json();
        assert!(check["running"].is_null(), "{check}");
        assert_eq!(check["installed"], "9.9.1");
    }
}

#[test]
fn enable_has_the_job_run_the_heph_that_enabled_it() {
    let bench = Workbench::new(false);
    let scene = &bench.scene;
    bench.publish("9.9.3");
    bench.heph("self-update enable --every 1d").exits(0);
    let heph = scene.bin().join("heph");
    let unit = scene.unit_text("heph-self-update.service");
    assert!(unit.contains(r#""program":"#), "{unit}");
    let job = scene.manager.systemctl("start heph-self-update.service");
    job.exits(0);
    let tool = scene.path.join("own/tool");
    eventually("the job has installed the tool", || tool.exists());
    assert_eq!(scene.running().as_deref(), Some(OLD));
    bench.heph("self-update disable").exits(0);

    // A heph that has updated itself runs from a slot; the job gets the link in bin-dir all the same.
    let own = scene.path.join("tools/cargo");
    let text = fs::read_to_string(&own).unwrap();
    fs::remove_file(&own).unwrap();
    executable(&own, text.replace("\"tool ${tag#v}", "\"heph ${tag#v}"));
    scene.publish_new();
    scene.apply().exits(0);
    scene.assert_serves(NEW);
    bench.heph("self-update enable --every 1d").exits(0);
    let unit = scene.unit_text("heph-self-update.service");
    let source = unit
        .lines()
        .find_map(|line| line.strip_prefix("# Made from: "))
        .unwrap();
    let source: serde_json::Value = serde_json::from_str(source).unwrap();
    assert_eq!(source["program"], heph.to_str().unwrap(), "{source}");
    bench.heph("self-update disable").exits(0);
}
