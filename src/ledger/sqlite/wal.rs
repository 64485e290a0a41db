//! Whether the write-ahead log on the disk is still the one that SQLite has open, and still
//! contains what SQLite believes that it does.
//! The format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::file::Identity;
use super::modes::side_file;

const HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;
/// The first four bytes, but for the lowest bit.
const MAGIC: u32 = 0x377f_0682;
/// The number of frames, counted from the latest, whose beginnings are looked at: more than
/// a few seconds of writes, so that no gap in the middle is missed.
const FRAMES: u64 = 8192;
/// Of those, the number that are read as a whole, one after the other: a megabyte.
const READ_FRAMES: u64 = 256;

/// The log and its index, as they were when SQLite opened them.
pub type SideFiles = [Option<Identity>; 2];

/// What became of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogState {
    /// It is there and complete.
    Whole(SideFiles),
    /// It, or its index, was removed or replaced. SQLite still has it open.
    Removed,
    /// It was cut or overwritten: a part of it is lost.
    Damaged,
}

/// Examines the log of this database, which must contain `frames` frames. `known` is what
/// the files were before; none if they have just been opened.
pub fn examine(database: &Path, known: Option<SideFiles>, frames: u64) -> io::Result<LogState> {
    let log = side_file(database, "-wal");
    let now = [identity(&log)?, identity(&side_file(database, "-shm"))?];
    let mut known = known.unwrap_or_default().into_iter().zip(now);
    let is_missing = frames > 0 && now[0].is_none();
    if is_missing || known.any(|(known, now)| known.is_some() && known != now) {
        return Ok(LogState::Removed);
    }
    if frames > 0 && !is_whole(&File::open(log)?, frames)? {
        return Ok(LogState::Damaged);
    }
    Ok(LogState::Whole(now))
}

fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether the log has its header, and as many frames with the same salt. Where it was cut
/// and written to since, there is a gap of zeros.
fn is_whole(log: &File, frames: u64) -> io::Result<bool> {
    let Some(header) = read::<32>(log, 0)? else {
        return Ok(false);
    };
    if number(&header, 0) & !1 != MAGIC {
        return Ok(false);
    }
    let salt = [number(&header, 16), number(&header, 20)];
    let frame_bytes = FRAME_HEADER_BYTES + u64::from(number(&header, 8));
    if log.metadata()?.len() < HEADER_BYTES + frames * frame_bytes {
        return Ok(false);
    }
    for frame in frames.saturating_sub(FRAMES)..frames {
        // The number of its page, the size of the database, and the salt.
        let start = read::<16>(log, HEADER_BYTES + frame * frame_bytes)?;
        let good = start.is_some_and(|start| {
            number(&start, 0) != 0 && [number(&start, 8), number(&start, 12)] == salt
        });
        if !good {
            return Ok(false);
        }
    }
    let first = frames.saturating_sub(READ_FRAMES);
    // The checksum of each frame goes on from that of the one before.
    let mut sum = match first.checked_sub(1) {
        None => Some([number(&header, 24), number(&header, 28)]),
        Some(before) => {
            let start = read::<24>(log, HEADER_BYTES + before * frame_bytes)?;
            start.map(|start| [number(&start, 16), number(&start, 20)])
        }
    };
    let word = match number(&header, 0) & 1 {
        0 => u32::from_le_bytes,
        _ => u32::from_be_bytes,
    };
    let mut bytes = vec![0; usize::try_from(frame_bytes).unwrap_or(0)];
    for frame in first..frames {
        log.read_exact_at(&mut bytes, HEADER_BYTES + frame * frame_bytes)?;
        let (start, page) = bytes.split_at(FRAME_HEADER_BYTES as usize);
        let (summed, _) = start.split_at(8);
        sum = sum.map(|sum| checksum(checksum(sum, summed, word), page, word));
        if sum != Some([number(start, 16), number(start, 20)]) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The checksum of these bytes after others.
fn checksum([mut a, mut b]: [u32; 2], bytes: &[u8], word: fn([u8; 4]) -> u32) -> [u32; 2] {
    for pair in bytes.as_chunks::<4>().0.chunks_exact(2) {
        if let [first, second] = pair {
            a = a.wrapping_add(word(*first)).wrapping_add(b);
            b = b.wrapping_add(word(*second)).wrapping_add(a);
        }
    }
    [a, b]
}

/// The big-endian number at this place.
fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_be_bytes)
}

fn read<const N: usize>(file: &File, at: u64) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match file.read_exact_at(&mut bytes, at) {
        Ok(()) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}
