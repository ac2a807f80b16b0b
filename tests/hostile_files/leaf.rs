//! A leaf, taken apart into its rows and put together again.

use super::{ARRAYS, le, u16_at};

/// Codes of values that are not in the leaf.
pub const REFERENCE: u16 = 0xFFFD;
pub const SUBTREE: u16 = 0xFFFE;
pub const RUN: u16 = 0xFFFF;

/// A row as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: Vec<u8>,
    /// `None` if the value part is the value.
    pub code: Option<u16>,
    pub value: Vec<u8>,
}

/// Keys of any width, in the order of their bytes; values of any width, or of none.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub rows: Vec<Row>,
    empty_values: bool,
}

impl Leaf {
    pub fn parse(page: &[u8]) -> Self {
        assert_eq!((page[0], page[1] & !(8 | 2)), (1, 4), "a leaf whose keys are in the order of their bytes");
        let (count, empty_values) = (u16_at(page, 2), page[1] & 2 != 0);
        let width = if empty_values { 4 } else { 6 };
        let row = |nth: usize| {
            let slot = ARRAYS + 8 * count + width * nth;
            let (start, length) = (u16_at(page, slot), u16_at(page, slot + 2));
            let code = if empty_values { 0 } else { u16_at(page, slot + 4) as u16 };
            let outside = (code >= 0xFFFB).then_some(code);
            let value = start + length..start + length + outside.map_or(code.into(), |_| 40);
            Row { key: page[start..start + length].to_vec(), code: outside, value: page[value].to_vec() }
        };
        Self { rows: (0..count).map(row).collect(), empty_values }
    }

    /// The page, its rows in order.
    pub fn page(&self, size: usize) -> Vec<u8> {
        let mut rows = self.rows.clone();
        rows.sort_by(|one, other| one.key.cmp(&other.key));
        rows.dedup_by(|one, other| one.key == other.key);
        let mut page = vec![0; size];
        let mut low = size.min(65_528);
        let mut slots = Vec::new();
        for (nth, row) in rows.iter().enumerate() {
            let record = [&row.key[..], if self.empty_values { &[] } else { &row.value }].concat();
            low -= record.len();
            page[low..low + record.len()].copy_from_slice(&record);
            let mut head = [0; 8];
            head.iter_mut().zip(&row.key).for_each(|(head, byte)| *head = *byte);
            page[ARRAYS + 8 * nth..][..8].copy_from_slice(&le(u64::from_be_bytes(head)));
            slots.extend([low as u16, row.key.len() as u16]);
            slots.extend((!self.empty_values).then_some(row.code.unwrap_or(row.value.len() as u16)));
        }
        let pointers = rows.iter().any(|row| row.code.is_some());
        let flags = 4 | if self.empty_values { 2 } else { 0 } | if pointers { 8 } else { 0 };
        page[..2].copy_from_slice(&[1, flags]);
        page[2..4].copy_from_slice(&(rows.len() as u16).to_le_bytes());
        page[6..8].copy_from_slice(&(low as u16).to_le_bytes());
        let at = ARRAYS + 8 * rows.len();
        assert!(at + 2 * slots.len() <= low, "the rows fit the page");
        slots.iter().enumerate().for_each(|(nth, word)| page[at + 2 * nth..][..2].copy_from_slice(&word.to_le_bytes()));
        page
    }
}
