//! Each row that others must go with, changed alone: the check says which, and what is wrong with it.

use super::super::content::chunk_key;
use super::super::links::edges;
use super::super::pieces::number;
use super::super::read::stored;
use super::super::record::{Content, Record};
use super::super::tags::{tags, thing};
use super::*;
use crate::index::{Part, Relation};
use crate::txn::TableId;
use alloc::string::{String, ToString};

type Row = fn(&WriteTransaction) -> Result<(), StorageError>;

/// A blob in its record, one with a chunk, one with three, and two that share a content: 1 to 5. Contents 1 to 3.
fn blobs() -> Database {
    let db = Database::builder().set_clock(Noon).create_with_backend(InMemoryBackend::new()).unwrap();
    let txn = db.begin_write().unwrap();
    for (nth, length) in [(1, 10), (2, 600), (3, 140_000), (4, 5_000), (5, 5_000)] {
        let mut options = StoreOptions::new().with_time_ms(nth * 10).with_dedup(nth > 3);
        if nth < 3 {
            options = options.with_namespace("a").with_ttl(Duration::from_millis(nth * 100)).with_tags(["x"]);
        }
        txn.store_blob(&vec![7; length], ContentType::Json, "label", options).unwrap();
    }
    txn.link_blobs(BlobId::new(1), BlobId::new(2), Relation::Derived, "").unwrap();
    txn.commit().unwrap();
    db
}

/// Two contents of the same two pieces, 1 and 4, and one that is shared, 5: pieces 2, 3 and 6.
fn blobs_in_pieces() -> Database {
    let db = Database::builder().set_clock(Noon).create_with_backend(InMemoryBackend::new()).unwrap();
    let txn = db.begin_write().unwrap();
    for (length, shared) in [(70_000, false), (70_000, false), (5_000, true)] {
        let options = StoreOptions::new().with_chunk_dedup(true).with_dedup(shared);
        txn.store_blob(&vec![7; length], ContentType::Json, "label", options).unwrap();
    }
    txn.commit().unwrap();
    db
}

fn findings(db: &Database, change: Row) -> Vec<String> {
    let txn = db.begin_write().unwrap();
    let held = txn.hold();
    change(&txn).unwrap();
    drop(held);
    txn.commit().unwrap();
    let report = db.verify_integrity(VerifyLevel::Rows).unwrap();
    assert!(report.complete && report.findings.iter().all(|finding| finding.page.is_none()));
    let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    let strict = db.verify().map(drop).map_err(|err| err.to_string());
    match findings.first() {
        None => strict.unwrap(),
        Some(first) => assert!(strict.is_err_and(|err| err.contains(first)), "{first}"),
    }
    assert!(db.verify_integrity(VerifyLevel::Pages).unwrap().is_clean(), "the pages are whole");
    findings
}

fn check(cases: &[(Row, &[&str])]) {
    for (change, expected) in cases {
        assert_eq!(findings(&blobs(), *change), *expected);
    }
}

fn change_record(txn: &WriteTransaction, id: u64, change: impl Fn(Record) -> Record) -> Result<(), StorageError> {
    let record = change(stored(txn, BlobId::new(id))?.unwrap());
    open::<Records>(txn, BLOBS)?.insert(id, &record.encode()[..]).map(drop)
}

fn key(number: u64, id: u64) -> PairKey {
    pair_key(number, BlobId::new(id))
}

#[test]
fn what_is_whole_is_clean() {
    assert_eq!(findings(&blobs(), |_| Ok(())), [""; 0]);
    assert_eq!(findings(&blobs_in_pieces(), |_| Ok(())), [""; 0]);
}

