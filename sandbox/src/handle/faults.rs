//! Setting faults, limits, latency and the search index.

use std::time::Duration;

use crate::active_faults::RandomFaults;
use crate::behaviours::behaviour;
use crate::clock::Millis;
use crate::fault_rules::FaultRule;
use crate::faults::Fault;
use crate::handle::Sandbox;
use crate::options::RateLimits;

impl Sandbox {
    /// Applies a fault to the next API request.
    pub fn fail_next(&self, fault: Fault) {
        self.faults([FaultRule::next("", fault)]);
    }

    /// Adds fault rules; the first that matches a request decides.
    pub fn faults(&self, rules: impl IntoIterator<Item = FaultRule>) {
        let rules: Vec<FaultRule> = rules.into_iter().collect();
        if rules.iter().any(|rule| rule.fault == Fault::RepeatedPage) {
            self.service().remember_bodies();
        }
        self.service().faults().add(rules);
    }

    /// Starts random faults, or ends them.
    pub fn storm(&self, storm: Option<RandomFaults>) {
        self.service().faults().storm(storm);
    }

    /// Turns on a named behaviour until the faults are cleared.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn behave(&self, name: &str) {
        let behaviour = behaviour(name).unwrap_or_else(|| panic!("no behaviour is called {name}"));
        self.faults(behaviour.rules());
    }

    /// Ends every fault.
    pub fn clear_faults(&self) {
        self.service().faults().clear();
    }

    /// Sets other limits and restarts counting; `None` removes them.
    pub fn set_limits(&self, limits: Option<RateLimits>) {
        self.service().usage().set(limits);
    }

    /// Sets the latency of each response.
    pub fn set_latency(&self, latency: Duration) {
        self.service().set_latency(latency);
    }

    /// Sets how far the search index is behind; earlier changes are seen at once.
    pub fn set_search_lag(&self, lag: Duration) {
        self.service().portal_mut().lag = Millis::try_from(lag.as_millis()).unwrap_or(Millis::MAX);
    }

    /// Sets whether search sorts dates wrongly.
    pub fn set_search_disorder(&self, disorder: bool) {
        self.service().set_disorder(disorder);
    }
}
