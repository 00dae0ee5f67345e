//! Handles requests: faults, authorization, limits, then the endpoint.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use serde_json::Value;

use crate::active_faults::ActiveFaults;
use crate::api_request::ApiRequest;
use crate::api_response::ApiResponse;
use crate::clock::{Clock, Millis};
use crate::error_responses::ErrorResponses;
use crate::fault_stream::ResetHandle;
use crate::faults::Fault;
use crate::fixtures::portal::populate;
use crate::http_response;
use crate::oauth::TokenStore;
use crate::object_writes;
use crate::options::Options;
use crate::pool::RateLimitPool;
use crate::portal::FakePortal;
use crate::rate_limiter::RateLimiter;
use crate::request_log::{LoggedRequest, RequestLog, fingerprint};
use crate::response_faults;
use crate::routes::{Route, RouteError, route};

/// Longest path and query that the edge lets through.
const URI_MAX: usize = 16_384;

#[derive(Debug)]
pub(crate) struct PortalService {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    portal: RwLock<FakePortal>,
    usage: Mutex<RateLimiter>,
    tokens: Mutex<TokenStore>,
    faults: Mutex<ActiveFaults>,
    request_log: Mutex<RequestLog>,
    latency: Mutex<Duration>,
    disorder: Mutex<bool>,
    /// The last successful body of each endpoint, for the fault that repeats it; kept only after
    /// such a fault was scripted.
    last_bodies: Mutex<Option<HashMap<String, Vec<u8>>>>,
}

