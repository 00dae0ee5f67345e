//! The signals that ask the process to end, SIGINT and SIGTERM, heard from its start on.

use std::future::pending;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use super::exit::TapError;

/// How long a closed pipe waits for the signal that may have closed it: Ctrl-C reaches a whole pipeline, and the reader can be
/// gone before this process has seen its own signal.
const CLOSED_PIPE_PATIENCE: Duration = Duration::from_millis(300);

/// That the process was asked to end.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// By SIGTERM, not SIGINT.
    pub terminated: bool,
    /// When.
    pub at: Instant,
}

impl Stop {
    /// How a run ends by it.
    pub fn error(self) -> TapError {
        if self.terminated { TapError::Terminated } else { TapError::Interrupted }
    }
}

/// Tells whether the process was asked to end. The first signal counts.
#[derive(Debug, Clone)]
pub struct StopSignal {
    asked: watch::Receiver<Option<Stop>>,
}

impl StopSignal {
    /// Listens to signals, in a thread of its own. From then on they no longer end the process by themselves.
    ///
    /// # Errors
    /// When the system gives no thread or no signals.
    pub fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let inside = runtime.enter();
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        drop(inside);
        let (sender, asked) = watch::channel(None);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let terminated = runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => false,
                    _ = terminate.recv() => true,
                }
            });
            sender.send_replace(Some(Stop { terminated, at: Instant::now() }));
        })?;
        Ok(Self { asked })
    }

    /// Whether a signal came.
    pub fn now(&self) -> Option<Stop> {
        *self.asked.borrow()
    }

    /// Resolves when a signal comes, or came already.
    pub async fn asked(&self) -> Stop {
        let mut asked = self.asked.clone();
        let stop = asked.wait_for(Option::is_some).await.ok().and_then(|stop| *stop);
        match stop {
            Some(stop) => stop,
            // The listener is gone without a signal, which no longer can come.
            None => pending().await,
        }
    }

    /// Does some work unless a signal comes before its end.
    ///
    /// # Errors
    /// Those of the work, and the signal.
    pub async fn unless_asked<T>(&self, work: impl Future<Output = Result<T, TapError>>) -> Result<T, TapError> {
        tokio::select! {
            biased;
            stop = self.asked() => Err(stop.error()),
            done = work => done,
        }
    }

    /// Why a run ended that ended by `error`: by the signal, if there was one.
    pub async fn or(&self, error: TapError) -> TapError {
        let stop = match &error {
            TapError::Output(error) => self.behind(error).await,
            _ => self.now(),
        };
        stop.map_or(error, Stop::error)
    }

    /// The signal behind an output that cannot be written: a reader that ended by the same signal closes the pipe, and that is
    /// no reason of its own.
    pub async fn behind(&self, error: &io::Error) -> Option<Stop> {
        if error.kind() == io::ErrorKind::BrokenPipe {
            let _ = timeout(CLOSED_PIPE_PATIENCE, self.asked()).await;
        }
        self.now()
    }
}
