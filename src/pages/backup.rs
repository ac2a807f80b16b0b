//! A compact copy of one commit, written from the first byte to the last.
//!
//! - Rows are taken over by the leaf: a leaf is put behind the ones before it as long as they fit one page. Of the
//!   separators of the source those stay that part two pages of the copy, so that no key need be compared.
//! - Branches are built anew, full. A page comes behind everything that it names, and the root last.
//! - A page that is made of several has the greatest birth among them.

use super::Store;
use super::cache::FrameRef;
use super::commit::full_map;
use super::load::damaged;
use super::relocate::{DEEPEST, Joint};
use super::seal::sealed_page;
use super::space::{Commit, pages_of};
use super::walk::check_place;
use crate::error::{BackupError, StorageError};
use crate::format::node::{KeyPart, Node, NodeMut, PageOp, PointerRole, Shape};
use crate::format::superblock::encode_header;
use crate::format::{Checksum, CommitSlot, PageNumber, Pointer, TxnId};
use crate::limits::MAX_TREE_LEVEL;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// Takes the bytes of a copy, which follow each other.
pub(crate) type Put<'p> = dyn FnMut(&[u8]) -> Result<(), crate::io::Error> + 'p;

/// Bytes that are handed over at once, at least.
const CHUNK: usize = 64 << 10;

impl Store {
    /// Hands to `put` a closed file that holds the tables of `commit`, which is a snapshot, but for its last page,
    /// where the mirror belongs. Gives what the slots are, which are left blank.
    pub(crate) fn copy_commit(&self, commit: &Commit, put: &mut Put<'_>) -> Result<CommitSlot, BackupError> {
        let mut copier = Copier { store: self, put, chunk: Vec::new(), next: 0, left: self.file_pages() };
        let mut front = vec![0; self.geometry.first_page() as usize * self.page_size()];
        let header = encode_header(&self.geometry);
        front.iter_mut().zip(header).for_each(|(byte, header)| *byte = header);
        copier.put_pages(&front)?;
        let data = commit.data.map(|root| copier.copy_tree(&root, 0)).transpose()?;
        let (saved, file_pages) = copier.put_map(commit.id)?;
        copier.flush()?;
        Ok(CommitSlot {
            flags: CommitSlot::TWO_PHASE | CommitSlot::CLOSED,
            id: commit.id,
            time: commit.time,
            file_pages,
            verify_above: commit.id,
            data,
            system: None,
            last_id: commit.id,
            saved: Some(saved),
        })
    }
}

struct Copier<'c> {
    store: &'c Store,
    put: &'c mut Put<'c>,
    /// What is not handed over yet.
    chunk: Vec<u8>,
    /// The page of the copy that comes next.
    next: PageNumber,
    /// Pages that may still be read: in a damaged file the ways to a page may be more than can be counted.
    left: u32,
}

/// The greatest births of what a page is made of, by level: its own, and those of the pages above.
#[derive(Clone, Copy)]
struct Births([TxnId; MAX_TREE_LEVEL as usize + 1]);

impl Births {
    const NONE: Self = Self([0; MAX_TREE_LEVEL as usize + 1]);

    fn of(&self, level: u8) -> TxnId {
        self.0.get(usize::from(level)).copied().unwrap_or(0)
    }

    fn set(&mut self, level: u8, birth: TxnId) {
        if let Some(own) = self.0.get_mut(usize::from(level)) {
            *own = birth;
        }
    }

    fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own = other.max(*own));
    }
}

/// What parts a page of the copy from the one before it.
struct Separator {
    head: u64,
    /// The key, or its first bytes if it is a run.
    lead: Vec<u8>,
    run: Option<Pointer>,
}

impl Separator {
    fn key(&self) -> KeyPart<'_> {
        match self.run {
            Some(run) => KeyPart::Long { stub: &self.lead, run },
            None => KeyPart::Inline(&self.lead),
        }
    }
}

/// A page of the copy that may still take more.
struct Unfinished {
    bytes: Vec<u8>,
    births: Births,
    before: Option<Separator>,
}

impl Unfinished {
    fn new(level: u8, shape: Shape, page_size: usize, before: Option<Separator>) -> Self {
        let mut bytes = vec![0; page_size];
        NodeMut::init(&mut bytes, level, shape);
        Self { bytes, births: Births::NONE, before }
    }

    fn count(&self) -> usize {
        Node::new(&self.bytes).count()
    }
}

/// A tree of the copy as it grows.
struct Tree {
    /// One page of each level, from the leaves up. Of all levels but the highest there are others before it.
    pages: Vec<Unfinished>,
    /// Shape of the branches.
    shape: Shape,
    /// Births of the pages from the root of the source to the leaf that is read.
    way: Births,
}

impl<'c> Copier<'c> {
    fn copy_tree(&mut self, root: &Pointer, depth: usize) -> Result<Pointer, BackupError> {
        let shape = Node::new(&self.store.load(root)?).shape().of_branch();
        let mut tree = Tree { pages: Vec::new(), shape, way: Births::NONE };
        self.copy_below(&mut tree, root, None, depth)?;
        self.finish_tree(tree, root)
    }

