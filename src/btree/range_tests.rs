//! Ranges that are counted and cut, on small pages, beside a model.

use super::sink::ChangeSink;
use super::tests::{Replica, writer};
use super::{NewValue, Target, Tree, TreeEditor, TreeKind, count};
use crate::format::Pointer;
use crate::format::node::{Node, capacity};
use crate::pages::{Class, PageWriter, Store};
use crate::types::KeyType;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Bound;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A small generator: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) % end
    }

    /// Some keys have a run of their own, and so have separators between them.
    fn key(&mut self, span: u64) -> Vec<u8> {
        let number = self.below(span);
        let mut key = vec![0xFF; (number % 3) as usize];
        key.extend((number as u32).to_be_bytes());
        if number.is_multiple_of(13) {
            key.resize(200, 7);
        }
        key
    }

    fn value(&mut self) -> Vec<u8> {
        let long = self.below(20) == 0;
        // Even: tests of the cache look for leaks among frames of odd lengths, which runs of values are too.
        let length = if long { 600 + 2 * self.below(450) } else { self.below(40) };
        vec![length as u8; length as usize]
    }

    fn bound(&mut self, span: u64) -> Bound<Vec<u8>> {
        match self.below(8) {
            0 => Bound::Unbounded,
            1..=3 => Bound::Excluded(self.key(span)),
            _ => Bound::Included(self.key(span)),
        }
    }
}

fn is_reversed((start, end): &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> bool {
    let (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) = (start, end)
    else {
        return false;
    };
    low > high || (low == high && !matches!((start, end), (Bound::Included(_), Bound::Included(_))))
}

fn lent((start, end): &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice))
}

/// The rows below a page, whose keys are in order, and which is not empty. Thin leaves are counted.
fn rows_of(store: &Store, pointer: &Pointer, is_root: bool, thin: &mut usize) -> Vec<Vec<u8>> {
    let frame = store.load(pointer).unwrap();
    let node = Node::new(&frame);
    assert!(node.count() > usize::from(is_root && !node.is_leaf()), "a page of {} entries", node.count());
    if node.is_leaf() {
        *thin += usize::from(node.free_space() > capacity(512) / 4 * 3);
        return (0..node.count()).map(|at| super::Slice::of_key(store, &frame, at).unwrap().to_vec()).collect();
    }
    (0..node.count()).flat_map(|at| rows_of(store, &node.child(at), false, thin)).collect()
}

fn check(writer: &PageWriter, tree: &Tree, expected: &Rows) -> usize {
    let mut thin = 0;
    let found = tree.root.map(|root| rows_of(writer.store(), &root, true, &mut thin)).unwrap_or_default();
    assert!(found.iter().eq(expected.keys()), "{} rows, not {}", found.len(), expected.len());
    assert_eq!(tree.rows, expected.len() as u64);
    thin
}

/// Inserts, removals, counts and cuts.
fn program<S: ChangeSink>(seed: u64, sink: &mut S) -> Rows {
    let writer = writer();
    let mut tree = Tree::new(TreeKind::new(KeyType::of::<&[u8]>(), None, 512), None, Class::Data);
    let (mut expected, mut random) = (Rows::new(), Random(seed));
    for _ in 0..40 {
        let span = [50, 3_000, 100_000][random.below(3) as usize];
        for _ in 0..random.below(600) {
            let (key, value) = (random.key(span), random.value());
            let mut editor = TreeEditor::new(&writer, &mut tree, sink);
            if random.below(8) == 0 {
                editor.remove(&Target::Key(&key)).unwrap();
                expected.remove(&key);
            } else {
                editor.insert(&key, NewValue::Bytes(&value)).unwrap();
                expected.insert(key, value);
            }
        }
        if random.below(2) == 0 {
            tree.seal(&writer).unwrap();
        }
        let bounds = (random.bound(span), random.bound(span));
        let doomed: Vec<_> = if is_reversed(&bounds) {
            Vec::new()
        } else {
            expected.range(bounds.clone()).map(|(key, _)| key.clone()).collect()
        };
        let (start, end) = lent(&bounds);
        let counted = count(writer.store(), &tree.kind, tree.root, start, end).unwrap();
        assert_eq!(counted, doomed.len() as u64);
        let gone = TreeEditor::new(&writer, &mut tree, sink).delete_range(start, end).unwrap();
        assert_eq!(gone, counted);
        doomed.iter().for_each(|key| drop(expected.remove(key)));
        check(&writer, &tree, &expected);
        assert_eq!(count(writer.store(), &tree.kind, tree.root, start, end).unwrap(), 0);
    }
    expected
}

#[test]
fn cuts_leave_what_a_model_has() {
    for seed in 0..60 {
        program(seed, &mut ());
    }
}

#[test]
fn a_sink_learns_of_every_range_that_is_cut() {
    for seed in 0..10 {
        let mut replica = Replica::default();
        let expected = program(seed, &mut replica);
        assert_eq!(replica.0, expected);
    }
}

/// A tree of full leaves, 18 rows each.
fn numbers(writer: &PageWriter, rows: u32) -> (Tree, Rows) {
    let mut tree = Tree::new(TreeKind::new(KeyType::of::<&[u8; 8]>(), Some(8), 512), None, Class::Data);
    let mut expected = Rows::new();
    for number in 0..u64::from(rows) {
        let (key, mut sink) = (number.to_be_bytes(), ());
        TreeEditor::new(writer, &mut tree, &mut sink).insert(&key, NewValue::Bytes(&key)).unwrap();
        expected.insert(key.to_vec(), key.to_vec());
    }
    (tree, expected)
}

#[test]
fn what_a_cut_leaves_thin_is_put_together() {
    let writer = writer();
    let (whole, rows) = numbers(&writer, 6_000);
    drop(whole);
    for (low, high) in [(1, 5_999), (17, 5_990), (100, 200), (1_000, 1_020), (3_000, 5_999), (0, 5_999), (0, 10)] {
        let (mut tree, mut expected) = numbers(&writer, 6_000);
        assert_eq!(check(&writer, &tree, &rows), usize::from(6_000 % 18 < 5));
        let bounds = [low, high].map(|number: u64| number.to_be_bytes());
        let mut sink = ();
        let mut editor = TreeEditor::new(&writer, &mut tree, &mut sink);
        let gone = editor.delete_range(Bound::Included(&bounds[0]), Bound::Excluded(&bounds[1])).unwrap();
        assert_eq!(gone, high - low);
        expected.retain(|key, _| !(bounds[0][..] <= key[..] && key[..] < bounds[1][..]));
        let thin = check(&writer, &tree, &expected);
        let full = rows.len() - gone as usize;
        assert!(thin <= usize::from(full < 5), "{thin} thin leaves after {low}..{high} of {full} rows");
        let level = tree.root.map(|root| root.level);
        if full <= 18 {
            assert_eq!(level, Some(0), "{full} rows fit a leaf");
        }
    }
}
