//! Blobs in Sapwood beside files, SQLite and other databases: how long it takes to store and to read them.
//!
//! `cargo run --release --manifest-path peers/Cargo.toml --bin blobs [folder]`
//!
//! All take turns: in each round each does the same, and what slows the machine for longer than a round slows all. Each
//! blob is stored by a commit of its own, which is on disk when it returns, and read by a transaction of its own. A
//! figure such as `1.50x` says that it takes 1.5 times as long as in Sapwood, in the median of the rounds.

mod files;
mod others;
mod ours;
mod pool;
mod rounds;
mod sqlite;

use pool::{Pool, sum};
use rounds::Rounds;
use std::env;
use std::path::Path;

/// Bytes that a stream gives or takes at once.
const PIECE: usize = 1 << 16;
const ROUNDS: usize = 7;

/// How the bytes of a blob come and go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All at once, from and to memory.
    Whole,
    /// As a stream, [`PIECE`] by [`PIECE`].
    Pieces,
}

/// Something that blobs are stored in.
trait Peer {
    fn name(&self) -> &'static str;

    fn can(&self, _way: Way) -> bool {
        true
    }

    /// Stores blobs durably by one commit, behind those that are there.
    fn store(&mut self, blobs: &[&[u8]], way: Way);

    /// Reads the blob at this index, and gives its [`sum`].
    fn read(&mut self, at: usize, way: Way) -> u64;
}

/// One length of blobs.
struct Size {
    name: &'static str,
    bytes: usize,
    /// Blobs that are stored in a round.
    stored: usize,
    /// Blobs that are read in a round.
    read: usize,
}

const SIZES: [Size; 4] = [
    Size { name: "4 KiB", bytes: 4 << 10, stored: 24, read: 4096 },
    Size { name: "64 KiB", bytes: 64 << 10, stored: 24, read: 512 },
    Size { name: "1 MiB", bytes: 1 << 20, stored: 12, read: 64 },
    Size { name: "64 MiB", bytes: 64 << 20, stored: 1, read: 2 },
];

fn peers(folder: &Path) -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(ours::Store::create(&folder.join("sapwood"), "Sapwood", None)),
        Box::new(ours::Store::create(&folder.join("sapwood-small"), "Sapwood, 2 MiB of cache", Some(2 << 20))),
        Box::new(files::Store::create(&folder.join("files"))),
        Box::new(sqlite::Store::create(&folder.join("sqlite"))),
        Box::new(others::Redb::create(&folder.join("redb"))),
        Box::new(others::Shodh::create(&folder.join("shodh"))),
    ]
}

fn main() {
    let folder = env::args().nth(1).map_or_else(env::temp_dir, Into::into);
    let pool = Pool::new();
    for size in &SIZES {
        compare(size, &pool, &folder);
    }
}

fn compare(size: &Size, pool: &Pool, folder: &Path) {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let mut peers = peers(folder.path());
    let blobs: Vec<_> = (0..size.read).map(|at| pool.blob(at, size.bytes)).collect();
    peers.iter_mut().for_each(|peer| peer.store(&blobs, Way::Whole));
    let mut columns = Vec::new();
    for way in [Way::Whole, Way::Pieces] {
        columns.push(Rounds::measure(&mut peers, way, size.stored * size.bytes, |peer| {
            blobs.iter().cycle().take(size.stored).for_each(|blob| peer.store(&[blob], way));
        }));
        columns.push(Rounds::measure(&mut peers, way, size.read * size.bytes, |peer| {
            blobs.iter().enumerate().for_each(|(at, blob)| assert_eq!(peer.read(at, way), sum(blob)));
        }));
    }
    println!("\n| {} | store | read | store in pieces | read in pieces |", size.name);
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (at, peer) in peers.iter().enumerate() {
        let cells: Vec<_> = columns.iter().map(|column| column.cell(at)).collect();
        println!("| {} | {} |", peer.name(), cells.join(" | "));
    }
}