#[test]
fn a_row_of_an_index_that_is_missing_or_too_much_is_found() {
    check(&[
        (
            |txn| open::<Times>(txn, BLOBS)?.remove(key(30, 3)).map(drop),
            &["blob 3: is not among the blobs by time under 30"],
        ),
        (
            |txn| open::<Times>(txn, BLOBS)?.insert(key(31, 3), ()).map(drop),
            &["blob 3: is among the blobs by time under 31, and should not be"],
        ),
        (
            |txn| open::<Times>(txn, BLOBS)?.insert(key(30, 9), ()).map(drop),
            &["blob 9: is among the blobs by time under 30, and should not be"],
        ),
        // As many rows as there should be.
        (
            |txn| {
                open::<Times>(txn, BLOBS)?.remove(key(30, 3))?;
                open::<Times>(txn, BLOBS)?.insert(key(31, 3), ()).map(drop)
            },
            &[
                "blob 3: is not among the blobs by time under 30",
                "blob 3: is among the blobs by time under 31, and should not be",
            ],
        ),
        (
            |txn| open::<Expiries>(txn, BLOBS)?.remove(key(1_100, 1)).map(drop),
            &["blob 1: is not among the blobs by expiry under 1100"],
        ),
        (
            |txn| open::<Expiries>(txn, BLOBS)?.insert(key(5, 3), ()).map(drop),
            &["blob 3: is among the blobs by expiry under 5, and should not be"],
        ),
        (
            |txn| open::<InNamespace>(txn, BLOBS)?.remove(key(1, 1)).map(drop),
            &[
                "blob 1: is not among the blobs of namespaces under 1",
                "namespace 'a': is said to have 2 blobs of 610 bytes, and has 1 of 600",
            ],
        ),
        (
            |txn| open::<InNamespace>(txn, BLOBS)?.insert(key(1, 3), ()).map(drop),
            &[
                "blob 3: is among the blobs of namespaces under 1, and should not be",
                "namespace 'a': is said to have 2 blobs of 610 bytes, and has 3 of 140610",
            ],
        ),
        (
            |txn| open::<ContentUsers>(txn, BLOBS)?.remove(key(3, 4)).map(drop),
            &[
                "blob 4: is not among the blobs of shared contents under 3",
                "blobs are said to share 5000 bytes, and share 0",
            ],
        ),
        (
            |txn| open::<ContentUsers>(txn, BLOBS)?.insert(key(1, 2), ()).map(drop),
            &["blob 2: is among the blobs of shared contents under 1, and should not be"],
        ),
    ]);
}

#[test]
fn a_record_that_is_missing_or_another_is_found() {
    check(&[
        (
            |txn| open::<Records>(txn, BLOBS)?.remove(1).map(drop),
            &[
                "tags of blobs: there is no blob 1",
                "links of blobs: there is no blob 1",
                "blob 1: is among the blobs by time under 10, and should not be",
                "blob 1: is among the blobs by expiry under 1100, and should not be",
                "blob 1: is among the blobs of namespaces under 1, and should not be",
                "namespace 'a': is said to have 2 blobs of 610 bytes, and has 2 of 600",
                "blobs are said to have 150610 bytes, and have 150600",
            ],
        ),
        (
            |txn| open::<Records>(txn, BLOBS)?.insert(3, &[0; 5][..]).map(drop),
            &[
                "blob 3: its record is malformed",
                "blob 3: is among the blobs by time under 30, and should not be",
                "content 2: is that of 0 blobs",
                "blobs are said to have 150610 bytes, and have 10610",
            ],
        ),
        (
            |txn| change_record(txn, 3, |record| Record { namespace: 7, ..record }),
            &["blob 3: is not among the blobs of namespaces under 7", "blob 3: there is no namespace 7"],
        ),
        (
            |txn| change_record(txn, 5, |record| record.with(Content::Chunks(3, 5_001))),
            &[
                "blob 5: others say that content 3 has another length",
                "blobs are said to have 150610 bytes, and have 150611",
            ],
        ),
        (
            |txn| change_record(txn, 3, |record| record.with(Content::Chunks(1, 600))),
            &[
                "content 1: is that of 2 blobs",
                "content 2: is that of 0 blobs",
                "blobs are said to have 150610 bytes, and have 11210",
            ],
        ),
    ]);
}

