//! What the change log and differences say of blobs, against what was done.

mod common;

use common::clock::Hand;
use common::rng::Rng;
use common::scale;
use sapwood::backends::InMemoryBackend;
use sapwood::{
    BlobChange, BlobId, BlobMeta, Builder, CdcConfig, CdcMode, Change, ChangePosition, ContentType, Database,
    ReadTransaction, ReadableBlobs, ReadableDatabase, StoreOptions, WriteTransaction,
};
use std::collections::BTreeMap;
use std::time::Duration;

type Event = (BlobId, BlobChange);
type State = BTreeMap<BlobId, (Vec<u8>, BlobMeta)>;

fn state_of(txn: &impl ReadableBlobs) -> State {
    txn.list_blobs(None).map(|id| id.unwrap()).map(|id| (id, txn.get_blob(id).unwrap().unwrap())).collect()
}

fn logged(txn: &ReadTransaction, since: ChangePosition) -> Vec<Event> {
    let events = txn.read_cdc_since(since).unwrap().map(|event| event.unwrap());
    let blob = |change| if let Change::Blob { id, what } = change { Some((BlobId::new(id), what)) } else { None };
    events.filter_map(|event| blob(event.change)).collect()
}

fn change(txn: &WriteTransaction, ids: &[BlobId], rng: &mut Rng) -> Event {
    let length = *rng.pick(&[0, 10, 5_000]);
    let bytes = rng.bytes(length);
    let Some(id) = (!ids.is_empty()).then(|| *rng.pick(ids)).filter(|_| rng.chance(180)) else {
        return (txn.store_blob(&bytes, ContentType::Json, "", StoreOptions::new()).unwrap(), BlobChange::Stored);
    };
    match rng.below(6) {
        0 => {
            txn.append_blob(id, &[1]).unwrap();
            (id, BlobChange::Content)
        }
        1 => {
            txn.relabel_blob(id, &format!("{}", rng.below(9))).unwrap();
            (id, BlobChange::Known)
        }
        2 => {
            txn.move_blob(id, Some(["a", "b"][rng.below(2) as usize])).unwrap();
            (id, BlobChange::Known)
        }
        3 => {
            let came = txn.tag_blob(id, "tag").unwrap();
            assert!(came || txn.untag_blob(id, "tag").unwrap());
            (id, BlobChange::Known)
        }
        4 => {
            assert!(txn.delete_blob(id).unwrap());
            (id, BlobChange::Deleted)
        }
        _ => {
            txn.expire_blob(id, Some(Duration::ZERO)).unwrap();
            assert_eq!(txn.purge_expired_blobs(1).unwrap(), 1);
            (id, BlobChange::Expired)
        }
    }
}

fn database() -> Database {
    let clock = Hand::default();
    clock.set(1_000);
    let mut builder = Builder::new();
    builder.set_clock(clock).set_cdc(CdcConfig::new(CdcMode::Keys)).set_history_retention(100);
    builder.create_with_backend(InMemoryBackend::new()).unwrap()
}

#[test]
fn the_log_tells_what_was_done_and_not_what_was_undone() {
    for seed in 0..60 * scale() {
        let (mut rng, db, mut expected) = (Rng::new(seed), database(), Vec::new());
        for _ in 0..10 {
            let mut txn = db.begin_write().unwrap();
            let mut events = Vec::new();
            for _ in 0..rng.below(6) {
                let checkpoint = txn.checkpoint().unwrap();
                let ids: Vec<_> = txn.list_blobs(None).map(|id| id.unwrap()).collect();
                let event = change(&txn, &ids, &mut rng);
                if rng.chance(50) {
                    txn.rollback_to(&checkpoint).unwrap();
                    continue;
                }
                if event.1 == BlobChange::Expired {
                    events.push((event.0, BlobChange::Known));
                }
                events.push(event);
            }
            if rng.chance(50) {
                txn.abort().unwrap();
            } else {
                txn.commit().unwrap();
                expected.extend(events);
            }
        }
        assert_eq!(logged(&db.begin_read().unwrap(), ChangePosition::START), expected, "seed {seed}");
    }
}

#[test]
fn differences_of_any_two_states_are_those_of_their_records() {
    for seed in 0..20 * scale() {
        let (mut rng, db) = (Rng::new(seed), database());
        let mut states = vec![(db.begin_read().unwrap(), State::new())];
        for _ in 0..8 {
            let txn = db.begin_write().unwrap();
            for _ in 0..rng.below(5) {
                let ids: Vec<_> = txn.list_blobs(None).map(|id| id.unwrap()).collect();
                change(&txn, &ids, &mut rng);
            }
            txn.commit().unwrap();
            let txn = db.begin_read().unwrap();
            let state = state_of(&txn);
            states.push((txn, state));
        }
        for (older, old) in &states {
            for (newer, new) in &states {
                let found: Vec<_> = older.diff_blobs(newer).unwrap().map(|diff| diff.unwrap()).collect();
                let ids: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
                let differing: Vec<_> = ids.into_iter().filter(|id| old.get(id) != new.get(id)).collect();
                assert!(found.iter().map(|diff| &diff.id).eq(differing), "seed {seed}");
                for diff in found {
                    let (old, new) = (old.get(&diff.id), new.get(&diff.id));
                    let meta = |state: Option<&(Vec<u8>, BlobMeta)>| state.map(|(_, meta)| meta.clone());
                    assert_eq!((diff.old, diff.new), (meta(old), meta(new)));
                    assert_eq!(diff.content_differs, old.map(|old| &old.0) != new.map(|new| &new.0));
                }
            }
        }
    }
}
