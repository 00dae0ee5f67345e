//! HubSpot's API: one HTTP path with budgets, tokens and retries, and a typed function for each endpoint used.

mod account;
mod answer;
mod association_reads;
mod association_writes;
mod associations;
mod budget;
mod buffer;
mod denied;
mod error;
mod ids;
mod ledger;
mod lenient;
mod meaning;
mod metadata;
mod objects;
mod request;
mod reserve;
mod retry;
mod runtime;
mod scopes;
mod search;
mod token;
mod token_cache;
mod writes;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::redirect;
use secrecy::SecretString;
use tokio::sync::watch;

use crate::config::Credentials;

pub use account::{Account, DailyUsage};
pub use association_writes::{AssociationOutcome, MAX_ASSOCIATIONS, NewAssociation};
pub use associations::{AssociationType, Associations, Link, decode_associations};
pub use buffer::Buffer;
pub use error::{ClientError, CredentialFault, Reason};
pub use ids::{ObjectId, ObjectType, PageCursor};
pub use ledger::{Ledger, Tally};
pub use metadata::{Owner, Pipeline, Property, Stage, decode_properties};
pub use objects::{ListRequest, MAX_BATCH, Malformed, encode_properties};
pub use request::Endpoint;
pub use runtime::runtime;
pub use search::{Criterion, Found, Search};
pub use writes::{BatchOutcome, InlineAssociation, NewProperty, ObjectInput, StoredObject, WriteError};

use answer::Answer;
use association_reads::AssociationBatches;
use budget::Budget;
use denied::DeniedProperties;
use request::{Paths, Request};
use reserve::{Reserve, UnderWay};
use retry::{Decision, Failure, RetryPolicy, Tries};
use search::SearchPage;
use token::Tokens;

/// How to reach a portal, and how hard to try.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Scheme and host, `https://api.hubapi.com`.
    pub base_url: String,
    /// `YYYY-MM`, or `v3`.
    pub api_version: String,
    /// As whom.
    pub credentials: Credentials,
    /// Where OAuth tokens are kept across runs.
    pub token_cache: Option<PathBuf>,
    /// The User-Agent header.
    pub user_agent: String,
    /// After which a request without a complete answer has failed.
    pub request_timeout: Duration,
    /// Requests per ten seconds of the general pool; none: learned from the headers.
    pub requests_per_10s: Option<u32>,
    /// Share of each limit that may be used, above 0 and at most 1.
    pub rate_limit_share: f64,
    /// Share of the daily quota that is not used; 0: none.
    pub daily_reserve: f64,
    /// How often a request is sent again.
    pub retry_attempts: u32,
    /// The wait before the first repeat.
    pub retry_delay: Duration,
}

/// A client of one portal.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    paths: Paths,
    budget: Budget,
    tokens: Tokens,
    retry: RetryPolicy,
    ledger: Ledger,
    denied: DeniedProperties,
    association_batches: AssociationBatches,
    search_page: SearchPage,
    /// The latest `Date` header, in epoch seconds; 0 before the first answer.
    server_seconds: AtomicI64,
    /// A drift between the clocks was told.
    has_drifted: AtomicBool,
    reserve: Reserve,
    /// The portal's offset from UTC in milliseconds; [`UNKNOWN`] until the account is read.
    utc_offset_millis: AtomicI64,
}

/// Connections that are kept for the next requests: as many as HubSpot's quota takes at a second of latency. Each may keep
/// nearly half a megabyte.
const MAX_IDLE_CONNECTIONS: usize = 16;
/// No offset from UTC.
const UNKNOWN: i64 = i64::MIN;
/// A clock of HubSpot that is further ahead of this machine's is told.
const MAX_DRIFT: TimeDelta = TimeDelta::minutes(5);
const DAY_MILLIS: i64 = 24 * 3_600_000;

