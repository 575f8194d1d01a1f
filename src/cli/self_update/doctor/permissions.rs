//! Can other users of this machine replace what heph installs?

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::facts::Job;
use super::row::Row;
use crate::os::files;
use crate::update;

/// The bits of a mode that decide: writable by everybody, unless only owners may rename (sticky).
const BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Checks the folders that lead to the commands, the slots, the settings and the state.
pub(super) fn permissions(job: &Job) -> Option<Row> {
    let paths = &job.context.paths;
    let bin_dir = update::bin_dir(&job.context.config.self_update, paths);
    let folders = [
        Some(paths.versions()),
        Some(paths.state.clone()),
        Some(paths.build()),
        paths.config.parent().map(Path::to_owned),
        bin_dir.ok().map(|bin_dir| bin_dir.path),
    ];
    let mode = |folder: &Path| Some(fs::metadata(folder).ok()?.permissions().mode());
    Some(permissions_row(&open_to_all(
        folders.into_iter().flatten(),
        mode,
    )))
}

/// Returns which of `folders`, and of the folders above them, everybody can write to.
fn open_to_all(
    folders: impl Iterator<Item = PathBuf>,
    mode: impl Fn(&Path) -> Option<u32>,
) -> Vec<PathBuf> {
    let is_open = |folder: &&Path| {
        let mode = mode(folder).unwrap_or_default();
        mode & BY_ALL != 0 && mode & STICKY == 0
    };
    let mut open = BTreeSet::new();
    for folder in folders {
        let real = files::resolved(&folder);
        open.extend(real.ancestors().filter(is_open).map(Path::to_owned));
    }
    open.into_iter().collect()
}

/// Judges the folders that everybody can write to.
fn permissions_row(open: &[PathBuf]) -> Row {
    if open.is_empty() {
        return Row::ok("only you can write where heph installs");
    }
    let names: Vec<_> = open
        .iter()
        .map(|path| format!("'{}'", path.display()))
        .collect();
    let names = names.join(" and ");
    Row::warning(
        format!(
            "a run works, but every user of this machine can write to {names}, and so replace what it installs"
        ),
        format!("chmod o-w {}", names.replace(" and ", " ")),
    )
}

#[cfg(test)]
mod tests {
    use super::super::row::Status;
    use super::*;

    #[test]
    fn a_folder_that_all_can_write_to_is_found_above_too_unless_it_is_sticky() {
        let modes = |path: &Path| match path.to_str()? {
            "/h" => Some(0o40777),
            "/h/tmp" => Some(0o41777),
            "/h/tmp/a" => Some(0o40775),
            "/h/b" => Some(0o40757),
            _ => None,
        };
        let open = |folders: &[&str]| {
            let folders = folders.iter().map(PathBuf::from);
            open_to_all(folders, modes)
        };
        assert_eq!(open(&["/h/tmp/a/x"]), [Path::new("/h")]);
        assert_eq!(
            open(&["/h/b", "/h/b/c"]),
            [Path::new("/h"), Path::new("/h/b")]
        );
        assert_eq!(open(&["/x"]), [""; 0].map(PathBuf::from));
        let row = permissions_row(&open(&["/h/b"]));
        assert_eq!(row.status, Status::Warning);
        assert_eq!(row.hint.as_deref(), Some("chmod o-w '/h' '/h/b'"));
        assert_eq!(permissions_row(&[]).status, Status::Ok);
    }
}
