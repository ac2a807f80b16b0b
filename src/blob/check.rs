//! Whether the tables of blobs say the same: what the records say is looked up in all others, and what is left over there is
//! walked over, so that no ids are held, however many there are.

mod pieces;

use super::content::{chunk, chunk_key, chunk_of, length_of};
use super::dedup::ContentHash;
use super::pieces::are_of;
use super::record::{BlobId, Content, Record};
use super::tables::*;
use super::tags::blob;
use super::totals::{self, Total};
use crate::error::StorageError;
use crate::index::{Hear, OwnTables, Part, Rows, Shown, check_edges, check_tags};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use core::cell::Cell;
use core::ops::{Bound, RangeInclusive};
use pieces::{PieceTables, owned_in};
use sha2::{Digest, Sha256};

/// Contents whose blobs are counted in one walk over all records.
const BATCH: usize = 1 << 14;

fn fault(hear: &mut Hear<'_>, what: impl Into<String>) -> Result<(), StorageError> {
    hear(StorageError::corrupted(what))
}

/// Compares all tables of blobs, and shared contents with their hashes.
pub(crate) fn check(tables: &impl OwnTables, hear: &mut Hear<'_>) -> Result<(), StorageError> {
    let blobs = match Blobs::open(tables) {
        Ok(blobs) => blobs,
        Err(err) => return hear(err),
    };
    let is_there = |id: &[u8]| blob(id.to_vec()).map_or(Ok(false), |id| blobs.records.has(id.sequence()));
    check_tags(tables, BLOBS, &is_there, hear)?;
    check_edges(tables, BLOBS, &is_there, hear)?;
    let mut sums = Sums::default();
    blobs.check_records(&mut sums, hear).or_else(&mut *hear)?;
    blobs.check_left_over(hear).or_else(&mut *hear)?;
    blobs.check_namespaces(hear).or_else(&mut *hear)?;
    blobs.check_shared(&mut sums, hear).or_else(&mut *hear)?;
    blobs.check_pieces(&mut sums, hear).or_else(&mut *hear)?;
    blobs.check_owners(&sums, hear).or_else(&mut *hear)?;
    blobs.check_totals(&sums, hear).or_else(&mut *hear)
}

/// An index of blobs, and how many of its rows records have asked for.
struct Index<'t, T: OwnTables + 't, P: Part> {
    what: &'static str,
    rows: Rows<'t, T, P>,
    found: Cell<u64>,
}

impl<'t, T: OwnTables, P: Part<Key = PairKey>> Index<'t, T, P> {
    fn open(tables: &'t T, what: &'static str) -> Result<Self, StorageError> {
        Ok(Self { what, rows: Rows::open(tables, BLOBS)?, found: Cell::new(0) })
    }

    /// Tells of a blob that is not under that number.
    fn look_up(&self, id: BlobId, number: u64, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        if self.rows.has(pair_key(number, id))? {
            self.found.set(self.found.get() + 1);
            return Ok(());
        }
        fault(hear, format!("blob {id}: is not among the {} under {number}", self.what))
    }

    /// Tells of rows that no record has asked for. By a record `wanted` says under which number its blob is to be.
    fn check_left_over(
        &self,
        blobs: &Blobs<'_, T>,
        wanted: impl Fn(&Record) -> Result<Option<u64>, StorageError>,
        hear: &mut Hear<'_>,
    ) -> Result<(), StorageError> {
        if self.found.get() == self.rows.len()? {
            return Ok(());
        }
        for row in self.rows.iter()? {
            let (number, id) = pair_of(row?.0.value());
            if blobs.record(id)?.map_or(Ok(None), |record| wanted(&record))? != Some(number) {
                fault(hear, format!("blob {id}: is among the {} under {number}, and should not be", self.what))?;
            }
        }
        Ok(())
    }

    /// How many blobs are under a number.
    fn count(&self, number: u64) -> Result<u64, StorageError> {
        self.rows.count(under(number))
    }

    fn blobs(&self, number: u64) -> Result<impl Iterator<Item = Result<BlobId, StorageError>>, StorageError> {
        Ok(self.rows.range(under(number))?.map(|row| Ok(pair_of(row?.0.value()).1)))
    }
}

fn under(number: u64) -> RangeInclusive<PairKey> {
    pair_key(number, BlobId::new(0))..=pair_key(number, BlobId::new(u64::MAX))
}

