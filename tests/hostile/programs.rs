//! Releases, hooks and service managers that misbehave.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use super::scene::{NEW, OLD, Scene};
use crate::support::files::executable;
use crate::support::wait::{PATIENCE, until};

#[test]
fn a_release_that_logs_without_end_is_rolled_back_and_the_next_one_installed() {
    let scene = Scene::new();
    scene.publish(
        "9.9.0",
        Some("head -c 300000 /dev/zero | tr '\\0' x >&2; exit 1"),
    );
    let back = format!("rolled back to {OLD}");
    let ended = scene.apply().exits(3).says(&back);
    assert!(ended.out.len() < 10_000);
    scene.assert_serves(OLD);
    assert_eq!(scene.quarantined(), ["9.9.0"]);

    scene.publish_new();
    scene.apply().exits(0);
    scene.assert_serves(NEW);
}

#[test]
fn a_release_without_heph_would_be_the_last_one_and_is_refused() {
    let scene = Scene::new();
    scene.publish(NEW, None);
    fs::remove_file(scene.release(NEW).join("heph")).unwrap();
    scene
        .apply()
        .exits(1)
        .complains(&format!("v{NEW} has no `heph`"));
    scene.assert_serves(OLD);
    assert_eq!(scene.quarantined(), [NEW]);
}

#[test]
fn a_build_that_fails_leaves_hephd_alone_and_the_timer_waits() {
    let scene = Scene::new();
    // Nothing that cargo could install.
    scene.tell("9.9.0");
    scene.heph("self-update apply --scheduled").exits(1);
    let again = scene.heph("self-update apply --scheduled").exits(0);
    again.says("skipped").says("tried again after");
    scene.assert_serves(OLD);
    assert!(scene.quarantined().is_empty());
    assert!(!scene.slot("9.9.0").exists());
    scene.publish_new();
    scene.heph("self-update apply --scheduled").exits(0);
    scene.assert_serves(NEW);
}

#[test]
fn a_hook_that_starts_heph_again_does_not_go_on_for_ever() {
    let scene = Scene::new();
    let count = scene.path.join("count");
    let script = scene.path.join("hook");
    let text = "#!/bin/sh\necho >>\"$HOME/count\"\n[ $(wc -l <\"$HOME/count\") -lt 5 ] && heph self-update apply\n";
    executable(&script, text);
    let script = script
        .display()
        .to_string()
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    scene.configure(&format!("on-failed = [\"{script}\"]"));
    // Nothing that cargo could install.
    scene.tell("9.9.0");
    scene.apply().exits(1);
    assert_eq!(fs::read_to_string(&count).unwrap(), "\n");
}

#[test]
fn a_signal_that_hits_the_restart_is_no_fault_of_the_release() {
    let scene = Scene::new();
    scene.publish_new();
    // What a signal to the whole group does to the command before it has a group of its own.
    let real = scene.release(NEW).join("heph");
    let aside = scene.path.join("heph-new");
    fs::rename(&real, &aside).unwrap();
    let text = "#!/bin/sh\nif [ \"$1 $2\" = 'daemon restart' ] && [ ! -e ~/hit ]; then\n    \
                : >~/hit\n    kill -TERM $PPID $$\nfi\nexec ~/heph-new \"$@\"\n";
    executable(&real, text);
    scene.apply().exits(0).says("updated");
    assert!(scene.path.join("hit").exists());
    assert!(scene.quarantined().is_empty());
}

#[test]
fn a_service_manager_that_goes_away_with_hephd_is_no_fault_of_the_release() {
    let scene = Scene::new();
    scene.publish_new();
    let mut update = scene.heph("self-update apply").start();
    update.line("watching it");
    scene.manager.systemctl("exit");
    let ended = update.ends().exits(1);
    ended.complains("the next run finishes it");
    assert!(scene.quarantined().is_empty());
    assert!(scene.state().join("journal.json").exists());
}

#[test]
fn whatever_answers_on_the_socket_cannot_steer_the_terminal() {
    let scene = Scene::new();
    scene.heph("daemon stop").exits(0);
    let folder = scene.manager.runtime_dir().join("heph");
    fs::create_dir_all(&folder).unwrap();
    let listener = UnixListener::bind(folder.join("hephd.sock")).unwrap();
    listener.set_nonblocking(true).unwrap();
    let impostor = thread::spawn(move || {
        let mut stream = until(PATIENCE, || match listener.accept() {
            Ok((stream, _)) => Ok(stream),
            Err(error) => Err(error.to_string()),
        });
        stream.set_nonblocking(false).unwrap();
        BufReader::new(&stream)
            .read_line(&mut String::new())
            .unwrap();
        let odd = "\\u001b]0;owned\\u0007";
        let answer = format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"version":"1{odd}","pid":1,"mode":"{odd}","store":"/{odd}","schema":1,"open_tasks":0,"started_at":"{odd}"}}}}"#
        );
        stream.write_all(answer.as_bytes()).unwrap();
        stream.write_all(b"\n").unwrap();
    });
    let ended = scene.heph("daemon status").exits(0).says("owned");
    assert!(!ended.out.contains(['\u{1b}', '\u{7}']), "{:?}", ended.out);
    impostor.join().unwrap();
}

#[test]
fn a_release_that_lacks_an_installed_command_waits_for_consent() {
    let scene = Scene::new();
    scene.publish(NEW, None);
    let more = scene.release(NEW).join("heph-extra");
    executable(&more, "#!/bin/sh\necho heph-extra 9.9.1\n");
    scene.apply().exits(0);
    scene.publish("9.9.2", None);
    let said = scene.apply().exits(1);
    said.complains("heph-extra")
        .complains("allow-fewer-commands = true");
    assert_eq!(scene.commands_say().len(), 3, "nothing was changed");
    assert_eq!(scene.quarantined(), [""; 0]);
    // It is on disk already, so that each further attempt costs nothing.
    fs::remove_file(scene.path.join("tools/cargo")).unwrap();
    scene.apply().exits(1).complains("heph-extra");
    scene.configure("allow-fewer-commands = true");
    scene
        .apply()
        .exits(0)
        .says("does not have these commands any more: heph-extra");
    scene.assert_serves("9.9.2");
    assert!(scene.bin().join("heph-extra").symlink_metadata().is_err());
    // Back by hand, and forward by name, need no consent: a person has named the release.
    scene.configure("");
    scene.heph("self-update rollback").exits(0);
    assert_eq!(scene.commands_say().len(), 3);
    scene
        .heph("self-update apply --to 9.9.2")
        .exits(0)
        .says("heph-extra");
    scene.assert_serves("9.9.2");
}
