//! The checker as an operation: beside readers and writers, and on to the end whatever it finds.

use super::Database;
use crate::error::{DatabaseError, StorageError};
use crate::format::{CommitSlot, PageNumber};
use crate::pages::{CatalogRow, Held, Inspector, Seen, Store, VerifyLevel, pages_of};
use crate::sync::Arc;
use crate::txn::{ReadTransaction, is_definition, table_of_row, wrong_expiries};
use crate::{blob, index, text};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{Display, Formatter};
use core::ops::ControlFlow;
#[cfg(feature = "std")]
use {super::Builder, std::path::Path};

/// Findings that a report keeps.
const MOST_FINDINGS: usize = 1_000;

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// Pages that were looked at, or need not be.
    pub pages_checked: u64,
    /// Length of the file in pages, free ones included.
    pub file_pages: u64,
}

/// Something that a check found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Number of the page, or of the first page of a long key or value, if it is about one.
    pub page: Option<u64>,
    /// Name of the table that the page belongs to. The list of tables belongs to none.
    pub table: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match &self.table {
            Some(table) => write!(f, "table '{table}': {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// What a check saw and found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntegrityReport {
    /// How thoroughly it looked.
    pub level: VerifyLevel,
    /// Pages of trees that were met, without those that cannot be read.
    pub pages: u64,
    /// Long keys and values, likewise.
    pub runs: u64,
    /// Rows in these pages; in a multimap table each value of a key is one.
    pub rows: u64,
    /// Tables.
    pub tables: u64,
    /// What was found wrong, at most 1,000 of it.
    pub findings: Vec<Finding>,
    /// How much was found wrong.
    pub finding_count: u64,
    /// The check came to its end.
    pub complete: bool,
}

impl IntegrityReport {
    fn new(level: VerifyLevel) -> Self {
        let (findings, complete) = (Vec::new(), false);
        Self { level, pages: 0, runs: 0, rows: 0, tables: 0, findings, finding_count: 0, complete }
    }

    /// Whether everything was looked at, and nothing found wrong.
    pub fn is_clean(&self) -> bool {
        self.complete && self.finding_count == 0
    }

    fn add(&mut self, finding: Finding) {
        self.finding_count += 1;
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        }
    }
}

/// Gathers what a check finds.
struct Findings<'p> {
    /// An error at the first.
    strict: bool,
    report: IntegrityReport,
    table: Option<String>,
    progress: &'p mut dyn FnMut(u64) -> ControlFlow<()>,
}

impl<'p> Findings<'p> {
    fn new(level: VerifyLevel, progress: &'p mut dyn FnMut(u64) -> ControlFlow<()>) -> Self {
        Self { strict: false, report: IntegrityReport::new(level), table: None, progress }
    }

    fn note(&mut self, page: Option<PageNumber>, what: impl Into<String>) {
        self.report.add(Finding { page: page.map(u64::from), table: self.table.clone(), what: what.into() });
    }

    fn into_report(self, seen: &Seen) -> IntegrityReport {
        let Seen { pages, runs, rows, tables, complete, .. } = *seen;
        IntegrityReport { pages, runs, rows, tables, complete, ..self.report }
    }
}

