//! Cases run in child processes, a batch each, so that an abort or a hang is a failure with a name.
//!
//! The test binary starts itself again for one of its own tests, the worker, which finds its batch in an environment
//! variable, and says on its standard output which case it is at and which have failed.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const BATCH: &str = "SAPWOOD_TEST_BATCH";
const AT: &str = "@at ";
const FAILED: &str = "@failed ";
const DONE: &str = "@done";
/// Children side by side.
const CHILDREN: usize = 2;
/// A worker stops after so many failed cases.
const ENOUGH: usize = 10;

/// 1 by default; 10 asks for everything.
pub fn scale() -> u64 {
    std::env::var("SAPWOOD_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

/// The batch that this process was started for, if it was.
pub fn batch() -> Option<String> {
    std::env::var(BATCH).ok()
}

/// Runs the cases of a batch in this process. An error or a panic is a failed case; the others are still run.
pub fn work<C: std::fmt::Display>(cases: impl Iterator<Item = C>, run: impl Fn(&C) -> Result<(), String>) {
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "\n{}", line.replace('\n', " | ")).and_then(|()| out.flush());
    };
    let mut failed = 0;
    for case in cases {
        say(format!("{AT}{case}"));
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&case))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(format!("panicked: {}", text.unwrap_or_default()))
        });
        if let Err(why) = outcome {
            say(format!("{FAILED}{case}: {why}"));
            failed += 1;
            if failed == ENOUGH {
                break;
            }
        }
    }
    say(DONE.to_string());
}

/// Runs every batch in a child of its own by the test named `worker`, and panics with what failed.
pub fn run(worker: &str, batches: Vec<String>, timeout: Duration) {
    let waiting = Mutex::new(VecDeque::from(batches));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..CHILDREN {
            scope.spawn(|| {
                loop {
                    let Some(batch) = waiting.lock().unwrap().pop_front() else { return };
                    let found = run_child(worker, &batch, timeout);
                    failures.lock().unwrap().extend(found);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let shown: Vec<&str> = failures.iter().take(40).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), shown.join("\n"));
}

fn run_child(worker: &str, batch: &str, timeout: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", worker, "--nocapture", "--test-threads=1"])
        .env(BATCH, batch)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let err = child.stderr.take().unwrap();
    let heard = Mutex::new(Heard::default());
    let mut last_words = VecDeque::new();
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                heard.lock().unwrap().line(&line);
            }
        });
        scope.spawn(|| {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                last_words.push_back(line);
                if last_words.len() > 6 {
                    last_words.pop_front();
                }
            }
        });
        wait(&mut child, timeout)
    });
    let mut heard = heard.into_inner().unwrap();
    if !heard.done || ended != "ended" {
        let words: Vec<String> = last_words.into();
        heard.failures.push(format!("batch {batch} {ended} at case {}: {}", heard.at, words.join(" | ")));
    }
    heard.failures
}

/// Waits for the child to end by itself, or makes it.
fn wait(child: &mut Child, timeout: Duration) -> String {
    let start = Instant::now();
    loop {
        match child.try_wait().unwrap() {
            Some(status) if status.success() => return "ended".to_string(),
            Some(status) => return format!("died ({status})"),
            None if start.elapsed() > timeout => {
                child.kill().unwrap();
                child.wait().unwrap();
                return format!("hung for {timeout:?}");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[derive(Default)]
struct Heard {
    at: String,
    failures: Vec<String>,
    done: bool,
}

impl Heard {
    fn line(&mut self, line: &str) {
        if let Some(at) = line.strip_prefix(AT) {
            self.at = at.to_string();
        } else if let Some(failed) = line.strip_prefix(FAILED) {
            self.failures.push(failed.to_string());
        } else if line == DONE {
            self.done = true;
        }
    }
}
