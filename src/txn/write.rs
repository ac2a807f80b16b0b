use super::catalog::{self, Definition, OwnedTableId, Space, TableEntry, TableId, TableKind};
use super::cdc;
use super::cell::{ReservedRow, TableCell};
use super::definition::{
    MultimapTableDefinition, MultimapTableHandle, TableDefinition, TableHandle, TtlTableDefinition, TtlTableHandle,
};
use super::event::BlobChange;
use super::history::{self, retention};
use super::log::{Log, Recorder, Staged};
use super::merges::MergeRoom;
use super::savepoint::Undo;
use super::sealed::Sealed;
use super::system::{self, SystemEditor};
use crate::btree::{Change, ChangeSink, MultimapKind, NewValue, Target, Tree, TreeEditor, TreeKind, get};
use crate::changes::CdcMode;
use crate::clock::TransactionTime;
use crate::compression::Compression;
use crate::error::{CommitError, SetDurabilityError, StorageError, TableError};
use crate::format::{Pointer, TxnId};
use crate::merge::NamedOperator;
use crate::pages::{Class, Commit, CommitMode, PageWriter, Store};
use crate::settings::Settings;
use crate::sync::{Arc, AtomicBool, GatePass, Mutex, MutexGuard, Ordering};
use crate::table::{MultimapTable, OpenTable, Table, TtlTable, expiries_kind, row_kind};
use crate::types::{Key, KeyType, Value};
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt::{Debug, Formatter};
use core::panic::Location;

/// What a commit promises when it returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Readers see it. It reaches the disk with the next durable commit, or is lost as a whole.
    None,
    /// It survives power loss.
    #[default]
    Immediate,
}

/// The trees of an open table: its rows, and of a TTL table when they expire.
#[derive(Clone, Debug)]
pub(crate) struct TableCells {
    pub(crate) rows: Arc<TableCell>,
    pub(crate) expiries: Option<Arc<TableCell>>,
}

/// One tree of a table, and the root that the catalog names.
#[derive(Debug)]
pub(super) struct StoredTree {
    cell: Arc<TableCell>,
    stored: Option<Pointer>,
}

impl StoredTree {
    fn new(kind: TreeKind, stored: Option<Pointer>, room: &Arc<MergeRoom>) -> Self {
        Self { cell: TableCell::new(Tree::new(kind, stored, Class::Data), room.clone()), stored }
    }

    /// Seals the tree, and gives its root if the catalog names another.
    fn seal(&mut self, pages: &PageWriter) -> Result<Option<Option<Pointer>>, StorageError> {
        let root = self.cell.edit(pages, |tree| tree.seal(pages))?;
        Ok((core::mem::replace(&mut self.stored, root) != root).then_some(root))
    }
}

#[derive(Debug)]
pub(super) struct TableState {
    rows: StoredTree,
    expiries: Option<StoredTree>,
    open: Option<&'static Location<'static>>,
}

impl TableState {
    fn new(kind: TreeKind, definition: &Definition, entry: Option<&TableEntry>, tables: &Tables) -> Self {
        let tree = |kind, root| StoredTree::new(kind, root, &tables.room);
        let rows = tree(kind, entry.and_then(|entry| entry.root));
        let expiries = (definition.kind == TableKind::Ttl).then(|| {
            let kind = expiries_kind(tables.store().page_size());
            tree(kind, entry.and_then(|entry| entry.expiries))
        });
        Self { rows, expiries, open: None }
    }

    fn cells(&self) -> TableCells {
        TableCells {
            rows: self.rows.cell.clone(),
            expiries: self.expiries.as_ref().map(|expiries| expiries.cell.clone()),
        }
    }

    pub(super) fn rows(&self) -> &Arc<TableCell> {
        &self.rows.cell
    }

