use super::{
    BitwiseAnd, BitwiseOr, BitwiseXor, BytesAppend, CheckedAdd, FloatAdd, MergeOperator, NumericAdd, NumericMax,
    NumericMin, SaturatingAdd,
};
use crate::sync::Arc;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::fmt::{Debug, Formatter};

/// The operators that a database finds by the names in its file.
#[derive(Clone)]
pub(crate) struct Operators {
    by_name: BTreeMap<String, Arc<dyn MergeOperator>>,
    /// A name was registered that says what another operator does.
    taken: Option<String>,
}

impl Default for Operators {
    /// Those that every database knows, under their own names, whose meaning never changes.
    fn default() -> Self {
        let built_in: [Arc<dyn MergeOperator>; 16] = [
            Arc::new(NumericAdd),
            Arc::new(SaturatingAdd::Unsigned),
            Arc::new(SaturatingAdd::Signed),
            Arc::new(CheckedAdd::Unsigned),
            Arc::new(CheckedAdd::Signed),
            Arc::new(FloatAdd),
            Arc::new(NumericMax::Unsigned),
            Arc::new(NumericMax::Signed),
            Arc::new(NumericMax::Float),
            Arc::new(NumericMin::Unsigned),
            Arc::new(NumericMin::Signed),
            Arc::new(NumericMin::Float),
            Arc::new(BitwiseAnd),
            Arc::new(BitwiseOr),
            Arc::new(BitwiseXor),
            Arc::new(BytesAppend),
        ];
        let by_name = built_in.into_iter().map(|operator| (operator.name().to_string(), operator)).collect();
        Self { by_name, taken: None }
    }
}

impl Operators {
    /// Makes an operator known. A name that is known already is noted as [`taken`](Self::taken).
    pub(crate) fn register(&mut self, name: &str, operator: Arc<dyn MergeOperator>) {
        if self.by_name.contains_key(name) {
            self.taken = Some(name.to_string());
        } else {
            self.by_name.insert(name.to_string(), operator);
        }
    }

    /// A name that was registered although it was known.
    pub(crate) fn taken(&self) -> Option<&str> {
        self.taken.as_deref()
    }

    /// The operator of that name, or the name alone if nobody registered it.
    pub(crate) fn named(&self, name: String) -> NamedOperator {
        NamedOperator { operator: self.by_name.get(&name).cloned(), name }
    }
}

impl Debug for Operators {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

/// The operator that a table's definition names.
#[derive(Clone)]
pub(crate) struct NamedOperator {
    pub(crate) name: String,
    /// `None` if nobody registered it.
    pub(crate) operator: Option<Arc<dyn MergeOperator>>,
}

impl Debug for NamedOperator {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("NamedOperator").field(&self.name).finish()
    }
}
