//! The command that takes a run's messages and prints its states: the target, as a child of the tap.
//!
//! The messages go into its stdin, and each state that it prints replaces the state file. It runs in a process group of its own,
//! so that a signal reaches the tap first, and the command ends behind it.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use command_fds::CommandFdExt;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::command::commands;
use super::singer::write;
use super::state_file::{StateFile, States};
use super::words::Words;
use crate::extraction::{Run, SummaryHandle};
use crate::session::{Session, Stop, StopSignal, TapError};

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
    /// A program and its arguments, or a line for the shell.
    pub(super) command: String,
    /// Where it runs; none: where the tap does.
    pub(super) folder: Option<PathBuf>,
    /// The file that keeps its states; none: they go to the tap's own stdout.
    pub(super) state: Option<StateFile>,
    /// The file that its stderr is added to; none: it is passed on to the tap's own.
    pub(super) log: Option<PathBuf>,
}

impl OutputCommand {
    /// Writes a run's messages into the command, waits for its end, and keeps the states that it prints.
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
        let kept = running.states.take().map_or(Ok(()), States::end);
        running.words.settle();
        let failed = !ended.as_ref().is_ok_and(ExitStatus::success);
        match written {
            // A reader that left is why nothing could be written any more.
            Err(TapError::Output(_)) => Err(stop.or(running.failure(ended)).await),
            Ok(()) if failed => Err(stop.or(running.failure(ended)).await),
            Ok(()) => kept,
            Err(error) => {
                // The last line tells of the tap's own failure.
                if failed {
                    tracing::warn!("{}", running.failure(ended));
                }
                if let Err(unkept) = kept {
                    tracing::warn!("{unkept}");
                }
                Err(error)
            }
        }
    }

    fn start(&self) -> Result<Running, TapError> {
        let mut missing = None;
        for command in commands(&self.command, self.folder.as_deref()) {
            match self.start_as(command) {
                Err(TapError::OutputUnstarted(error)) if error.kind() == io::ErrorKind::NotFound => {
                    missing.get_or_insert(error);
                }
                started => return started,
            }
        }
        Err(TapError::OutputUnstarted(missing.unwrap_or_else(|| io::ErrorKind::NotFound.into())))
    }

    fn start_as(&self, mut command: Command) -> Result<Running, TapError> {
        let stdout = if self.state.is_some() { Stdio::piped() } else { Stdio::inherit() };
        let (stderr, words) = match &self.log {
            Some(path) => Words::to_log(path),
            None => (Stdio::piped(), Words::Lost),
        };
        command.stdin(Stdio::piped()).stdout(stdout).stderr(stderr).process_group(0);
        if let Some(lock) = self.state.as_ref().and_then(|state| state.share_lock().transpose()) {
            command.preserved_fds(vec![lock.map_err(TapError::OutputUnstarted)?]);
        }
        let mut child = command.spawn().map_err(TapError::OutputUnstarted)?;
        let states = self.state.as_ref().zip(child.stdout.take()).map(|(file, stdout)| file.keep(stdout));
        Ok(Running::watch(child, words, states))
    }
}

/// A command under way.
#[derive(Debug)]
struct Running {
    group: Pid,
    input: Option<ChildStdin>,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
    states: Option<States>,
    words: Words,
}

impl Running {
    fn watch(mut child: Child, words: Words, states: Option<States>) -> Self {
        let group = Pid::from_raw(child.id().cast_signed());
        let input = child.stdin.take();
        let words = child.stderr.take().map_or(words, Words::pass_on);
        let (told, ended) = oneshot::channel();
        // Nobody listens when the tap is about to end by itself.
        thread::spawn(move || drop(told.send(child.wait())));
        Self { group, input, ended, states, words }
    }

    /// Why it failed.
    fn failure(&self, ended: io::Result<ExitStatus>) -> TapError {
        let ended = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        TapError::OutputCommand { ended, said: self.words.reason() }
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
            tracing::warn!(
                "the output command has not ended, and gets {next}; what it had not confirmed is sent again"
            );
            // It is not there when it has just ended.
            let _ = killpg(self.group, next);
        }
        None
    }
}

fn known(ended: Result<io::Result<ExitStatus>, oneshot::error::RecvError>) -> io::Result<ExitStatus> {
    ended.unwrap_or_else(|_| Err(io::Error::other("nobody waited for it")))
}
