//! What rows ask for that no release of this crate writes, and how much is taken.

use super::super::content::Stretch;
use super::super::draft::Draft;
use super::super::pieces::number;
use super::super::record::Content;
use super::*;
use crate::limits::MAX_BLOB_LENGTH;

fn database() -> Database {
    Database::builder().set_clock(Noon).create_with_backend(InMemoryBackend::new()).unwrap()
}

#[test]
fn no_room_is_made_for_a_piece_that_is_longer_than_any() {
    let db = database();
    let txn = db.begin_write().unwrap();
    let _held = txn.hold();
    let content = number(1);
    for (length, is_sound) in [(65_536, true), (65_537, false), (u32::MAX, false)] {
        open::<PieceLists>(&txn, BLOBS).unwrap().insert(number_key(content, 0), (2, length)).unwrap();
        let found = Stretch::find(&txn, (content, 1 << 40), (0, 1 << 40), 1);
        assert_eq!(found.map(|found| found.length).ok(), is_sound.then_some(65_536), "{length}");
    }
}

#[test]
fn pieces_are_no_longer_together_than_a_content_may_be() {
    let db = database();
    let txn = db.begin_write().unwrap();
    let _held = txn.hold();
    for (left, more, is_short_enough) in [(10, 10, true), (10, 11, false), (200_000, 200_000, true), (0, 1, false)] {
        let row = [number(1), MAX_BLOB_LENGTH - left].map(u64::to_le_bytes);
        let mut draft = Draft::default().resumed(&txn, row.as_flattened()).unwrap();
        draft.push(&txn, &vec![7; more]).unwrap();
        match draft.finish(&txn) {
            Ok(content) => assert_eq!((content, is_short_enough), (Content::Chunks(number(1), MAX_BLOB_LENGTH), true)),
            Err(err) => assert!(matches!(err, StorageError::ValueTooLarge(_)) && !is_short_enough, "{err:?}"),
        }
    }
}

#[test]
fn a_hash_that_leads_to_another_piece_gives_no_content_the_bytes_of_that() {
    let db = database();
    let txn = db.begin_write().unwrap();
    let options = || StoreOptions::new().with_chunk_dedup(true);
    let store = |byte| txn.store_blob(&[byte; 5_000], ContentType::Json, "", options());
    store(7).unwrap();
    store(8).unwrap();
    {
        let _held = txn.hold();
        let mut numbers = open::<PieceNumbers>(&txn, BLOBS).unwrap();
        let other = numbers.first().unwrap().unwrap().1.value();
        let last = numbers.last().unwrap().unwrap().0.value();
        numbers.insert(last, other).unwrap();
    }
    let refused = [7, 8].map(store).into_iter().filter(Result::is_err).count();
    assert!(refused > 0);
}
