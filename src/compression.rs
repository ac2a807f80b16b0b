//! Compression of values: what is asked for, what a file records of it, and the codecs.

use crate::error::StorageError;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How a table stores its values: said for a [table](crate::TableDefinition::with_compression) or for a
/// [database](crate::Builder::set_compression), when it is created.
///
/// Each value is compressed for itself. One of less than 64 bytes or more than a gigabyte, or that would not be shorter
/// by an eighth, or would take as many pages as before, is stored as it is, and is read without a copy. Values whose
/// type has a fixed width of at most a quarter of a page are never compressed, nor are keys, nor the values of
/// multimaps, nor what [`insert_reserve`](crate::Table::insert_reserve) gives out.
///
/// A value that was compressed is unpacked, into memory of its own, each time it is read.
///
/// ```
/// use sapwood::{Compression, TableDefinition};
///
/// const RAW: TableDefinition<&str, &[u8]> = TableDefinition::new("films").with_compression(Compression::None);
/// # #[cfg(feature = "lz4")]
/// const FAST: TableDefinition<u64, &str> = TableDefinition::new("logs").with_compression(Compression::Lz4);
/// # #[cfg(feature = "zstd")]
/// const SMALL: TableDefinition<u64, &str> =
///     TableDefinition::new("archive").with_compression(Compression::Zstd { level: 9 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Values are stored as they are.
    #[default]
    None,
    /// [LZ4](https://lz4.org), in its block format: fast, both ways.
    #[cfg(feature = "lz4")]
    Lz4,
    /// [Zstandard](https://facebook.github.io/zstd): shorter than LZ4, and slower.
    #[cfg(feature = "zstd")]
    Zstd {
        /// From 1, the fastest, to 22, the shortest; 3 is common.
        level: u8,
    },
}

impl Compression {
    /// An error if it cannot be used.
    pub(crate) fn codec(self) -> Result<Codec, StorageError> {
        match self {
            Self::None => Ok(Codec::NONE),
            #[cfg(feature = "lz4")]
            Self::Lz4 => Ok(Codec { id: LZ4, level: 0 }),
            #[cfg(feature = "zstd")]
            Self::Zstd { level: level @ 1..=22 } => Ok(Codec { id: ZSTD, level }),
            #[cfg(feature = "zstd")]
            Self::Zstd { .. } => Err(crate::io::invalid_input("levels of zstd are from 1 to 22").into()),
        }
    }
}

const LZ4: u8 = 1;
const ZSTD: u8 = 2;

/// Values shorter than this are not compressed.
const SHORTEST: usize = 64;
/// Values longer than this are not compressed.
const LONGEST: usize = 1 << 30;

/// What makes values shorter, as a file records it: any two bytes, if another build wrote them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Codec {
    id: u8,
    level: u8,
}

impl Codec {
    pub(crate) const NONE: Self = Self { id: 0, level: 0 };

    pub(crate) fn to_bytes(self) -> [u8; 2] {
        [self.id, self.level]
    }

    pub(crate) fn from_bytes([id, level]: [u8; 2]) -> Self {
        Self { id, level }
    }

    /// An error unless this build has it.
    pub(crate) fn check(self) -> Result<(), StorageError> {
        match self.id {
            0 => Ok(()),
            #[cfg(feature = "lz4")]
            LZ4 => Ok(()),
            #[cfg(feature = "zstd")]
            ZSTD => Ok(()),
            other => Err(unavailable(other)),
        }
    }

    /// `raw` made shorter, if it pays.
    pub(crate) fn pack(self, raw: &[u8]) -> Result<Option<(Packing, Vec<u8>)>, StorageError> {
        if self.id == 0 || !(SHORTEST..=LONGEST).contains(&raw.len()) {
            return Ok(None);
        }
        let block = self.compress(raw)?;
        let pays = block.len() + Packing::SIZE <= raw.len() - raw.len() / 8;
        // At most `LONGEST`.
        Ok(pays.then_some((Packing { codec: self.id, raw_len: raw.len() as u32 }, block)))
    }

    fn compress(self, raw: &[u8]) -> Result<Vec<u8>, StorageError> {
        match self.id {
            #[cfg(feature = "lz4")]
            LZ4 => Ok(lz4_flex::block::compress(raw)),
            #[cfg(feature = "zstd")]
            ZSTD => zstd_codec::compress(raw, self.level),
            other => {
                let _ = raw;
                Err(unavailable(other))
            }
        }
    }
}

