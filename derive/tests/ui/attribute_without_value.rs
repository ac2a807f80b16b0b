use sapwood::Value;

#[derive(Debug, Value)]
#[sapwood(crate)]
struct Nowhere(u8);

fn main() {}
