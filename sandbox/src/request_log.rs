//! The log of requests: the latest in full, all of them as counts.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

/// One request as remembered.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedRequest {
    /// Sequence number since the start or the last clearing.
    pub number: u64,
    /// When it arrived, in the sandbox's clock, as epoch milliseconds.
    pub at: i64,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query as sent.
    pub query: String,
    /// Body as text.
    pub body: String,
    /// Endpoint label, as in the counts.
    pub endpoint: String,
    /// Pool it counted against: `general`, `search`, `associations` or `none`.
    pub pool: &'static str,
    /// Status answered; 0 while in flight or when the connection was reset.
    pub status: u16,
    /// The fault that affected it.
    pub fault: Option<String>,
    /// Tells tokens apart without showing them.
    pub authorization_fingerprint: Option<String>,
}

#[derive(Debug)]
pub(crate) struct RequestLog {
    requests: VecDeque<LoggedRequest>,
    max_requests: usize,
    next: u64,
    counts: BTreeMap<String, u64>,
}

impl RequestLog {
    pub(crate) fn new(max_requests: usize) -> Self {
        Self { requests: VecDeque::new(), max_requests, next: 0, counts: BTreeMap::new() }
    }

    /// Logs a request when it arrives and returns its number.
    pub(crate) fn record_arrival(&mut self, mut request: LoggedRequest) -> u64 {
        let number = self.next;
        self.next += 1;
        request.number = number;
        for label in [request.endpoint.clone(), format!("pool {}", request.pool)] {
            *self.counts.entry(label).or_default() += 1;
        }
        if self.requests.len() >= self.max_requests {
            self.requests.pop_front();
        }
        if self.max_requests > 0 {
            self.requests.push_back(request);
        }
        number
    }

    pub(crate) fn record_response(&mut self, number: u64, status: u16, fault: Option<String>) {
        *self.counts.entry(format!("status {status}")).or_default() += 1;
        let first = self.requests.front().map_or(0, |request| request.number);
        let at = number.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        if let Some(request) = at.and_then(|at| self.requests.get_mut(at)).filter(|r| r.number == number) {
            request.status = status;
            request.fault = fault;
        }
    }

    pub(crate) fn requests(&self) -> Vec<LoggedRequest> {
        self.requests.iter().cloned().collect()
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.clone()
    }

    pub(crate) fn clear(&mut self) {
        self.requests.clear();
        self.counts.clear();
    }
}

pub(crate) fn fingerprint(token: &str) -> String {
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