/// How the bytes of a value were made shorter.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 1 | codec: 1 LZ4, 2 Zstandard |
/// | 1 | 4 | length of the value |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    codec: u8,
    pub(crate) raw_len: u32,
}

impl Packing {
    pub(crate) const SIZE: usize = 5;

    pub(crate) fn encode(&self) -> [u8; Self::SIZE] {
        let [l0, l1, l2, l3] = self.raw_len.to_le_bytes();
        [self.codec, l0, l1, l2, l3]
    }

    pub(crate) fn decode([codec, length @ ..]: &[u8; Self::SIZE]) -> Self {
        Self { codec: *codec, raw_len: u32::from_le_bytes(*length) }
    }

    /// The value of which `block` was made.
    pub(crate) fn unpack(&self, block: &[u8]) -> Result<Vec<u8>, StorageError> {
        let mut raw = Vec::new();
        let length = self.believed_len(block).ok_or_else(|| self.damaged(block))?;
        raw.try_reserve_exact(length).map_err(|_| StorageError::ValueTooLarge(length))?;
        self.decompress(block, &mut raw, length)?;
        if raw.len() == length { Ok(raw) } else { Err(self.damaged(block)) }
    }

    /// Appends to `raw`, which has room for `length` bytes, at most so many; what it is on a damaged block is not that
    /// long.
    fn decompress(&self, block: &[u8], raw: &mut Vec<u8>, length: usize) -> Result<(), StorageError> {
        match self.codec {
            #[cfg(feature = "lz4")]
            LZ4 => lz4_codec::decompress(block, raw, length).map_err(|()| self.damaged(block)),
            #[cfg(feature = "zstd")]
            ZSTD => zstd_codec::decompress(block, raw).map_err(|()| self.damaged(block)),
            // What says that nothing was done cannot have made this.
            0 => Err(self.damaged(block)),
            other => {
                let _ = (block, raw, length);
                Err(unavailable(other))
            }
        }
    }

    /// The length of the value, unless no block of that length holds so much: nothing else bounds what is asked for.
    fn believed_len(&self, block: &[u8]) -> Option<usize> {
        // The most that a byte of LZ4 stands for; of Zstandard, four bytes say that one byte fills a block of 128 KiB.
        let most_per_byte = if self.codec == LZ4 { 255 } else { (128 << 10) / 4 };
        let length = usize::try_from(self.raw_len).ok()?;
        (length <= LONGEST && length / most_per_byte <= block.len()).then_some(length)
    }

    fn damaged(&self, block: &[u8]) -> StorageError {
        let (bytes, codec, length) = (block.len(), name_of(self.codec), self.raw_len);
        StorageError::corrupted(format!("{bytes} bytes of {codec} are not a value of {length}"))
    }
}

fn unavailable(codec: u8) -> StorageError {
    StorageError::CodecUnavailable(name_of(codec))
}

fn name_of(codec: u8) -> String {
    match codec {
        LZ4 => "lz4".to_string(),
        ZSTD => "zstd".to_string(),
        other => format!("number {other}"),
    }
}

#[cfg(feature = "lz4")]
mod lz4_codec {
    use alloc::vec::Vec;

    pub(super) fn decompress(block: &[u8], raw: &mut Vec<u8>, length: usize) -> Result<(), ()> {
        raw.resize(length, 0);
        let written = lz4_flex::block::decompress_into(block, raw).map_err(drop)?;
        raw.truncate(written);
        Ok(())
    }
}

#[cfg(feature = "zstd")]
mod zstd_codec {
    use crate::error::StorageError;
    use alloc::vec::Vec;
    use core::cell::RefCell;
    use std::io;
    use zstd::bulk::{Compressor, Decompressor};

