use super::sink::{Change, ChangeSink};
use super::{EditCursor, Members, MultimapEditor, MultimapKind, NewValue, Side, Target, Tree, TreeEditor, TreeKind};
use crate::backend::InMemoryBackend;
use crate::error::StorageError;
use crate::format::Geometry;
use crate::format::node::{Node, ValuePart};
use crate::pages::{Class, PageWriter, Store};
use crate::settings::Settings;
use crate::sync::Arc;
use crate::types::KeyType;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::{Bound, RangeBounds};

pub(super) fn writer() -> PageWriter {
    let geometry = Geometry::new(512, 512);
    let store = Store::create(
        Arc::new(InMemoryBackend::new()),
        geometry,
        Settings { cache_size: 1 << 20, ..Settings::default() },
    )
    .unwrap()
    .store;
    store.prepare_writes().unwrap();
    PageWriter::begin(store).unwrap()
}

/// Replays what it is told.
#[derive(Default)]
pub(super) struct Replica(pub(super) BTreeMap<Vec<u8>, Vec<u8>>);

impl ChangeSink for Replica {
    fn is_active(&self) -> bool {
        true
    }

    fn range_removed(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>, rows: u64) -> Result<(), StorageError> {
        let before = self.0.len();
        self.0.retain(|key, _| !RangeBounds::<[u8]>::contains(&(start, end), key.as_slice()));
        assert_eq!(before - self.0.len(), rows as usize);
        Ok(())
    }

    fn changed(&mut self, change: Change<'_>) -> Result<(), StorageError> {
        let old = match change.new {
            Some(new) => self.0.insert(change.key.to_vec(), new.to_vec()),
            None => self.0.remove(change.key),
        };
        assert_eq!(old.as_deref(), change.old);
        Ok(())
    }
}

#[test]
fn a_sink_learns_of_every_change() {
    let (writer, mut sink) = (writer(), Replica::default());
    let kind = TreeKind::new(KeyType::of::<&[u8]>(), None, 512);
    let mut tree = Tree::new(kind, None, Class::System);
    let mut expected = BTreeMap::new();
    for step in 0..5_000_u64 {
        let mut editor = TreeEditor::new(&writer, &mut tree, &mut sink);
        let key = (step.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56).to_be_bytes();
        if step % 3 == 2 {
            let removed = editor.remove(&Target::Key(&key)).unwrap();
            assert_eq!(removed.is_some(), expected.remove(&key[..]).is_some());
        } else {
            let value = [step as u8; 40];
            let old = editor.insert(&key, NewValue::Bytes(&value)).unwrap();
            assert_eq!(old.as_deref(), expected.insert(key.to_vec(), value.to_vec()).as_deref());
        }
        assert_eq!(tree.rows, expected.len() as u64);
    }
    assert_eq!(sink.0, expected);
}

#[test]
fn sorted_inserts_fill_pages() {
    let writer = writer();
    let kind = TreeKind::new(KeyType::of::<u64>(), Some(8), 512);
    let mut tree = Tree::new(kind, None, Class::Data);
    let mut sink = ();
    for key in 0..10_000_u64 {
        let mut editor = TreeEditor::new(&writer, &mut tree, &mut sink);
        editor.insert(&key.to_le_bytes(), NewValue::Bytes(&[1; 8])).unwrap();
    }
    // Eight bytes of head, two of slot, sixteen of row: 18 rows fit a page of 512 bytes.
    let leaves = 10_000_usize.div_ceil(18);
    // Branches take an eighth more, and the file grows by an eighth; leaves split in halves would take twice as many.
    let pages = writer.store().file_pages() as usize;
    assert!(pages < leaves * 3 / 2, "{leaves} full leaves, a file of {pages} pages");
}

#[test]
fn a_cursor_tells_the_sink_and_leaves_the_bytes_of_those_who_hold_them() {
    let (writer, mut sink) = (writer(), Replica::default());
    let kind = TreeKind::new(KeyType::of::<&[u8]>(), None, 512);
    let mut tree = Tree::new(kind, None, Class::System);
    let mut cursor = EditCursor::default();
    for key in 0..500_u16 {
        let mut editor = TreeEditor::new(&writer, &mut tree, &mut sink);
        assert!(cursor.insert(&mut editor, &key.to_be_bytes(), &key.to_le_bytes(), Side::Before).unwrap());
    }
    assert_eq!((sink.0.len(), tree.rows), (500, 500));
    let mut cursor = EditCursor::lower(writer.store(), &tree, Bound::Unbounded).unwrap();
    let mut held = Vec::new();
    for key in 0..500_u16 {
        let mut editor = TreeEditor::new(&writer, &mut tree, &mut sink);
        assert!(cursor.settle(&mut editor, Side::After).unwrap());
        held.push(cursor.row(writer.store(), Side::After).unwrap().unwrap());
        cursor.remove(&mut editor, Side::After).unwrap();
        // In the end the page is compacted, which moves what is left of it.
        assert!(cursor.insert(&mut editor, &key.to_be_bytes(), &[0xff; 2], Side::Before).unwrap());
    }
    assert!(sink.0.len() == 500 && sink.0.values().all(|value| *value == [0xff; 2]));
    for _ in 0..500 {
        let mut editor = TreeEditor::new(&writer, &mut tree, &mut sink);
        assert!(cursor.settle(&mut editor, Side::Before).unwrap());
        cursor.remove(&mut editor, Side::Before).unwrap();
    }
    assert!(sink.0.is_empty() && tree.root.is_none());
    for (key, (found, value)) in (0..500_u16).zip(&held) {
        assert_eq!((&**found, &**value), (&key.to_be_bytes()[..], &key.to_le_bytes()[..]));
    }
}