/// Numbers that are taken in, in whatever order: the same numbers make the same sum, and others do not.
#[derive(Default, PartialEq, Eq)]
struct Gathered(u128);

impl Gathered {
    fn add(&mut self, number: u64) {
        self.add_times(number, 1);
    }

    fn add_times(&mut self, number: u64, times: u64) {
        let hash = Sha256::digest(number.to_le_bytes());
        let low = hash.first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
        self.0 = self.0.wrapping_add(low.wrapping_mul(times.into()));
    }
}

/// What records come to.
#[derive(Default)]
struct Sums {
    /// Bytes of all contents.
    bytes: u64,
    /// Those that blobs would take beside, had each a content of its own.
    saved: u64,
    /// Contents in chunks, those that are shared once, and pieces.
    contents: Gathered,
    /// Contents in pieces, likewise.
    lists: Gathered,
}

/// The tables that are compared.
struct Blobs<'t, T: OwnTables + 't> {
    tables: &'t T,
    records: Rows<'t, T, Records>,
    chunks: Rows<'t, T, Chunks>,
    shared: Rows<'t, T, SharedContents>,
    numbers: Rows<'t, T, ContentNumbers>,
    namespaces: Rows<'t, T, Namespaces>,
    namespace_numbers: Rows<'t, T, NamespaceNumbers>,
    drafts: Rows<'t, T, Drafts>,
    pieces: PieceTables<'t, T>,
    times: Index<'t, T, Times>,
    expiries: Index<'t, T, Expiries>,
    members: Index<'t, T, InNamespace>,
    users: Index<'t, T, ContentUsers>,
}

impl<'t, T: OwnTables> Blobs<'t, T> {
    fn open(tables: &'t T) -> Result<Self, StorageError> {
        Ok(Self {
            tables,
            records: Rows::open(tables, BLOBS)?,
            chunks: Rows::open(tables, BLOBS)?,
            shared: Rows::open(tables, BLOBS)?,
            numbers: Rows::open(tables, BLOBS)?,
            namespaces: Rows::open(tables, BLOBS)?,
            namespace_numbers: Rows::open(tables, BLOBS)?,
            drafts: Rows::open(tables, BLOBS)?,
            pieces: PieceTables::open(tables)?,
            times: Index::open(tables, "blobs by time")?,
            expiries: Index::open(tables, "blobs by expiry")?,
            members: Index::open(tables, "blobs of namespaces")?,
            users: Index::open(tables, "blobs of shared contents")?,
        })
    }

    /// A record, if there is one that can be read.
    fn record(&self, id: BlobId) -> Result<Option<Record>, StorageError> {
        Ok(self.records.get(id.sequence())?.and_then(|bytes| Record::decode(bytes.value()).ok()))
    }

    fn check_records(&self, sums: &mut Sums, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        for row in self.records.iter()? {
            let (id, bytes) = row?;
            let id = BlobId::new(id.value());
            match Record::decode(bytes.value()) {
                Ok(record) => self.check_record(id, &record, sums, hear)?,
                Err(_) => fault(hear, format!("blob {id}: its record is malformed"))?,
            }
        }
        Ok(())
    }

    fn check_record(
        &self,
        id: BlobId,
        record: &Record,
        sums: &mut Sums,
        hear: &mut Hear<'_>,
    ) -> Result<(), StorageError> {
        self.times.look_up(id, record.time, hear)?;
        if let Some(expires) = record.expires {
            self.expiries.look_up(id, expires, hear)?;
        }
        if record.namespace != 0 {
            self.members.look_up(id, record.namespace, hear)?;
            if !self.namespaces.has(record.namespace)? {
                fault(hear, format!("blob {id}: there is no namespace {}", record.namespace))?;
            }
        }
        sums.bytes = sums.bytes.saturating_add(record.content.len());
        match record.content {
            Content::Inline(_) => Ok(()),
            Content::Chunks(number, _) if self.shared.has(number)? => self.users.look_up(id, number, hear),
            Content::Chunks(number, length) => {
                owned_in(sums, number).add(number);
                self.has_content(number, length, hear).map(drop)
            }
        }
    }

    /// Whether a content of that length is all there, and nothing beside.
    fn has_content(&self, number: u64, length: u64, hear: &mut Hear<'_>) -> Result<bool, StorageError> {
        if are_of(number) { self.has_pieces(number, length, hear) } else { self.has_chunks(number, length, hear) }
    }

