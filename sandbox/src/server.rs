//! The HTTP server around the service.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Response, header};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::control;
use crate::request::Incoming;
use crate::service::Service;
use crate::wire::{Scissors, Wires};

/// Largest request body read; HubSpot's batches are far smaller.
const BODY_MAX: usize = 64 << 20;

/// Runs until dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) service: Arc<Service>,
    stop: watch::Sender<bool>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    pub(crate) async fn start(service: Arc<Service>, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let (stop, mut told) = watch::channel(false);
        let stopped = Arc::new(AtomicBool::new(false));
        let wires = Wires { listener, stopped: stopped.clone() };
        let app = Router::new().fallback(handle).with_state(service.clone());
        let serving = axum::serve(wires, app.into_make_service_with_connect_info::<Scissors>()).with_graceful_shutdown(
            async move {
                // A dropped sender stops the server as well.
                drop(told.wait_for(|stop| *stop).await);
            },
        );
        tokio::spawn(async move { serving.await });
        Ok(Self { address, service, stop, stopped })
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.stop.send_replace(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn handle(
    State(service): State<Arc<Service>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let token = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let incoming = Incoming {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        token: token.map(str::to_owned),
        gzip: text(header::ACCEPT_ENCODING).is_some_and(|accepted| accepted.contains("gzip")),
        body: to_bytes(body, BODY_MAX).await.unwrap_or_default().to_vec(),
    };
    if let Some(call) = incoming.path.strip_prefix("/_sandbox/") {
        return control::answer(&service, call, &incoming);
    }
    service.answer(incoming, &scissors).await
}
