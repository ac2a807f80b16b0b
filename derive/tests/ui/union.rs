use sapwood::{Key, Value};

#[derive(Key, Value)]
union Bits {
    number: u32,
    bytes: [u8; 4],
}

fn main() {}
