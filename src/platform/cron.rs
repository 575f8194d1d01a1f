//! The user's crontab: heph's own block in it, and the `crontab` program.
//!
//! Every byte outside the block is the user's, and stays as it is: lines that are not UTF-8, CRLF, a last line without a
//! newline, the blocks of other programs.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ulid::Ulid;

use crate::error::{Error, Result, ResultExt, bail};
use crate::os::files;
use crate::os::process::{Run, describe};

const BEGIN: &str = "# BEGIN heph";
const END: &str = "# END heph";

/// The longest command that every cron runs whole: the smallest `MAX_COMMAND` known (Vixie cron) without its final NUL.
pub const LONGEST_COMMAND: usize = 999;

/// Returns `crontab` with a block of `lines`: in place of the block that it holds, else before all other lines.
pub fn with_block(crontab: &[u8], lines: &[String]) -> Result<Vec<u8>> {
    let (before, after) = around_block(crontab)?;
    let lines = lines.iter().map(String::as_str);
    let lines = [BEGIN].into_iter().chain(lines).chain([END]);
    let block: String = lines.flat_map(|line| [line, "\n"]).collect();
    Ok([before, block.as_bytes(), after].concat())
}

/// Returns `crontab` without the block.
pub fn without_block(crontab: &[u8]) -> Result<Vec<u8>> {
    let (before, after) = around_block(crontab)?;
    Ok([before, after].concat())
}

/// Returns the block of `crontab`, empty without one.
fn block(crontab: &[u8]) -> Result<&[u8]> {
    let (before, after) = around_block(crontab)?;
    Ok(&crontab[before.len()..crontab.len() - after.len()])
}

/// Returns what is before and after the block, or before and after its place.
fn around_block(crontab: &[u8]) -> Result<(&[u8], &[u8])> {
    let mut found: Vec<(bool, usize, usize)> = Vec::new();
    let mut start = 0;
    for line in crontab.split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.len();
        // Editors may have changed the end of the line.
        match line.trim_ascii_end() {
            line if line == BEGIN.as_bytes() => found.push((true, start, end)),
            line if line == END.as_bytes() => found.push((false, start, end)),
            _ => {}
        }
        start = end;
    }
    match found[..] {
        [] => Ok((&[], crontab)),
        [(true, start, _), (false, _, end)] => Ok((&crontab[..start], &crontab[end..])),
        _ => Err(Error::new(
            "the crontab holds a damaged block of heph: '# BEGIN heph' and '# END heph' do not form one pair",
        )
        .with_hint("repair or remove the lines with `crontab -e`")),
    }
}

