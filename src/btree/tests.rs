use super::sink::{Change, ChangeSink};
use super::{EditCursor, NewValue, Side, Target, Tree, TreeEditor, TreeKind};
use crate::backend::InMemoryBackend;
use crate::format::Geometry;
use crate::pages::{Class, PageWriter, Store};
use crate::sync::Arc;
use crate::types::KeyType;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

pub(super) fn writer() -> PageWriter {
    let geometry = Geometry { page_size: 512, block_size: 512 };
    let store = Store::create(Arc::new(InMemoryBackend::new()), geometry, 1 << 20).unwrap().store;
    store.prepare_writes().unwrap();
    PageWriter::begin(store).unwrap()
}

/// Replays what it is told.
#[derive(Default)]
pub(super) struct Replica(pub(super) BTreeMap<Vec<u8>, Vec<u8>>);

impl ChangeSink for Replica {
    const ACTIVE: bool = true;

    fn changed(&mut self, change: Change<'_>) {
        let old = match change.new {
            Some(new) => self.0.insert(change.key.to_vec(), new.to_vec()),
            None => self.0.remove(change.key),
        };
        assert_eq!(old.as_deref(), change.old);
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
