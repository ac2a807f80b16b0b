//! Pages against a model, damage, and the golden bytes.

use super::check::NodeFault;
use super::search::{count_less, head_after};
use super::*;
use crate::compression::Packing;
use crate::format::{Checksum, Pointer};
use core::cmp::Ordering;
use core::convert::Infallible;

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn bytes(&mut self, len: usize, alphabet: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(alphabet) as u8).collect()
    }

    fn pointer(&mut self, level: u8, flags: u8) -> Pointer {
        let page = 1 + self.below(1000) as u32;
        Pointer {
            page,
            level,
            flags,
            birth: self.below(99) as u64,
            checksum: Checksum(7),
            size: self.below(999) as u64,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct ModelKey(Vec<u8>, Option<Pointer>);

impl ModelKey {
    fn part(&self) -> KeyPart<'_> {
        self.1.map_or(KeyPart::Inline(&self.0), |run| KeyPart::Long { stub: &self.0, run })
    }

    fn random(random: &mut Random, shape: Shape, longest: usize) -> Self {
        if let Some(width) = shape.key_width {
            return Self(random.bytes(width.into(), 4), None);
        }
        let mut bytes = vec![b'p'; [0, 3, 20, 70][random.below(4)].min(longest)];
        let len = random.below(12);
        bytes.extend(random.bytes(len, 3));
        if random.below(8) == 0 {
            bytes.resize(STUB, 1);
            return Self(bytes, Some(random.pointer(0, Pointer::RUN)));
        }
        Self(bytes, None)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum ModelValue {
    Inline(Vec<u8>),
    Packed(Packing, Vec<u8>),
    Run(Pointer),
    PackedRun(Packing, Pointer),
    Subtree(Pointer),
    Reference(Pointer),
}

impl ModelValue {
    fn part(&self) -> ValuePart<'_> {
        match self {
            Self::Inline(bytes) => ValuePart::Inline(bytes),
            Self::Packed(packing, bytes) => ValuePart::Packed(*packing, bytes),
            Self::Run(pointer) => ValuePart::Run(*pointer),
            Self::PackedRun(packing, pointer) => ValuePart::PackedRun(*packing, *pointer),
            Self::Subtree(pointer) => ValuePart::Subtree(*pointer),
            Self::Reference(pointer) => ValuePart::Reference(*pointer),
        }
    }

    fn random(random: &mut Random, shape: Shape) -> Self {
        let packing = Packing::decode(&[1 + random.below(9) as u8, 200, 3, 0, 0]);
        match (shape.value_width, random.below(14)) {
            (Some(width), _) => Self::Inline(random.bytes(width.into(), 256)),
            (_, 0) => Self::Run(random.pointer(0, Pointer::RUN)),
            (_, 1) => Self::Subtree(random.pointer(3, Pointer::HOLDS_POINTERS)),
            (_, 2) => Self::Run(random.pointer(0, Pointer::RUN)),
            (_, 3) => Self::Reference(random.pointer(2, 0)),
            (_, 4) => Self::PackedRun(packing, random.pointer(0, Pointer::RUN)),
            (_, 5) => Self::Packed(packing, random.bytes(20, 256)),
            (_, 6) => Self::Packed(packing, random.bytes(1, 256)),
            (_, nth) => Self::Inline(random.bytes([0, 1, 9, 40][nth % 4], 256)),
        }
    }
}

/// Keys and what belongs to each: a leaf's values; a branch's children, of which there is one more.
#[derive(Clone, Debug, Default)]
struct Model {
    keys: Vec<ModelKey>,
    values: Vec<ModelValue>,
    children: Vec<Pointer>,
}

fn head(shape: Shape, key: &[u8]) -> u64 {
    if shape.byte_ordered { head_after(key, 0) } else { u64::from(key.last().copied().unwrap_or_default()) }
}

fn order(shape: Shape, a: &[u8], b: &[u8]) -> Ordering {
    head(shape, a).cmp(&head(shape, b)).then(a.cmp(b))
}

fn shapes() -> impl Iterator<Item = Shape> {
    [None, Some(0), Some(8), Some(11)].into_iter().flat_map(|key_width| {
        [None, Some(0), Some(5)].into_iter().flat_map(move |value_width| {
            [false, true].map(|byte_ordered| Shape { key_width, value_width, byte_ordered, sets: None })
        })
    })
}

fn search(node: &Node<'_>, shape: Shape, key: &[u8]) -> (usize, bool) {
    let compare = |at| Ok::<_, Infallible>(order(shape, node.key_lead(at), key));
    match node.seek_head(key, head(shape, key)) {
        (first, true) => node.seek_key(first, compare).unwrap(),
        miss => miss,
    }
}

fn check(page: &[u8], shape: Shape, model: &Model, random: &mut Random) {
    Node::validate(page).unwrap();
    let node = Node::new(page);
    let branch = !node.is_leaf();
    assert_eq!(node.count(), if branch { model.children.len() } else { model.keys.len() });
    let mut pointers = Vec::new();
    pointers.extend(model.children.iter().map(|child| (PointerRole::Child, *child)));
    for (at, key) in model.keys.iter().enumerate() {
        assert_eq!(node.key(at), key.part());
        pointers.extend(key.1.map(|run| (PointerRole::Key, run)));
        match model.values.get(at) {
            Some(ModelValue::Run(run) | ModelValue::PackedRun(_, run)) => pointers.push((PointerRole::Value, *run)),
            Some(ModelValue::Subtree(root)) => pointers.push((PointerRole::Subtree, *root)),
            Some(ModelValue::Reference(root)) => pointers.push((PointerRole::Reference, *root)),
            _ => {}
        }
    }
    for (at, value) in model.values.iter().enumerate() {
        assert_eq!(node.value(at), value.part());
    }
    for (at, child) in model.children.iter().enumerate() {
        assert_eq!(node.child(at), *child);
    }
    assert_eq!(node.pointers().collect::<Vec<_>>(), pointers);
    assert!(node.holds_pointers() || pointers.iter().all(|(role, _)| *role == PointerRole::Child));
    let used: usize = (0..node.count()).map(|at| node.entry_size(at)).sum();
    assert_eq!(used + node.free_space(), capacity(page.len()));
    let sought = match random.below(2) {
        0 if !model.keys.is_empty() => model.keys[random.below(model.keys.len())].clone(),
        _ => ModelKey::random(random, shape, 100),
    };
    let expected = model.keys.binary_search_by(|key| order(shape, &key.0, &sought.0));
    assert_eq!(search(&node, shape, &sought.0), (expected.unwrap_or_else(|at| at), expected.is_ok()));
}

/// Room that a model's entries would take, to tell a true "full" from a false one.
fn room(shape: Shape, model: &Model) -> usize {
    let key_len = |at: usize| model.keys.get(at).map_or(0, |key| key.part().stored_len());
    if model.children.is_empty() {
        let lens = model.values.iter().enumerate().map(|(at, value)| (key_len(at), value.part().stored_len()));
        lens.map(|(key, value)| shape.leaf_entry_room(key, value)).sum()
    } else {
        (0..model.children.len()).map(|at| shape.branch_entry_room(key_len(at))).sum()
    }
}

fn leaf_step(random: &mut Random, shape: Shape, model: &mut Model, fill: usize) -> Option<Step> {
    let at = random.below(model.keys.len().max(1));
    match random.below(fill) {
        0 if !model.keys.is_empty() => {
            model.keys.remove(at);
            model.values.remove(at);
            Some(Step::Remove(at))
        }
        1 | 2 if !model.keys.is_empty() => {
            model.values[at] = ModelValue::random(random, shape);
            Some(Step::SetValue(at, model.values[at].clone()))
        }
        3 if model.keys.get(at).is_some_and(|key| key.1.is_some()) => {
            let run = random.pointer(0, Pointer::RUN);
            model.keys[at].1 = Some(run);
            Some(Step::SetKeyRun(at, run))
        }
        3 if random.below(40) == 0 => {
            model.keys.truncate(at);
            model.values.truncate(at);
            Some(Step::Truncate(at))
        }
        _ => {
            let (key, value) = (ModelKey::random(random, shape, 100), ModelValue::random(random, shape));
            let at = model.keys.binary_search_by(|other| order(shape, &other.0, &key.0)).err()?;
            model.keys.insert(at, key.clone());
            model.values.insert(at, value.clone());
            Some(Step::Insert(at, key, value))
        }
    }
}

fn branch_step(random: &mut Random, shape: Shape, model: &mut Model, fill: usize) -> Option<Step> {
    let child = random.pointer(1, 0);
    let at = random.below(model.children.len().max(1));
    let key = ModelKey::random(random, shape, 100);
    let place = model.keys.binary_search_by(|other| order(shape, &other.0, &key.0));
    match random.below(fill) {
        0 if model.children.len() > 1 => {
            model.children.remove(at);
            model.keys.remove(at.min(model.keys.len() - 1));
            Some(Step::Remove(at))
        }
        1 if !model.children.is_empty() => {
            model.children[at] = child;
            Some(Step::SetChild(at, child))
        }
        2 if model.keys.get(at).is_some_and(|key| key.1.is_some()) => {
            let run = random.pointer(0, Pointer::RUN);
            model.keys[at].1 = Some(run);
            Some(Step::SetKeyRun(at, run))
        }
        2 if at > 0 && random.below(40) == 0 => {
            model.children.truncate(at);
            model.keys.truncate(at - 1);
            Some(Step::Truncate(at))
        }
        _ if model.children.is_empty() => {
            model.children.push(child);
            Some(Step::InsertChild(0, key, child))
        }
        _ => {
            let mut at = place.err()?;
            model.keys.insert(at, key.clone());
            if at + 1 == model.keys.len() {
                at += random.below(2);
            }
            model.children.insert(at, child);
            Some(Step::InsertChild(at, key, child))
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, ModelKey, ModelValue),
    InsertChild(usize, ModelKey, Pointer),
    Remove(usize),
    SetKeyRun(usize, Pointer),
    SetValue(usize, ModelValue),
    SetChild(usize, Pointer),
    Truncate(usize),
}

impl Step {
    fn op(&self, shape: Shape) -> PageOp<'_> {
        match self {
            Self::Insert(at, key, value) => {
                PageOp::Insert { at: *at, head: head(shape, &key.0), key: key.part(), value: value.part() }
            }
            Self::InsertChild(at, key, child) => {
                PageOp::InsertChild { at: *at, head: head(shape, &key.0), key: key.part(), child: *child }
            }
            Self::Remove(at) => PageOp::Remove { at: *at },
            Self::SetKeyRun(at, run) => PageOp::SetKeyRun { at: *at, run: *run },
            Self::SetValue(at, value) => PageOp::SetValue { at: *at, value: value.part() },
            Self::SetChild(at, child) => PageOp::SetChild { at: *at, child: *child },
            Self::Truncate(count) => PageOp::Truncate { count: *count },
        }
    }
}

/// Splits a page at `middle` into two new ones, checks them, and joins them again.
fn split_and_join(page: &mut Vec<u8>, shape: Shape, model: &Model, random: &mut Random) {
    let node = Node::new(page);
    let middle = random.below(node.count() + 1);
    let branch = !node.is_leaf();
    let mut halves = Vec::new();
    for range in [0..middle, middle..node.count()] {
        let mut bytes = vec![0xAA; page.len()];
        let mut half = NodeMut::init(&mut bytes, node.level(), shape);
        half.append_from(&node, range.clone(), None).unwrap();
        half.widen_prefix();
        let keys = range.start.min(model.keys.len())..if branch {
            range.end.saturating_sub(1).max(range.start)
        } else {
            range.end
        }
        .min(model.keys.len());
        let part = Model {
            keys: model.keys[keys].to_vec(),
            values: model.values.get(range.clone()).unwrap_or_default().to_vec(),
            children: model.children.get(range.clone()).unwrap_or_default().to_vec(),
        };
        if !branch || !range.is_empty() {
            check(&bytes, shape, &part, random);
        }
        halves.push(bytes);
    }
    let joint = model.keys.get(middle.wrapping_sub(1)).filter(|_| branch).map(|key| (head(shape, &key.0), key.part()));
    let right = Node::new(&halves[1]);
    let mut joined = halves[0].clone();
    NodeMut::new(&mut joined).append_from(&right, 0..right.count(), joint).unwrap();
    check(&joined, shape, model, random);
    *page = joined;
    let left = Node::new(&halves[0]);
    if !branch && left.count() > 0 && right.count() > 0 {
        let ends =
            |node: &Node<'_>, at| if shape.byte_ordered { head_after(node.key_lead(at), 0) } else { node.head(at) };
        let wrong = ends(&right, right.count() - 1) > ends(&left, 0);
        let mut swapped = halves[1].clone();
        let result = NodeMut::new(&mut swapped).append_from(&left, 0..left.count(), None);
        assert!(!wrong || result == Err(EditError::Misfit), "{result:?}");
    }
}

fn run_model(size: usize, shape: Shape, level: u8, seed: u64, steps: usize) {
    let mut random = Random(seed | 1);
    let mut page = vec![0xAA; size];
    NodeMut::init(&mut page, level, shape);
    let mut model = Model::default();
    let (mut fill, mut full) = (12, 0);
    for nth in 0..steps {
        let mut next = model.clone();
        let step = if level == 0 { leaf_step } else { branch_step };
        let Some(step) = step(&mut random, shape, &mut next, fill) else { continue };
        let before = page.clone();
        match NodeMut::new(&mut page).apply(&step.op(shape)) {
            Ok(()) => model = next,
            Err(EditError::PageFull) => {
                assert!(room(shape, &next) > capacity(size));
                assert_eq!(page, before);
                full += 1;
                fill = 5;
            }
            Err(fault) => panic!("{fault} {step:?}"),
        }
        if full > 0 && random.below(60) == 0 {
            fill = 17 - fill;
        }
        if !model.children.is_empty() || level == 0 {
            check(&page, shape, &model, &mut random);
            if nth % 97 == 0 {
                split_and_join(&mut page, shape, &model, &mut random);
            }
        }
    }
    assert!(full > 0 || size > 512 || shape.key_width == Some(0));
}

#[test]
fn pages_match_the_model() {
    for (nth, shape) in shapes().enumerate() {
        for level in [0, 2] {
            run_model(512, shape, level, nth as u64 * 977 + 5, 2000);
            run_model(4096, shape, level, nth as u64 * 31 + 11, 1500);
            run_model(65_536, shape, level, nth as u64 * 7 + 3, 400);
        }
    }
}

/// Calls everything that reads a page.
fn visit(page: &[u8]) {
    let node = Node::new(page);
    let shape = node.shape();
    for at in (0..node.count().min(300)).chain([node.count(), usize::from(u16::MAX)]) {
        let _ = (node.head(at), node.key(at), node.value(at), node.child(at), node.entry_size(at), node.key_lead(at));
    }
    let _ = (node.level(), node.free_space(), node.holds_pointers(), node.prefix());
    node.pointers().take(300).for_each(drop);
    search(&node, shape, b"pppppppppppp");
}

#[test]
fn damage_is_found_or_harmless() {
    for (nth, shape) in shapes().enumerate() {
        for level in [0, 2] {
            let mut random = Random(nth as u64 + 77);
            let mut page = vec![0; 512];
            NodeMut::init(&mut page, level, shape);
            let mut model = Model::default();
            for _ in 0..60 {
                let mut next = model.clone();
                let step = if level == 0 { leaf_step } else { branch_step };
                let Some(step) = step(&mut random, shape, &mut next, 12) else { continue };
                if NodeMut::new(&mut page).apply(&step.op(shape)).is_ok() {
                    model = next;
                }
            }
            for _ in 0..3000 {
                let mut hurt = page.clone();
                for _ in 0..=random.below(3) {
                    let reach = [16, 512][random.below(2)];
                    hurt[random.below(reach)] ^= 1 << random.below(8);
                }
                visit(&hurt);
                if Node::validate(&hurt).is_ok() {
                    change_all(&mut hurt, shape, level, &mut random);
                }
            }
        }
    }
}

/// Changes a page that passed validation but may hold nonsense.
fn change_all(page: &mut [u8], shape: Shape, level: u8, random: &mut Random) {
    for _ in 0..6 {
        let count = Node::new(page).count();
        let (key, value) = (ModelKey::random(random, shape, 100), ModelValue::random(random, shape));
        let (at, child) = (random.below(count + 2), random.pointer(1, 0));
        let steps = [
            Step::Insert(at, key.clone(), value.clone()),
            Step::SetKeyRun(at, child),
            Step::SetValue(at, value),
            Step::InsertChild(at, key, child),
            Step::SetChild(at, child),
            Step::Remove(at),
            Step::Truncate(at),
        ];
        let _ = NodeMut::new(page).apply(&steps[random.below(steps.len())].op(shape));
        visit(page);
    }
    let mut other = vec![0; page.len()];
    let _ = NodeMut::init(&mut other, level, shape).append_from(&Node::new(page), 0..Node::new(page).count(), None);
    NodeMut::new(&mut other).widen_prefix();
    visit(&other);
}

/// A page in which the record of a packed value lies within that of a long key, whose pointer says how long it is.
fn tangled() -> Vec<u8> {
    let shape = Shape { key_width: None, value_width: None, byte_ordered: false, sets: None };
    let mut page = vec![0; 512];
    NodeMut::init(&mut page, 0, shape);
    let run = Pointer { page: 20, level: 0, flags: Pointer::RUN, birth: 1, checksum: Checksum(7), size: 99 };
    let (long, packing) = (KeyPart::Long { stub: &[b'k'; STUB], run }, Packing::decode(&[1, 200, 0, 0, 0]));
    let rows = [(long, ValuePart::Inline(&[3; 16])), (KeyPart::Inline(b"zz"), ValuePart::Packed(packing, &[4; 20]))];
    for (at, (key, value)) in rows.into_iter().enumerate() {
        NodeMut::new(&mut page).apply(&PageOp::Insert { at, head: at as u64, key, value }).unwrap();
    }
    let slots = 20 + 2 * 8;
    let first = u16::from_le_bytes([page[slots], page[slots + 1]]);
    page[slots + 6..slots + 8].copy_from_slice(&(first + STUB as u16 - 2).to_le_bytes());
    page
}

#[test]
fn a_packed_value_whose_length_another_record_holds_is_found() {
    assert_eq!(Node::validate(&tangled()), Err(NodeFault::Overlap));
}

#[test]
fn short_slices_are_no_pages() {
    for len in [0, 1, 15, 16, 511, 513] {
        let bytes = vec![0xFF; len];
        assert_eq!(Node::validate(&bytes), Err(NodeFault::PageSize));
        visit(&bytes);
    }
}

#[test]
fn the_largest_page_full_of_the_smallest_entries() {
    for shape in shapes().filter(|shape| shape.value_width != Some(5)) {
        let mut page = vec![0; 65_536];
        let mut node = NodeMut::init(&mut page, 0, shape);
        let mut inserted = 0;
        let key = vec![0; shape.key_width.unwrap_or_default().into()];
        let op = |at| PageOp::Insert { at, head: 0, key: KeyPart::Inline(&key), value: ValuePart::Inline(&[]) };
        while node.apply(&op(inserted / 2)).is_ok() {
            inserted += 1;
        }
        assert_eq!(inserted, capacity(65_536) / shape.leaf_entry_room(key.len(), 0));
        assert_eq!(node.view().count(), inserted);
        Node::validate(&page).unwrap();
    }
}

#[test]
fn prefix_shrinks_at_both_ends_and_widens() {
    let shape = Shape { key_width: None, value_width: None, byte_ordered: true, sets: None };
    let mut page = vec![0; 512];
    let mut node = NodeMut::init(&mut page, 0, shape);
    let insert = |node: &mut NodeMut<'_>, at, key: &[u8]| {
        let (key, value) = (KeyPart::Inline(key), ValuePart::Inline(b"v"));
        node.apply(&PageOp::Insert { at, head: 0, key, value }).unwrap();
    };
    insert(&mut node, 0, b"abcdefgh1");
    insert(&mut node, 1, b"abcdefgh2");
    node.widen_prefix();
    assert_eq!(node.view().prefix(), b"abcdefgh");
    assert_eq!(node.view().head(1), u64::from(b'2') << 56);
    insert(&mut node, 2, b"abcdex");
    assert_eq!(node.view().prefix(), b"abcde");
    insert(&mut node, 0, b"abc");
    assert_eq!(node.view().prefix(), b"abc");
    assert_eq!(node.view().head(0), 0);
    for (sought, found) in [(&b"a"[..], (0, false)), (b"abc", (0, true)), (b"abcdex", (3, true)), (b"abd", (4, false))]
    {
        assert_eq!(search(&node.view(), shape, sought), found);
    }
    node.apply(&PageOp::Remove { at: 0 }).unwrap();
    node.widen_prefix();
    assert_eq!(node.view().prefix(), b"abcde");
    Node::validate(&page).unwrap();
}

#[test]
fn changes_that_do_not_fit_are_refused() {
    let shape = Shape { key_width: Some(2), value_width: None, byte_ordered: true, sets: None };
    let (mut leaf, mut branch) = (vec![0; 512], vec![0; 512]);
    let mut leaf = NodeMut::init(&mut leaf, 0, shape);
    let mut branch = NodeMut::init(&mut branch, 1, shape);
    let (key, value, child) = (KeyPart::Inline(b"kk"), ValuePart::Inline(b"v"), Random(5).pointer(0, 0));
    branch.apply(&PageOp::InsertChild { at: 0, head: 0, key, child }).unwrap();
    leaf.apply(&PageOp::Insert { at: 0, head: 0, key, value }).unwrap();
    let wide = KeyPart::Inline(b"kkk");
    for op in [
        PageOp::Insert { at: 2, head: 0, key, value },
        PageOp::Insert { at: 0, head: 0, key: wide, value },
        PageOp::InsertChild { at: 0, head: 0, key, child },
        PageOp::Remove { at: 1 },
        PageOp::Truncate { count: 2 },
    ] {
        assert_eq!(leaf.apply(&op), Err(EditError::Misfit));
    }
    for op in [
        PageOp::Insert { at: 0, head: 0, key, value },
        PageOp::SetValue { at: 0, value },
        PageOp::SetChild { at: 1, child },
    ] {
        assert_eq!(branch.apply(&op), Err(EditError::Misfit));
    }
    assert_eq!(branch.append_from(&leaf.view(), 0..1, None), Err(EditError::Misfit));
}

#[test]
fn an_inline_key_comes_before_a_long_one_with_its_stub() {
    let shape = Shape { key_width: None, value_width: None, byte_ordered: true, sets: None };
    let run = Pointer { page: 9, level: 0, flags: 1, birth: 8, checksum: Checksum(7), size: 600 };
    let (short, value) = ([b'k'; STUB + 1], ValuePart::Inline(b"v"));
    let mut pages = [KeyPart::Inline(&short), KeyPart::Long { stub: &short[..STUB], run }].map(|key| {
        let mut page = vec![0; 512];
        NodeMut::init(&mut page, 0, shape).apply(&PageOp::Insert { at: 0, head: 0, key, value }).unwrap();
        page
    });
    let [left, right] = &mut pages;
    NodeMut::new(left).append_from(&Node::new(right), 0..1, None).unwrap();
    assert_eq!(Node::validate(left), Ok(()));
}

#[test]
fn golden_bytes() {
    let mut page = vec![0; 512];
    let shape = Shape { key_width: None, value_width: None, byte_ordered: true, sets: None };
    let mut node = NodeMut::init(&mut page, 0, shape);
    let run = Pointer { page: 9, level: 0, flags: 1, birth: 8, checksum: Checksum(7), size: 6 };
    let mut insert = |at, key: &[u8], value| {
        node.apply(&PageOp::Insert { at, head: 0, key: KeyPart::Inline(key), value }).unwrap();
    };
    insert(0, b"ab2", ValuePart::Run(run));
    insert(0, b"ab1", ValuePart::Inline(b"xyz"));
    node.widen_prefix();
    assert_eq!(page[..14], [1, 12, 2, 0, 2, 0, 0xCF, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(page[14..20], *b"ab\0\0\0\0");
    assert_eq!(page[20..36], [0, 0, 0, 0, 0, 0, 0, b'1', 0, 0, 0, 0, 0, 0, 0, b'2']);
    assert_eq!(page[36..48], [0xCF, 1, 3, 0, 3, 0, 0xD5, 1, 3, 0, 0xFF, 0xFF]);
    assert_eq!(page[463..472], *b"ab1xyzab2");
    assert_eq!(page[472..], run.encode());

    let mut page = vec![0; 512];
    let mut node = NodeMut::init(&mut page, 0, shape);
    let packing = Packing::decode(&[1, 4, 3, 2, 0]);
    let parts = [ValuePart::Packed(packing, b"xyz"), ValuePart::PackedRun(packing, run)];
    for (at, (key, value)) in [KeyPart::Inline(b"a"), KeyPart::Inline(b"b")].into_iter().zip(parts).enumerate() {
        node.apply(&PageOp::Insert { at, head: 0, key, value }).unwrap();
    }
    assert_eq!(page[1], 12, "a packed run is a pointer");
    assert_eq!(page[36..48], [0xF5, 1, 1, 0, 0xFB, 0xFF, 0xC7, 1, 1, 0, 0xFC, 0xFF]);
    assert_eq!(page[501..], *b"a\x03\0\x01\x04\x03\x02\0xyz");
    assert_eq!(page[456..496], run.encode());
    assert_eq!(page[496..501], packing.encode());

    let mut page = vec![0; 512];
    let shape = Shape { key_width: Some(2), value_width: Some(9), byte_ordered: false, sets: None };
    let mut node = NodeMut::init(&mut page, 3, shape);
    let child = |page| Pointer { page, level: 2, flags: 0, birth: 8, checksum: Checksum(7), size: 6 };
    for (at, key) in [b"??", b"kk"].into_iter().enumerate() {
        let op = PageOp::InsertChild { at, head: 0x0102, key: KeyPart::Inline(key), child: child(5 + at as u32) };
        node.apply(&op).unwrap();
    }
    assert_eq!(page[..14], [2, 3, 2, 0, 0, 3, 0xFE, 1, 0, 0, 2, 0, 0, 0]);
    assert_eq!(page[14..20], [0; 6]);
    assert_eq!(page[20..36], [2, 1, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    assert_eq!(page[36..44], [5, 0, 0, 0, 6, 0, 0, 0]);
    assert_eq!(page[44..74], child(5).encode_link());
    assert_eq!(page[74..104], child(6).encode_link());
    assert_eq!(page[104..108], [0xFE, 1, 0, 2]);
    assert_eq!(page[510..], *b"kk");
    Node::validate(&page).unwrap();
}

/// In room of every size, of which any part is heads and the rest is whatever is there.
#[test]
fn heads_are_counted_as_by_looking_at_each() {
    let mut random = Random(21);
    for round in 0..20_000 {
        let room: Vec<_> = (0..random.below(150)).map(|_| random.below(1 + round % 300) as u64).collect();
        let count = random.below(room.len() + 1);
        let mut heads = room[..count].to_vec();
        let bytes = |heads: &[u64]| -> Vec<_> { heads.iter().map(|head| head.to_le_bytes()).collect() };
        let sought = random.below(300) as u64;
        let (in_disorder, rest) = (bytes(&heads), bytes(&room[count..]));
        assert!(count_less(&[in_disorder.clone(), rest.clone()].concat(), &in_disorder, sought) <= count);
        heads.sort_unstable();
        let expected = heads.iter().filter(|head| **head < sought).count();
        let room = [bytes(&heads), rest].concat();
        assert_eq!(count_less(&room, &room[..count], sought), expected, "{sought} in {heads:?}");
        assert_eq!(count_less(&room[..count], &room[..count], sought), expected, "{sought} in {heads:?}");
    }
}

#[test]
fn a_page_of_sets_holds_sets_and_roots_of_trees_only() {
    let run = Pointer { page: 9, level: 0, flags: Pointer::RUN, birth: 1, checksum: Checksum(7), size: 3 };
    for width in [None, Some(2)] {
        let shape = Shape { key_width: Some(1), value_width: None, byte_ordered: true, sets: Some(SetForm { width }) };
        let page = |value: ValuePart<'_>| {
            let mut page = vec![0; 512];
            let mut node = NodeMut::init(&mut page, 0, shape);
            let key = KeyPart::Inline(&[1]);
            node.apply(&PageOp::Insert { at: 0, head: 0, key, value }).unwrap();
            assert_eq!(Node::new(&page).shape(), shape);
            Node::validate(&page)
        };
        let set = SetForm { width }.encode([&[1, 0][..], &[2, 0]].into_iter());
        assert_eq!(page(ValuePart::Inline(&set)), Ok(()));
        assert_eq!(page(ValuePart::Subtree(Pointer { flags: 0, ..run })), Ok(()));
        for value in [ValuePart::Inline(&[]), ValuePart::Inline(&[7]), ValuePart::Run(run)] {
            assert_eq!(page(value), Err(NodeFault::Set));
        }
    }
}

#[test]
fn flags_of_sets_suit_each_other() {
    let shape =
        Shape { key_width: None, value_width: None, byte_ordered: true, sets: Some(SetForm { width: Some(2) }) };
    let mut page = vec![0; 512];
    NodeMut::init(&mut page, 0, shape);
    assert_eq!(page[1], 4 | 16 | 32);
    assert_eq!(page[12..14], [2, 0]);
    for (flags, fault) in
        [(4 | 16 | 32, None), (4 | 32, Some(NodeFault::Flags)), (4 | 16 | 32 | 2, Some(NodeFault::Flags))]
    {
        page[1] = flags;
        assert_eq!(Node::validate(&page).err(), fault);
    }
    page[1] = 4 | 16;
    assert_eq!(Node::validate(&page), Err(NodeFault::Width));
    let mut branch = vec![0; 512];
    NodeMut::init(&mut branch, 1, shape);
    assert_eq!(branch[1], 4 | 2);
    branch[1] |= 16;
    assert_eq!(Node::validate(&branch), Err(NodeFault::Flags));
}
