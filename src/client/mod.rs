//! HubSpot's API: one HTTP path with budgets, tokens and retries, and a typed function for each endpoint used.

mod account;
mod association_input;
mod association_reads;
mod associations;
mod budget;
mod buffer;
mod call_stats;
mod clock;
mod connection;
mod consequence;
mod credential_fault;
mod daily_reserve;
mod denied;
mod error;
mod error_body;
mod ids;
mod lenient;
mod malformed;
mod meaning;
mod metadata;
mod object_types;
mod objects;
mod paging;
mod refusal;
mod request;
mod response;
mod retry;
mod scopes;
mod search;
mod sizes;
mod token;
mod token_cache;
mod transport_error;
mod validations;
mod write;

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use reqwest::redirect;
use secrecy::SecretString;
use tokio::sync::watch;

pub use account::{Account, DailyUsage};
pub use associations::{AssociationType, Associations, Link, decode_associations};
pub use buffer::Buffer;
pub use call_stats::{CallStats, CallStatsSnapshot};
pub use connection::Connection;
pub use credential_fault::CredentialFault;
pub use error::{ClientError, RefusalReason};
pub use ids::{ObjectId, PageCursor};
pub use malformed::Malformed;
pub use metadata::{ObjectSchema, Owner, Pipeline, Property, Stage, decode_properties};
pub use object_types::ObjectType;
pub use objects::{ListRequest, MAX_BATCH, encode_properties};
pub use request::Endpoint;
pub use search::{SearchFilter, SearchHit, SearchPage};
pub use validations::{PropertyValidation, ValidationRule};
pub use write::{
    AssociationOutcome, BatchOutcome, InlineAssociation, MAX_ASSOCIATIONS, NewAssociation, NewProperty, ObjectInput,
    StoredObject, ValuesRead, WriteError,
};

use budget::Budget;
use clock::ServerClock;
use daily_reserve::{DailyReserve, InFlightRequest};
use denied::DeniedProperties;
use request::{Paths, Request};
use response::Response;
use retry::{RequestFailure, RetryDecision, RetryPolicy, RetryState};
use sizes::{AssociationBatches, SearchPageSize};
use token::{Grant, Tokens};

/// A client of one portal.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    paths: Paths,
    budget: Budget,
    tokens: Tokens,
    retry: RetryPolicy,
    call_stats: CallStats,
    denied: DeniedProperties,
    association_batches: AssociationBatches,
    search_page_size: SearchPageSize,
    clock: ServerClock,
    daily_reserve: DailyReserve,
}

/// Connections that are kept for the next requests: as many as HubSpot's quota takes at a second of latency. Each may keep
/// nearly half a megabyte.
const MAX_IDLE_CONNECTIONS: usize = 16;
/// No pause between two requests for the same records is longer.
const MAX_PAUSE: Duration = Duration::from_secs(10);
impl Client {
    /// A client that has sent no request yet.
    ///
    /// # Errors
    /// When TLS cannot be set up, a setting is no header or the token cache cannot be used.
    pub fn new(connection: Connection) -> Result<Self, ClientError> {
        // A second client in one process finds the provider installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(&connection.user_agent)
            .timeout(connection.request_timeout)
            .connect_timeout(connection.request_timeout)
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .build()
            .map_err(|error| ClientError::Setup { reason: transport_error::chain(&error) })?;
        Ok(Self {
            http,
            paths: Paths::new(&connection.base_url, &connection.api_version),
            budget: Budget::new(connection.requests_per_10s, connection.rate_limit_share),
            tokens: Tokens::new(connection.credentials, connection.token_cache)?,
            retry: RetryPolicy { attempts: connection.retry_attempts, delay: connection.retry_delay },
            call_stats: CallStats::default(),
            denied: DeniedProperties::default(),
            association_batches: AssociationBatches::default(),
            search_page_size: SearchPageSize::default(),
            clock: ServerClock::default(),
            daily_reserve: DailyReserve::new(connection.daily_reserve),
        })
    }

    /// The earlier of two clocks, in whole milliseconds: HubSpot's as of its latest answer, and this machine's. What is read
    /// is bounded by it, so that a clock that is ahead leaves nothing out.
    pub fn server_now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The wait before a request is first sent again.
    pub fn retry_delay(&self) -> Duration {
        self.retry.delay
    }

    /// Waits as long as before the given repeat of a request, counted from 1.
    pub async fn pause(&self, repeat: u32) {
        let doubled = self.retry.delay.saturating_mul(1 << repeat.saturating_sub(1).min(4));
        tokio::time::sleep(doubled.min(MAX_PAUSE)).await;
    }

    /// Requests per ten seconds of the general pool, as far as is known.
    pub fn requests_per_10s(&self) -> f64 {
        self.budget.limits()[0]
    }

    /// Requests per ten seconds that this client may send: general, search, associations.
    pub fn pace(&self) -> [f64; 3] {
        self.budget.limits().map(|limit| limit * self.budget.share())
    }

    /// Receives the refresh tokens that HubSpot hands out in place of the configured one; none without an OAuth grant.
    pub fn rotations(&self) -> Option<watch::Receiver<Option<SecretString>>> {
        self.tokens.rotations()
    }

