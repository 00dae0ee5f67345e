//! The lines of stdin, in blocks of whole lines.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use memchr::{memchr, memrchr};
use thiserror::Error;

use super::value::ValueError;

/// Four times what a pipe holds: fewer reads are cheaper.
const BLOCK_BYTES: usize = 256 << 10;
/// Blocks read ahead of what is being parsed.
const QUEUE: usize = 4;

/// What the reader of stdin hands on.
#[derive(Debug)]
pub(super) enum Block {
    /// Whole lines; the last one of the input may lack its newline.
    Lines(Vec<u8>),
    /// Stdin cannot be read.
    Broken(io::Error),
}

/// A line that cannot be loaded.
#[derive(Debug, Error)]
pub(super) enum LineError {
    #[error("line {line} is not JSON: {reason}")]
    NotJson { line: u64, reason: String },
    #[error("line {line} is no Singer message: {reason}")]
    NotAMessage { line: u64, reason: String },
    #[error("line {line} has the type {found:?}, which is none of SCHEMA, RECORD, STATE and ACTIVATE_VERSION")]
    UnknownType { line: u64, found: String },
    #[error("line {line} is a {kind} of the stream {stream:?} before its SCHEMA")]
    NoSchema { line: u64, kind: &'static str, stream: String },
    #[error("line {line}, stream {stream:?}: {reason}")]
    Schema { line: u64, stream: String, reason: String },
    #[error("line {line}, stream {stream:?}: the record lacks its key {column:?}")]
    NoKey { line: u64, stream: String, column: String },
    #[error("line {line}, stream {stream:?}, column {column:?}: the value {error}")]
    Value { line: u64, stream: String, column: String, error: ValueError },
    #[error("stdin cannot be read after line {line}: {reason}")]
    Unreadable { line: u64, reason: io::Error },
}

/// Reads an input in a thread of its own until it ends or cannot be read.
pub(super) fn blocks(input: impl Read + Send + 'static) -> Receiver<Block> {
    let (sender, receiver) = sync_channel(QUEUE);
    thread::spawn(move || {
        if let Err(error) = read_blocks(input, &sender) {
            // Nobody listens once the run has ended.
            let _ = sender.send(Block::Broken(error));
        }
    });
    receiver
}

fn read_blocks(mut input: impl Read, sender: &SyncSender<Block>) -> io::Result<()> {
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let mut block = rest;
        let known = block.len();
        block.resize(known + BLOCK_BYTES, 0);
        let count = loop {
            match input.read(&mut block[known..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        let is_end = count == 0;
        block.truncate(known + count);
        rest = match memrchr(b'\n', &block[known..]) {
            Some(at) => block.split_off(known + at + 1),
            None if is_end => Vec::new(),
            None => {
                rest = block;
                continue;
            }
        };
        let closed = !block.is_empty() && sender.send(Block::Lines(block)).is_err();
        if is_end || closed {
            return Ok(());
        }
    }
}

/// The lines of a block, without their ends.
pub(super) fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = block;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, behind) = match memchr(b'\n', rest) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        rest = behind;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, as a slow source does.
    struct Trickle(io::Cursor<Vec<u8>>, usize);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let some = self.1.min(buffer.len());
            self.0.read(&mut buffer[..some])
        }
    }

    #[test]
    fn lines_come_whole_and_in_order_however_the_input_is_cut() {
        let long = "x".repeat(600_000);
        let text = format!("one\r\ntwo\n\n{long}\nlast without an end");
        for size in [1_000, 70_000, 1 << 20] {
            let mut found = Vec::new();
            for block in blocks(Trickle(io::Cursor::new(text.clone().into_bytes()), size)) {
                let Block::Lines(block) = block else { panic!("broken") };
                found.extend(lines(&block).map(|line| String::from_utf8(line.to_vec()).expect("UTF-8")));
            }
            assert_eq!(found, ["one", "two", "", &long, "last without an end"]);
        }
    }
}
