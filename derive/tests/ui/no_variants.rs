use sapwood::{Key, Value};

#[derive(Debug, Key, Value)]
enum Never {}

fn main() {}
