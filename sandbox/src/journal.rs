//! The record of all requests: the latest in full, all of them as counts.

use std::collections::{BTreeMap, VecDeque};

use crate::request::Request;

#[derive(Debug)]
pub(crate) struct Journal {
    requests: VecDeque<Request>,
    most: usize,
    next: u64,
    counts: BTreeMap<String, u64>,
}

impl Journal {
    pub(crate) fn new(most: usize) -> Self {
        Self { requests: VecDeque::new(), most, next: 0, counts: BTreeMap::new() }
    }

    /// Remembers an arrival and returns its number.
    pub(crate) fn arrived(&mut self, mut request: Request) -> u64 {
        let number = self.next;
        self.next += 1;
        request.number = number;
        for label in [request.endpoint.clone(), format!("pool {}", request.pool)] {
            *self.counts.entry(label).or_default() += 1;
        }
        if self.requests.len() >= self.most {
            self.requests.pop_front();
        }
        if self.most > 0 {
            self.requests.push_back(request);
        }
        number
    }

    pub(crate) fn answered(&mut self, number: u64, status: u16, fault: Option<String>) {
        *self.counts.entry(format!("status {status}")).or_default() += 1;
        let first = self.requests.front().map_or(0, |request| request.number);
        let at = number.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        if let Some(request) = at.and_then(|at| self.requests.get_mut(at)).filter(|r| r.number == number) {
            request.status = status;
            request.fault = fault;
        }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
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