/// Replays the pairs that it is told of.
#[derive(Default)]
struct Pairs(BTreeSet<(Vec<u8>, Vec<u8>)>);

impl ChangeSink for Pairs {
    fn is_active(&self) -> bool {
        true
    }

    fn range_removed(&mut self, _: Bound<&[u8]>, _: Bound<&[u8]>, _: u64) -> Result<(), StorageError> {
        unreachable!("no range of a multimap is removed at once")
    }

    fn changed(&mut self, change: Change<'_>) -> Result<(), StorageError> {
        let fits = match (change.old, change.new) {
            (None, Some(new)) => self.0.insert((change.key.to_vec(), new.to_vec())),
            (Some(old), None) => self.0.remove(&(change.key.to_vec(), old.to_vec())),
            _ => false,
        };
        assert!(fits);
        Ok(())
    }
}

fn values_of(writer: &PageWriter, kind: &MultimapKind, tree: &Tree, key: &[u8]) -> Vec<Vec<u8>> {
    let mut members = Members::of_key(writer.store(), kind, tree.root, key).unwrap();
    let mut values = Vec::new();
    while let Some(value) = members.next(writer.store()).unwrap() {
        values.push(value.to_vec());
    }
    values
}

#[test]
fn a_sink_learns_of_every_pair() {
    let (writer, mut sink) = (writer(), Pairs::default());
    let kind = MultimapKind::new(KeyType::of::<&[u8]>(), KeyType::of::<&[u8]>(), 512);
    let mut tree = Tree::new(kind.keys, None, Class::Data);
    let mut expected = BTreeSet::new();
    for step in 0..6_000_u64 {
        let number = step.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (key, value) = (vec![(number >> 62) as u8], vec![(number >> 50) as u8; (number >> 56) as usize % 40]);
        let mut silent = ();
        let mut editor = TreeEditor::new(&writer, &mut tree, &mut silent);
        let mut editor = MultimapEditor::new(&mut editor, &kind, &mut sink);
        let pair = (key.clone(), value.clone());
        // The sets grow for a while, then shrink.
        match number >> 40 & 7 {
            0 if step % 200 == 0 => {
                let count = editor.remove_all(&key).unwrap().len();
                let before = expected.len();
                expected.retain(|(other, _)| *other != key);
                assert_eq!(count as usize, before - expected.len());
            }
            nth if (nth < 5) == (step / 1_000 % 2 == 0) => {
                assert_eq!(editor.insert(&key, &value).unwrap(), !expected.insert(pair));
            }
            _ => assert_eq!(editor.remove(&key, &value).unwrap(), expected.remove(&pair)),
        }
        assert_eq!(tree.rows, expected.len() as u64);
    }
    assert!(sink.0 == expected && !expected.is_empty());
    for key in 0..4 {
        let wanted = expected.iter().filter(|(other, _)| *other == [key]).map(|(_, value)| value.clone());
        assert_eq!(values_of(&writer, &kind, &tree, &[key]), wanted.collect::<Vec<_>>());
    }
}

/// Whether the values of key 0 are in a tree of their own.
fn is_tree(writer: &PageWriter, tree: &Tree) -> bool {
    let leaf = writer.store().load(&tree.root.unwrap()).unwrap();
    matches!(Node::new(&leaf).value(0), ValuePart::Subtree(_))
}

#[test]
fn a_set_leaves_its_leaf_when_it_is_large_and_returns_when_it_is_small() {
    let writer = writer();
    let kind = MultimapKind::new(KeyType::of::<u8>(), KeyType::of::<u64>(), 512);
    let mut tree = Tree::new(kind.keys, None, Class::Data);
    let change = |tree: &mut Tree, value: u64, comes: bool| {
        let (mut silent, mut sink) = ((), ());
        let mut editor = TreeEditor::new(&writer, tree, &mut silent);
        let mut editor = MultimapEditor::new(&mut editor, &kind, &mut sink);
        let value = value.to_le_bytes();
        if comes {
            assert!(!editor.insert(&[1], &value).unwrap())
        } else {
            assert!(editor.remove(&[1], &value).unwrap())
        }
        is_tree(&writer, tree)
    };
    // A quarter of 492 bytes are 15 values of eight; an eighth are 7.
    assert!((0..15).all(|value| !change(&mut tree, value, true)));
    assert!((15..40).all(|value| change(&mut tree, value, true)));
    assert!((7..40).rev().all(|value| change(&mut tree, value, false) == (value > 7)));
    assert!((7..15).all(|value| !change(&mut tree, value, true)));
    for _ in 0..3 {
        assert!(change(&mut tree, 15, true) && change(&mut tree, 15, false));
    }
    assert_eq!(tree.rows, 15);
}
