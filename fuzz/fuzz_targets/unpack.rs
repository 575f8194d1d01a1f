//! Any bytes, unpacked as each kind of archive: no panic, and only plain files with plain names in the one folder.
//!
//! The first byte chooses the kind. An even one for tar means that the rest is the tar itself, packed here, so that the
//! fuzzer need not find out how to compress.
#![no_main]

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};

use heph::install::unpack::unpack;
use heph::release::asset::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    let (format, stored) = match kind % 6 {
        0 => (Format::TarGz, true),
        1 => (Format::TarGz, false),
        2 => (Format::TarXz, false),
        3 => (Format::TarZst, false),
        4 => (Format::Zip, false),
        _ => (Format::TarBz2, false),
    };
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("in/bin");
    fs::create_dir_all(&bin).unwrap();
    let mut archive: File = tempfile::tempfile().unwrap();
    if stored {
        archive.write_all(&gzip(bytes)).unwrap();
    } else {
        archive.write_all(bytes).unwrap();
    }
    archive.seek(SeekFrom::Start(0)).unwrap();
    let unpacked = unpack(&archive, format, "heph", &["hephd".to_owned()], &bin);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(folder.path().join("in")).unwrap().count(), 1);
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(&bin).unwrap() {
        let entry = entry.unwrap();
        assert!(entry.file_type().unwrap().is_file());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort_unstable();
    if let Ok(unpacked) = unpacked {
        assert_eq!(unpacked, names);
    }
});

/// Returns `bytes` as a gzip stream of stored blocks (RFC 1951, section 3.2.4; RFC 1952).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![31, 139, 8, 0, 0, 0, 0, 0, 0, 255];
    for block in bytes.chunks(0xffff) {
        let length = u16::try_from(block.len()).unwrap();
        packed.push(0);
        packed.extend(length.to_le_bytes());
        packed.extend((!length).to_le_bytes());
        packed.extend(block);
    }
    packed.extend([1, 0, 0, 0xff, 0xff]);
    packed.extend(crc32(bytes).to_le_bytes());
    packed.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    packed
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
