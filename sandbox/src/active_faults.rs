//! The faults in force: scripted rules and random faults.

use std::time::Duration;

use fastrand::Rng;
use serde::Deserialize;

use crate::fault_rules::FaultRule;
use crate::faults::Fault;
use crate::pool::RateLimitKind;

/// Random faults of every kind that a client can survive.
#[derive(Clone, Debug, Deserialize)]
pub struct RandomFaults {
    /// Share of requests that are affected.
    pub share: f64,
    /// Seed of the choice.
    #[serde(default)]
    pub seed: u64,
    /// Faults to choose from; empty: the default set.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

#[derive(Debug, Default)]
pub(crate) struct ActiveFaults {
    rules: Vec<FaultRule>,
    storm: Option<(RandomFaults, Rng)>,
}

impl ActiveFaults {
    pub(crate) fn add(&mut self, rules: impl IntoIterator<Item = FaultRule>) {
        self.rules.extend(rules);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
        self.storm = None;
    }

    pub(crate) fn storm(&mut self, storm: Option<RandomFaults>) {
        self.storm = storm.map(|mut storm| {
            if storm.faults.is_empty() {
                storm.faults = usual_faults();
            }
            let rng = Rng::with_seed(storm.seed);
            (storm, rng)
        });
    }

    /// The fault for this request, if any; the first rule that matches decides.
    pub(crate) fn strike(&mut self, line: &str, body: &[u8]) -> Option<Fault> {
        if self.rules.is_empty() && self.storm.is_none() {
            return None;
        }
        let body = String::from_utf8_lossy(body);
        let matching = |rule: &&mut FaultRule| rule.applies_to(line, &body);
        let mut struck = None;
        for rule in self.rules.iter_mut().filter(matching) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= rule.times.min(usize::from(rule.times != usize::MAX));
                struck = Some(rule.fault.clone());
                break;
            }
        }
        self.rules.retain(|rule| rule.times > 0);
        if struck.is_none()
            && let Some((storm, rng)) = &mut self.storm
            && rng.f64() < storm.share
        {
            struck = Some(storm.faults[rng.usize(..storm.faults.len())].clone());
        }
        struck
    }
}

fn usual_faults() -> Vec<Fault> {
    let status = |code| Fault::Status { code, headers: Vec::new(), body: None };
    let limited = |limit| Fault::RateLimited { limit, retry_after: Some(1) };
    vec![
        status(500),
        status(503),
        status(504),
        status(423),
        Fault::Html(502),
        Fault::Html(521),
        limited(RateLimitKind::TenSecondly),
        limited(RateLimitKind::Secondly),
        Fault::ResetBeforeBody,
        Fault::LostReply,
        Fault::ResetMidBody,
        Fault::TruncatedJson,
        Fault::NotJson,
        Fault::SlowMs(u64::try_from(Duration::from_millis(200).as_millis()).unwrap_or(200)),
    ]
}