impl Client {
    /// A client that has not spoken yet.
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
            .map_err(|error| ClientError::Setup { reason: error::chain(&error) })?;
        Ok(Self {
            http,
            paths: Paths::new(&connection.base_url, &connection.api_version),
            budget: Budget::new(connection.requests_per_10s, connection.rate_limit_share),
            tokens: Tokens::new(connection.credentials, connection.token_cache)?,
            retry: RetryPolicy { attempts: connection.retry_attempts, delay: connection.retry_delay },
            ledger: Ledger::default(),
            denied: DeniedProperties::default(),
            association_batches: AssociationBatches::default(),
            search_page: SearchPage::default(),
            server_seconds: AtomicI64::new(0),
            has_drifted: AtomicBool::new(false),
            reserve: Reserve::new(connection.daily_reserve),
            utc_offset_millis: AtomicI64::new(UNKNOWN),
        })
    }

    /// The earlier of two clocks, in whole milliseconds: HubSpot's as of its latest answer, and this machine's. What is read
    /// is bounded by it, so that a clock that is ahead leaves nothing out.
    pub fn server_now(&self) -> DateTime<Utc> {
        let local = Utc::now().timestamp_millis();
        let now = match self.server_seconds.load(Ordering::Relaxed) {
            0 => local,
            seconds => local.min(seconds.saturating_mul(1000)),
        };
        DateTime::from_timestamp_millis(now).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The wait before a request is first sent again.
    pub fn retry_delay(&self) -> Duration {
        self.retry.delay
    }

    /// Takes the `Date` of an answer; it may lie before the last one's.
    fn learn_date(&self, date: DateTime<Utc>) {
        self.server_seconds.store(date.timestamp(), Ordering::Relaxed);
        let drift = date - Utc::now();
        if drift > MAX_DRIFT && !self.has_drifted.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "HubSpot's clock is {} s ahead of this machine's; what is read ends at the earlier of both",
                drift.num_seconds()
            );
        }
    }

    /// Requests per ten seconds of the general pool, as far as is known.
    pub fn requests_per_10s(&self) -> f64 {
        self.budget.limits()[0]
    }

    /// Requests per ten seconds that this client may send: general, search, associations.
    pub fn pace(&self) -> [f64; 3] {
        self.budget.limits().map(|limit| limit * self.budget.share())
    }

    /// Tells of refresh tokens that HubSpot hands out in place of the one given; none without an OAuth grant.
    pub fn rotations(&self) -> Option<watch::Receiver<Option<SecretString>>> {
        self.tokens.rotations()
    }

    /// When the daily quota begins anew: the next midnight in the portal's time zone, up to an hour off on the night when
    /// its clocks change. None before the account was read.
    pub fn quota_resets_at(&self) -> Option<DateTime<Utc>> {
        let offset = self.utc_offset_millis.load(Ordering::Relaxed);
        if offset == UNKNOWN {
            return None;
        }
        let local = self.server_now().timestamp_millis() + offset;
        let midnight = (local.div_euclid(DAY_MILLIS) + 1) * DAY_MILLIS;
        Some(DateTime::UNIX_EPOCH + TimeDelta::milliseconds(midnight - offset))
    }

    /// What was called, how often, and what is left.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How long the general pool has had room for a request that nobody wanted to send, since the beginning.
    pub fn unused(&self) -> Duration {
        self.budget.unused()
    }

    /// Sends a request until it has a good answer, and decodes it; the one path that every call takes.
    ///
    /// An answer that `decode` refuses counts as a passing failure, since proxies do answer 200 with something else.
    async fn call<T>(
        &self,
        request: Request,
        decode: impl Fn(Bytes) -> Result<T, Malformed>,
    ) -> Result<T, ClientError> {
        self.call_whole(request, |answer| decode(answer.body)).await
    }

    /// The same, for those who need more of an answer than its body.
    async fn call_whole<T>(
        &self,
        request: Request,
        decode: impl Fn(Answer) -> Result<T, Malformed>,
    ) -> Result<T, ClientError> {
        let mut tries = Tries::default();
        loop {
            self.budget.acquire(request.endpoint.pool()).await;
            let under_way = self.spare_reserve(request.endpoint).await?;
            // Taken after the budget's wait, or it could expire during it.
            let bearer = match request.endpoint {
                Endpoint::Token => None,
                _ => Some(Box::pin(self.tokens.bearer(self)).await?),
            };
            let exchanged = self.exchange(&request, bearer.as_ref()).await;
            drop(under_way);
            let (failure, error) = match exchanged {
                Ok(answer) if answer.is_success() => match decode(answer) {
                    Ok(decoded) => return Ok(decoded),
                    Err(malformed) => (Failure::Malformed, ClientError::malformed(&request, malformed)),
                },
                Ok(answer) => {
                    let error = ClientError::refused(&request, &answer, self.tokens.can_renew());
                    (answer.failure(request.endpoint), error)
                }
                Err((failure, error)) => (failure, error),
            };
            // The token was renewed while the request was under way: that says nothing about the new one.
            if failure.is_unauthorized() && bearer.as_ref().is_some_and(|bearer| self.tokens.is_replaced(bearer)) {
                continue;
            }
            match self.retry.decide(&failure, &mut tries, request.endpoint.is_idempotent(), self.tokens.can_renew()) {
                Decision::Again(wait) => {
                    tracing::debug!(endpoint = request.endpoint.label(), ?wait, %error, "sending again");
                    self.ledger.count_retry();
                    tokio::time::sleep(wait).await;
                }
                Decision::PausePool(pause) => {
                    tracing::debug!(endpoint = request.endpoint.label(), ?pause, "rate limited");
                    self.ledger.count_rate_limited();
                    self.budget.pause(request.endpoint.pool(), pause);
                }
                Decision::RenewToken => {
                    let generation = bearer.map_or(0, |bearer| bearer.generation);
                    Box::pin(self.tokens.renew(self, generation)).await?;
                }
                Decision::GiveUp => return Err(error.after(tries.sent(), self.quota_resets_at())),
            }
        }
    }

    /// Refuses a request that would use up what is left to others, where HubSpot tells how much that is.
    async fn spare_reserve(&self, endpoint: Endpoint) -> Result<Option<UnderWay<'_>>, ClientError> {
        // What is left is told by these, and new tokens count nowhere.
        if matches!(endpoint, Endpoint::Account | Endpoint::DailyUsage | Endpoint::Token) {
            return Ok(None);
        }
        let refused = |(left, limit)| ClientError::DailyReserve { left, limit, resume_at: self.quota_resets_at() };
        self.reserve.leave(|| self.ledger.daily()).await.map(Some).map_err(refused)
    }

    /// Sends a request once and reads its whole answer.
    async fn exchange(
        &self,
        request: &Request,
        bearer: Option<&token::Bearer>,
    ) -> Result<Answer, (Failure, ClientError)> {
        self.ledger.count(request.endpoint);
        let mut builder = self.http.request(request.method.clone(), &request.url);
        if let Some(bearer) = bearer {
            builder = builder.header(reqwest::header::AUTHORIZATION, bearer.header());
        }
        if let Some((content_type, body)) = &request.body {
            builder = builder.header(reqwest::header::CONTENT_TYPE, *content_type).body(body.clone());
        }
        let answer = Answer::read(builder).await.map_err(|failed| (failed.failure(), failed.into_error(request)))?;
        if let Some(date) = answer.date {
            self.learn_date(date);
        }
        self.budget.learn(request.endpoint.pool(), &answer.limits);
        self.ledger.learn(&answer.limits);
        Ok(answer)
    }
}
