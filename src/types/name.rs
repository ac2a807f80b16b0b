use alloc::string::{String, ToString};

/// Name of a key or value type, kept in the file so that a table is never read as another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeName {
    name: String,
}

impl TypeName {
    /// The name of a user's type; a prefix with the crate's name keeps it from meeting another's.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_string() }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}
