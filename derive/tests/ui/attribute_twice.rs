use sapwood::Value;

#[derive(Debug, Value)]
#[sapwood(crate = "sapwood")]
#[sapwood(crate = "::sapwood")]
struct Twice(u8);

fn main() {}
