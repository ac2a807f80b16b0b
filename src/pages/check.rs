//! The walk that checks what roots link. It goes on behind what is damaged, if it is let.

use super::cache::{FrameBuf, FrameRef};
use super::load::{check_bytes, damaged};
use super::page_set::PageSet;
use super::relocate::{DEEPEST, Joint};
use super::seal::rows;
use super::walk::{check_place, may_hold_pointers};
use super::{Held, Store};
use crate::compression::Packing;
use crate::error::StorageError;
use crate::format::node::{KeyPart, Node, PointerRole, Shape, ValuePart, ValueSet};
use crate::format::{PageNumber, Pointer};
use core::cmp::Ordering;
use core::ops::{ControlFlow, Deref};

/// Pages from one report to the next.
const WATCHED: u64 = 256;

/// How thoroughly a check looks. Each level does what those before it do.
///
/// ```
/// use sapwood::VerifyLevel;
///
/// assert!(VerifyLevel::Structure < VerifyLevel::Pages && VerifyLevel::Pages < VerifyLevel::Rows);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum VerifyLevel {
    /// The copies of header and commit slots; all pages that lead to others: their checksums, shapes and row counts,
    /// and that none is linked twice. Pages that are in memory are not read again.
    Structure,
    /// Every page and every long key and value, read from the storage whatever is in memory, with its checksum.
    Pages,
    /// And the order of keys, within and across pages: wholly where it is that of their bytes, else as far as the
    /// numbers that a page keeps of its keys tell. That no value is in a set twice, that what is compressed unpacks, if
    /// its codec is there, and that the index of a TTL table has the expiries of its rows. That all that blobs are found by
    /// is what their records say, and nothing else; that sums are right, that each content has its chunks and each chunk
    /// a blob, and a shared content its hash; that tags and links are the same from both sides.
    Rows,
}

/// What a row of the catalog is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CatalogRow {
    Definition,
    Root,
    /// The root of an index of the table's rows.
    Expiries,
}

/// Hears what a check meets.
pub(crate) trait Inspector {
    /// A row of the catalog, with its value's bytes if it has any: what follows belongs to its table, until
    /// [`leave_row`](Self::leave_row). An error says what is wrong with it.
    fn enter_row(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<CatalogRow, &'static str>;
    fn leave_row(&mut self);
    /// Something is wrong with a page or run. An error ends the check, else what is below is passed over.
    fn fault(&mut self, page: PageNumber, fault: StorageError) -> Result<(), StorageError>;
    /// So many pages were looked at. A break ends the check.
    fn progress(&mut self, pages: u64) -> ControlFlow<()>;
}

/// What a check has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Pages that the commit links.
    pub(crate) linked: PageSet,
    /// These, and those that savepoints link.
    pub(crate) all: PageSet,
    /// Those of them with which a tree page or a run begins.
    starts: PageSet,
    /// Tree pages and runs that were met, without those that cannot be read.
    pub(crate) pages: u64,
    pub(crate) runs: u64,
    pub(crate) rows: u64,
    pub(crate) tables: u64,
    /// The check was not ended by its inspector.
    pub(crate) complete: bool,
}

impl Seen {
    /// Whether these pages, all of which were met, are one tree page or run.
    fn has_extent(&self, start: PageNumber, pages: u32) -> bool {
        let end = start.saturating_add(pages);
        let is_cut = (start.saturating_add(1)..end).any(|page| self.starts.contains(page));
        let goes_on = self.all.contains(end) && !self.starts.contains(end);
        self.starts.contains(start) && !is_cut && !goes_on
    }
}

/// Why a check ends early.
enum Stop {
    Ended,
    Failed(StorageError),
}

impl From<StorageError> for Stop {
    fn from(err: StorageError) -> Self {
        Self::Failed(err)
    }
}

/// Whose rows a tree has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Catalog,
    Table,
    /// No rows of anybody, but what leads to those of a table.
    Index,
    System,
}

/// What a run holds.
#[derive(Clone, Copy)]
enum Content<'p> {
    /// A key that begins with these bytes.
    Key(&'p [u8]),
    Value,
    Packed(Packing),
}

/// Bytes of a page or run.
enum Bytes {
    Held(FrameRef),
    Stored(FrameBuf),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Held(frame) => frame,
            Self::Stored(bytes) => bytes,
        }
    }
}

/// Between which separators a page's keys lie.
#[derive(Clone, Copy, Default)]
struct Bounds<'p> {
    lower: Option<Joint<'p>>,
    upper: Option<Joint<'p>>,
}

/// What the pages of a tree have in common.
#[derive(Clone, Copy)]
struct Tree {
    owner: Owner,
    shape: Option<Shape>,
}