    /// Whether a content has the chunks of that length, and no others.
    fn has_chunks(&self, number: u64, length: u64, hear: &mut Hear<'_>) -> Result<bool, StorageError> {
        let last = chunk_of(length.saturating_sub(1))?;
        for chunk in 0..=last {
            let (found, wanted) = (self.chunks.length_of(chunk_key(number, chunk))?, length_of(chunk, length));
            if found != Some(wanted as u64) {
                let found = found.map_or_else(|| "is missing".into(), |found| format!("has {found} bytes"));
                fault(hear, format!("content {number}: chunk {chunk}, of {wanted} bytes, {found}"))?;
                return Ok(false);
            }
        }
        let [last, end] = [last, u32::MAX].map(|chunk| chunk_key(number, chunk));
        let behind = self.chunks.count::<ChunkKey>((Bound::Excluded(last), Bound::Included(end)))?;
        if behind > 0 {
            fault(hear, format!("content {number}: there are {behind} chunks behind its end"))?;
        }
        Ok(behind == 0)
    }

    fn check_left_over(&self, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        self.times.check_left_over(self, |record| Ok(Some(record.time)), hear)?;
        self.expiries.check_left_over(self, |record| Ok(record.expires), hear)?;
        self.members.check_left_over(self, |record| Ok(Some(record.namespace).filter(|number| *number != 0)), hear)?;
        self.users.check_left_over(self, |record| self.shared_content(record), hear)?;
        if self.drafts.len()? == 0 { Ok(()) } else { fault(hear, "there are contents that are being written") }
    }

    fn shared_content(&self, record: &Record) -> Result<Option<u64>, StorageError> {
        let Content::Chunks(number, _) = record.content else { return Ok(None) };
        Ok(self.shared.has(number)?.then_some(number))
    }

    fn check_namespaces(&self, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        let mut found = 0;
        for row in self.namespaces.iter()? {
            let (number, row) = row?;
            let (number, (blobs, bytes, _, _, _, name)) = (number.value(), row.value());
            let is_named = self.namespace_numbers.get(name)?.is_some_and(|known| known.value() == number);
            found += u64::from(is_named);
            let name = Shown(name.as_bytes());
            if !is_named {
                fault(hear, format!("namespace {name}: its name does not lead to its number, {number}"))?;
            }
            let counted = self.count_namespace(number)?;
            if counted != (blobs, bytes) {
                let (has, takes) = counted;
                let said = format!("is said to have {blobs} blobs of {bytes} bytes");
                fault(hear, format!("namespace {name}: {said}, and has {has} of {takes}"))?;
            }
        }
        if found == self.namespace_numbers.len()? { Ok(()) } else { self.check_namespace_numbers(hear) }
    }

    /// Blobs that are in a namespace by its index, and bytes of their contents.
    fn count_namespace(&self, number: u64) -> Result<(u64, u64), StorageError> {
        let (mut blobs, mut bytes) = (0, 0_u64);
        for id in self.members.blobs(number)? {
            blobs += 1;
            bytes = bytes.saturating_add(self.record(id?)?.map_or(0, |record| record.content.len()));
        }
        Ok((blobs, bytes))
    }

    fn check_namespace_numbers(&self, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        for row in self.namespace_numbers.iter()? {
            let (name, number) = row?;
            let (name, number) = (name.value(), number.value());
            if self.namespaces.get(number)?.is_none_or(|row| row.value().5 != name) {
                let name = Shown(name.as_bytes());
                fault(hear, format!("namespace {name}: its name leads to the number {number}, which is not its"))?;
            }
        }
        Ok(())
    }

    fn check_shared(&self, sums: &mut Sums, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        let mut found = 0;
        for row in self.shared.iter()? {
            let (number, hash) = row?;
            let (number, hash) = (number.value(), hash.value());
            let is_known = self.numbers.get(hash)?.is_some_and(|known| known.value() == number);
            found += u64::from(is_known);
            if !is_known {
                fault(hear, format!("content {number}: its hash does not lead to it"))?;
            }
            owned_in(sums, number).add(number);
            match self.shared_length(number, hear)? {
                Some(length) => {
                    let others = self.users.count(number)?.saturating_sub(1);
                    sums.saved = sums.saved.saturating_add(others.saturating_mul(length));
                    self.check_hash(number, length, hash, hear)?;
                }
                None => fault(hear, format!("content {number}: is shared, and no blob has it"))?,
            }
        }
        if found == self.numbers.len()? { Ok(()) } else { self.check_numbers(hear) }
    }

