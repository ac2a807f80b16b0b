use sapwood::Value;

#[derive(Debug, Value)]
enum Renamed {
    Oak,
    #[sapwood(skip)]
    Ash,
}

fn main() {}