impl Store {
    /// Checks everything under the roots of a commit, and of the savepoints that it names.
    pub(crate) fn check(
        &self,
        held: &Held,
        level: VerifyLevel,
        inspector: &mut dyn Inspector,
    ) -> Result<Seen, StorageError> {
        let mut check = Check { store: self, level, inspector, seen: Seen::default(), beside: None };
        match check.run_all(held) {
            Ok(()) => check.seen.complete = true,
            Err(Stop::Ended) => {}
            Err(Stop::Failed(err)) => return Err(err),
        }
        Ok(check.seen)
    }

    fn read_for_check(&self, pointer: &Pointer, level: VerifyLevel) -> Result<Bytes, StorageError> {
        if level == VerifyLevel::Structure {
            return Ok(Bytes::Held(self.load(pointer)?));
        }
        match self.cache().get(pointer.page, pointer.birth).filter(|frame| frame.frame().is_dirty()) {
            Some(frame) => {
                check_bytes(&frame, pointer)?;
                Ok(Bytes::Held(frame))
            }
            None => Ok(Bytes::Stored(self.read_stored(pointer)?)),
        }
    }
}

struct Check<'c> {
    store: &'c Store,
    level: VerifyLevel,
    inspector: &'c mut dyn Inspector,
    seen: Seen,
    /// Pages that the savepoint links whose tree is looked at, as far as they were met.
    beside: Option<PageSet>,
}

