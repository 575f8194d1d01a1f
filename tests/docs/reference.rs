//! `docs/reference.md` names what the code has.

use heph::error::Exit;

fn reference() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference.md");
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn every_exit_code_has_a_row() {
    let reference = reference();
    for exit in [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::RolledBack,
        Exit::TryLater,
        Exit::Available,
    ] {
        let row = format!("\n| {} |", exit.code());
        assert!(reference.contains(&row), "no row for {}", exit.code());
    }
}

#[test]
fn every_command_with_json_has_its_object_described() {
    fn look(command: &clap::Command, name: &str, reference: &str) {
        let json = |argument: &clap::Arg| argument.get_long() == Some("json");
        if command.get_arguments().any(json) {
            assert!(
                reference.contains(&format!("`{name} --json`")),
                "nothing of `{name} --json`"
            );
        }
        for below in command.get_subcommands() {
            look(below, &format!("{name} {}", below.get_name()), reference);
        }
    }
    look(&heph::cli::command(), "heph", &reference());
}
