//! Damage in a write-ahead log that no process has open (sqlite.org/fileformat.html, section 4).
//!
//! SQLite takes the first frame with a wrong checksum for the end of the log, as a crash leaves it, and drops all that follows
//! without a word. A crash cuts off the last transaction only, because each one is synced before the next begins. So frames
//! of a later transaction behind a wrong one were acknowledged, and are damaged or lost.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::error::{Result, ResultExt};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The magic number; its last bit tells the order of bytes in checksums.
const MAGIC: u32 = 0x377f_0682;

/// Returns what is damaged in the write-ahead log `path`, in a sentence.
///
/// # Errors
///
/// The file exists and cannot be read.
pub(super) fn damage(path: &Path) -> Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened,
    };
    file.and_then(|file| {
        let length = file.metadata()?.len();
        find(BufReader::new(file), length)
    })
    .with_context(|| format!("cannot read '{}'", path.display()))
}

fn find(mut log: impl Read, length: u64) -> io::Result<Option<String>> {
    let mut header = [0; HEADER];
    if length <= (HEADER + FRAME_HEADER) as u64 {
        return Ok(None);
    }
    log.read_exact(&mut header)?;
    let magic = number(&header, 0);
    let big_endian = magic & 1 == 1;
    let mut sum = checksum((0, 0), &header[..24], big_endian);
    let page = number(&header, 8) as usize;
    if magic & !1 != MAGIC
        || sum != (number(&header, 24), number(&header, 28))
        || !page.is_power_of_two()
        || !(512..=65536).contains(&page)
    {
        return Ok(Some("the write-ahead log has a damaged header".to_owned()));
    }
    let salt = &header[16..24];
    let mut frame = vec![0; FRAME_HEADER + page];
    let frames = (length - HEADER as u64) / frame.len() as u64;
    // The first frame that is not what was written, and whether a transaction ended at it or behind it.
    let mut wrong = None;
    let mut ended = false;
    for index in 1..=frames {
        log.read_exact(&mut frame)?;
        let (head, content) = frame.split_at(FRAME_HEADER);
        let is_current = &head[8..16] == salt;
        // Without a size, it is not the last frame of its transaction.
        let ends = number(head, 4) != 0;
        if let Some(wrong) = wrong {
            if is_current && ended {
                return Ok(Some(format!(
                    "frame {wrong} of the write-ahead log is damaged, and what was stored after it is lost"
                )));
            }
            ended |= is_current && ends;
            continue;
        }
        sum = checksum(checksum(sum, &head[..8], big_endian), content, big_endian);
        if !is_current || sum != (number(head, 16), number(head, 20)) {
            wrong = Some(index);
            ended = is_current && ends;
        }
    }
    Ok(None)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes[at..at + 4].iter();
    four.fold(0, |number, byte| (number << 8) | u32::from(*byte))
}

/// Returns the checksum of `bytes`, whose length is a multiple of 8, continued from `sum`.
fn checksum((mut one, mut two): (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    let word = |at: usize| {
        let word = number(bytes, at);
        if big_endian { word } else { word.swap_bytes() }
    };
    for at in (0..bytes.len()).step_by(8) {
        one = one.wrapping_add(word(at)).wrapping_add(two);
        two = two.wrapping_add(word(at + 4)).wrapping_add(one);
    }
    (one, two)
}