impl Check<'_> {
    fn run_all(&mut self, held: &Held) -> Result<(), Stop> {
        self.watch(0)?;
        let commit = held.commit();
        for (root, owner) in [(commit.data, Owner::Catalog), (commit.system, Owner::System)] {
            root.map_or(Ok(()), |root| self.tree(&root, owner, 0))?;
        }
        if let Some(saved) = self.store.saved_state_of(commit) {
            self.read(&saved)?;
        }
        self.seen.all = self.seen.linked.clone();
        for root in held.savepoints() {
            self.beside = Some(PageSet::new());
            self.tree(root, Owner::Catalog, 0)?;
        }
        Ok(())
    }

    fn fault(&mut self, pointer: &Pointer, fault: StorageError) -> Result<(), Stop> {
        Ok(self.inspector.fault(pointer.page, fault)?)
    }

    fn fault_if<T>(&mut self, pointer: &Pointer, outcome: Result<T, StorageError>) -> Result<Option<T>, Stop> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(fault) => self.fault(pointer, fault).map(|()| None),
        }
    }

    fn watch(&mut self, pages: u64) -> Result<(), Stop> {
        if self.inspector.progress(pages).is_break() { Err(Stop::Ended) } else { Ok(()) }
    }

    fn tree(&mut self, root: &Pointer, owner: Owner, depth: usize) -> Result<(), Stop> {
        self.page(root, Bounds::default(), &mut Tree { owner, shape: None }, depth)
    }

    /// Whether what `pointer` names is to be looked at: it is in the file, and was not met before.
    fn meet(&mut self, pointer: &Pointer) -> Result<bool, Stop> {
        let Some(pages) = self.fault_if(pointer, self.store.extent_of(pointer))? else { return Ok(false) };
        let set = if self.beside.is_some() { &mut self.seen.all } else { &mut self.seen.linked };
        let new = set.insert_range(pointer.page, pages);
        let met = set.len();
        let is_other = self.beside.as_mut().is_some_and(|own| own.insert_range(pointer.page, pages) == pages);
        if new == 0 && is_other && self.seen.has_extent(pointer.page, pages) {
            // Another root has it as well, and it was looked at there.
            return Ok(false);
        }
        if new != pages {
            return self.fault(pointer, damaged(pointer, "is linked twice")).map(|()| false);
        }
        self.seen.starts.insert_range(pointer.page, 1);
        if u64::from(met) / WATCHED != u64::from(met - new) / WATCHED {
            self.watch(met.into())?;
        }
        Ok(true)
    }

    /// The bytes of what `pointer` names, if they are whole.
    fn read(&mut self, pointer: &Pointer) -> Result<Option<Bytes>, Stop> {
        self.fault_if(pointer, self.store.read_for_check(pointer, self.level))
    }

    fn page(&mut self, pointer: &Pointer, bounds: Bounds<'_>, tree: &mut Tree, depth: usize) -> Result<(), Stop> {
        if depth > DEEPEST {
            return self.fault(pointer, damaged(pointer, "is deeper down than any page"));
        }
        if !self.meet(pointer)? {
            return Ok(());
        }
        let leads_on = may_hold_pointers(pointer) || matches!(tree.owner, Owner::Catalog | Owner::System);
        if self.level == VerifyLevel::Structure && !leads_on {
            self.count_page(tree.owner, pointer.size);
            return Ok(());
        }
        let Some(bytes) = self.read(pointer)? else { return Ok(()) };
        let node = Node::new(&bytes);
        let shape = *tree.shape.get_or_insert(node.shape().of_branch());
        let fits = node.level() == pointer.level && node.shape().of_branch() == shape;
        if !fits || rows(&node) != pointer.size {
            let what =
                if fits { "holds another number of rows than its pointer says" } else { "is no page of its tree" };
            self.fault(pointer, damaged(pointer, what))?;
        }
        if self.level >= VerifyLevel::Rows
            && let Err(what) = self.check_order(&node, bounds).and_then(|()| check_sets(&node))
        {
            self.fault(pointer, damaged(pointer, what))?;
        }
        let rows = if node.is_leaf() { rows(&node).saturating_sub(rows_below(&node)) } else { 0 };
        self.count_page(tree.owner, rows);
        for at in 0..if fits { node.count() } else { 0 } {
            self.entry(pointer, &node, at, bounds, tree, depth)?;
        }
        Ok(())
    }

    fn count_page(&mut self, owner: Owner, rows: u64) {
        self.seen.pages += 1;
        if owner == Owner::Table && self.beside.is_none() {
            self.seen.rows = self.seen.rows.saturating_add(rows);
        }
    }

    /// Looks at what an entry leads to.
    fn entry(
        &mut self,
        pointer: &Pointer,
        node: &Node<'_>,
        at: usize,
        bounds: Bounds<'_>,
        tree: &mut Tree,
        depth: usize,
    ) -> Result<(), Stop> {
        if let KeyPart::Long { stub, run } = node.key(at) {
            self.run(pointer, &run, Content::Key(stub))?;
        }
        if node.is_leaf() {
            let below = match tree.owner {
                Owner::Catalog => self.catalog_row(pointer, node, at)?,
                other => other,
            };
            let looked = self.value(pointer, node.value(at), tree.owner, below, depth);
            if tree.owner == Owner::Catalog {
                self.inspector.leave_row();
            }
            return looked;
        }
        let child = node.child(at);
        if self.fault_if(&child, check_place(pointer, PointerRole::Child, &child))?.is_none() {
            return Ok(());
        }
        let joint = |at| (node.head(at), node.key(at));
        let lower = at.checked_sub(1).map(joint).or(bounds.lower);
        let upper = if at + 1 < node.count() { Some(joint(at)) } else { bounds.upper };
        self.page(&child, Bounds { lower, upper }, tree, depth + 1)
    }

    /// Looks at what a value of a tree of `owner` leads to; a tree that the row owns is one of `below`.
    fn value(
        &mut self,
        pointer: &Pointer,
        value: ValuePart<'_>,
        owner: Owner,
        below: Owner,
        depth: usize,
    ) -> Result<(), Stop> {
        match value {
            ValuePart::Inline(_) => Ok(()),
            ValuePart::Packed(packing, block) => self.packed(pointer, packing, block),
            ValuePart::Run(run) => self.run(pointer, &run, Content::Value),
            ValuePart::PackedRun(packing, run) => self.run(pointer, &run, Content::Packed(packing)),
            ValuePart::Subtree(root) => {
                match self.fault_if(&root, check_place(pointer, PointerRole::Subtree, &root))? {
                    Some(()) => self.tree(&root, below, depth + 1),
                    None => Ok(()),
                }
            }
            ValuePart::Reference(_) if owner == Owner::System => Ok(()),
            ValuePart::Reference(_) => {
                self.fault(pointer, damaged(pointer, "holds a pointer of a kind that does not belong there"))
            }
        }
    }

    fn run(&mut self, pointer: &Pointer, run: &Pointer, content: Content<'_>) -> Result<(), Stop> {
        let role = if matches!(content, Content::Key(_)) { PointerRole::Key } else { PointerRole::Value };
        if self.fault_if(run, check_place(pointer, role, run))?.is_none() || !self.meet(run)? {
            return Ok(());
        }
        if self.level >= VerifyLevel::Pages {
            let Some(bytes) = self.read(run)? else { return Ok(()) };
            match content {
                Content::Key(stub) if !bytes.starts_with(stub) => {
                    self.fault(run, damaged(run, "is another key than its page says"))?;
                }
                Content::Packed(packing) => self.packed(run, packing, &bytes)?,
                Content::Key(_) | Content::Value => {}
            }
        }
        self.seen.runs += 1;
        Ok(())
    }

    /// Looks at a packed value of the page or run that `pointer` names.
    fn packed(&mut self, pointer: &Pointer, packing: Packing, block: &[u8]) -> Result<(), Stop> {
        if self.level < VerifyLevel::Rows {
            return Ok(());
        }
        match packing.unpack(block) {
            // Without its codec nothing can be said of it.
            Ok(_) | Err(StorageError::CodecUnavailable(_)) => Ok(()),
            Err(_) => self.fault(pointer, damaged(pointer, "holds packed bytes that make no value")),
        }
    }

    /// Tells of a row of the catalog. Gives whose a tree is that it owns.
    fn catalog_row(&mut self, pointer: &Pointer, node: &Node<'_>, at: usize) -> Result<Owner, Stop> {
        // A run that cannot be read was told of, or will be.
        let Some(key) = self.whole_key(&node.key(at)) else { return Ok(Owner::Table) };
        let run;
        let value = match node.value(at) {
            ValuePart::Inline(bytes) => Some(bytes),
            ValuePart::Run(pointer) => match self.store.load(&pointer) {
                Ok(frame) => {
                    run = frame;
                    Some(&run[..])
                }
                Err(_) => return Ok(Owner::Table),
            },
            _ => None,
        };
        match self.inspector.enter_row(&key, value) {
            Ok(CatalogRow::Expiries) => return Ok(Owner::Index),
            Ok(CatalogRow::Definition) if self.beside.is_none() => self.seen.tables += 1,
            Ok(_) => {}
            Err(what) => self.fault(pointer, damaged(pointer, what))?,
        }
        Ok(Owner::Table)
    }

    fn whole_key<'k>(&self, key: &KeyPart<'k>) -> Option<WholeKey<'k>> {
        match key {
            KeyPart::Inline(bytes) => Some(WholeKey::Inline(bytes)),
            KeyPart::Long { run, .. } => self.store.load(run).ok().map(WholeKey::Run),
        }
    }

    /// Whether keys ascend, and lie between the separators above.
    fn check_order(&self, node: &Node<'_>, bounds: Bounds<'_>) -> Result<(), &'static str> {
        let bytes = node.shape().byte_ordered;
        let keyed = if node.is_leaf() { node.count() } else { node.count().saturating_sub(1) };
        let key = |at| (node.head(at), node.key(at));
        for at in 1..keyed {
            // Of equal heads nothing is known.
            let order = self.compare(bytes, key(at - 1), key(at));
            if order.is_some_and(|order| order != Ordering::Less) {
                return Err("holds keys out of order");
            }
        }
        let Some(last) = keyed.checked_sub(1) else { return Ok(()) };
        let above = bounds.lower.is_none_or(|lower| self.compare(bytes, lower, key(0)).is_none_or(Ordering::is_lt));
        let below = bounds.upper.and_then(|upper| self.compare(bytes, key(last), upper));
        let below = below.is_none_or(|order| if node.is_leaf() { order.is_le() } else { order.is_lt() });
        if above && below { Ok(()) } else { Err("holds keys that do not lie between the separators above it") }
    }

    /// The order of two keys, if it is known.
    fn compare(&self, by_bytes: bool, a: Joint<'_>, b: Joint<'_>) -> Option<Ordering> {
        let ((a_head, a), (b_head, b)) = (a, b);
        if !by_bytes {
            return Some(a_head.cmp(&b_head)).filter(|order| order.is_ne());
        }
        let shared = a.lead().len().min(b.lead().len());
        match a.lead().get(..shared).cmp(&b.lead().get(..shared)) {
            Ordering::Equal => Some(self.whole_key(&a)?.cmp(&*self.whole_key(&b)?)),
            order => Some(order),
        }
    }
}

enum WholeKey<'k> {
    Inline(&'k [u8]),
    Run(FrameRef),
}

impl Deref for WholeKey<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Inline(bytes) => bytes,
            Self::Run(frame) => frame,
        }
    }
}

/// Rows of a leaf that are in trees of their own.
fn rows_below(node: &Node<'_>) -> u64 {
    let sets = if node.sets().is_some() { node.count() } else { 0 };
    let below = (0..sets).filter_map(|at| node.value(at).owned()).map(|root| root.size);
    below.fold(0, u64::saturating_add)
}

/// Whether no value is in a set of the page twice.
fn check_sets(node: &Node<'_>) -> Result<(), &'static str> {
    let Some(form) = node.sets() else { return Ok(()) };
    for at in 0..node.count() {
        if let ValuePart::Inline(bytes) = node.value(at) {
            let members = ValueSet::new(bytes, form).members();
            if members.clone().zip(members.skip(1)).any(|(one, next)| one == next) {
                return Err("holds a set with a value twice");
            }
        }
    }
    Ok(())
}
