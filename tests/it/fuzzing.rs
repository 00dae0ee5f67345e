//! A bounded run of the fuzz targets, through the same functions: random changes of the seed corpus, and no panic.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::support::figures;

#[expect(unreachable_pub, reason = "the same file is the fuzz package's library")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// How long each target is tried, and how often at least.
const TIME: Duration = Duration::from_secs(2);
const LEAST: usize = 200;
/// Texts that parsers stumble over.
const NOTABLE: [&str; 16] = [
    "null",
    "{}",
    "[]",
    "\"\"",
    "true",
    "-0",
    "1e999",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "\\udc00",
    "\u{feff}",
    "{\"id\":",
    "\"results\":[",
    "9999-12-31T23:59:60Z",
    "\\",
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no seeds");
    files.iter().map(|file| fs::read(file).expect("a seed")).collect()
}

/// A seed with a few changes: bytes, pieces that go, come twice or from elsewhere, and notable texts.
fn changed(seeds: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut bytes = seeds[random.usize(..seeds.len())].clone();
    for _ in 0..random.usize(1..6) {
        let length = bytes.len();
        let begin = random.usize(..=length);
        let end = (begin + random.usize(..24)).min(length);
        match random.usize(..6) {
            0 if begin < length => bytes[begin] ^= 1 << random.usize(..8),
            1 => drop(bytes.drain(begin..end)),
            2 => {
                let piece = bytes[begin..end].to_vec();
                let at = random.usize(..=length);
                bytes.splice(at..at, piece);
            }
            3 => {
                let other = &seeds[random.usize(..seeds.len())];
                let from = random.usize(..=other.len());
                let piece = other[from..(from + random.usize(..40)).min(other.len())].to_vec();
                bytes.splice(begin..end, piece);
            }
            4 => bytes.truncate(begin),
            _ => drop(bytes.splice(begin..end, random.choice(NOTABLE).expect("a text").bytes())),
        }
    }
    bytes
}

#[test]
fn no_bytes_from_outside_make_a_reader_panic() {
    let seed = figures::seed();
    eprintln!("TAP_TEST_SEED={seed}");
    let mut told = Vec::new();
    for (name, target) in targets::TARGETS {
        let mut random = Rng::with_seed(seed);
        let seeds = corpus(name);
        let (begun, mut tried) = (Instant::now(), 0);
        for bytes in &seeds {
            target(bytes);
        }
        while tried < LEAST || begun.elapsed() < TIME {
            let bytes = changed(&seeds, &mut random);
            let outcome = catch_unwind(AssertUnwindSafe(|| target(&bytes)));
            assert!(outcome.is_ok(), "{name}, TAP_TEST_SEED={seed}: {:?}", String::from_utf8_lossy(&bytes));
            tried += 1;
        }
        told.push(format!("{name} {tried}"));
    }
    figures::tell("fuzzing on stable", &format!("inputs tried: {}; panics: 0; seed {seed}", told.join(", ")));
}
