//! Without a service manager: the checks run with exactly the variables of the job.

use super::patient::{Findings, Patient};

#[test]
fn the_variables_are_those_of_the_job_and_no_others() {
    let patient = Patient::new();
    let repository = patient.forge.repository();
    patient.home.configure(&format!(
        "service-manager = \"none\"\n[self-update]\nrepository = \"{repository}\"\n"
    ));
    // A variable that is not baked: the shell has it, the job does not.
    let doctor = patient.doctor().env("TMPDIR", "/nowhere");
    Findings::of(doctor)
        .row("timer", "warning", "off")
        .row("environment", "ok", "variables of the cron job")
        .row("temporary folder", "ok", "'/tmp'")
        .row("linker", "ok", "")
        .row("forge", "ok", "");
}
