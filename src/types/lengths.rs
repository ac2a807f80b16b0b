//! Lengths inside encodings, and reading bytes that may be damaged.
//!
//! A length below 254 is one byte; one below 2^16 is the byte 254 and two bytes; a longer one the byte 255 and four
//! bytes, all little-endian.

use alloc::vec::Vec;

const TWO_BYTES: u8 = 254;
const FOUR_BYTES: u8 = 255;

/// The four bytes that hold a length. What has a part of 4 GiB is over the limit for keys and values and will be
/// refused, so it is never read back and its length need not be right.
pub(super) fn four_bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// Puts a length at the end of `out`.
pub(crate) fn push_length(length: usize, out: &mut Vec<u8>) {
    match u16::try_from(length) {
        Ok(short) => match u8::try_from(length) {
            Ok(byte) if byte < TWO_BYTES => out.push(byte),
            _ => {
                out.push(TWO_BYTES);
                out.extend_from_slice(&short.to_le_bytes());
            }
        },
        Err(_) => {
            out.push(FOUR_BYTES);
            out.extend_from_slice(&four_bytes(length));
        }
    }
}

/// The first `N` bytes of `data`, with zeros for what is missing.
#[inline]
pub(crate) fn padded<const N: usize>(data: &[u8]) -> [u8; N] {
    match data.first_chunk() {
        Some(chunk) => *chunk,
        None => {
            let mut out = [0; N];
            out.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
            out
        }
    }
}

/// Takes bytes from the front of `rest`.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// What was not taken yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `length` bytes; `None`, and nothing taken, if there are fewer.
    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// The next `length` bytes, or those that there are.
    #[inline]
    pub(super) fn take_up_to(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// The next length; `None` if it is cut short or not in its shortest form, for [`push_length`] writes no other.
    #[inline]
    pub(crate) fn length(&mut self) -> Option<usize> {
        let [first] = padded(self.take(1)?);
        let (length, shortest) = match first {
            FOUR_BYTES => (u32::from_le_bytes(padded(self.take(4)?)), 1 << 16),
            TWO_BYTES => (u16::from_le_bytes(padded(self.take(2)?)).into(), u32::from(TWO_BYTES)),
            byte => (byte.into(), 0),
        };
        if length < shortest { None } else { usize::try_from(length).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_round_trip() {
        for (length, bytes) in [
            (0, &[0][..]),
            (253, &[253]),
            (254, &[254, 254, 0]),
            (0xffff, &[254, 255, 255]),
            (0x10000, &[255, 0, 0, 1, 0]),
            (0xffff_ffff, &[255, 255, 255, 255, 255]),
        ] {
            let mut out = Vec::new();
            push_length(length, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(Reader::new(bytes).length(), Some(length));
        }
    }

    #[test]
    fn bad_lengths_are_refused() {
        for bad in [&[][..], &[254], &[254, 1], &[254, 253, 0], &[255, 0, 0, 1], &[255, 255, 255, 0, 0]] {
            assert_eq!(Reader::new(bad).length(), None, "{bad:?}");
        }
    }
}