    /// How long a shared content is, as all of its blobs must say.
    fn shared_length(&self, number: u64, hear: &mut Hear<'_>) -> Result<Option<u64>, StorageError> {
        let mut length = None;
        for id in self.users.blobs(number)? {
            let id = id?;
            let Some(Content::Chunks(of, own)) = self.record(id)?.map(|record| record.content) else { continue };
            if of == number && own != *length.get_or_insert(own) {
                fault(hear, format!("blob {id}: others say that content {number} has another length"))?;
            }
        }
        Ok(length)
    }

    fn check_hash(&self, number: u64, length: u64, hash: ContentHash, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        if !self.has_content(number, length, hear)? {
            return Ok(());
        }
        let (mut found, mut at) = (Sha256::new(), 0);
        while at < length {
            let (_, bytes) = chunk(self.tables, number, length, at)?;
            found.update(&*bytes);
            at += bytes.len() as u64;
        }
        if ContentHash::from(found.finalize()) == hash {
            return Ok(());
        }
        fault(hear, format!("content {number}: its hash is another"))
    }

    fn check_numbers(&self, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        for row in self.numbers.iter()? {
            let (hash, number) = row?;
            let (hash, number) = (hash.value(), number.value());
            if self.shared.get(number)?.is_none_or(|known| known.value() != hash) {
                fault(hear, format!("content {number}: a hash leads to it that is not its own"))?;
            }
        }
        Ok(())
    }

    /// Each content is some blob's, or is shared, or is a piece.
    fn check_owners(&self, owned: &Sums, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        self.check_owned(&owned.contents, |last| self.content_behind(last), hear)?;
        self.check_owned(&owned.lists, |last| self.pieces.content_behind(last), hear)
    }

    /// Compares the contents that come one `behind` the other with those of which an owner was found.
    fn check_owned(
        &self,
        owned: &Gathered,
        behind: impl Fn(Option<u64>) -> Result<Option<u64>, StorageError>,
        hear: &mut Hear<'_>,
    ) -> Result<(), StorageError> {
        let (mut stored, mut last) = (Gathered::default(), None);
        while let Some(number) = behind(last)? {
            stored.add(number);
            last = Some(number);
        }
        if stored == *owned { Ok(()) } else { self.find_owners(behind, hear) }
    }

    /// The first content that has chunks behind that one.
    fn content_behind(&self, last: Option<u64>) -> Result<Option<u64>, StorageError> {
        let start = last.map_or(Bound::Unbounded, |last| Bound::Excluded(chunk_key(last, u32::MAX)));
        let first = self.chunks.range::<ChunkKey>((start, Bound::Unbounded))?.next().transpose()?;
        Ok(first.and_then(|(key, _)| key.value().first_chunk().map(|number| u64::from_be_bytes(*number))))
    }

    /// Tells which contents are no blob's, or those of several, some of them at a time.
    fn find_owners(
        &self,
        behind: impl Fn(Option<u64>) -> Result<Option<u64>, StorageError>,
        hear: &mut Hear<'_>,
    ) -> Result<(), StorageError> {
        let mut last = None;
        loop {
            let mut owners = BTreeMap::new();
            while let Some(number) = behind(last)?.filter(|_| owners.len() < BATCH) {
                owners.insert(number, 0_u64);
                last = Some(number);
            }
            if owners.is_empty() {
                return Ok(());
            }
            self.count_owners(&mut owners)?;
            for (number, owners) in owners.into_iter().filter(|(_, owners)| *owners != 1) {
                if !self.shared.has(number)? && !self.pieces.has(number)? {
                    fault(hear, format!("content {number}: is that of {owners} blobs"))?;
                }
            }
        }
    }

    fn count_owners(&self, owners: &mut BTreeMap<u64, u64>) -> Result<(), StorageError> {
        for row in self.records.iter()? {
            if let Ok(Record { content: Content::Chunks(number, _), .. }) = Record::decode(row?.1.value()) {
                owners.entry(number).and_modify(|owners| *owners += 1);
            }
        }
        Ok(())
    }

    fn check_totals(&self, sums: &Sums, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        let all = [("have", Total::Bytes, sums.bytes), ("share", Total::SavedBytes, sums.saved)];
        for (what, total, sum) in all {
            let said = totals::get(self.tables, total)?;
            if said != sum {
                fault(hear, format!("blobs are said to {what} {said} bytes, and {what} {sum}"))?;
            }
        }
        Ok(())
    }
}