#[test]
fn counts_and_names_that_are_wrong_are_found() {
    const NO: u64 = u64::MAX;
    check(&[
        (
            |txn| open::<Namespaces>(txn, BLOBS)?.insert(1, (3, 610, NO, NO, NO, "a")).map(drop),
            &["namespace 'a': is said to have 3 blobs of 610 bytes, and has 2 of 610"],
        ),
        (
            |txn| open::<Namespaces>(txn, BLOBS)?.insert(1, (2, 611, NO, NO, NO, "a")).map(drop),
            &["namespace 'a': is said to have 2 blobs of 611 bytes, and has 2 of 610"],
        ),
        (
            |txn| open::<Namespaces>(txn, BLOBS)?.insert(1, (2, 610, NO, NO, NO, "b")).map(drop),
            &[
                "namespace 'b': its name does not lead to its number, 1",
                "namespace 'a': its name leads to the number 1, which is not its",
            ],
        ),
        (
            |txn| open::<Namespaces>(txn, BLOBS)?.remove(1).map(drop),
            &[
                "blob 1: there is no namespace 1",
                "blob 2: there is no namespace 1",
                "namespace 'a': its name leads to the number 1, which is not its",
            ],
        ),
        (
            |txn| open::<NamespaceNumbers>(txn, BLOBS)?.remove("a").map(drop),
            &["namespace 'a': its name does not lead to its number, 1"],
        ),
        (
            |txn| open::<NamespaceNumbers>(txn, BLOBS)?.insert("b", 1).map(drop),
            &["namespace 'b': its name leads to the number 1, which is not its"],
        ),
        (
            |txn| open::<Totals>(txn, BLOBS)?.insert(0, 150_611).map(drop),
            &["blobs are said to have 150611 bytes, and have 150610"],
        ),
        (|txn| open::<Totals>(txn, BLOBS)?.remove(1).map(drop), &["blobs are said to share 0 bytes, and share 5000"]),
        (
            |txn| open::<Drafts>(txn, BLOBS)?.insert(1, &[0; 16][..]).map(drop),
            &["there are contents that are being written"],
        ),
    ]);
}

#[test]
fn contents_that_are_wrong_are_found() {
    check(&[
        (
            |txn| open::<Chunks>(txn, BLOBS)?.remove(chunk_key(2, 1)).map(drop),
            &["content 2: chunk 1, of 65536 bytes, is missing"],
        ),
        (
            |txn| open::<Chunks>(txn, BLOBS)?.insert(chunk_key(2, 2), &[7; 8_929][..]).map(drop),
            &["content 2: chunk 2, of 8928 bytes, has 8929 bytes"],
        ),
        (
            |txn| open::<Chunks>(txn, BLOBS)?.insert(chunk_key(2, 3), &[7][..]).map(drop),
            &["content 2: there are 1 chunks behind its end"],
        ),
        (
            |txn| open::<Chunks>(txn, BLOBS)?.insert(chunk_key(8, 0), &[7][..]).map(drop),
            &["content 8: is that of 0 blobs"],
        ),
        // Nothing but its hash tells.
        (
            |txn| open::<Chunks>(txn, BLOBS)?.insert(chunk_key(3, 0), &[8; 5_000][..]).map(drop),
            &["content 3: its hash is another"],
        ),
        (
            |txn| open::<SharedContents>(txn, BLOBS)?.insert(3, [9; 32]).map(drop),
            &[
                "content 3: its hash does not lead to it",
                "content 3: its hash is another",
                "content 3: a hash leads to it that is not its own",
            ],
        ),
        (
            |txn| open::<SharedContents>(txn, BLOBS)?.insert(8, [9; 32]).map(drop),
            &["content 8: its hash does not lead to it", "content 8: is shared, and no blob has it"],
        ),
        (
            |txn| open::<SharedContents>(txn, BLOBS)?.remove(3).map(drop),
            &[
                "blob 4: is among the blobs of shared contents under 3, and should not be",
                "blob 5: is among the blobs of shared contents under 3, and should not be",
                "content 3: a hash leads to it that is not its own",
                "content 3: is that of 2 blobs",
                "blobs are said to share 5000 bytes, and share 0",
            ],
        ),
        (|txn| open::<ContentNumbers>(txn, BLOBS)?.pop_first().map(drop), &["content 3: its hash does not lead to it"]),
        (
            |txn| open::<ContentNumbers>(txn, BLOBS)?.insert([9; 32], 3).map(drop),
            &["content 3: a hash leads to it that is not its own"],
        ),
    ]);
}

