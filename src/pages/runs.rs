//! Reading runs past the cache, into memory of the caller's: what is long and read once would push all else out.

use super::Store;
use super::load::check_bytes;
use crate::error::StorageError;
use crate::format::Pointer;

impl Store {
    /// Fills `out` with the bytes of runs, one behind the other; together they must be as long. Those that are in memory
    /// come from there, neighbours in the file by one read. After an error `out` has bytes of no meaning.
    pub(crate) fn read_runs(&self, mut runs: &[Pointer], mut out: &mut [u8]) -> Result<(), StorageError> {
        while let Some(first) = runs.first() {
            let cached = self.cache.get(first.page, first.birth);
            let (count, length) = match &cached {
                Some(frame) if frame.len() as u64 != first.size => return Err(misfit()),
                Some(frame) => (1, frame.len()),
                None => self.neighbours(runs)?,
            };
            let (now, later) = runs.split_at_checked(count).ok_or_else(misfit)?;
            let place = split_off(&mut out, length)?;
            match cached {
                Some(frame) => place.copy_from_slice(&frame),
                None => self.read_neighbours(now, place)?,
            }
            runs = later;
        }
        if out.is_empty() { Ok(()) } else { Err(misfit()) }
    }

    /// How many of the runs, from the first on, lie side by side in the file and not in memory, and how long they are.
    fn neighbours(&self, runs: &[Pointer]) -> Result<(usize, usize), StorageError> {
        let (mut count, mut length, mut end) = (0, 0, None);
        for run in runs {
            let page = u64::from(run.page);
            let follows = end.is_none_or(|end| end == page && length % self.page_size() == 0);
            if !follows || (count > 0 && self.cache.get(run.page, run.birth).is_some()) {
                break;
            }
            (count, length) = (count + 1, length + self.checked_length(run)?);
            end = Some(page + run.pages(self.page_size()));
        }
        Ok((count, length))
    }

    fn read_neighbours(&self, runs: &[Pointer], out: &mut [u8]) -> Result<(), StorageError> {
        let Some(first) = runs.first() else { return Ok(()) };
        self.cache.count_misses(runs.len());
        self.backend.read(self.geometry.offset(first.page), out)?;
        let mut bytes = &*out;
        for run in runs {
            let (now, rest) = bytes.split_at_checked(self.checked_length(run)?).ok_or_else(misfit)?;
            check_bytes(now, run)?;
            bytes = rest;
        }
        Ok(())
    }
}

/// The first bytes of what is to be filled.
pub(crate) fn split_off<'o>(out: &mut &'o mut [u8], length: usize) -> Result<&'o mut [u8], StorageError> {
    out.split_off_mut(..length).ok_or_else(misfit)
}

fn misfit() -> StorageError {
    StorageError::corrupted("values are not as long as the memory that they are read into")
}
