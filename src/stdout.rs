//! The one writer of messages: whole lines, a large buffer, flushed at each STATE.

use std::io::{self, BufWriter, Write};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::extraction::Yield;
use crate::messages::{encode_activate_version, encode_records, encode_state};

/// Four times what a pipe holds: a slow reader is the rule, and fewer writes are cheaper.
const BUFFER_BYTES: usize = 256 << 10;
/// Yields that wait for the writer; each is a page at most.
const QUEUE: usize = 2;

/// Starts writing: first `preamble`, then what comes through the channel, until its last sender is gone. The second
/// channel tells how it ended, at once when writing fails.
pub fn write_all(
    preamble: Vec<u8>,
    out: impl Write + Send + 'static,
) -> (mpsc::Sender<Yield>, oneshot::Receiver<io::Result<()>>) {
    let (sink, yields) = mpsc::channel(QUEUE);
    let (done, ended) = oneshot::channel();
    // A thread of its own: a blocked pipe must not hold up the requests.
    thread::spawn(move || {
        let result = write_until_end(&preamble, yields, &mut BufWriter::with_capacity(BUFFER_BYTES, out));
        // Nobody listens once the process is about to end.
        let _ = done.send(result);
    });
    (sink, ended)
}

fn write_until_end(preamble: &[u8], mut yields: mpsc::Receiver<Yield>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(preamble)?;
    while let Some(yielded) = yields.blocking_recv() {
        match yielded {
            Yield::Records(records) => encode_records(&records, out)?,
            Yield::ActivateVersion { stream, version } => encode_activate_version(stream, version, out)?,
            Yield::Checkpoint(state) => {
                encode_state(&state, out)?;
                out.flush()?;
            }
        }
    }
    out.flush()
}
