use sapwood::Value;

#[derive(Debug, Value)]
struct Renamed {
    #[sapwood(crate = "sapwood")]
    height: u8,
}

fn main() {}
