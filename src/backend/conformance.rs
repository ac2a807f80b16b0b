use super::StorageBackend;
use crate::io;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

type Storage<'a> = &'a dyn StorageBackend;
type Outcome = Result<(), String>;
type Check = (&'static str, fn(Storage<'_>) -> Outcome);

const CHECKS: &[Check] = &[
    ("a new storage is empty", starts_empty),
    ("set_len sets the length", sets_lengths),
    ("new bytes are zero", grows_with_zeros),
    ("bytes cut off do not come back", forgets_what_is_cut_off),
    ("a read past the end fails", refuses_reads_past_the_end),
    ("a write changes its own bytes and no others", writes_where_told),
    ("nothing may be read or written anywhere", allows_empty_buffers),
    ("sync_data changes nothing", syncs),
    #[cfg(feature = "std")]
    ("threads do not disturb each other", serves_threads),
];

/// Checks that a storage keeps the contract of [`StorageBackend`], as far as can be seen without
/// cutting the power.
///
/// `make` is called once for every check, and must give an empty storage each time. Each is closed
/// after its check. The storages grow to a few tens of kilobytes.
///
/// # Errors
///
/// Says what the storage did wrong first.
///
/// ```
/// use sapwood::backends::{InMemoryBackend, check_backend};
///
/// check_backend(InMemoryBackend::new).unwrap();
/// ```
pub fn check_backend<B: StorageBackend>(mut make: impl FnMut() -> B) -> Result<(), String> {
    for (name, check) in CHECKS {
        let backend = make();
        let outcome = check(&backend);
        let closed = told("close", backend.close());
        outcome.and(closed).map_err(|what| format!("{name}: {what}"))?;
    }
    Ok(())
}

fn told<T>(what: &str, outcome: Result<T, io::Error>) -> Result<T, String> {
    outcome.map_err(|err| format!("{what} failed: {err}"))
}

fn set_len(storage: Storage<'_>, len: u64) -> Outcome {
    told(&format!("set_len({len})"), storage.set_len(len))?;
    expect_len(storage, len)
}

fn expect_len(storage: Storage<'_>, wanted: u64) -> Outcome {
    let len = told("len", storage.len())?;
    if len == wanted { Ok(()) } else { Err(format!("the length is {len} instead of {wanted}")) }
}

fn write(storage: Storage<'_>, offset: u64, data: &[u8]) -> Outcome {
    told(&format!("writing {} bytes at {offset}", data.len()), storage.write(offset, data))
}

fn read(storage: Storage<'_>, offset: u64, len: usize) -> Result<Vec<u8>, String> {
    // Not zeros, which a read that leaves its buffer alone would pass off as the storage's.
    let mut out = vec![0xA5; len];
    told(&format!("reading {len} bytes at {offset}"), storage.read(offset, &mut out))?;
    Ok(out)
}

fn expect(storage: Storage<'_>, offset: u64, wanted: &[u8]) -> Outcome {
    let found = read(storage, offset, wanted.len())?;
    match found.iter().zip(wanted).enumerate().find(|(_, (found, wanted))| found != wanted) {
        None => Ok(()),
        Some((at, (found, wanted))) => {
            Err(format!("byte {} is {found:#04x} instead of {wanted:#04x}", offset + at as u64))
        }
    }
}

/// Bytes none of which is zero, different for every `seed`.
fn pattern(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| ((at * 31 + at / 251 + seed * 97) % 255) as u8 + 1).collect()
}

fn starts_empty(storage: Storage<'_>) -> Outcome {
    expect_len(storage, 0)?;
    expect_refused_read(storage, 0, 1)
}

fn sets_lengths(storage: Storage<'_>) -> Outcome {
    for len in [1, 511, 4096, 4096, 70_001, 513, 0, 10, 0] {
        set_len(storage, len)?;
    }
    Ok(())
}

fn grows_with_zeros(storage: Storage<'_>) -> Outcome {
    set_len(storage, 5_003)?;
    expect(storage, 0, &[0; 5_003])?;
    write(storage, 0, &pattern(1, 5_003))?;
    set_len(storage, 20_011)?;
    expect(storage, 0, &pattern(1, 5_003))?;
    expect(storage, 5_003, &[0; 20_011 - 5_003])
}

