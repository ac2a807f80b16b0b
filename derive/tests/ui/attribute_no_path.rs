use sapwood::Value;

#[derive(Debug, Value)]
#[sapwood(crate = "7")]
struct Nowhere(u8);

fn main() {}
