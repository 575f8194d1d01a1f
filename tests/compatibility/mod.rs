//! What release 0.1.0 left on a machine still counts: its files are read, and an installation of it updates and goes back.

mod files;
mod state;
mod update;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::files::script;
use crate::support::home::Home;

/// Returns where `name` is among the files that release 0.1.0 wrote.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/release-0.1.0")
        .join(name)
}

/// Returns the text of a fixture, as it would be in `home`.
fn text(name: &str, home: &Home) -> String {
    let homes = home.path.parent().unwrap().display();
    let text = fs::read_to_string(fixture(name)).unwrap();
    text.replace("/home/", &format!("{homes}/"))
}

/// Writes a `crontab` that keeps the crontab in a file of the home; returns its folder.
fn crontab(home: &Home) -> PathBuf {
    let tools = home.path.join("tools");
    let body = r#"case $1 in
-l) cat "$HOME/crontab" ;;
-r) rm "$HOME/crontab" ;;
-) cat >"$HOME/crontab" ;;
*) cat "$1" >"$HOME/crontab" ;;
esac"#;
    script(&tools.join("crontab"), body);
    tools
}
