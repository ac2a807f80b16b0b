use sapwood::{Key, Value};

#[derive(Debug, Key, Value)]
enum Height {
    Low = 3,
    High = 9,
    Middle = 5,
}

#[derive(Debug, Key, Value)]
enum Depth {
    Deep = -2,
    Deeper = -3,
}

const FIRST: isize = 1;

#[derive(Debug, Key, Value)]
enum Hidden {
    First = FIRST,
}

fn main() {}
