//! The sandbox as tests use it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::clock::Millis;
use crate::object_type::ObjectType;
use crate::options::Options;
use crate::portal::{ChangeError, FakePortal};
use crate::request_log::LoggedRequest;
use crate::server::SandboxServer;
use crate::service::PortalService;
use crate::truth;

mod definitions;
mod faults;
mod records;
mod tokens;

/// A running sandbox; clones share it, and it stops with the last of them or with
/// [`stop`](Self::stop).
///
/// Object types are named as in paths (`tickets`, `contact`, `0-2`). Changes stamp the modified date
/// from the sandbox's clock where HubSpot would. They panic when they name a record, property or
/// type that does not exist: a test that does so is wrong.
#[derive(Clone, Debug)]
pub struct Sandbox {
    server: Arc<SandboxServer>,
}

pub(super) fn type_named(name: &str) -> ObjectType {
    ObjectType::parse(name).unwrap_or_else(|| panic!("no object type {name}"))
}

fn granted<T>(result: Result<T, ChangeError>) -> T {
    result.unwrap_or_else(|refusal| panic!("{refusal}"))
}

impl Sandbox {
    /// Starts one on a free port of 127.0.0.1, served by the current tokio runtime.
    ///
    /// # Errors
    ///
    /// Fails when no port can be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        Self::start_on(options, 0).await
    }

    /// Starts one on a given port; 0 takes a free one.
    ///
    /// # Errors
    ///
    /// Fails when the port cannot be bound.
    pub async fn start_on(options: Options, port: u16) -> io::Result<Self> {
        let service = Arc::new(PortalService::new(options));
        let server = SandboxServer::start(service, port).await?;
        Ok(Self { server: Arc::new(server) })
    }

    pub(super) fn service(&self) -> &PortalService {
        &self.server.service
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut FakePortal, Millis) -> Result<T, ChangeError>) -> T {
        let now = self.service().now();
        let result = change(&mut self.service().portal_mut(), now);
        granted(result)
    }

    /// Stops the server and resets open connections.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Hub ID.
    pub fn portal_id(&self) -> u64 {
        self.service().options.portal_id
    }

    /// The main token.
    pub fn access_token(&self) -> String {
        self.service().options.access_token.clone()
    }

    /// The sandbox's clock.
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.service().now()).unwrap_or_default()
    }

    /// Sets the clock; a frozen one stays frozen.
    pub fn set_time(&self, at: DateTime<Utc>) {
        self.service().clock.set(at.timestamp_millis());
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.service().clock.advance(Millis::try_from(by.as_millis()).unwrap_or(Millis::MAX));
    }

    /// The latest requests, oldest first, as many as `Options::request_log` allows.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.service().request_log().requests()
    }

    /// How many requests there were by endpoint (`list tickets`, `batch_read contacts`,
    /// `associations_batch_read tickets companies`, ...), by pool (`pool general`, ...) and by answer
    /// (`status 200`).
    pub fn request_counts(&self) -> BTreeMap<String, u64> {
        self.service().request_log().counts()
    }

    /// Forgets requests and counts.
    pub fn clear_requests(&self) {
        self.service().request_log().clear();
    }

    /// The whole truth: `portal_id`, `now`, the records of `tickets`, `contacts`, `companies`,
    /// `deals`, and `properties`, `pipelines`, `deal_pipelines`, `owners`. Text that is no Unicode
    /// has U+FFFD where it is not.
    pub fn truth(&self) -> Value {
        serde_json::from_slice(&self.truth_json()).unwrap_or_default()
    }

    /// [`truth`](Self::truth) as JSON text.
    pub fn truth_json(&self) -> Vec<u8> {
        let service = self.service();
        truth::write(&service.portal(), service.now())
    }
}