/// Locks even after a panic in another thread, so that a test can still inspect the sandbox.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PortalService {
    pub(crate) fn new(options: Options) -> Self {
        let clock = Clock::new(options.start_time);
        let now = clock.now();
        Self {
            portal: RwLock::new(populate(&options, now)),
            usage: Mutex::new(RateLimiter::new(options.limits.clone())),
            tokens: Mutex::new(TokenStore::new(&options, now)),
            faults: Mutex::default(),
            request_log: Mutex::new(RequestLog::new(options.request_log)),
            latency: Mutex::new(options.latency),
            disorder: Mutex::new(options.search_disorder),
            last_bodies: Mutex::new(None),
            clock,
            options,
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    pub(crate) fn portal(&self) -> RwLockReadGuard<'_, FakePortal> {
        self.portal.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn portal_mut(&self) -> RwLockWriteGuard<'_, FakePortal> {
        self.portal.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn usage(&self) -> MutexGuard<'_, RateLimiter> {
        lock(&self.usage)
    }

    pub(crate) fn tokens(&self) -> MutexGuard<'_, TokenStore> {
        lock(&self.tokens)
    }

    pub(crate) fn request_log(&self) -> MutexGuard<'_, RequestLog> {
        lock(&self.request_log)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, ActiveFaults> {
        lock(&self.faults)
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        *lock(&self.latency) = latency;
    }

    pub(crate) fn disorder(&self) -> bool {
        *lock(&self.disorder)
    }

    pub(crate) fn set_disorder(&self, disorder: bool) {
        *lock(&self.disorder) = disorder;
    }

    /// Starts to keep response bodies, so that one can be repeated.
    pub(crate) fn remember_bodies(&self) {
        lock(&self.last_bodies).get_or_insert_default();
    }

    /// Handles one API request.
    pub(crate) async fn answer(&self, mut request: ApiRequest, reset_handle: &ResetHandle) -> Response<Body> {
        let errors = ErrorResponses::new();
        let routed = route(&request.method, &request.path);
        let label = routed.as_ref().map_or_else(|_| "unroutable".to_owned(), Route::label);
        let pool = routed.as_ref().map_or(RateLimitPool::None, Route::pool);
        let number = self.request_log().record_arrival(self.record(&request, label.clone(), pool));
        let line = format!("{} {}?{}", request.method, request.path, request.query);
        let fault = self.faults().strike(&line, &request.body);
        let latency = *lock(&self.latency);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if let Some(Fault::SlowMs(millis)) = &fault {
            tokio::time::sleep(Duration::from_millis(*millis)).await;
        }
        let struck = fault.as_ref().filter(|fault| fault.replaces());
        let mut response = match struck {
            Some(Fault::EmailRace) => {
                object_writes::email_race(&mut self.portal_mut(), &errors, &request.body, self.now())
            }
            Some(fault) => response_faults::fault_response(fault, self.now(), &errors),
            None if fault == Some(Fault::IgnoreAfter) => self.respond(&request.without_cursors(), routed, &errors),
            None => {
                if fault == Some(Fault::AssociationsDropped) {
                    object_writes::drop_associations(&mut request.body);
                }
                self.respond(&request, routed, &errors)
            }
        };
        if let Some(fault) = fault.as_ref().filter(|fault| !fault.replaces() && response.status < 300) {
            self.apply_to_response(fault, &label, &errors, &mut response);
        }
        if response.status < 300
            && let Some(bodies) = lock(&self.last_bodies).as_mut()
        {
            bodies.insert(label, response.body.clone());
        }
        let cut = matches!(fault, Some(Fault::ResetBeforeBody | Fault::LostReply));
        let status = if cut { 0 } else { response.status };
        self.request_log().record_response(number, status, fault.as_ref().map(Fault::name));
        if cut {
            reset_handle.reset();
        }
        self.usage().add_headers(pool, &mut response);
        http_response::build(response, &errors, self.now(), request.gzip && self.options.gzip, fault.as_ref())
    }

    fn record(&self, request: &ApiRequest, endpoint: String, pool: RateLimitPool) -> LoggedRequest {
        LoggedRequest {
            number: 0,
            at: self.now(),
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            endpoint,
            pool: pool.name(),
            status: 0,
            fault: None,
            authorization_fingerprint: request.token.as_deref().map(fingerprint),
        }
    }

    fn respond(&self, request: &ApiRequest, routed: Result<Route, RouteError>, errors: &ErrorResponses) -> ApiResponse {
        if request.path.len() + request.query.len() > URI_MAX {
            return ApiResponse::html(414, "Request-URI Too Large");
        }
        let endpoint = match routed {
            Ok(endpoint) => endpoint,
            Err(RouteError::NoSuchPath) => return ApiResponse::html(404, "Not Found"),
            Err(RouteError::WrongMethod) => return ApiResponse::html(405, "Method Not Allowed"),
            Err(RouteError::NoSuchType(name)) => {
                return errors.plain(400, &format!("Unable to infer object type from: {name}"));
            }
        };
        let deleted = endpoint.object_types().into_iter().find(|kind| self.portal().deleted_schemas.contains(kind));
        if let Some(kind) = deleted {
            return errors.plain(400, &format!("Unable to infer object type from: {}", kind.id()));
        }
        match self.authorize(request, &endpoint, errors) {
            Ok(scopes) if endpoint.writes() => self.write(request, &endpoint, &scopes, errors),
            Ok(scopes) => self.read(request, &endpoint, &scopes, errors),
            Err(refused) => *refused,
        }
    }

    /// The scopes of an authorized request that is within the limits.
    fn authorize(
        &self,
        request: &ApiRequest,
        endpoint: &Route,
        errors: &ErrorResponses,
    ) -> Result<Vec<String>, Box<ApiResponse>> {
        let now = self.now();
        if !endpoint.needs_token() {
            return Ok(Vec::new());
        }
        let scopes = self.tokens().check(request.token.as_deref(), now, errors)?;
        let mut usage = self.usage();
        usage.admit(endpoint.pool(), now).map_err(|limit| {
            let response = errors.rate_limited(limit);
            let wait = RateLimiter::retry_after(limit, now);
            Box::new(if usage.sends_retry_after() { response.header("Retry-After", wait) } else { response })
        })?;
        match endpoint.scopes().into_iter().find(|scope| !scopes.iter().any(|granted| granted == scope)) {
            Some(missing) => Err(Box::new(errors.missing_scopes(&[missing]))),
            None => Ok(scopes),
        }
    }

    /// Applies a fault to a successful response.
    fn apply_to_response(&self, fault: &Fault, label: &str, errors: &ErrorResponses, response: &mut ApiResponse) {
        match fault {
            Fault::SlowMs(_)
            | Fault::LostReply
            | Fault::ResetMidBody
            | Fault::EndlessBody
            | Fault::AssociationsDropped
            | Fault::IgnoreAfter
            | Fault::Date { .. } => {}
            Fault::StatusAfter(code) => *response = errors.plain(*code, "internal error"),
            Fault::TruncatedJson => response.body.truncate(response.body.len() / 2),
            Fault::RepeatedPage => {
                let bodies = lock(&self.last_bodies);
                if let Some(body) = bodies.as_ref().and_then(|bodies| bodies.get(label)) {
                    response.body.clone_from(body);
                }
            }
            _ => {
                if let Ok(mut body) = serde_json::from_slice::<Value>(&response.body) {
                    response_faults::apply_to_json(fault, &mut body);
                    response.body = body.to_string().into_bytes();
                }
            }
        }
    }
}
