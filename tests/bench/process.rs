//! Children whose time and memory are told apart from ours: each runs below a small process of its own that waits for
//! it and reads what the kernel counted.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

/// The argument that makes the benchmarks' program such a small process.
pub(crate) const MODE: &str = "--measure";

/// What a child cost.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// From its start to its end.
    pub(crate) wall_secs: f64,
    /// In user and kernel mode, all threads.
    pub(crate) cpu_secs: f64,
    /// Greatest resident memory.
    pub(crate) peak_bytes: u64,
}

/// Runs a program to its end, its messages into a file; panics with its last words unless it ends with 0.
pub(crate) fn measure(program: &Path, arguments: &[String], out: &Path, log: &Path) -> Cost {
    let result = log.with_extension("cost.json");
    let status = Command::new(std::env::current_exe().expect("our own program"))
        .arg(MODE)
        .arg(&result)
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(File::create(out).expect("a writable folder"))
        .stderr(File::create(log).expect("a writable folder"))
        .status()
        .expect("our own program runs");
    assert!(status.success(), "{} {}: {}", program.display(), arguments.join(" "), last_line(log));
    serde_json::from_slice(&fs::read(&result).expect("the cost")).expect("a cost")
}

/// The small process: runs `arguments[1..]`, writes its cost to the file `arguments[0]`, ends as it ended.
pub(crate) fn run_measured(arguments: &[String]) -> i32 {
    let [result, program, arguments @ ..] = arguments else { return 2 };
    let started = Instant::now();
    let status = Command::new(program).args(arguments).status().expect("the program runs");
    let wall = started.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel counts");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let cost = Cost {
        wall_secs: wall.as_secs_f64(),
        cpu_secs: Duration::from_micros(micros.unsigned_abs()).as_secs_f64(),
        // Linux counts it in KiB.
        peak_bytes: usage.max_rss().unsigned_abs() << 10,
    };
    fs::write(result, serde_json::to_vec(&cost).expect("JSON")).expect("a writable folder");
    status.code().unwrap_or(1)
}

/// The median of several costs, figure by figure; of the memory the greatest.
pub(crate) fn median(costs: &[Cost]) -> Cost {
    Cost {
        wall_secs: middle(costs.iter().map(|cost| cost.wall_secs)),
        cpu_secs: middle(costs.iter().map(|cost| cost.cpu_secs)),
        peak_bytes: costs.iter().map(|cost| cost.peak_bytes).max().unwrap_or(0),
    }
}

/// The value in the middle; of an even number the greater of the two.
pub(crate) fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What a program said last.
pub(crate) fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("it said nothing").to_owned()
}