    /// Copies what is in and below the page that `pointer` names, which `before` parts from what was copied so far.
    fn copy_below(
        &mut self,
        tree: &mut Tree,
        pointer: &Pointer,
        before: Option<Joint<'_>>,
        depth: usize,
    ) -> Result<(), BackupError> {
        if depth > DEEPEST {
            return Err(damaged(pointer, "is deeper down than any page").into());
        }
        let frame = self.read(pointer)?;
        let node = Node::new(&frame);
        if node.level() != pointer.level || node.shape().of_branch() != tree.shape {
            return Err(damaged(pointer, "is no page of its tree").into());
        }
        tree.way.set(pointer.level, pointer.birth);
        if node.is_leaf() {
            return self.copy_leaf(tree, pointer, &node, before, depth);
        }
        for at in 0..node.count() {
            let child = node.child(at);
            check_place(pointer, PointerRole::Child, &child)?;
            if let KeyPart::Long { run, .. } = node.key(at) {
                check_place(pointer, PointerRole::Key, &run)?;
            }
            let between = at.checked_sub(1).map(|at| (node.head(at), node.key(at)));
            self.copy_below(tree, &child, between.or(before), depth + 1)?;
        }
        Ok(())
    }

    fn copy_leaf(
        &mut self,
        tree: &mut Tree,
        pointer: &Pointer,
        node: &Node<'_>,
        before: Option<Joint<'_>>,
        depth: usize,
    ) -> Result<(), BackupError> {
        let append = |leaf: &mut Unfinished| NodeMut::new(&mut leaf.bytes).append_from(node, 0..node.count(), None);
        let first = match tree.pages.first_mut().map(|leaf| (leaf.count(), append(leaf))) {
            Some((first, Ok(()))) => first,
            _ => {
                let before = before.map(|before| self.copy_separator(before)).transpose()?;
                self.begin_page(tree, 0, node.shape(), before)?;
                let appended = tree.pages.first_mut().map(append);
                appended.and_then(Result::ok).ok_or_else(|| damaged(pointer, "does not fit a page"))?;
                0
            }
        };
        let Some(leaf) = tree.pages.first_mut() else { return Ok(()) };
        leaf.births.join(&tree.way);
        self.copy_owned(leaf, first, pointer, depth)
    }

    /// Copies what the rows of a leaf from `first` on own, which is still that of `source`.
    fn copy_owned(
        &mut self,
        leaf: &mut Unfinished,
        first: usize,
        source: &Pointer,
        depth: usize,
    ) -> Result<(), BackupError> {
        let node = Node::new(&leaf.bytes);
        for at in first..if node.holds_pointers() { node.count() } else { first } {
            let node = Node::new(&leaf.bytes);
            let (key, value) = (node.key(at), node.value(at));
            let (owned, unknown) = (value.owned(), value.is_pointer());
            if let KeyPart::Long { run, .. } = key {
                check_place(source, PointerRole::Key, &run)?;
                let run = self.copy_run(&run)?;
                apply(source, &mut leaf.bytes, &PageOp::SetKeyRun { at, run })?;
            }
            if let Some(old) = owned {
                let copy = self.copy_value(source, &old, depth)?;
                let part = Node::new(&leaf.bytes).value(at).pointing_to(copy);
                let Some(value) = part else { continue };
                apply(source, &mut leaf.bytes, &PageOp::SetValue { at, value })?;
            } else if unknown {
                return Err(damaged(source, "holds what no table holds").into());
            }
        }
        Ok(())
    }

    fn copy_value(&mut self, source: &Pointer, value: &Pointer, depth: usize) -> Result<Pointer, BackupError> {
        check_place(source, PointerRole::Value, value)?;
        if value.is_run() { self.copy_run(value) } else { self.copy_tree(value, depth + 1) }
    }

    fn copy_run(&mut self, run: &Pointer) -> Result<Pointer, BackupError> {
        let bytes = self.read(run)?;
        Ok(Pointer { page: self.put_pages(&bytes)?, ..*run })
    }

    fn copy_separator(&mut self, (head, key): Joint<'_>) -> Result<Separator, BackupError> {
        let run = match key {
            KeyPart::Inline(_) => None,
            KeyPart::Long { run, .. } => Some(self.copy_run(&run)?),
        };
        Ok(Separator { head, lead: key.lead().to_vec(), run })
    }

    /// Finishes the page at `level`, if there is one, and begins the next.
    fn begin_page(
        &mut self,
        tree: &mut Tree,
        level: u8,
        shape: Shape,
        before: Option<Separator>,
    ) -> Result<(), BackupError> {
        let next = Unfinished::new(level, shape, self.store.page_size(), before);
        match tree.pages.get_mut(usize::from(level)) {
            None => tree.pages.push(next),
            Some(page) => {
                let full = core::mem::replace(page, next);
                self.finish_page(tree, level, full)?;
            }
        }
        Ok(())
    }