impl Findings<'_> {
    /// Compares the indexes of TTL tables, which are whole, with the rows.
    fn check_expiries(&mut self, store: &Store, held: &Held) -> Result<(), StorageError> {
        for (name, fault) in wrong_expiries(store, held.commit().data)? {
            self.table = Some(name);
            self.hear(None, fault)?;
            self.table = None;
        }
        Ok(())
    }

    /// Compares what the tables of blobs and of indexes say, which are whole, as far as there are codecs to read them.
    fn check_own(&mut self, store: &Arc<Store>, held: &Held) -> Result<(), StorageError> {
        let txn = ReadTransaction::of_held(store, held);
        let mut hear = |fault| self.hear(None, fault);
        let mut compare = || {
            index::check_own(&txn, &mut hear)?;
            text::check(&txn, &mut hear)?;
            blob::check(&txn, &mut hear)
        };
        match compare() {
            // What comes after it cannot be told from what was not read.
            Err(StorageError::CodecUnavailable(_)) => Ok(()),
            checked => checked,
        }
    }

    fn hear(&mut self, page: Option<PageNumber>, fault: StorageError) -> Result<(), StorageError> {
        let what = match (fault, page) {
            (fault, _) if self.strict => return Err(fault),
            (StorageError::Corrupted(what), _) => what,
            (StorageError::Io(err), Some(page)) => format!("page {page} cannot be read: {err}"),
            (fault, _) => return Err(fault),
        };
        self.note(page, what);
        Ok(())
    }
}

impl Inspector for Findings<'_> {
    fn enter_row(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<CatalogRow, &'static str> {
        let (table, row) = table_of_row(key).ok_or("holds a row that is about no table")?;
        self.table = Some(table.name.to_string());
        match (row, value) {
            (CatalogRow::Definition, Some(bytes)) if is_definition(bytes) => Ok(row),
            (CatalogRow::Definition, _) => Err("holds a malformed definition of a table"),
            (CatalogRow::Root | CatalogRow::Expiries, Some(_)) => Err("holds no root where a table's should be"),
            (CatalogRow::Root | CatalogRow::Expiries, None) => Ok(row),
        }
    }

    fn leave_row(&mut self) {
        self.table = None;
    }

    fn fault(&mut self, page: PageNumber, fault: StorageError) -> Result<(), StorageError> {
        self.hear(Some(page), fault)
    }

    fn progress(&mut self, pages: u64) -> ControlFlow<()> {
        (self.progress)(pages)
    }
}

/// Checks the newest commit. The first finding is an error.
pub(super) fn check_strictly(store: &Arc<Store>) -> Result<Seen, StorageError> {
    let mut watch = |_| ControlFlow::Continue(());
    let mut findings = Findings { strict: true, ..Findings::new(VerifyLevel::Rows, &mut watch) };
    let held = Held::begin(store)?;
    let seen = store.check(&held, VerifyLevel::Rows, &mut findings)?;
    findings.check_expiries(store, &held)?;
    findings.check_own(store, &held)?;
    Ok(seen)
}

pub(super) fn check(
    store: &Arc<Store>,
    level: VerifyLevel,
    mut progress: impl FnMut(&VerifyProgress) -> ControlFlow<()>,
) -> Result<IntegrityReport, StorageError> {
    let mut watch = |pages_checked| progress(&VerifyProgress { pages_checked, file_pages: store.file_pages().into() });
    let mut findings = Findings::new(level, &mut watch);
    let held = Held::begin(store)?;
    store.damaged_copies()?.into_iter().for_each(|what| findings.note(None, what));
    let seen = store.check(&held, level, &mut findings)?;
    if level >= VerifyLevel::Rows && seen.complete && findings.report.finding_count == 0 {
        findings.check_expiries(store, &held)?;
        findings.check_own(store, &held)?;
    }
    // What is below damaged pages is not known to be needed.
    if seen.complete
        && findings.report.finding_count == 0
        && let Some(slot) = store.closing_slot().filter(|slot| slot.id == held.commit().id)
    {
        account(store, &slot, &seen, &mut findings);
    }
    Ok(findings.into_report(&seen))
}

pub(super) fn check_quietly(store: &Arc<Store>, level: VerifyLevel) -> Result<IntegrityReport, StorageError> {
    check(store, level, |_| ControlFlow::Continue(()))
}