    fn trees(&self) -> impl Iterator<Item = &StoredTree> {
        core::iter::once(&self.rows).chain(&self.expiries)
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The roots of all that the table's trees answer for.
    pub(super) fn roots(&self, pages: &PageWriter) -> Result<Vec<Pointer>, StorageError> {
        let mut roots = Vec::new();
        for tree in self.trees() {
            roots.extend(tree.cell.tree(pages)?.roots());
        }
        Ok(roots)
    }

    /// The roots of rows and expiries as they are.
    pub(super) fn current_roots(&self, pages: &PageWriter) -> Result<[Option<Pointer>; 2], StorageError> {
        let root = |tree: &StoredTree| tree.cell.tree(pages).map(|tree| tree.root);
        Ok([root(&self.rows)?, self.expiries.as_ref().map_or(Ok(None), root)?])
    }
}

/// The tables of a write transaction: the catalog's tree, and those that were opened.
#[derive(Debug)]
pub(crate) struct Tables {
    pages: PageWriter,
    pub(super) state: Mutex<State>,
    system: Mutex<Tree>,
    pub(super) log: Log,
    /// A table was opened, renamed or deleted, or a savepoint restored.
    dirty: AtomicBool,
    time: TransactionTime,
    pub(super) room: Arc<MergeRoom>,
    /// Held by who works on tables of the database's own.
    alone: Mutex<()>,
}

/// What a table does with its changes.
#[derive(Debug)]
pub(crate) struct Opening {
    /// What is logged of it.
    pub(crate) mode: CdcMode,
    /// The operator that its definition names.
    pub(crate) operator: Option<NamedOperator>,
}

/// The sealed roots of a transaction's trees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roots {
    data: Option<Pointer>,
    system: Option<Pointer>,
}

/// What a transaction can go back to.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    roots: Roots,
    log: Staged,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) catalog: Tree,
    pub(super) tables: BTreeMap<OwnedTableId, TableState>,
}

impl State {
    /// No table was opened yet of those under this data root.
    fn new(page_size: usize, root: Option<Pointer>) -> Self {
        Self { catalog: Tree::new(catalog::kind(page_size), root, Class::Data), tables: BTreeMap::new() }
    }

    /// An error while the table is open.
    pub(super) fn check_closed(&self, table: TableId<'_>) -> Result<(), TableError> {
        match self.tables.get(&table.owned()).and_then(|table| table.open) {
            Some(earlier) => Err(TableError::TableAlreadyOpen(table.name.to_string(), earlier)),
            None => Ok(()),
        }
    }
}