    /// Writes a page, and makes it the last child of the level above.
    fn finish_page(&mut self, tree: &mut Tree, level: u8, mut page: Unfinished) -> Result<(), BackupError> {
        let child = self.put_page(level, &mut page)?;
        let Unfinished { mut births, before, .. } = page;
        births.set(level + 1, births.of(level + 1).max(child.birth));
        let branch = tree.pages.get_mut(usize::from(level) + 1);
        if branch.is_some_and(|branch| add_child(branch, &child, &births, before.as_ref())) {
            return Ok(());
        }
        let shape = tree.shape;
        self.begin_page(tree, level + 1, shape, before)?;
        let branch = tree.pages.get_mut(usize::from(level) + 1);
        let added = branch.is_some_and(|branch| add_child(branch, &child, &births, None));
        if added { Ok(()) } else { Err(damaged(&child, "does not fit a branch").into()) }
    }

    /// Writes what is unfinished, from the leaves up to the root, the only page of its level.
    fn finish_tree(&mut self, mut tree: Tree, source: &Pointer) -> Result<Pointer, BackupError> {
        let (mut level, shape) = (0, tree.shape);
        while usize::from(level) + 1 < tree.pages.len() {
            self.begin_page(&mut tree, level, shape, None)?;
            level += 1;
        }
        let mut root = tree.pages.pop().ok_or_else(|| damaged(source, "has no rows"))?;
        self.put_page(level, &mut root)
    }

    fn put_page(&mut self, level: u8, page: &mut Unfinished) -> Result<Pointer, BackupError> {
        NodeMut::new(&mut page.bytes).widen_prefix();
        let birth = page.births.of(level);
        Node::validate(&page.bytes).map_err(|fault| {
            StorageError::corrupted(format!("pages up to transaction {birth} make no page together: {fault}"))
        })?;
        let page_number = self.put_pages(&page.bytes)?;
        let unsealed = Pointer { page: page_number, level, flags: 0, birth, checksum: Checksum::UNSEALED, size: 0 };
        Ok(sealed_page(&unsealed, &page.bytes))
    }

    fn read(&mut self, pointer: &Pointer) -> Result<FrameRef, StorageError> {
        let length = self.store.check_bounds(pointer)?;
        let pages = pages_of(pointer, self.store.page_size());
        self.left = self.left.checked_sub(pages).ok_or_else(|| damaged(pointer, "is linked twice"))?;
        let frame = self.store.load(pointer)?;
        if frame.len() == length { Ok(frame) } else { Err(damaged(pointer, "is of another length")) }
    }

    /// The saved free map, and the length of the file in pages.
    fn put_map(&mut self, id: TxnId) -> Result<(Pointer, u32), BackupError> {
        let (bytes, file_pages) = full_map(&self.store.geometry, id, self.next).ok_or_else(too_many_pages)?;
        let (checksum, size) = (Checksum::of(&bytes), bytes.len() as u64);
        let page = self.put_pages(&bytes)?;
        Ok((Pointer { page, level: 0, flags: Pointer::RUN, birth: id, checksum, size }, file_pages))
    }

    /// Puts bytes behind those before, up to the end of a page, and gives the page that they start in.
    fn put_pages(&mut self, bytes: &[u8]) -> Result<PageNumber, BackupError> {
        let start = self.next;
        let length = bytes.len().next_multiple_of(self.store.page_size());
        let pages = u32::try_from(length / self.store.page_size()).map_err(|_| too_many_pages())?;
        self.next = start.checked_add(pages).ok_or_else(too_many_pages)?;
        if bytes.len() >= CHUNK {
            self.flush()?;
            (self.put)(bytes).map_err(BackupError::Target)?;
        } else {
            self.chunk.extend_from_slice(bytes);
        }
        self.chunk.resize(self.chunk.len() + length - bytes.len(), 0);
        if self.chunk.len() >= CHUNK { self.flush() } else { Ok(()) }.map(|()| start)
    }

    fn flush(&mut self) -> Result<(), BackupError> {
        if !self.chunk.is_empty() {
            (self.put)(&self.chunk).map_err(BackupError::Target)?;
            self.chunk.clear();
        }
        Ok(())
    }
}

/// Whether there was room for a child, which `before` parts from the one before it.
fn add_child(branch: &mut Unfinished, child: &Pointer, births: &Births, before: Option<&Separator>) -> bool {
    let (at, level) = (branch.count(), child.level + 1);
    let (head, key) = before.map_or((0, KeyPart::Inline(&[])), |before| (before.head, before.key()));
    if NodeMut::new(&mut branch.bytes).apply(&PageOp::InsertChild { at, head, key, child: *child }).is_err() {
        return false;
    }
    branch.births.join(births);
    let run = before.and_then(|before| before.run).map_or(0, |run| run.birth);
    branch.births.set(level, branch.births.of(level).max(run));
    true
}

fn apply(source: &Pointer, page: &mut [u8], op: &PageOp<'_>) -> Result<(), StorageError> {
    NodeMut::new(page).apply(op).map_err(|_| damaged(source, "has no room for a pointer"))
}

fn too_many_pages() -> BackupError {
    BackupError::Target(crate::io::invalid_input("the copy would have more pages than a file can have"))
}
