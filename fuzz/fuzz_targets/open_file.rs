//! Changes some bytes of a small database, puts the slots' checksums right, and uses it: every answer but a panic, a
//! hang or an allocation without bound is fine. Run with `cargo +nightly fuzz run open_file`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sapwood::backends::InMemoryBackend;
use sapwood::{Builder, Database, Error, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_128;

const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
const BLOCK: usize = 512;
/// Bytes of a slot, of which the last 16 are its checksum.
const SLOT: usize = 208;

/// Three bytes of input a change: where, and what.
fn damage(image: &mut [u8], changes: &[u8]) {
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % image.len();
        image[at] = change[2];
    }
    for slot in [BLOCK, 2 * BLOCK] {
        let sum = xxh3_128(&image[slot..slot + SLOT - 16]).to_le_bytes();
        image[slot + SLOT - 16..slot + SLOT].copy_from_slice(&sum);
    }
}

fn original() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("sapwood-fuzz-{}", std::process::id()));
        let db = Builder::new().set_page_size(512).set_block_size(BLOCK).create(&path).unwrap();
        let txn = db.begin_write().unwrap();
        for key in 0..200_u32 {
            let mut rows = txn.open_table(ROWS).unwrap();
            rows.insert(&key.to_be_bytes()[..], &vec![7; key as usize * 5][..]).unwrap();
        }
        txn.commit().unwrap();
        drop(db);
        let image = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        image
    })
}

fn use_it(db: &Database) -> Result<(), Error> {
    for row in db.begin_read()?.open_table(ROWS)?.iter()?.take(10_000) {
        row?;
    }
    db.verify()?;
    let txn = db.begin_write()?;
    txn.open_table(ROWS)?.insert(&b"key"[..], &b"value"[..])?;
    txn.commit()?;
    Ok(())
}

fuzz_target!(|changes: &[u8]| {
    let mut image = original().to_vec();
    damage(&mut image, changes);
    let backend = InMemoryBackend::new();
    backend.set_len(image.len() as u64).unwrap();
    backend.write(0, &image).unwrap();
    if let Ok(db) = Builder::new().create_with_backend(backend) {
        let _ = use_it(&db);
    }
});