#[test]
fn pieces_that_are_wrong_are_found() {
    let cases: &[(Row, &[&str])] = &[
        (
            |txn| open::<PieceLists>(txn, BLOBS)?.remove(number_key(number(1), 0)).map(drop),
            &[
                "content 9223372036854775809: no piece is behind byte 0",
                "piece 2: is said to be in lists 2 times, and is 1 times",
            ],
        ),
        (
            |txn| open::<PieceLists>(txn, BLOBS)?.remove(number_key(number(4), 65_536)).map(drop),
            &[
                "content 9223372036854775812: its pieces are 65536 bytes, and it is 70000",
                "piece 3: is said to be in lists 2 times, and is 1 times",
            ],
        ),
        (
            |txn| open::<PieceLists>(txn, BLOBS)?.insert(number_key(number(4), 70_000), (6, 5_000)).map(drop),
            &[
                "content 9223372036854775812: its pieces are 75000 bytes, and it is 70000",
                "piece 6: is said to be in lists 1 times, and is 2 times",
            ],
        ),
        (
            |txn| open::<PieceLists>(txn, BLOBS)?.insert(number_key(number(8), 0), (6, 5_000)).map(drop),
            &[
                "piece 6: is said to be in lists 1 times, and is 2 times",
                "content 9223372036854775816: is that of 0 blobs",
            ],
        ),
        (
            |txn| open::<PieceLists>(txn, BLOBS)?.insert(number_key(number(4), 65_536), (3, 4_465)).map(drop),
            &["content 9223372036854775812: there is no piece 3 of 4465 bytes"],
        ),
        (
            |txn| {
                let hash = open::<Pieces>(txn, BLOBS)?.get(2)?.unwrap().value().0;
                open::<Pieces>(txn, BLOBS)?.insert(2, (hash, 1)).map(drop)
            },
            &[
                "piece 2: is said to be in lists 1 times, and is 2 times",
                "blobs are said to share 70000 bytes, and share 4464",
            ],
        ),
        (
            |txn| open::<Pieces>(txn, BLOBS)?.insert(6, ([9; 32], 1)).map(drop),
            &[
                "piece 6: its hash does not lead to it",
                "piece 6: its hash is another",
                "piece 6: a hash leads to it that is not its own",
            ],
        ),
        (
            |txn| open::<Pieces>(txn, BLOBS)?.insert(8, ([9; 32], 0)).map(drop),
            &["piece 8: its hash does not lead to it", "piece 8: its bytes are missing"],
        ),
        (
            |txn| open::<PieceNumbers>(txn, BLOBS)?.insert([9; 32], 6).map(drop),
            &["piece 6: a hash leads to it that is not its own"],
        ),
        (
            |txn| open::<Chunks>(txn, BLOBS)?.remove(chunk_key(6, 0)).map(drop),
            &["content 9223372036854775813: there is no piece 6 of 5000 bytes", "piece 6: its bytes are missing"],
        ),
        (
            |txn| open::<Chunks>(txn, BLOBS)?.insert(chunk_key(3, 1), &[7][..]).map(drop),
            &["piece 3: there are 1 chunks behind its end"],
        ),
        (
            |txn| open::<Chunks>(txn, BLOBS)?.insert(chunk_key(2, 0), &[8; 65_536][..]).map(drop),
            &["piece 2: its hash is another"],
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(findings(&blobs_in_pieces(), *change), *expected);
    }
}

#[test]
fn tags_and_links_of_blobs_that_there_are_not_are_found() {
    check(&[
        (|txn| tags(txn).add(&thing(BlobId::new(9)), "x").map(drop), &["tags of blobs: there is no blob 9"]),
        (|txn| tags(txn).add(b"oak", "x").map(drop), &["tags of blobs: there is no 'oak'"]),
        (
            |txn| {
                let (child, parent) = (thing(BlobId::new(3)), thing(BlobId::new(9)));
                edges(txn).add(&parent, Relation::Derived, &child, "").map(drop)
            },
            &["links of blobs: there is no blob 9"],
        ),
        (
            |txn| {
                let (child, parent) = (thing(BlobId::new(9)), thing(BlobId::new(3)));
                edges(txn).add(&parent, Relation::Derived, &child, "").map(drop)
            },
            &["links of blobs: there is no blob 9"],
        ),
    ]);
}

/// A table of other types is none of the database's own.
#[test]
fn a_table_of_the_wrong_types_is_a_finding() {
    let [found] = &findings(&blobs(), |txn| {
        txn.delete_own(TableId { space: Times::SPACE, name: BLOBS })?;
        txn.open_own::<u64, u64>(TableId { space: Times::SPACE, name: BLOBS })?.insert(1, 1).map(drop)
    })[..] else {
        panic!("one finding")
    };
    assert!(found.contains("a table of the database's own"), "{found}");
}
