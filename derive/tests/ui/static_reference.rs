use sapwood::Value;

#[derive(Debug, Value)]
struct Named {
    name: &'static str,
}

#[derive(Debug, Value)]
struct Owned<T: 'static>(T);

fn main() {}