/// Returns `word` quoted for the shell that cron starts, and for cron itself.
///
/// To most crons a bare `%` ends the command, and `\%` is a percent sign (crontab(5)); BusyBox's and bcron's know neither. So the
/// shell makes the sign. Some crons also read `\\` as one backslash, others do not (Vixie cron's and cronie's `do_command.c`), so
/// no backslash here precedes another.
pub fn quote(word: &str) -> String {
    let mut quoted = String::from("'");
    for c in word.chars() {
        match c {
            '\'' => quoted.push_str(r#"'"'"'"#),
            '\\' => quoted.push_str(r"\''"),
            '%' => quoted.push_str(PERCENT),
            _ => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// Ends a quoted word, makes a percent sign, and begins another quoted word.
const PERCENT: &str = r#"'"$(printf '\045')"'"#;

/// Checks that the crontab can be changed from `before` to `after` without harm to the user's lines, and that `before` is
/// what it really holds.
pub fn check(before: &[u8], after: &[u8]) -> Result<()> {
    // Debian's `crontab -l` shows a carriage return as these two characters, and would take them for two.
    if before == after || !before.windows(3).any(|window| window == b"\\r\n") {
        return Ok(());
    }
    Err(Error::new(
        "cannot change the crontab: it has lines that end in '\\r', which may stand for a carriage return and would be lost",
    )
    .with_hint("repair the ends of those lines with `crontab -e`"))
}

/// The `crontab` program.
pub struct Crontab(PathBuf);

impl Crontab {
    /// Finds it on PATH.
    pub fn find() -> Result<Crontab> {
        which::which("crontab").map(Crontab).map_err(|_| {
            Error::new("there is no `crontab` on PATH, so cron cannot run the timer")
                .with_hint("install cron, or start `heph self-update apply` by other means")
        })
    }

    /// Returns the user's crontab; a user without one has an empty one. Fails for example where the user may not use cron.
    pub fn read(&self) -> Result<Vec<u8>> {
        // Not through `Run`, which keeps only the end of a long output: a crontab must come back whole.
        let output = Command::new(&self.0)
            .arg("-l")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start '{}'", self.0.display()))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        if says_none(&stderr) {
            return Ok(Vec::new());
        }
        bail!(
            "`crontab -l` {}: {}",
            describe(output.status),
            stderr.trim()
        );
    }

    /// Changes the user's crontab from `before` to `after`. After an error it is as it was.
    pub fn replace(&self, before: &[u8], after: &[u8]) -> Result<()> {
        check(before, after)?;
        if before == after {
            return Ok(());
        }
        self.write(after)?;
        // A program that takes the file and keeps something else would leave a timer that never runs.
        if block(&self.read()?)? != block(after)? {
            self.write(before)?;
            bail!(
                "`crontab` took the new crontab, but does not show its lines; the old one is back"
            );
        }
        Ok(())
    }

    fn write(&self, crontab: &[u8]) -> Result<()> {
        let run = Run::new(&self.0);
        if crontab.is_empty() {
            let removed = run.arg("-r").success();
            return removed.map(drop).context("cannot remove the crontab");
        }
        // Not by standard input: bcron's has no `-` for that.
        let file = Temporary::new(crontab)?;
        let written = run.arg(&file.0).success();
        written.map(drop).context("cannot write the crontab")
    }
}

/// Returns whether `crontab -l` failed because there is no crontab, by exactly what the programs print then: Vixie cron and its
/// heirs, BusyBox, and bcron. After any other failure there may be one, which must not be replaced. Pure.
fn says_none(stderr: &str) -> bool {
    stderr.lines().any(|line| {
        let line = line.trim();
        let line = line.strip_prefix("crontab: ").unwrap_or(line);
        let is_name = |name: &str| !name.is_empty() && !name.contains([' ', '/', '\'']);
        let vixie = line.strip_prefix("no crontab for ");
        let busybox = line.strip_prefix("can't open '");
        let busybox = busybox.and_then(|rest| rest.strip_suffix("': No such file or directory"));
        line == "bcrontab: Crontab does not exist" || vixie.or(busybox).is_some_and(is_name)
    })
}

/// A private file that is removed with the value.
struct Temporary(PathBuf);

impl Temporary {
    fn new(bytes: &[u8]) -> Result<Temporary> {
        let path = std::env::temp_dir().join(format!("heph-crontab-{}", Ulid::generate()));
        let write = || {
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(files::PRIVATE)
                .open(&path);
            file.and_then(|mut file| file.write_all(bytes))
        };
        write().with_context(|| format!("cannot write '{}'", path.display()))?;
        Ok(Temporary(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::generated::tests::any_text;
    use proptest::prelude::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| line.to_string()).collect()
    }

    #[test]
    fn the_block_is_put_first_replaced_in_place_and_removed() {
        let mine = b"SHELL=/bin/fish\n# BEGIN other\n1 2 3 4 5 x\n# END other\n";
        let with = with_block(mine, &lines(&["a"])).unwrap();
        let block = b"# BEGIN heph\na\n# END heph\n";
        assert_eq!(with, [&block[..], mine].concat());
        assert_eq!(without_block(&with).unwrap(), mine);

        let between = [b"before\n", &block[..], b"after"].concat();
        let replaced = with_block(&between, &lines(&["b", "c"])).unwrap();
        assert_eq!(replaced, b"before\n# BEGIN heph\nb\nc\n# END heph\nafter");
        assert_eq!(without_block(&replaced).unwrap(), b"before\nafter");
        assert_eq!(
            with_block(&replaced, &lines(&["b", "c"])).unwrap(),
            replaced
        );
    }

    #[test]
    fn a_block_with_other_line_ends_is_found() {
        let crontab = b"x\r\n# BEGIN heph\r\na\r\n# END heph\r\ny\r\n";
        assert_eq!(without_block(crontab).unwrap(), b"x\r\ny\r\n");
        assert_eq!(without_block(b"# BEGIN heph\na\n# END heph").unwrap(), b"");
    }

    #[test]
    fn a_damaged_block_is_left_alone() {
        for crontab in [
            "# BEGIN heph\na\n",
            "a\n# END heph\n",
            "# END heph\n# BEGIN heph\n",
            "# BEGIN heph\n# BEGIN heph\n# END heph\n",
            "# BEGIN heph\n# END heph\n# BEGIN heph\n# END heph\n",
        ] {
            let error = with_block(crontab.as_bytes(), &[]).unwrap_err();
            assert!(error.to_string().contains("damaged"), "{crontab}");
            assert!(error.hint().unwrap().contains("crontab -e"));
            assert!(without_block(crontab.as_bytes()).is_err(), "{crontab}");
        }
    }

    #[test]
    fn what_only_looks_like_a_marker_is_the_users() {
        for crontab in [
            "## BEGIN heph\n",
            "# BEGIN hephaestus\n",
            "echo # END heph\n",
            " # BEGIN heph\n",
        ] {
            assert_eq!(
                without_block(crontab.as_bytes()).unwrap(),
                crontab.as_bytes()
            );
        }
    }

    /// How a cron reads a command.
    #[derive(Clone, Copy)]
    struct Cron {
        /// Whether a `%` ends the command, and `\%` is one.
        percent: bool,
        /// Whether it takes `\\` for one backslash.
        both: bool,
    }

    /// Vixie cron, its heirs, and BusyBox.
    const CRONS: [Cron; 3] = [
        Cron {
            percent: true,
            both: false,
        },
        Cron {
            percent: true,
            both: true,
        },
        Cron {
            percent: false,
            both: false,
        },
    ];

    /// What makes a percent sign.
    const MADE: &str = r#""$(printf '\045')""#;

    /// Returns what a cron gives to the shell.
    fn as_cron_reads(command: &str, cron: Cron) -> Option<String> {
        let mut read = String::new();
        let mut rest = command.chars();
        while let Some(c) = rest.next() {
            match (c, rest.clone().next()) {
                ('%', _) if cron.percent => return None,
                ('\\', Some(next)) => {
                    let is_escape = (next == '%' && cron.percent) || (next == '\\' && cron.both);
                    if !is_escape {
                        read.push(c);
                    }
                    read.push(next);
                    rest.next();
                }
                _ => read.push(c),
            }
        }
        Some(read)
    }

    #[test]
    fn a_word_is_quoted_for_cron_and_shell() {
        assert_eq!(quote("/home/me/x"), "'/home/me/x'");
        let word = r"jo's 100% \ \%";
        let quoted = quote(word);
        assert_eq!(quoted, format!(r#"'jo'"'"'s 100'{MADE}' \'' \'''{MADE}''"#));
        let printf = format!("printf %s {quoted}");
        let said = Command::new("/bin/sh").args(["-c", &printf]).output();
        assert_eq!(String::from_utf8(said.unwrap().stdout).unwrap(), word);
    }

    #[test]
    fn only_what_says_that_there_is_no_crontab_is_taken_for_none() {
        for said in [
            "no crontab for me\n",
            "crontab: no crontab for me",
            "ld.so: object 'x' cannot be preloaded: ignored.\nno crontab for me\n",
            "crontab: can't open 'me': No such file or directory\n",
            "bcrontab: Crontab does not exist\n",
        ] {
            assert!(says_none(said), "{said}");
        }
        for said in [
            "",
            "no crontab for",
            "there is no crontab for now: the spool is away",
            "no crontab for me, or so it seems",
            "crontab: error while loading libpam.so: No such file or directory",
            "crontab: can't open '/var/spool/cron': No such file or directory",
            "crontab: can't change directory to '/var/spool/cron/crontabs': No such file or directory",
            "crontab: can't open 'me': Permission denied",
            "bcrontab: Could not connect to bcron-spool: No such file or directory",
            "You (me) are not allowed to use this program (crontab)",
        ] {
            assert!(!says_none(said), "{said}");
        }
    }

    proptest! {
        #[test]
        fn every_cron_and_a_shell_read_a_quoted_word_back(word in any_text()) {
            for cron in CRONS {
                let command = as_cron_reads(&quote(&word), cron).unwrap();
                let command = command.replace(MADE, "%");
                prop_assert_eq!(shlex::split(&command).unwrap(), vec![word.clone()]);
            }
        }

        #[test]
        fn foreign_bytes_come_back_as_they_were(crontab: Vec<u8>, text in "(?s)(.|\n){0,40}", lines in proptest::collection::vec("\\PC{0,20}", 0..4)) {
            for crontab in [crontab, text.into_bytes()] {
                let with = with_block(&crontab, &lines).unwrap();
                prop_assert_eq!(with_block(&with, &lines).unwrap(), with.clone());
                prop_assert_eq!(without_block(&with).unwrap(), crontab);
            }
        }
    }
}
