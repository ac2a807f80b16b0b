use super::{Peer, ROUNDS, Way};
use std::time::Instant;

/// How long each peer took in each round. There is nothing of those that cannot do it.
pub struct Rounds {
    seconds: Vec<Vec<f64>>,
    bytes: usize,
}

impl Rounds {
    /// Lets the peers take turns, another first in each round. The first round, which warms what there is to warm, does
    /// not count.
    pub fn measure(peers: &mut [Box<dyn Peer>], way: Way, bytes: usize, work: impl Fn(&mut dyn Peer)) -> Self {
        let mut seconds = vec![Vec::new(); peers.len()];
        for round in 0..=ROUNDS {
            for turn in 0..peers.len() {
                let at = (round + turn) % peers.len();
                if !peers[at].can(way) {
                    continue;
                }
                let start = Instant::now();
                work(&mut *peers[at]);
                if round > 0 {
                    seconds[at].push(start.elapsed().as_secs_f64());
                }
            }
        }
        Self { seconds, bytes }
    }

    /// How long a peer took, as a multiple of the first one's time, and how many bytes it got done in a second.
    pub fn cell(&self, at: usize) -> String {
        let (times, first) = (&self.seconds[at], &self.seconds[0]);
        if times.is_empty() {
            return "-".to_string();
        }
        let ratio = median(times.iter().zip(first).map(|(time, first)| time / first).collect());
        let rate = self.bytes as f64 / median(times.clone()) / 1e6;
        format!("{ratio:.2}x {rate:.0} MB/s")
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
