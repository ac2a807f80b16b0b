//! Reading: a frame of the cache, or verified bytes of the file that become one.

use super::Store;
use super::cache::{Frame, FrameBuf, FrameRef, Pin, START, Sight};
use crate::error::StorageError;
use crate::format::node::Node;
use crate::format::{Checksum, PageNumber, Pointer, TxnId};
use crate::limits::{MAX_KEY_LENGTH, MAX_VALUE_LENGTH};
use alloc::format;
use core::ops::Deref;

/// Cache lines at the start of a branch that a look at it needs: heads and places of some sixty children.
const BRANCH_START: usize = 12;

/// Longest run in bytes. In a file of terabytes a damaged length must not ask for all memory.
const MAX_RUN: u64 = if MAX_KEY_LENGTH > MAX_VALUE_LENGTH { MAX_KEY_LENGTH } else { MAX_VALUE_LENGTH } as u64;

/// A page's bytes: borrowed from the cache for one descent, or held.
pub(crate) enum PageRef<'p> {
    Pinned(&'p Frame),
    Held(FrameRef),
}

impl Deref for PageRef<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Pinned(frame) => frame.bytes(),
            Self::Held(frame) => frame,
        }
    }
}

impl PageRef<'_> {
    /// The frame, to keep beyond the descent.
    #[inline]
    pub(crate) fn hold(self) -> FrameRef {
        match self {
            Self::Pinned(frame) => frame.hold(),
            Self::Held(frame) => frame,
        }
    }
}

/// A page to search: as [`PageRef`], and by its front if it has one.
pub(crate) enum Glance<'p> {
    Pinned(Sight<'p>),
    Held(FrameRef),
}

impl Glance<'_> {
    #[inline]
    pub(crate) fn node(&self) -> Node<'_> {
        match self {
            Self::Pinned(sight) => sight.node(),
            Self::Held(frame) => Node::new(frame),
        }
    }

    /// The frame, to keep beyond the descent.
    #[inline]
    pub(crate) fn hold(self) -> FrameRef {
        match self {
            Self::Pinned(sight) => sight.frame().hold(),
            Self::Held(frame) => frame,
        }
    }

    /// Asks for what [`hold`](Self::hold) writes.
    #[inline]
    pub(crate) fn prefetch_hold(&self) {
        if let Self::Pinned(sight) = self {
            sight.frame().prefetch_header();
        }
    }
}

impl<'p> From<PageRef<'p>> for Glance<'p> {
    #[inline]
    fn from(page: PageRef<'p>) -> Self {
        match page {
            PageRef::Pinned(frame) => Self::Pinned(Sight::new(frame)),
            PageRef::Held(frame) => Self::Held(frame),
        }
    }
}

impl Store {
    /// The page or run that `pointer` names.
    pub(crate) fn load(&self, pointer: &Pointer) -> Result<FrameRef, StorageError> {
        match self.cache.get(pointer.page, pointer.birth) {
            Some(frame) => Ok(frame),
            None => self.load_missing(pointer),
        }
    }

    /// A page of the live write transaction, to be changed.
    pub(super) fn load_own(&self, pointer: &Pointer) -> Result<FrameRef, StorageError> {
        let cached = self.cache.get(pointer.page, pointer.birth);
        self.cache.count_own_read(cached.is_some());
        cached.map_or_else(|| self.load_missing(pointer), Ok)
    }

    /// The page that `pointer` names: borrowed for as long as `pin` lives, or held if there is none.
    #[inline]
    pub(crate) fn view<'p>(&self, pin: Option<&'p Pin<'_>>, pointer: &Pointer) -> Result<PageRef<'p>, StorageError> {
        let Some(pin) = pin else { return self.load(pointer).map(PageRef::Held) };
        let frame = match pointer.level {
            0 => pin.get::<START>(pointer.page, pointer.birth),
            _ => pin.get::<BRANCH_START>(pointer.page, pointer.birth),
        };
        match frame {
            Some(frame) => Ok(PageRef::Pinned(frame)),
            None => self.load_missing(pointer).map(PageRef::Held),
        }
    }

