//! The one writer of messages: whole lines, a large buffer, flushed at each STATE.

use std::io::{self, Write};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::extraction::Extracted;

/// Four times what a pipe holds: a slow reader is the rule, and fewer writes are cheaper.
const BUFFER_BYTES: usize = 256 << 10;
/// Yields that wait for the writer; most are a quarter of a megabyte at most.
const QUEUE: usize = 2;

/// Starts writing: first `preamble`, then what `encode` makes of what comes through the channel, until its last sender
/// is gone. The second channel tells how it ended, at once when writing fails.
///
/// Each write is of whole lines, so that others may write lines to the same stdout.
pub fn write_all(
    preamble: Vec<u8>,
    encode: impl FnMut(Extracted, &mut Vec<u8>) -> io::Result<()> + Send + 'static,
    out: impl Write + Send + 'static,
) -> (mpsc::Sender<Extracted>, oneshot::Receiver<io::Result<()>>) {
    let (sink, yields) = mpsc::channel(QUEUE);
    let (done, ended) = oneshot::channel();
    // A thread of its own: a blocked pipe must not hold up the requests.
    thread::spawn(move || {
        let result = write_until_end(preamble, yields, encode, out);
        // Nobody listens once the process is about to end.
        let _ = done.send(result);
    });
    (sink, ended)
}

fn write_until_end(
    preamble: Vec<u8>,
    mut yields: mpsc::Receiver<Extracted>,
    mut encode: impl FnMut(Extracted, &mut Vec<u8>) -> io::Result<()>,
    mut out: impl Write,
) -> io::Result<()> {
    let mut lines = preamble;
    lines.reserve(2 * BUFFER_BYTES);
    while let Some(yielded) = yields.blocking_recv() {
        let is_checkpoint = matches!(yielded, Extracted::Checkpoint(_));
        encode(yielded, &mut lines)?;
        if lines.len() >= BUFFER_BYTES || is_checkpoint {
            out.write_all(&lines)?;
            lines.clear();
            // What one large stream needed is not kept for good.
            lines.shrink_to(4 * BUFFER_BYTES);
        }
        if is_checkpoint {
            out.flush()?;
        }
    }
    out.write_all(&lines)?;
    out.flush()
}