    /// When the daily quota is reset: the next midnight in the portal's time zone, up to an hour off on the night when
    /// its clocks change. None before the account was read.
    pub fn quota_resets_at(&self) -> Option<DateTime<Utc>> {
        self.clock.next_midnight()
    }

    /// What was called, how often, and what is left.
    pub fn call_stats(&self) -> &CallStats {
        &self.call_stats
    }

    /// How long the general pool has had room for a request while none was waiting, since the client was made.
    pub fn idle_time(&self) -> Duration {
        self.budget.idle_time()
    }

    /// Sends a request until it succeeds or the retry policy gives up, and decodes the response; every call takes this path.
    ///
    /// An answer that `decode` refuses counts as a transient failure, since proxies do answer 200 with something else.
    async fn call<T>(
        &self,
        request: Request,
        decode: impl Fn(Bytes) -> Result<T, Malformed>,
    ) -> Result<T, ClientError> {
        self.call_with_response(request, |response| decode(response.body)).await
    }

    /// As [`Client::call`]; `decode` gets the whole response, not only its body.
    async fn call_with_response<T>(
        &self,
        request: Request,
        decode: impl Fn(Response) -> Result<T, Malformed>,
    ) -> Result<T, ClientError> {
        let mut state = RetryState::default();
        loop {
            self.budget.acquire(request.endpoint.pool()).await;
            let in_flight = self.check_daily_reserve(request.endpoint).await?;
            // Taken after the budget's wait, or it could expire during it.
            let bearer = match request.endpoint {
                Endpoint::Token => None,
                _ => Some(self.tokens.bearer(&|form| self.request_grant(form)).await?),
            };
            let exchanged = self.exchange(&request, bearer.as_ref()).await;
            drop(in_flight);
            let (failure, error) = match exchanged {
                Ok(response) if response.is_success() => match decode(response) {
                    Ok(decoded) => return Ok(decoded),
                    Err(malformed) => (RequestFailure::Malformed, ClientError::malformed(&request, malformed)),
                },
                Ok(response) => {
                    let error = ClientError::refused(&request, &response, self.tokens.can_renew());
                    (response.failure(request.endpoint), error)
                }
                Err((failure, error)) => (failure, error),
            };
            // The token was renewed while the request was in flight: its 401 says nothing about the new one.
            if failure.is_unauthorized() && bearer.as_ref().is_some_and(|bearer| self.tokens.is_replaced(bearer)) {
                continue;
            }
            match self.retry.decide(&failure, &mut state, request.endpoint.is_idempotent(), self.tokens.can_renew()) {
                RetryDecision::Retry(wait) => {
                    tracing::debug!(endpoint = request.endpoint.label(), ?wait, %error, "sending again");
                    self.call_stats.count_retry();
                    tokio::time::sleep(wait).await;
                }
                RetryDecision::PausePool(pause) => {
                    tracing::debug!(endpoint = request.endpoint.label(), ?pause, "rate limited");
                    self.call_stats.count_rate_limited();
                    self.budget.pause(request.endpoint.pool(), pause);
                }
                RetryDecision::RenewToken => {
                    let generation = bearer.map_or(0, |bearer| bearer.generation);
                    self.tokens.renew(&|form| self.request_grant(form), generation).await?;
                }
                RetryDecision::GiveUp => return Err(error.after(state.sent(), self.quota_resets_at())),
            }
        }
    }

    /// Asks the token endpoint. The future is boxed: it is part of the call that needs the token.
    fn request_grant(&self, form: String) -> BoxFuture<'_, Result<Grant, ClientError>> {
        let request = Request::post_form(Endpoint::Token, self.paths.token(), form);
        Box::pin(self.call(request, |body| Grant::decode(&body)))
    }

    /// Refuses a request that would use calls of `daily_reserve`, where HubSpot reports how many calls are left.
    async fn check_daily_reserve(&self, endpoint: Endpoint) -> Result<Option<InFlightRequest<'_>>, ClientError> {
        // These report what is left, and token requests do not count against the quota.
        if matches!(endpoint, Endpoint::Account | Endpoint::DailyUsage | Endpoint::Token) {
            return Ok(None);
        }
        let refused = |(left, limit)| ClientError::DailyReserve { left, limit, resume_at: self.quota_resets_at() };
        self.daily_reserve.acquire(|| self.call_stats.daily()).await.map(Some).map_err(refused)
    }

    /// Sends a request once and reads its whole response.
    async fn exchange(
        &self,
        request: &Request,
        bearer: Option<&token::Bearer>,
    ) -> Result<Response, (RequestFailure, ClientError)> {
        self.call_stats.count(request.endpoint);
        let mut builder = self.http.request(request.method.clone(), &request.url);
        if let Some(bearer) = bearer {
            builder = builder.header(reqwest::header::AUTHORIZATION, bearer.header());
        }
        if let Some((content_type, body)) = &request.body {
            builder = builder.header(reqwest::header::CONTENT_TYPE, *content_type).body(body.clone());
        }
        let response = Response::read(builder)
            .await
            .map_err(|failed| (failed.failure(), ClientError::unreachable(request, &failed)))?;
        if let Some(date) = response.date {
            self.clock.learn(date);
        }
        self.budget.learn(request.endpoint.pool(), &response.limits);
        self.call_stats.learn(&response.limits);
        Ok(response)
    }
}
