//! Which rows two trees do not have alike.
//!
//! Both are walked at once, each in its order. A page that both come to at the same time holds the same rows on both
//! sides, as all that is before it was left behind, and is passed by. Otherwise pages are entered, those of higher
//! levels first, until rows come next on both sides, which are compared. What was changed in between takes each side
//! off the pages that are shared for a leaf or two: where rows are equal again, so are the pages behind them.
//!
//! - Each side holds one page of each level.
//! - Each side enters a page once at most, or the file is damaged.

mod side;
mod window;

use super::get::Slice;
use crate::error::StorageError;
use crate::format::Pointer;
use crate::pages::Store;
use crate::types::Compare;
use core::cmp::Ordering;
use side::{Next, Place, Side};
use window::Window;

/// A row that differs.
#[derive(Debug)]
pub(crate) struct RowDiff {
    pub(crate) key: Slice,
    pub(crate) old: Option<Slice>,
    pub(crate) new: Option<Slice>,
}

/// The rows in which two tables differ, or the pairs of key and value in which two multimaps do. After an error there
/// are no more.
#[derive(Debug, Default)]
pub(crate) struct RowDiffs {
    rows: TreeDiff,
    /// Of multimaps: how values are compared, if that is known.
    sets: Option<Option<Compare>>,
    /// The key whose sets differ, and how.
    members: Option<(Slice, TreeDiff)>,
}

/// A row that is in one of two trees only, or in both with values that are not stored alike.
#[derive(Debug)]
enum Met {
    Old(Place),
    New(Place),
    Both(Place, Place),
}

/// The rows in which two trees, or sets, differ.
#[derive(Debug, Default)]
struct TreeDiff {
    old: Side,
    new: Side,
    /// How keys are compared; `None` if only a type can tell that is not known.
    order: Option<Compare>,
    window: Window,
    /// How many pages both sides have entered.
    entered: u64,
}

/// What a comparison does next.
enum Step {
    End,
    /// Passes by a page that comes next on both sides.
    Share,
    Enter(Option<Pointer>, Option<Pointer>),
    Old,
    New,
    /// Leaves rows behind that have one key. If they are alike, nobody is told.
    Both {
        alike: bool,
    },
}

impl RowDiffs {
    /// Those of the tables, or catalogs, that have these roots.
    pub(crate) fn of_tables(old: Option<Pointer>, new: Option<Pointer>, keys: Option<Compare>) -> Self {
        let rows = TreeDiff::new(Side::of_tree(old), Side::of_tree(new), keys);
        Self { rows, sets: None, members: None }
    }

    /// Those of the multimaps that have these roots.
    pub(crate) fn of_multimaps(
        old: Option<Pointer>,
        new: Option<Pointer>,
        keys: Option<Compare>,
        values: Option<Compare>,
    ) -> Self {
        Self { sets: Some(values), ..Self::of_tables(old, new, keys) }
    }

    pub(crate) fn next(&mut self, store: &Store) -> Result<Option<RowDiff>, StorageError> {
        let next = if self.sets.is_some() { self.next_pair(store) } else { self.next_row(store) };
        self.settle(next)
    }

    /// The next key whose entries differ, whatever they hold.
    pub(crate) fn next_key(&mut self, store: &Store) -> Result<Option<Slice>, StorageError> {
        let key = self.rows.next(store).and_then(|met| met.map(|met| met.key(store)).transpose());
        self.settle(key)
    }

    fn settle<T>(&mut self, next: Result<Option<T>, StorageError>) -> Result<Option<T>, StorageError> {
        if !matches!(next, Ok(Some(_))) {
            *self = Self::default();
        }
        next
    }

