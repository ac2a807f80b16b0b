//! A file for each blob.

use super::{PIECE, Peer, Way, sum};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

pub struct Store {
    folder: PathBuf,
    count: usize,
}

impl Store {
    pub fn create(folder: &Path) -> Self {
        fs::create_dir(folder).unwrap();
        Self { folder: folder.to_path_buf(), count: 0 }
    }

    fn path(&self, at: usize) -> PathBuf {
        self.folder.join(at.to_string())
    }
}

impl Peer for Store {
    fn name(&self) -> &'static str {
        "files"
    }

    fn store(&mut self, blobs: &[&[u8]], way: Way) {
        for blob in blobs {
            let mut file = File::create(self.path(self.count)).unwrap();
            let piece = if way == Way::Whole { blob.len() } else { PIECE };
            blob.chunks(piece).for_each(|piece| file.write_all(piece).unwrap());
            file.sync_all().unwrap();
            self.count += 1;
        }
    }

    fn read(&mut self, at: usize, way: Way) -> u64 {
        if way == Way::Whole {
            return sum(&fs::read(self.path(at)).unwrap());
        }
        pieces(File::open(self.path(at)).unwrap())
    }
}

/// The sum of a stream that is read piece by piece.
pub fn pieces(mut stream: impl Read) -> u64 {
    let (mut buffer, mut total) = (vec![0; PIECE], 0);
    loop {
        let length = stream.read(&mut buffer).unwrap();
        if length == 0 {
            return total;
        }
        total += sum(&buffer[..length]);
    }
}
