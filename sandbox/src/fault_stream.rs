//! TCP connections that a fault can reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Resets the connection that it belongs to: the next write fails and the peer sees a reset.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResetHandle(Arc<AtomicBool>);

impl ResetHandle {
    pub(crate) fn reset(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Debug)]
pub(crate) struct FaultStream {
    stream: TcpStream,
    reset_handle: ResetHandle,
    /// Set when the whole sandbox stops.
    stopped: Arc<AtomicBool>,
}

impl FaultStream {
    fn check_open(&self) -> io::Result<()> {
        if self.reset_handle.0.load(Ordering::SeqCst) || self.stopped.load(Ordering::SeqCst) {
            // Without lingering, closing sends a reset instead of an orderly end.
            self.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for FaultStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for FaultStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check_open()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_open()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Accepts connections, each with its reset handle.
#[derive(Debug)]
pub(crate) struct FaultListener {
    pub(crate) listener: TcpListener,
    pub(crate) stopped: Arc<AtomicBool>,
}

impl Listener for FaultListener {
    type Io = FaultStream;
    type Addr = ResetHandle;

    async fn accept(&mut self) -> (FaultStream, ResetHandle) {
        let (stream, _) = Listener::accept(&mut self.listener).await;
        // Without it a small response waits for the acknowledgement of the one before.
        drop(stream.set_nodelay(true));
        let reset_handle = ResetHandle::default();
        let stream = FaultStream { stream, reset_handle: reset_handle.clone(), stopped: self.stopped.clone() };
        (stream, reset_handle)
    }

    fn local_addr(&self) -> io::Result<ResetHandle> {
        Ok(ResetHandle::default())
    }
}

impl Connected<IncomingStream<'_, FaultListener>> for ResetHandle {
    fn connect_info(stream: IncomingStream<'_, FaultListener>) -> Self {
        stream.remote_addr().clone()
    }
}