/// Whether the saved free map has just those pages as allocated that something needs.
fn account(store: &Store, slot: &CommitSlot, seen: &Seen, findings: &mut Findings<'_>) {
    let Some((mut allocated, saved, unsure)) = store.saved_map(slot) else {
        return findings.note(None, "the saved free map is missing or not right");
    };
    let mirror = (slot.file_pages.saturating_sub(1), 1);
    let saved = (saved.page, pages_of(&saved, store.page_size()));
    for (start, pages) in seen.all.iter_ranges().chain([saved, mirror]) {
        if allocated.remove_range(start, pages) != pages {
            findings.note(Some(start), format!("pages {start}+{pages} are free, or used twice"));
        }
    }
    for (start, pages) in allocated.iter_ranges().filter(|_| !unsure) {
        findings.note(Some(start), format!("pages {start}+{pages} are lost"));
    }
}

impl Database {
    /// Checks the newest commit, beside readers and writers, and says all that is wrong with it.
    ///
    /// ```
    /// use sapwood::{Database, TableDefinition, VerifyLevel, backends::InMemoryBackend};
    ///
    /// const RINGS: TableDefinition<&str, u64> = TableDefinition::new("rings");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_table(RINGS)?.insert("oak", 120)?;
    /// txn.commit()?;
    /// let report = db.verify_integrity(VerifyLevel::Rows)?;
    /// assert!(report.is_clean());
    /// assert_eq!((report.tables, report.rows), (1, 1));
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// Nothing is written and nobody waits: unlike [`verify`](Self::verify) it does not ask which pages are free, but
    /// in a file that was closed and not written since. What is below a damaged page is passed over, all else is looked
    /// at; a page that cannot be read is a finding as well. Persistent savepoints are checked, and their rows not
    /// counted. Pages that are only in memory, of commits without durability, are checked as they are there. Memory: a
    /// few bits per page of the file, the longest value, and the findings.
    ///
    /// # Errors
    ///
    /// [`DatabaseClosed`](StorageError::DatabaseClosed), and an error of the storage where header, slots and the list
    /// of savepoints are.
    pub fn verify_integrity(&self, level: VerifyLevel) -> Result<IntegrityReport, DatabaseError> {
        Ok(check_quietly(&self.core.store, level)?)
    }

    /// The same, with a word on how far it is, before the first page and every some hundred pages. A break ends it.
    ///
    /// ```
    /// use sapwood::{Database, VerifyLevel, backends::InMemoryBackend};
    /// use std::ops::ControlFlow;
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let report = db.verify_integrity_with(VerifyLevel::Pages, |progress| {
    ///     println!("{} of {}", progress.pages_checked, progress.file_pages);
    ///     ControlFlow::Break(())
    /// })?;
    /// assert!(!report.complete && !report.is_clean());
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn verify_integrity_with(
        &self,
        level: VerifyLevel,
        progress: impl FnMut(&VerifyProgress) -> ControlFlow<()>,
    ) -> Result<IntegrityReport, DatabaseError> {
        Ok(check(&self.core.store, level, progress)?)
    }

    /// Checks the file of a backup, or of any database that nobody has open: what
    /// [`verify_integrity`](Self::verify_integrity) does, and that it was closed. If nothing else is wrong each of its
    /// pages has to be needed or free, just as its record of free pages says.
    ///
    /// ```
    /// use sapwood::{Database, VerifyLevel};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (path, copy) = (dir.path().join("trees.sapwood"), dir.path().join("copy.sapwood"));
    /// let db = Database::create(path)?;
    /// db.backup(&copy)?;
    /// assert!(Database::verify_backup(&copy, VerifyLevel::Rows)?.is_clean());
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`Builder::open_read_only`]: a file that was cut off does not open.
    #[cfg(feature = "std")]
    pub fn verify_backup(path: impl AsRef<Path>, level: VerifyLevel) -> Result<IntegrityReport, DatabaseError> {
        let db = Builder::new().open_read_only(path)?;
        let mut report = db.verify_integrity(level)?;
        if !db.was_closed() {
            let what = "the file was not closed".to_string();
            report.add(Finding { page: None, table: None, what });
        }
        Ok(report)
    }
}
