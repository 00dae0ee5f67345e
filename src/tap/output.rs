//! The command that takes a run's messages and prints its states: the target, as a child of the tap.
//!
//! The messages go into its stdin, and what it prints is added to the state file, of which the last whole line then stays. It
//! runs in a process group of its own, so that a signal reaches the tap first, and the command ends behind it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::sync::write;
use super::words::Words;
use crate::extraction::{Run, SummaryHandle};
use crate::session::{Session, Stop, StopSignal, TapError, replace_file};

/// How long after a signal the messages may still be written, if the command does not read them.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);
/// How long after a signal the command may write what it has read. A target's batch is lost with it, but none of its rows: its
/// last state is older than they are.
const END_PATIENCE: Duration = Duration::from_millis(3_500);
/// How long after a signal the command may take to obey SIGTERM; then it is killed.
const OBEY_PATIENCE: Duration = Duration::from_millis(4_300);

/// A command and its files.
#[derive(Debug)]
pub(super) struct OutputCommand {
    /// For the shell.
    pub(super) command: String,
    /// Where it runs; none: where the tap does.
    pub(super) folder: Option<PathBuf>,
    /// The file that its states are added to; none: they go to the tap's own stdout.
    pub(super) state: Option<PathBuf>,
    /// The file that its stderr is added to; none: it is passed on to the tap's own.
    pub(super) log: Option<PathBuf>,
}

impl OutputCommand {
    /// Writes a run's messages into the command, waits for its end, and keeps the last state that it printed.
    pub(super) async fn load(
        &self,
        session: &Session,
        run: Run,
        summary: &SummaryHandle,
        stop: &StopSignal,
    ) -> Result<(), TapError> {
        let mut running = self.start()?;
        let input = running.input.take().expect("a pipe was asked for");
        let written = write(session, run, summary, input, stop, WRITE_PATIENCE).await;
        // The writer has closed the pipe, so the command comes to its end.
        let ended = running.end(stop).await;
        running.words.settle();
        if let Some(path) = &self.state {
            keep_last_state(path);
        }
        match (written, ended) {
            (written, Ok(status)) if status.success() => written,
            // A reader that left is why nothing could be written any more.
            (Ok(()) | Err(TapError::Output(_)), ended) => {
                let ended = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                Err(stop.or(TapError::OutputCommand { ended, said: running.words.reason() }).await)
            }
            (written, _) => written,
        }
    }

    fn start(&self) -> Result<Running, TapError> {
        let stdout = match &self.state {
            Some(path) => OpenOptions::new().create(true).append(true).open(path).map(Stdio::from).map_err(of(path))?,
            None => Stdio::inherit(),
        };
        let (stderr, words) = match &self.log {
            Some(path) => Words::to_log(path),
            None => (Stdio::piped(), Words::Lost),
        };
        let mut command = Command::new("sh");
        command.args(["-c", &self.command]).stdin(Stdio::piped()).stdout(stdout).stderr(stderr).process_group(0);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let child = command.spawn().map_err(TapError::OutputUnstarted)?;
        Ok(Running::watch(child, words))
    }
}

/// A command under way.
#[derive(Debug)]
struct Running {
    group: Pid,
    input: Option<ChildStdin>,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
    words: Words,
}

impl Running {
    fn watch(mut child: Child, words: Words) -> Self {
        let group = Pid::from_raw(child.id().cast_signed());
        let input = child.stdin.take();
        let words = child.stderr.take().map_or(words, Words::pass_on);
        let (told, ended) = oneshot::channel();
        // Nobody listens when the tap is about to end by itself.
        thread::spawn(move || drop(told.send(child.wait())));
        Self { group, input, ended, words }
    }

    /// Waits for its end. Once the process was asked to stop the command is asked as well, in the end with SIGKILL.
    async fn end(&mut self, stop: &StopSignal) -> io::Result<ExitStatus> {
        let asked = tokio::select! {
            biased;
            ended = &mut self.ended => return known(ended),
            asked = stop.asked() => asked,
        };
        let ended = match self.stop(asked).await {
            Some(ended) => ended,
            None => known((&mut self.ended).await),
        };
        // What the shell left behind ends with it.
        let _ = killpg(self.group, Signal::SIGKILL);
        ended
    }

    /// Gives it until the bounds above; none when only SIGKILL was left.
    async fn stop(&mut self, asked: Stop) -> Option<io::Result<ExitStatus>> {
        for (patience, next) in [(END_PATIENCE, Signal::SIGTERM), (OBEY_PATIENCE, Signal::SIGKILL)] {
            if let Ok(ended) = timeout_at((asked.at + patience).into(), &mut self.ended).await {
                return Some(known(ended));
            }
            // It is not there when it has just ended.
            let _ = killpg(self.group, next);
        }
        None
    }
}

fn known(ended: Result<io::Result<ExitStatus>, oneshot::error::RecvError>) -> io::Result<ExitStatus> {
    ended.unwrap_or_else(|_| Err(io::Error::other("nobody waited for it")))
}

fn of(path: &Path) -> impl Fn(io::Error) -> TapError {
    let path = path.to_owned();
    move |source| TapError::File { path: path.clone(), source }
}

/// Leaves of the states that were printed the last whole one, which is the one that counts. Where that fails all of them stay,
/// and the next run finds the last one.
fn keep_last_state(path: &Path) {
    let kept = fs::read_to_string(path).and_then(|text| {
        let is_state = |line: &&str| serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object());
        match text.lines().rev().find(is_state) {
            Some(last) if last.len() + 1 < text.len() => replace_file(path, format!("{last}\n").as_bytes()),
            _ => Ok(()),
        }
    });
    if let Err(error) = kept {
        tracing::warn!("{} keeps all states that were printed: {error}", path.display());
    }
}
