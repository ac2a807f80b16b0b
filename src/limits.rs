//! Every maximum, in one place.

/// Smallest page size, in bytes.
pub const MIN_PAGE_SIZE: usize = 512;
/// Largest page size, in bytes.
pub const MAX_PAGE_SIZE: usize = 65_536;
/// Page size of a new database unless its builder says otherwise, in bytes.
pub const DEFAULT_PAGE_SIZE: usize = 4_096;
/// Bytes of page cache unless the builder says otherwise.
pub const DEFAULT_CACHE_SIZE: usize = 1 << 30;
/// Longest value, in bytes.
pub const MAX_VALUE_LENGTH: usize = 3 << 30;
/// Longest key, in bytes.
pub const MAX_KEY_LENGTH: usize = 3 << 30;
/// Longest table name, in bytes of UTF-8.
pub const MAX_NAME_LENGTH: usize = 4_096;
/// Longest content of a blob, in bytes: 256 TiB.
pub const MAX_BLOB_LENGTH: u64 = 1 << 48;
/// Longest label of a blob, in bytes of UTF-8.
pub const MAX_BLOB_LABEL_LENGTH: usize = 4_096;
/// Longest tag, in bytes of UTF-8.
pub const MAX_TAG_LENGTH: usize = 1_024;
/// Longest namespace of blobs, in bytes of UTF-8.
pub const MAX_NAMESPACE_LENGTH: usize = 1_024;
/// Most bytes of a blob's metadata: names and values, and what tells them apart.
pub const MAX_METADATA_LENGTH: usize = 65_536;
/// Longest id by which an index of tags or a graph knows a thing, in bytes.
pub const MAX_THING_LENGTH: usize = 65_535;
/// Longest term of a text index, in bytes of UTF-8.
pub const MAX_TERM_LENGTH: usize = 1_024;
/// Longest context of an edge of a graph, in bytes of UTF-8.
pub const MAX_EDGE_CONTEXT_LENGTH: usize = 4_096;
/// Longest content type of a blob, in bytes of UTF-8.
pub const MAX_CONTENT_TYPE_LENGTH: usize = 255;
/// Latest time at which a row of a TTL table may expire, in milliseconds since 1970. A time to live that goes beyond it
/// ends there.
pub const MAX_EXPIRY_MS: u64 = u64::MAX - 1;
/// Height of the tallest tree: a page names its level, and a child's is one less than its parent's.
pub const MAX_TREE_LEVEL: u8 = 40;
/// Most elements of a `Vec` value that encode to nothing but take memory, such as `&[u8; 0]`. A longer one cannot be
/// read back: a few damaged bytes could otherwise ask for all the memory there is.
pub const MAX_WEIGHTLESS_ELEMENTS: usize = 65_535;
