//! How the model checker is run: for tests of the crate and on it.

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};
use std::sync::Arc;

/// Runs the body under random schedules, and under such as change the thread only at a few places.
pub fn explore(rounds: usize, body: impl Fn() + Send + Sync + 'static) {
    let scale = std::env::var("SAPWOOD_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1_usize);
    let rounds = rounds * scale.max(1);
    let mut config = Config::new();
    (config.stack_size, config.silence_warnings) = (1 << 18, true);
    let body = Arc::new(body);
    let again = body.clone();
    Runner::new(RandomScheduler::new_from_seed(1, rounds), config.clone()).run(move || again());
    Runner::new(PctScheduler::new_from_seed(1, 4, rounds), config).run(move || body());
}
