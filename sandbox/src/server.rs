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

use crate::api_request::ApiRequest;
use crate::control;
use crate::fault_stream::{FaultListener, ResetHandle};
use crate::service::PortalService;

/// Largest request body read; HubSpot's batches are far smaller.
const BODY_MAX: usize = 64 << 20;

/// Runs until dropped.
#[derive(Debug)]
pub(crate) struct SandboxServer {
    pub(crate) address: SocketAddr,
    pub(crate) service: Arc<PortalService>,
    stop: watch::Sender<bool>,
    stopped: Arc<AtomicBool>,
}

impl SandboxServer {
    pub(crate) async fn start(service: Arc<PortalService>, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let (stop, mut told) = watch::channel(false);
        let stopped = Arc::new(AtomicBool::new(false));
        let listener = FaultListener { listener, stopped: stopped.clone() };
        let app = Router::new().fallback(handle).with_state(service.clone());
        let serving = axum::serve(listener, app.into_make_service_with_connect_info::<ResetHandle>())
            .with_graceful_shutdown(async move {
                // A dropped sender stops the server as well.
                drop(told.wait_for(|stop| *stop).await);
            });
        tokio::spawn(async move { serving.await });
        Ok(Self { address, service, stop, stopped })
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.stop.send_replace(true);
    }
}

impl Drop for SandboxServer {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn handle(
    State(service): State<Arc<PortalService>>,
    ConnectInfo(reset_handle): ConnectInfo<ResetHandle>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let token = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let incoming = ApiRequest {
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
    service.answer(incoming, &reset_handle).await
}