    // Their tables take longer to make than a value to compress.
    std::thread_local! {
        static COMPRESSOR: RefCell<Option<(u8, Compressor<'static>)>> = const { RefCell::new(None) };
        static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }

    pub(super) fn compress(raw: &[u8], level: u8) -> Result<Vec<u8>, StorageError> {
        let compress = |kept: &mut Option<_>| -> io::Result<Vec<u8>> {
            let (_, mut compressor) = match kept.take() {
                Some(kept @ (of, _)) if of == level => kept,
                _ => (level, Compressor::new(level.into())?),
            };
            let block = compressor.compress(raw)?;
            *kept = Some((level, compressor));
            Ok(block)
        };
        Ok(COMPRESSOR.with_borrow_mut(compress)?)
    }

    /// Appends what fits the capacity of `raw`, or fails.
    pub(super) fn decompress(block: &[u8], raw: &mut Vec<u8>) -> Result<(), ()> {
        let decompress = |kept: &mut Option<Decompressor<'static>>| {
            let mut decompressor = kept.take().map_or_else(Decompressor::new, Ok)?;
            decompressor.decompress_to_buffer(block, raw)?;
            *kept = Some(decompressor);
            Ok::<_, io::Error>(())
        };
        DECOMPRESSOR.with_borrow_mut(decompress).map_err(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codecs() -> Vec<Codec> {
        let codecs: &[Compression] = &[
            #[cfg(feature = "lz4")]
            Compression::Lz4,
            #[cfg(feature = "zstd")]
            Compression::Zstd { level: 1 },
            #[cfg(feature = "zstd")]
            Compression::Zstd { level: 22 },
        ];
        codecs.iter().map(|compression| compression.codec().unwrap()).collect()
    }

    /// Bytes of which one in `noise` is not to be foreseen.
    fn text(length: usize, noise: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize
        };
        (0..length).map(|at| if next() % noise == 0 { next() as u8 } else { b"heartwood "[at % 10] }).collect()
    }

    #[test]
    fn what_is_packed_unpacks_to_the_same() {
        for codec in codecs() {
            for length in [64, 65, 100, 4_096, 65_535, 65_536, 1_000_000] {
                for noise in [2, 20, 5_000] {
                    let raw = text(length, noise);
                    let Some((packing, block)) = codec.pack(&raw).unwrap() else { continue };
                    assert!(block.len() < raw.len() - raw.len() / 8);
                    assert_eq!(Packing::decode(&packing.encode()), packing);
                    assert!(packing.unpack(&block).unwrap() == raw);
                }
                assert!(codec.pack(&text(length, 1)).unwrap().is_none(), "noise has no shorter form");
                assert!(codec.pack(&vec![7; length]).unwrap().is_some());
            }
            assert!(codec.pack(&[7; 63]).unwrap().is_none(), "too short to be tried");
        }
    }

    #[test]
    fn no_block_makes_more_than_it_says() {
        for codec in codecs() {
            let raw = text(3_000, 20);
            let (packing, block) = codec.pack(&raw).unwrap().unwrap();
            for raw_len in [0, 1, 2_999, 3_001, 100_000, 1 << 30, u32::MAX] {
                let unpacked = Packing { raw_len, ..packing }.unpack(&block);
                assert!(matches!(unpacked, Err(StorageError::Corrupted(_))), "{codec:?} {raw_len}");
            }
            for at in 0..block.len() {
                let mut damaged = block.clone();
                damaged[at] ^= 0x55;
                if let Ok(unpacked) = packing.unpack(&damaged) {
                    assert_eq!(unpacked.len(), raw.len());
                }
                assert!(packing.unpack(&block[..at]).is_err());
            }
        }
    }

    #[test]
    fn no_memory_is_asked_for_that_a_block_cannot_fill() {
        for (codec, most) in [(LZ4, 255), (ZSTD, 32 << 10)] {
            let believed = |raw_len: u32| Packing { codec, raw_len }.believed_len(&[0; 100]);
            assert_eq!(believed(100 * most), Some(100 * most as usize));
            assert_eq!(believed(101 * most), None);
            assert_eq!(Packing { codec, raw_len: LONGEST as u32 + 1 }.believed_len(&vec![0; LONGEST / 255 + 1]), None);
        }
    }

    #[test]
    fn a_codec_that_is_not_there_is_named() {
        let absent = [Some(9), (!cfg!(feature = "lz4")).then_some(LZ4), (!cfg!(feature = "zstd")).then_some(ZSTD)];
        for (id, name) in absent.into_iter().zip(["number 9", "lz4", "zstd"]) {
            let Some(id) = id else { continue };
            let codec = Codec { id, level: 3 };
            let packing = Packing { codec: id, raw_len: 100 };
            for error in [codec.check(), codec.pack(&[0; 100]).map(drop), packing.unpack(&[0; 50]).map(drop)] {
                assert!(matches!(error, Err(StorageError::CodecUnavailable(found)) if found == name));
            }
        }
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn levels_have_bounds() {
        for level in [0, 23, 255] {
            assert!(matches!(Compression::Zstd { level }.codec(), Err(StorageError::Io(_))));
        }
    }
}
