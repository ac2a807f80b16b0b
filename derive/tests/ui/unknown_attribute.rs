use sapwood::{Key, Value};

#[derive(Debug, Key, Value)]
#[sapwood(name = "Tree")]
struct Renamed(u8);

fn main() {}
