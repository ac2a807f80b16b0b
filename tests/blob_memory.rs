//! A stream of a blob takes little memory, however long the blob is.

mod common;
#[path = "common/memory.rs"]
mod memory;

use common::scale;
use memory::peak_of;
use sapwood::{BlobId, ContentType, Database, ReadableBlobs, ReadableDatabase, StoreOptions};
use std::io::Read;
use std::path::Path;
use std::process::Command;

const CACHE: usize = 8 << 20;
/// Beside the page cache.
const LIMIT: usize = 8 << 20;
/// Bytes that are given at once: chunks end within them.
const PIECE: usize = 40_000;
const SHORT: u64 = 64 << 20;
const LONG: u64 = 4 << 30;

/// Bytes that are free where `folder` is. None are if that cannot be found out.
fn room_in(folder: &Path) -> u64 {
    let Ok(output) = Command::new("df").arg("-Pk").arg(folder).output() else { return 0 };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let free = text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    free.unwrap_or(0) << 10
}

fn length_in(folder: &Path) -> u64 {
    if scale() >= 10 && room_in(folder) > 2 * LONG { LONG } else { SHORT }
}

/// The bytes of the content from `offset` on, which is a multiple of eight.
fn fill(offset: u64, out: &mut [u8]) {
    for (word, at) in out.chunks_mut(8).zip(offset / 8..) {
        let mixed = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word.copy_from_slice(&(mixed ^ (mixed >> 29)).to_le_bytes()[..word.len()]);
    }
}

fn write(db: &Database, length: u64) -> BlobId {
    let txn = db.begin_write().unwrap();
    let mut writer = txn.blob_writer(ContentType::OctetStream, "", StoreOptions::new()).unwrap();
    let mut piece = [0; PIECE];
    while writer.bytes_written() < length {
        let piece = &mut piece[..(length - writer.bytes_written()).min(PIECE as u64) as usize];
        fill(writer.bytes_written(), piece);
        writer.write(piece).unwrap();
    }
    let id = writer.finish().unwrap();
    txn.commit().unwrap();
    id
}

fn read(db: &Database, id: BlobId, length: u64) {
    let txn = db.begin_read().unwrap();
    let mut reader = txn.blob_reader(id).unwrap();
    let (mut piece, mut expected, mut at) = ([0; PIECE], [0; PIECE], 0);
    while at < length {
        let piece = &mut piece[..(length - at).min(PIECE as u64) as usize];
        reader.read_exact(piece).unwrap();
        fill(at, &mut expected);
        assert!(*piece == expected[..piece.len()], "within {PIECE} bytes from {at} on");
        at += piece.len() as u64;
    }
    assert_eq!(reader.read(&mut piece).unwrap(), 0);
}

/// One test, as what others take at the same time would count.
#[test]
fn a_stream_takes_little_memory_however_long_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let length = length_in(folder.path());
    let db = Database::builder().set_cache_size(CACHE).create(folder.path().join("blobs")).unwrap();

    let (id, writing) = peak_of(|| write(&db, length));
    assert!(writing < CACHE + LIMIT, "writing took {writing} bytes");
    let ((), reading) = peak_of(|| read(&db, id, length));
    assert!(reading < CACHE + LIMIT, "reading took {reading} bytes");

    let (part, whole) = peak_of(|| db.begin_read().unwrap().read_blob_range(id, 0, SHORT / 2).unwrap());
    assert!(part.len() as u64 == SHORT / 2 && whole >= part.len(), "memory is not counted: {whole} bytes");
}
