//! How an operand is merged into a value, whatever their type is: the result is one of the two, or none, or, of text and
//! bytes, both.

/// One way of merging bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Last,
    Greatest,
    /// A value that is the operand goes.
    Toggle,
    Append,
}

impl Way {
    pub fn merge(self, old: Option<&[u8]>, operand: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Last => Some(operand.to_vec()),
            Self::Greatest => old.max(Some(operand)).map(<[u8]>::to_vec),
            Self::Toggle => (old != Some(operand)).then(|| operand.to_vec()),
            Self::Append => Some([old.unwrap_or_default(), operand].concat()),
        }
    }
}