fn forgets_what_is_cut_off(storage: Storage<'_>) -> Outcome {
    for (round, cut) in [(1, 3_001), (2, 8_192), (3, 0), (4, 12_287)] {
        let data = pattern(round, 12_288);
        set_len(storage, 12_288)?;
        write(storage, 0, &data)?;
        set_len(storage, cut)?;
        set_len(storage, 12_288)?;
        let kept: Vec<u8> =
            data.iter().enumerate().map(|(at, byte)| if (at as u64) < cut { *byte } else { 0 }).collect();
        expect(storage, 0, &kept)?;
    }
    Ok(())
}

fn expect_refused_read(storage: Storage<'_>, offset: u64, len: usize) -> Outcome {
    match storage.read(offset, &mut vec![0; len]) {
        Ok(()) => Err(format!("reading {len} bytes at {offset} succeeded")),
        Err(_) => Ok(()),
    }
}

fn refuses_reads_past_the_end(storage: Storage<'_>) -> Outcome {
    set_len(storage, 1_000)?;
    read(storage, 998, 2)?;
    let beyond = [(999, 2), (1_000, 1), (0, 1_001), (5_000, 1), (1 << 40, 8), (u64::MAX - 3, 8), (u64::MAX, 1)];
    for (offset, len) in beyond {
        expect_refused_read(storage, offset, len)?;
    }
    set_len(storage, 400)?;
    expect_refused_read(storage, 399, 2)?;
    expect_len(storage, 400)
}

fn writes_where_told(storage: Storage<'_>) -> Outcome {
    const LEN: usize = 20_011;
    let mut model = vec![0; LEN];
    set_len(storage, LEN as u64)?;
    let pieces = [
        (0, 1),
        (1, 511),
        (513, 3),
        (4_095, 2),
        (4_096, 4_096),
        (7_777, 9_001),
        (20_010, 1),
        (3, 20_007),
        (12_289, 77),
    ];
    for (seed, (offset, len)) in (1..).zip(pieces) {
        let data = pattern(seed, len);
        write(storage, offset as u64, &data)?;
        if let Some(part) = model.get_mut(offset..offset + len) {
            part.copy_from_slice(&data);
        }
        expect(storage, offset as u64, &data)?;
        expect(storage, 0, &model)?;
        expect_len(storage, LEN as u64)?;
    }
    Ok(())
}

fn allows_empty_buffers(storage: Storage<'_>) -> Outcome {
    write(storage, 0, &[])?;
    read(storage, 0, 0)?;
    set_len(storage, 700)?;
    for offset in [0, 699, 700] {
        write(storage, offset, &[])?;
        read(storage, offset, 0)?;
    }
    expect(storage, 0, &[0; 700])
}

fn syncs(storage: Storage<'_>) -> Outcome {
    told("sync_data of an empty storage", storage.sync_data())?;
    set_len(storage, 9_000)?;
    let data = pattern(1, 8_000);
    write(storage, 500, &data)?;
    for _ in 0..2 {
        told("sync_data", storage.sync_data())?;
        expect(storage, 500, &data)?;
        expect_len(storage, 9_000)?;
    }
    Ok(())
}

