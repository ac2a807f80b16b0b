use sapwood::Value;

#[derive(Debug, Value)]
struct Tree {
    branches: Vec<Tree>,
}

#[derive(Debug, Value)]
enum List<T> {
    End,
    Item(T, Vec<List<T>>),
}

#[derive(Debug, Value)]
struct Me(Vec<Self>);

fn main() {}
