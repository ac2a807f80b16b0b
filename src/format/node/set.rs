//! The set of one key's values, where it lies in a leaf as one value.
//!
//! Members of one width lie one behind the other; a set of members without width has one. Others lie behind a table of
//! where each of them starts in the set's bytes, in numbers of 16 bits: the first start is the table's length. Members
//! ascend; their order is their type's, which a page does not know.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

const START: usize = 2;

/// How sets are laid out: the width of all members, if they have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SetForm {
    pub(crate) width: Option<u16>,
}

impl SetForm {
    /// Bytes that a member takes in a set beside its own.
    pub(crate) fn overhead(self) -> usize {
        if self.width.is_none() { START } else { 0 }
    }

    /// Whether a member may be so long.
    pub(crate) fn admits(self, length: usize) -> bool {
        self.width.is_none_or(|width| usize::from(width) == length)
    }

    /// The set of these members, which ascend and together with the table are at most 65,535 bytes.
    pub(crate) fn encode<'m>(self, members: impl Iterator<Item = &'m [u8]> + Clone) -> Vec<u8> {
        let mut set = Vec::new();
        if self.width.is_none() {
            let mut start = START * members.clone().count();
            for member in members.clone() {
                set.extend_from_slice(&(start as u16).to_le_bytes());
                start += member.len();
            }
        }
        members.for_each(|member| set.extend_from_slice(member));
        set
    }
}

/// A set, seen. Of bytes that are not [`well formed`](Self::is_well_formed) it gives something, without a panic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueSet<'a> {
    bytes: &'a [u8],
    form: SetForm,
}

impl<'a> ValueSet<'a> {
    pub(crate) fn new(bytes: &'a [u8], form: SetForm) -> Self {
        Self { bytes, form }
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Number of members.
    pub(crate) fn count(&self) -> usize {
        match self.form.width {
            Some(0) => 1,
            Some(width) => self.bytes.len() / usize::from(width),
            None => self.start(0) / START,
        }
    }

    /// Where member `at` lies in the set's bytes.
    pub(crate) fn place(&self, at: usize) -> Range<usize> {
        match self.form.width {
            Some(width) => at * usize::from(width)..(at + 1) * usize::from(width),
            None if at + 1 < self.count() => self.start(at)..self.start(at + 1),
            None => self.start(at)..self.bytes.len(),
        }
    }

    pub(crate) fn member(&self, at: usize) -> &'a [u8] {
        self.bytes.get(self.place(at)).unwrap_or_default()
    }

    pub(crate) fn members(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        (0..self.count()).map(move |at| self.member(at))
    }

    /// How the set is laid out.
    pub(crate) fn form(&self) -> SetForm {
        self.form
    }

    /// Whether the members are in order.
    pub(crate) fn ascends(self, compare: fn(&[u8], &[u8]) -> Ordering) -> bool {
        self.members().zip(self.members().skip(1)).all(|(one, next)| compare(one, next).is_lt())
    }

    /// Whether the bytes are a set, the order of its members aside. There is no empty set.
    pub(crate) fn is_well_formed(&self) -> bool {
        let length = self.bytes.len();
        match self.form.width {
            Some(0) => length == 0,
            Some(width) => length > 0 && length.is_multiple_of(usize::from(width)),
            None => {
                let (table, count) = (self.start(0), self.count());
                let ascends = |at| self.start(at - 1) <= self.start(at);
                count > 0
                    && table == count * START
                    && table <= length
                    && (1..count).all(ascends)
                    && self.start(count - 1) <= length
            }
        }
    }

    fn start(&self, at: usize) -> usize {
        let start = self.bytes.get(at * START..).and_then(<[u8]>::first_chunk);
        start.map_or(0, |start| u16::from_le_bytes(*start).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARYING: SetForm = SetForm { width: None };

    fn encoded(form: SetForm, members: &[&[u8]]) -> Vec<u8> {
        form.encode(members.iter().copied())
    }

    #[test]
    fn golden_bytes() {
        let set = encoded(VARYING, &[b"", b"ash", b"oak"]);
        assert_eq!(set, [6, 0, 6, 0, 9, 0, b'a', b's', b'h', b'o', b'a', b'k']);
        assert_eq!(encoded(SetForm { width: Some(2) }, &[&[1, 0], &[2, 0]]), [1, 0, 2, 0]);
        assert_eq!(encoded(SetForm { width: Some(0) }, &[&[]]), []);
        assert_eq!(encoded(VARYING, &[b""]), [2, 0]);
    }

    #[test]
    fn sets_give_what_was_put_in() {
        let many: Vec<[u8; 3]> = (0..400_u32).map(|n| [0, (n >> 8) as u8, n as u8]).collect();
        let many: Vec<&[u8]> = many.iter().map(|member| &member[..]).collect();
        let lists: [&[&[u8]]; 4] = [&[b""], &[b"", b"a", b"bb"], &[b"x"], &many];
        for members in lists {
            let wide = members.iter().all(|member| member.len() == members[0].len());
            let forms = [Some(VARYING), wide.then(|| SetForm { width: Some(members[0].len() as u16) })];
            for form in forms.into_iter().flatten() {
                let bytes = encoded(form, members);
                let set = ValueSet::new(&bytes, form);
                assert!(set.is_well_formed());
                assert!(set.members().eq(members.iter().copied()));
                let own: usize = members.iter().map(|member| member.len()).sum();
                assert_eq!(bytes.len(), own + members.len() * form.overhead());
            }
        }
    }

    #[test]
    fn what_is_no_set_is_told_and_read_without_a_panic() {
        let is_set = |bytes: &[u8], form| {
            let set = ValueSet::new(bytes, form);
            for at in [0, 1, 100, 70_000] {
                let _ = set.member(at);
            }
            set.is_well_formed()
        };
        for bytes in
            [&[][..], &[0], &[0, 0], &[1, 0], &[3, 0, 9], &[4, 0], &[4, 0, 3, 0, 1], &[4, 0, 9, 0, 1], &[0xFF; 9]]
        {
            assert!(!is_set(bytes, VARYING), "{bytes:?}");
        }
        assert!(!is_set(&[], SetForm { width: Some(2) }));
        assert!(!is_set(&[1, 2, 3], SetForm { width: Some(2) }));
        assert!(!is_set(&[1], SetForm { width: Some(0) }));
    }
}