    fn next_row(&mut self, store: &Store) -> Result<Option<RowDiff>, StorageError> {
        while let Some(met) = self.rows.next(store)? {
            let row = met.row(store, Place::value)?;
            if row.old.as_deref() != row.new.as_deref() {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn next_pair(&mut self, store: &Store) -> Result<Option<RowDiff>, StorageError> {
        loop {
            if let Some((key, members)) = &mut self.members {
                if let Some(met) = members.next(store)? {
                    return Ok(Some(RowDiff { key: key.clone(), ..met.row(store, Place::key)? }));
                }
                self.rows.entered = members.entered;
            }
            let Some(met) = self.rows.next(store)? else { return Ok(None) };
            self.members = Some((met.key(store)?, self.compare_sets(store, &met)?));
        }
    }

    fn compare_sets(&self, store: &Store, met: &Met) -> Result<TreeDiff, StorageError> {
        let order = self.sets.flatten();
        let side = |place: Option<&Place>| place.map_or(Ok(Side::default()), |place| place.members(store, order));
        let members = TreeDiff::new(side(met.old_row())?, side(met.new_row())?, order);
        Ok(TreeDiff { entered: self.rows.entered, ..members })
    }
}

impl Met {
    fn old_row(&self) -> Option<&Place> {
        match self {
            Self::Old(place) | Self::Both(place, _) => Some(place),
            Self::New(_) => None,
        }
    }

    fn new_row(&self) -> Option<&Place> {
        match self {
            Self::New(place) | Self::Both(_, place) => Some(place),
            Self::Old(_) => None,
        }
    }

    fn key(&self, store: &Store) -> Result<Slice, StorageError> {
        match self {
            Self::Old(place) | Self::New(place) | Self::Both(_, place) => place.key(store),
        }
    }

    /// Key, and what `read` makes of each side.
    fn row(
        &self,
        store: &Store,
        read: impl Fn(&Place, &Store) -> Result<Slice, StorageError>,
    ) -> Result<RowDiff, StorageError> {
        let side = |place: Option<&Place>| place.map(|place| read(place, store)).transpose();
        Ok(RowDiff { key: self.key(store)?, old: side(self.old_row())?, new: side(self.new_row())? })
    }
}

impl TreeDiff {
    fn new(old: Side, new: Side, order: Option<Compare>) -> Self {
        Self { old, new, order, ..Self::default() }
    }

    fn next(&mut self, store: &Store) -> Result<Option<Met>, StorageError> {
        match self.order {
            Some(compare) => self.next_in_order(store, compare),
            None => self.next_unordered(store),
        }
    }

    fn next_in_order(&mut self, store: &Store, compare: Compare) -> Result<Option<Met>, StorageError> {
        loop {
            match self.step(store, compare)? {
                Step::End => return Ok(None),
                Step::Share | Step::Both { alike: true } => self.pass_both(),
                Step::Enter(old, new) => self.enter(store, old, new)?,
                Step::Old => return Ok(self.old.take().map(Met::Old)),
                Step::New => return Ok(self.new.take().map(Met::New)),
                Step::Both { alike: false } => return Ok(self.take_both()),
            }
        }
    }

    fn step(&self, store: &Store, compare: Compare) -> Result<Step, StorageError> {
        Ok(match (self.old.next(), self.new.next()) {
            (Next::End, Next::End) => Step::End,
            (Next::Subtree(old), Next::Subtree(new)) => step_of_pages(old, new),
            (Next::Subtree(page), _) => Step::Enter(Some(page), None),
            (_, Next::Subtree(page)) => Step::Enter(None, Some(page)),
            (Next::Row(_), Next::End) => Step::Old,
            (Next::End, Next::Row(_)) => Step::New,
            (Next::Row(old), Next::Row(new)) => match old.compare(new, store, compare)? {
                Ordering::Less => Step::Old,
                Ordering::Greater => Step::New,
                Ordering::Equal => Step::Both { alike: old.has_value_of(new) },
            },
        })
    }

    fn take_both(&mut self) -> Option<Met> {
        self.old.take().zip(self.new.take()).map(|(old, new)| Met::Both(old, new))
    }

    fn pass_both(&mut self) {
        self.old.pass();
        self.new.pass();
    }

    fn enter(&mut self, store: &Store, old: Option<Pointer>, new: Option<Pointer>) -> Result<(), StorageError> {
        for (side, page) in [(&mut self.old, old), (&mut self.new, new)] {
            let Some(page) = page else { continue };
            side.enter(store, &page)?;
            self.entered += 1;
        }
        // In a damaged file many ways may lead to one page, more than there is time for.
        if self.entered > 2 * u64::from(store.file_pages()) {
            return Err(StorageError::corrupted("a tree links some pages more than once"));
        }
        Ok(())
    }
}

/// What is done about pages that come next on both sides.
fn step_of_pages(old: Pointer, new: Pointer) -> Step {
    if old == new {
        return Step::Share;
    }
    Step::Enter((old.level >= new.level).then_some(old), (new.level >= old.level).then_some(new))
}