    /// Child `at` of `parent`. Levels fall by one, so that every descent ends.
    ///
    /// A child in memory is known by its number: a number is given to another page only when no snapshot needs the page
    /// that had it, and has a new frame from then on. The rest of the pointer stands elsewhere in the parent, and is
    /// read only if there is no frame.
    #[inline]
    pub(crate) fn view_child<'p>(
        &self,
        pin: Option<&'p Pin<'_>>,
        parent: &Node<'_>,
        at: usize,
    ) -> Result<PageRef<'p>, StorageError> {
        let page = parent.child_page(at);
        let frame = match (pin, parent.level()) {
            (None, _) => None,
            (Some(pin), 0..=1) => pin.find::<START>(page),
            (Some(pin), _) => pin.find::<BRANCH_START>(page),
        };
        match frame.filter(|frame| is_below(&Node::new(frame.bytes()), parent)) {
            Some(frame) => {
                check_birth(frame, parent, at)?;
                Ok(PageRef::Pinned(frame))
            }
            None => self.view_child_by_pointer(pin, parent, at),
        }
    }

    /// Child `at` of `parent`, to be searched and, as most searched pages, not to be read beyond that.
    #[inline]
    pub(crate) fn glance_child<'p>(
        &self,
        pin: Option<&'p Pin<'_>>,
        parent: &Node<'_>,
        at: usize,
    ) -> Result<Glance<'p>, StorageError> {
        let page = parent.child_page(at);
        let sight = match (pin, parent.level()) {
            (None, _) => None,
            (Some(pin), 0..=1) => pin.glance::<START>(page),
            (Some(pin), _) => pin.find::<BRANCH_START>(page).map(Sight::new),
        };
        match sight.filter(|sight| is_below(&sight.node(), parent)) {
            Some(sight) => {
                check_birth(sight.frame(), parent, at)?;
                Ok(Glance::Pinned(sight))
            }
            None => self.view_child_by_pointer(pin, parent, at).map(Glance::from),
        }
    }

    #[cold]
    fn view_child_by_pointer<'p>(
        &self,
        pin: Option<&'p Pin<'_>>,
        parent: &Node<'_>,
        at: usize,
    ) -> Result<PageRef<'p>, StorageError> {
        let child = parent.child(at);
        let page = self.view(pin, &child)?;
        if is_below(&Node::new(&page), parent) { Ok(page) } else { Err(damaged(&child, "is out of level")) }
    }

    /// Asks for a page that is in memory, and is about to be read from its start to its end.
    pub(crate) fn prefetch(&self, pin: &Pin<'_>, pointer: &Pointer) {
        if let Some(frame) = pin.get::<START>(pointer.page, pointer.birth) {
            frame.prefetch(self.page_size() / 64);
        }
    }

    /// Asks for the start of a page that is to be searched soon, if it is in memory.
    pub(crate) fn prefetch_start(&self, pointer: &Pointer) {
        self.cache.pin().find::<START>(pointer.page);
    }

    #[cold]
    fn load_missing(&self, pointer: &Pointer) -> Result<FrameRef, StorageError> {
        let bytes = self.read_stored(pointer)?;
        Ok(self.cache.insert_clean(pointer.page, pointer.birth, pointer.level.min(1), bytes))
    }

    /// The page or run that `pointer` names as the storage has it, verified.
    pub(super) fn read_stored(&self, pointer: &Pointer) -> Result<FrameBuf, StorageError> {
        let length = self.checked_length(pointer)?;
        let mut buffer = self.cache.buffer(length);
        self.backend.read(self.geometry.offset(pointer.page), &mut buffer)?;
        check_bytes(&buffer, pointer)?;
        Ok(buffer)
    }

    /// Length in bytes of what `pointer` names, if it can be read and verified.
    pub(super) fn checked_length(&self, pointer: &Pointer) -> Result<usize, StorageError> {
        self.check_open()?;
        if !pointer.is_sealed() {
            return Err(damaged(pointer, "is named without a checksum"));
        }
        self.check_bounds(pointer)
    }

    /// Length in bytes of what `pointer` names, if it lies within the file.
    pub(super) fn check_bounds(&self, pointer: &Pointer) -> Result<usize, StorageError> {
        let pages = pointer.pages(self.page_size());
        let end = u64::from(pointer.page).saturating_add(pages);
        if pointer.page < self.geometry.first_page() || pages == 0 || end > u64::from(self.file_pages()) {
            return Err(damaged(pointer, "lies outside the file"));
        }
        if pointer.is_run() && pointer.size > MAX_RUN {
            return Err(damaged(pointer, "is longer than a value can be"));
        }
        let bytes = if pointer.is_run() { pointer.size } else { self.page_size() as u64 };
        usize::try_from(bytes).map_err(|_| damaged(pointer, "is larger than this machine's memory"))
    }
}

#[inline]
fn is_below(node: &Node<'_>, parent: &Node<'_>) -> bool {
    u16::from(node.level()) + 1 == u16::from(parent.level())
}

/// An error, in tests, if a page was given away while a snapshot needed it.
#[inline]
fn check_birth(frame: &Frame, parent: &Node<'_>, at: usize) -> Result<(), StorageError> {
    if cfg!(feature = "paranoid") && frame.birth() != parent.child(at).birth {
        return Err(damaged(&parent.child(at), "was given away while it was needed"));
    }
    Ok(())
}

/// An error unless these are the bytes that `pointer` names.
pub(super) fn check_bytes(bytes: &[u8], pointer: &Pointer) -> Result<(), StorageError> {
    if Checksum::of(bytes) != pointer.checksum {
        return Err(damaged(pointer, "fails its checksum"));
    }
    if pointer.is_run() { Ok(()) } else { check_page(bytes, pointer) }
}

fn check_page(bytes: &[u8], pointer: &Pointer) -> Result<(), StorageError> {
    Node::validate(bytes).map_err(|fault| damaged(pointer, &format!("is malformed: {fault}")))?;
    let node = Node::new(bytes);
    if node.level() != pointer.level {
        return Err(damaged(pointer, "is of another level"));
    }
    // Who looks for pages in use reads only what the flag tells of: others would be given to somebody else.
    if node.holds_pointers() && !pointer.holds_pointers() {
        return Err(damaged(pointer, "holds pointers that it should not"));
    }
    Ok(())
}

/// The error that says what is wrong with what `pointer` names.
pub(crate) fn damaged(pointer: &Pointer, what: &str) -> StorageError {
    damaged_at(if pointer.is_run() { "run" } else { "page" }, pointer.page, pointer.birth, what)
}

/// The error that says what is wrong with a page that was read.
pub(crate) fn damaged_page(page: &Frame, what: &str) -> StorageError {
    damaged_at("page", page.page(), page.birth(), what)
}

fn damaged_at(kind: &str, page: PageNumber, birth: TxnId, what: &str) -> StorageError {
    StorageError::corrupted(format!("{kind} {page} of transaction {birth} {what}"))
}