impl Tables {
    fn new(pages: PageWriter) -> Result<Self, StorageError> {
        let log = Log::begin(pages.store(), pages.base().system, pages.id())?;
        let state = Mutex::new(State::new(pages.store().page_size(), pages.base().data));
        let system = Mutex::new(system::tree(pages.store(), pages.base().system));
        let room = MergeRoom::new(pages.store().cache().budget());
        let time = TransactionTime::default();
        Ok(Self { pages, state, system, log, dirty: AtomicBool::new(false), time, room, alone: Mutex::new(()) })
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Relaxed)
    }

    pub(super) fn mark_dirty(&self) {
        self.dirty.store(true, Ordering::Relaxed);
    }

    pub(crate) fn pages(&self) -> &PageWriter {
        &self.pages
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        self.pages.store()
    }

    /// The time that the whole transaction sees.
    pub(crate) fn now(&self) -> Result<u64, StorageError> {
        self.time.now(&self.store().settings().time)
    }

    fn has(&self, id: TableId<'_>) -> Result<bool, StorageError> {
        let state = self.state.lock();
        let is_open = state.tables.contains_key(&id.owned());
        Ok(is_open || catalog::look_up(self.store(), state.catalog.root, id)?.is_some())
    }

    /// Opens a table, making it if there is none of that name.
    fn open(
        &self,
        id: TableId<'_>,
        wanted: &Definition,
        kind: TreeKind,
        place: &'static Location<'static>,
    ) -> Result<(TableCells, Opening), TableError> {
        let mode = if id.space == Space::Tables { self.log_mode(id.name)? } else { CdcMode::Off };
        let mut state = self.state.lock();
        state.check_closed(id)?;
        let entry = catalog::look_up(self.store(), state.catalog.root, id)?;
        let definition = self.settle_definition(&mut state.catalog, id, entry.as_ref(), wanted)?;
        let kind = kind.packed_with(definition.codec);
        let fresh = || TableState::new(kind, &definition, entry.as_ref(), self);
        let table = state.tables.entry(id.owned()).or_insert_with(fresh);
        table.open = Some(place);
        self.mark_dirty();
        let cells = table.cells();
        let operator = definition.merge.map(|name| self.store().settings().operators.named(name));
        Ok((cells, Opening { mode, operator }))
    }

    /// Tells the change log of a value that was filled in since. Breaks the transaction if it fails.
    pub(crate) fn settle_reserved(&self, table: &str, cell: &Arc<TableCell>) -> Result<(), StorageError> {
        let Some(row) = cell.take_reserved() else { return Ok(()) };
        self.or_break(self.tell_reserved(table, cell, row))
    }

    fn tell_reserved(&self, table: &str, cell: &Arc<TableCell>, row: ReservedRow) -> Result<(), StorageError> {
        let ReservedRow { key, old, mode } = row;
        let _loan = cell.lend();
        let tree = cell.tree(&self.pages)?;
        let Some(root) = tree.root else { return Ok(()) };
        let new = get(self.store(), &tree.kind, &root, &key)?;
        let mut recorder = Recorder { tables: self, table, mode, multimap: false };
        recorder.changed(Change { key: &key, old: old.as_deref(), new: new.as_deref() })
    }

    /// The definition of a table that is opened as `wanted`: what the catalog says, and what it is to say from now on.
    fn settle_definition(
        &self,
        catalog: &mut Tree,
        id: TableId<'_>,
        entry: Option<&TableEntry>,
        wanted: &Definition,
    ) -> Result<Definition, TableError> {
        let Some(entry) = entry else {
            wanted.codec.check()?;
            self.define(catalog, id, wanted)?;
            if id.space == Space::Tables {
                self.log_created(id.name, wanted)?;
            }
            return Ok(wanted.clone());
        };
        entry.definition.check(id.name, wanted)?;
        let definition = entry.definition.clone().or_merged_by(wanted.merge.as_deref());
        if definition != entry.definition {
            self.define(catalog, id, &definition)?;
        }
        Ok(definition)
    }

    pub(super) fn define(
        &self,
        catalog: &mut Tree,
        id: TableId<'_>,
        definition: &Definition,
    ) -> Result<(), StorageError> {
        let row = definition.encode();
        let mut sink = ();
        let mut editor = TreeEditor::new(&self.pages, catalog, &mut sink);
        editor.insert(&catalog::definition_key(id), NewValue::Bytes(&row)).map(|_| ())
    }

    /// A table is not worked on any more: no merges wait in it, and the change log has heard of all its rows.
    pub(crate) fn closed(&self, id: TableId<'_>, cell: &Arc<TableCell>) {
        // A failure breaks the transaction, so that the commit tells of it.
        let _ = cell.settle(&self.pages).and_then(|()| self.settle_reserved(id.name, cell));
        if let Some(table) = self.state.lock().tables.get_mut(&id.owned()) {
            table.open = None;
        }
    }

    /// Brings the merges of all tables to their trees, if they take more memory than they may.
    pub(crate) fn relieve_merges(&self) -> Result<(), StorageError> {
        if !self.room.is_full() {
            return Ok(());
        }
        self.state.lock().tables.values().try_for_each(|table| table.rows().settle(&self.pages))
    }

    /// Seals and writes the pages of all tables that nobody is working on, if sealing the caller's own was not enough.
    pub(crate) fn relieve(&self) -> Result<(), StorageError> {
        if !self.pages.is_pressed() {
            return Ok(());
        }
        let Some(state) = self.state.try_lock() else { return Ok(()) };
        if !self.pages.take_pressure() {
            return Ok(());
        }
        let seal = |tree: &StoredTree| tree.cell.seal_if_idle(&self.pages);
        let sealed = state.tables.values().flat_map(TableState::trees).try_for_each(seal);
        let sealed = sealed.and_then(|()| self.relieve_system());
        drop(state);
        let written = sealed.and_then(|()| self.pages.write_sealed());
        if written.is_err() {
            self.pages.mark_broken();
        }
        written
    }

    fn relieve_system(&self) -> Result<(), StorageError> {
        self.system.try_lock().map_or(Ok(()), |mut system| system.seal(&self.pages).map(|_| ()))
    }

    /// Changes rows of the system tree.
    pub(super) fn change_system<T>(
        &self,
        change: impl FnOnce(&mut SystemEditor<'_>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        change(&mut SystemEditor::new(&self.pages, &mut self.system.lock()))
    }

    /// Reads rows of the system tree, under its lock: events that come from another thread change its pages where they
    /// are.
    pub(super) fn read_system<T>(
        &self,
        read: impl FnOnce(&Store, Option<Pointer>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let system = self.system.lock();
        read(self.store(), system.root)
    }

    /// Seals every changed table, the catalog and the system tree.
    fn seal(&self) -> Result<Roots, StorageError> {
        Ok(Roots { data: self.seal_data()?, system: self.system.lock().seal(&self.pages)? })
    }

    /// Seals every changed table and the catalog, and gives the data root.
    fn seal_data(&self) -> Result<Option<Pointer>, StorageError> {
        let mut state = self.state.lock();
        let State { catalog, tables } = &mut *state;
        for ((space, name), table) in tables {
            let id = TableId { space: *space, name };
            self.settle_reserved(name, table.rows())?;
            if let Some(root) = table.rows.seal(&self.pages)? {
                self.store_root(catalog, &catalog::root_key(id), root)?;
            }
            if let Some(root) = table.expiries.as_mut().map_or(Ok(None), |tree| tree.seal(&self.pages))? {
                self.store_root(catalog, &catalog::expiries_key(id), root)?;
            }
        }
        catalog.seal(&self.pages)
    }

    /// Goes on from another data root.
    fn reset(&mut self, root: Option<Pointer>) {
        self.state = Mutex::new(State::new(self.store().page_size(), root));
    }

    /// Makes all tables what they were under `root`, which a snapshot keeps, after the commit of this id. Breaks the
    /// transaction if it fails.
    pub(super) fn restore(&mut self, root: Option<Pointer>, commit: TxnId) -> Result<(), StorageError> {
        self.mark_dirty();
        let relinked = self.seal().and_then(|current| self.pages.relink(current.data, root));
        if relinked.is_err() {
            self.pages.mark_broken();
        }
        self.reset(root);
        relinked?;
        self.log_reverted(commit)
    }

    /// Seals everything, and gives what to go back to.
    pub(super) fn checkpoint(&mut self) -> Result<Stage, StorageError> {
        let roots = self.seal()?;
        self.pages.checkpoint()?;
        Ok(Stage { roots, log: self.log.staged() })
    }

    /// Seals a part of the transaction's work, and closes its tables.
    pub(super) fn finish_part(&mut self) -> Result<(), CommitError> {
        self.pages.check_committable()?;
        let roots = self.seal()?;
        self.reset(roots.data);
        Ok(())
    }

    pub(super) fn roll_back(&mut self, nth: usize, stage: Stage, dirty: bool) -> Result<(), StorageError> {
        self.pages.roll_back(nth)?;
        self.reset(stage.roots.data);
        self.system = Mutex::new(system::tree(self.store(), stage.roots.system));
        self.log.reset(stage.log);
        self.dirty = AtomicBool::new(dirty);
        Ok(())
    }

    pub(super) fn release_checkpoint(&mut self, nth: usize) {
        self.pages.release_checkpoint(nth);
    }

    pub(super) fn store_root(&self, catalog: &mut Tree, key: &[u8], root: Option<Pointer>) -> Result<(), StorageError> {
        let mut sink = ();
        let mut editor = TreeEditor::new(&self.pages, catalog, &mut sink);
        match root {
            Some(root) => editor.insert(key, NewValue::Subtree(root)).map(|_| ()),
            None => editor.remove(&Target::Key(key)).map(|_| ()),
        }
    }
}

/// What is to be done before a commit.
pub(crate) type BeforeCommit = fn(&WriteTransaction) -> Result<(), StorageError>;

/// The one transaction that may change the database. Dropping it undoes its changes.
///
/// ```
/// use sapwood::{Database, Durability, TableDefinition, backends::InMemoryBackend};
///
/// const COUNTS: TableDefinition<&str, u64> = TableDefinition::new("counts");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let mut txn = db.begin_write()?;
/// txn.set_durability(Durability::None)?;
/// {
///     let mut counts = txn.open_table(COUNTS)?;
///     counts.insert("rings", 7)?;
/// }
/// txn.commit()?;
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct WriteTransaction {
    pub(super) tables: Tables,
    durability: Durability,
    two_phase: bool,
    quick_repair: bool,
    finished: bool,
    before_commit: Mutex<Option<BeforeCommit>>,
    pub(super) undo: Mutex<Undo>,
    // The gate opens before the database that the keeper keeps open can close.
    _pass: GatePass,
    _keeper: Arc<dyn Any + Send + Sync>,
}

impl WriteTransaction {
    pub(crate) fn begin(
        store: &Arc<Store>,
        pass: GatePass,
        keeper: Arc<dyn Any + Send + Sync>,
    ) -> Result<Self, StorageError> {
        store.prepare_writes()?;
        Ok(Self {
            tables: Tables::new(PageWriter::begin(store.clone())?)?,
            durability: Durability::default(),
            two_phase: false,
            quick_repair: false,
            finished: false,
            before_commit: Mutex::default(),
            undo: Mutex::default(),
            _pass: pass,
            _keeper: keeper,
        })
    }

    /// Opens a table, making it if there is none of that name.
    ///
    /// # Errors
    ///
    /// [`TableAlreadyOpen`](TableError::TableAlreadyOpen) while it is open in this transaction,
    /// [`TableTypeMismatch`](TableError::TableTypeMismatch) and its kin if it is of other types,
    /// [`MergeOperatorMismatch`](TableError::MergeOperatorMismatch) if it has another merge operator.
    #[track_caller]
    pub fn open_table<'txn, K: Key + 'static, V: Value + 'static>(
        &'txn self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<Table<'txn, K, V>, TableError> {
        let geometry = self.tables.store().geometry();
        let kind = TreeKind::new(KeyType::of::<K>(), V::fixed_width(), geometry.page_size);
        let codec = definition.compression().map_or(Ok(geometry.codec), Compression::codec)?;
        let wanted = Definition::of::<K, V>().packed_with(codec).or_merged_by(definition.merge());
        self.open(definition.name(), &wanted, kind, Location::caller()).map(Table::new)
    }

    /// Opens a multimap table, making it if there is none of that name.
    ///
    /// # Errors
    ///
    /// As of [`open_table`](Self::open_table), but [`TableIsNotMultimap`](TableError::TableIsNotMultimap) for a table
    /// that is none.
    #[track_caller]
    pub fn open_multimap_table<'txn, K: Key + 'static, V: Key + 'static>(
        &'txn self,
        definition: MultimapTableDefinition<'_, K, V>,
    ) -> Result<MultimapTable<'txn, K, V>, TableError> {
        let wanted = Definition::of::<K, V>().with_kind(TableKind::Multimap);
        let page_size = self.tables.store().page_size();
        let kind = MultimapKind::new(KeyType::of::<K>(), KeyType::of::<V>(), page_size);
        let open = self.open(definition.name(), &wanted, kind.keys, Location::caller())?;
        Ok(MultimapTable::new(open, kind))
    }

    /// Opens a table whose rows may expire, making it if there is none of that name.
    ///
    /// The first one that is opened reads the [clock](crate::Builder::set_clock), once for the whole transaction, whose
    /// commit is then dated.
    ///
    /// # Errors
    ///
    /// As of [`open_table`](Self::open_table), but [`TableIsNotTtl`](TableError::TableIsNotTtl) for a table of another
    /// kind; [`ClockMissing`](StorageError::ClockMissing) without a clock.
    #[track_caller]
    pub fn open_ttl_table<'txn, K: Key + 'static, V: Value + 'static>(
        &'txn self,
        definition: TtlTableDefinition<'_, K, V>,
    ) -> Result<TtlTable<'txn, K, V>, TableError> {
        let now = self.tables.now()?;
        let geometry = self.tables.store().geometry();
        let kind = row_kind::<K, V>(geometry.page_size);
        let codec = definition.compression().map_or(Ok(geometry.codec), Compression::codec)?;
        let wanted = Definition::of::<K, V>().with_kind(TableKind::Ttl).packed_with(codec);
        let open = self.open(definition.name(), &wanted, kind, Location::caller())?;
        Ok(TtlTable::new(Table::new(open), now, definition.default_ttl()))
    }

    fn open(
        &self,
        name: &str,
        definition: &Definition,
        kind: TreeKind,
        place: &'static Location<'static>,
    ) -> Result<OpenTable<'_>, TableError> {
        catalog::check_name(name)?;
        definition.merge.as_deref().map_or(Ok(()), catalog::check_name)?;
        let id = TableId::of_user(name);
        let (cells, opening) = self.tables.open(id, definition, kind, place)?;
        Ok(OpenTable::new(id, &self.tables, cells, opening))
    }

    /// Lets one thread at a time work on tables of the database's own, of which a change may need several.
    pub(crate) fn work_alone(&self) -> MutexGuard<'_, ()> {
        self.tables.alone.lock()
    }

    /// Opens a table of the database's own, making it if there is none. Who opens one [works alone](Self::work_alone).
    pub(crate) fn open_own<K: Key + 'static, V: Value + 'static>(
        &self,
        id: TableId<'_>,
    ) -> Result<Table<'_, K, V>, StorageError> {
        let geometry = self.tables.store().geometry();
        let kind = TreeKind::new(KeyType::of::<K>(), V::fixed_width(), geometry.page_size);
        let wanted = Definition::of::<K, V>().packed_with(geometry.codec);
        let opened = self.tables.open(id, &wanted, kind, Location::caller()).map_err(catalog::malformed_own);
        opened.map(|(cells, opening)| Table::new(OpenTable::new(id, &self.tables, cells, opening)))
    }

    /// The same if there is one.
    pub(crate) fn open_own_if_any<K: Key + 'static, V: Value + 'static>(
        &self,
        id: TableId<'_>,
    ) -> Result<Option<Table<'_, K, V>>, StorageError> {
        if self.tables.has(id)? { self.open_own(id).map(Some) } else { Ok(None) }
    }

    /// Passes on how a change of several of these tables ended; half of one must not be committed.
    pub(crate) fn or_break<T>(&self, changed: Result<T, StorageError>) -> Result<T, StorageError> {
        self.tables.or_break(changed)
    }

    /// The time that the whole transaction sees.
    pub(crate) fn now(&self) -> Result<u64, StorageError> {
        self.tables.now()
    }

    /// Takes the next number of a counter, from 1 on, which no other commit takes.
    pub(crate) fn take_number(&self, counter: &str) -> Result<u64, StorageError> {
        let id = self.tables.pages.id();
        self.tables.change_system(|rows| system::take_number(rows, counter, id))
    }

    /// Takes a number of a counter that is greater than those before, and not less than `least`.
    pub(crate) fn take_number_from(&self, counter: &str, least: u64) -> Result<u64, StorageError> {
        self.tables.change_system(|rows| system::take_number_from(rows, counter, least))
    }

    /// Has this done when the transaction is committed, before its trees are sealed.
    pub(crate) fn before_commit(&self, what: BeforeCommit) {
        *self.before_commit.lock() = Some(what);
    }

    /// Tells the change log of a blob.
    pub(crate) fn log_blob(&self, id: u64, what: BlobChange) -> Result<(), StorageError> {
        self.tables.log_blob(id, what)
    }

    /// What the builder said of the database.
    pub(crate) fn settings(&self) -> &Settings {
        self.tables.store().settings()
    }

    pub(super) fn durability(&self) -> Durability {
        self.durability
    }

    /// Chooses what [`commit`](Self::commit) promises. [`Durability::Immediate`] unless said otherwise.
    ///
    /// # Errors
    ///
    /// [`PersistentSavepointModified`](SetDurabilityError::PersistentSavepointModified) if the transaction has made or
    /// deleted persistent savepoints and is to promise less.
    pub fn set_durability(&mut self, durability: Durability) -> Result<(), SetDurabilityError> {
        if durability != Durability::Immediate && !self.undo.lock().changes.is_empty() {
            return Err(SetDurabilityError::PersistentSavepointModified);
        }
        self.durability = durability;
        Ok(())
    }

    /// Whether the commit syncs its pages before it writes the slot that names them, so that not even a torn write of
    /// a hostile disk can leave a valid slot with damaged pages. Costs one more sync.
    pub fn set_two_phase_commit(&mut self, enabled: bool) {
        self.two_phase = enabled;
    }

    /// Whether the commit also saves what opening after a crash would otherwise find out. Implies a two-phase commit.
    pub fn set_quick_repair(&mut self, enabled: bool) {
        self.quick_repair = enabled;
    }

    /// Makes the changes permanent, and seen by readers that begin from now on.
    ///
    /// # Errors
    ///
    /// After an error nothing of the transaction is seen. If a write or sync failed, the database refuses further
    /// writes until it is opened anew.
    pub fn commit(mut self) -> Result<(), CommitError> {
        let pages = &self.tables.pages;
        pages.store().check_usable()?;
        pages.check_committable()?;
        let before = self.before_commit.lock().take();
        before.map_or(Ok(()), |before| before(&self))?;
        let durable = self.durability == Durability::Immediate;
        let mode = CommitMode {
            durable,
            two_phase: self.two_phase || self.quick_repair,
            saves_state: self.quick_repair,
            ..CommitMode::default()
        };
        let mut commit = Commit { id: pages.id(), data: self.tables.seal_data()?, ..*pages.base() };
        let deletes = self.store_savepoints()?;
        let retains = !self.tables.read_system(retention)?.is_off();
        let time = &pages.store().settings().time;
        self.tables.flush_log()?;
        let logged = self.tables.log.staged();
        if time.is_chosen() || retains || logged.count > 0 || self.tables.time.is_known() {
            commit.time = time.after(commit.time);
        }
        self.tables.change_system(|rows| cdc::finish(rows, &self.tables.log, &logged, &commit))?;
        let record = |rows: &mut SystemEditor<'_>| history::record(rows, &commit);
        let let_go = if durable { self.tables.change_system(record)? } else { Vec::new() };
        commit.system = self.tables.seal()?.system;
        pages.store().set_deleting_references(deletes || !let_go.is_empty());
        pages.commit(commit, CommitMode { refers_to_itself: durable && retains, ..mode })?;
        pages.store().retire_references(let_go);
        self.settle_savepoints();
        self.finished = true;
        Ok(())
    }

    /// Undoes the transaction's changes, as dropping it does.
    pub fn abort(mut self) -> Result<(), StorageError> {
        self.undo();
        Ok(())
    }

    fn undo(&mut self) {
        if !core::mem::replace(&mut self.finished, true) {
            self.tables.pages.abort();
        }
        self.forget_savepoints();
    }
}

impl Sealed for WriteTransaction {}

impl Drop for WriteTransaction {
    fn drop(&mut self) {
        self.undo();
    }
}

impl Debug for WriteTransaction {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WriteTransaction").field("id", &self.tables.pages.id()).finish_non_exhaustive()
    }
}