/// Every thread has a stretch of its own: a shared cursor, for one, would mix them up.
#[cfg(feature = "std")]
fn serves_threads(storage: Storage<'_>) -> Outcome {
    const THREADS: u64 = 4;
    const STRETCH: usize = 5_001;
    set_len(storage, THREADS * STRETCH as u64)?;
    let work = move |thread: u64| {
        (0..50).try_for_each(|round| {
            let data = pattern(thread * 50 + round, STRETCH);
            write(storage, thread * STRETCH as u64, &data)?;
            expect(storage, thread * STRETCH as u64, &data)
        })
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..THREADS).map(|thread| std::thread::Builder::new().spawn_scoped(scope, move || work(thread))).collect();
        workers.into_iter().try_for_each(|worker| {
            let outcome = told("starting a thread", worker)?.join();
            outcome.unwrap_or_else(|_| Err("a thread panicked".into()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::InMemoryBackend;
    use crate::sync::Mutex;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Flaw {
        None,
        StartsLong,
        IgnoresShrinking,
        GrowsDirty,
        KeepsWhatIsCut,
        ReadsShort,
        RoundsOffsets,
        ForgetsOnSync,
        SharedCursor,
    }

    #[derive(Debug)]
    struct Flawed {
        inner: InMemoryBackend,
        flaw: Flaw,
        longest: Mutex<u64>,
        cursor: Mutex<u64>,
    }

    impl Flawed {
        fn new(flaw: Flaw) -> Self {
            let inner = InMemoryBackend::new();
            if flaw == Flaw::StartsLong {
                inner.set_len(1).unwrap();
            }
            Self { inner, flaw, longest: Mutex::new(0), cursor: Mutex::new(0) }
        }

        fn seek(&self, offset: u64) -> u64 {
            if self.flaw != Flaw::SharedCursor {
                return offset;
            }
            *self.cursor.lock() = offset;
            #[cfg(feature = "std")]
            std::thread::sleep(std::time::Duration::from_micros(50));
            *self.cursor.lock()
        }
    }

    impl StorageBackend for Flawed {
        fn len(&self) -> Result<u64, io::Error> {
            match self.flaw {
                Flaw::KeepsWhatIsCut => Ok(*self.longest.lock()),
                _ => self.inner.len(),
            }
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
            match self.flaw {
                Flaw::ReadsShort => {
                    let there = self.len()?.saturating_sub(offset).min(out.len() as u64);
                    self.inner.read(offset, &mut out[..there as usize]).or(Ok(()))
                }
                _ => self.inner.read(self.seek(offset), out),
            }
        }

        fn set_len(&self, len: u64) -> Result<(), io::Error> {
            let old = self.inner.len()?;
            if len < old && matches!(self.flaw, Flaw::IgnoresShrinking) {
                return Ok(());
            }
            if self.flaw == Flaw::KeepsWhatIsCut {
                *self.longest.lock() = len;
                return if len > old { self.inner.set_len(len) } else { Ok(()) };
            }
            self.inner.set_len(len)?;
            if self.flaw == Flaw::GrowsDirty && len > old {
                self.inner.write(len - 1, &[7])?;
            }
            Ok(())
        }

        fn sync_data(&self) -> Result<(), io::Error> {
            match self.flaw {
                Flaw::ForgetsOnSync if self.len()? > 600 => self.inner.write(600, &[0]),
                _ => Ok(()),
            }
        }

        fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
            match self.flaw {
                Flaw::RoundsOffsets if data.len() == 3 => self.inner.write(offset & !511, data),
                _ => self.inner.write(self.seek(offset), data),
            }
        }
    }

    fn complaint(flaw: Flaw) -> String {
        check_backend(|| Flawed::new(flaw)).unwrap_err()
    }

    #[test]
    fn a_sound_storage_passes() {
        check_backend(|| Flawed::new(Flaw::None)).unwrap();
    }

    #[test]
    fn flaws_are_found_by_the_check_for_them() {
        for (flaw, start) in [
            (Flaw::StartsLong, "a new storage is empty"),
            (Flaw::IgnoresShrinking, "set_len sets the length"),
            (Flaw::GrowsDirty, "new bytes are zero: byte 5002 is 0x07 instead of 0x00"),
            (Flaw::KeepsWhatIsCut, "bytes cut off do not come back"),
            (Flaw::ReadsShort, "a new storage is empty"),
            (Flaw::RoundsOffsets, "a write changes its own bytes"),
            (Flaw::ForgetsOnSync, "sync_data changes nothing: byte 600"),
        ] {
            let found = complaint(flaw);
            assert!(found.starts_with(start), "{flaw:?}: {found}");
        }
    }

    #[cfg(feature = "std")]
    #[test]
    fn a_shared_cursor_is_found() {
        let found = complaint(Flaw::SharedCursor);
        assert!(found.starts_with("threads do not disturb each other"), "{found}");
    }
}
