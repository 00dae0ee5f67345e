//! The sandbox as tests hold it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::behaviours::behaviour;
use crate::clock::Millis;
use crate::faults::{Fault, FaultRule, Storm};
use crate::object_type::ObjectType;
use crate::options::{Limits, Options};
use crate::portal::{Portal, Refusal};
use crate::properties::PropertyDef;
use crate::request::Request;
use crate::server::Server;
use crate::service::Service;
use crate::truth;

/// A running sandbox; clones share it, and it stops with the last of them or with
/// [`stop`](Self::stop).
///
/// Object types are named as in paths (`tickets`, `contact`, `0-2`). Changes stamp the modified date
/// from the sandbox's clock where HubSpot would. They panic when they name a record, property or
/// type that does not exist: a test that does so is wrong.
#[derive(Clone, Debug)]
pub struct Sandbox {
    server: Arc<Server>,
}

fn type_named(name: &str) -> ObjectType {
    ObjectType::parse(name).unwrap_or_else(|| panic!("no object type {name}"))
}

fn granted<T>(result: Result<T, Refusal>) -> T {
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
        let service = Arc::new(Service::new(options));
        let server = Server::start(service, port).await?;
        Ok(Self { server: Arc::new(server) })
    }

    fn service(&self) -> &Service {
        &self.server.service
    }

    fn change<T>(&self, change: impl FnOnce(&mut Portal, Millis) -> Result<T, Refusal>) -> T {
        let now = self.service().now();
        let result = change(&mut self.service().portal_mut(), now);
        granted(result)
    }

    /// Stops answering and cuts what is still being sent.
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

    /// Creates a record and returns its id.
    pub fn create(&self, object_type: &str, properties: &[(&str, &str)]) -> u64 {
        self.change(|portal, now| portal.create(type_named(object_type), properties, now))
    }

    /// Changes values as a user would. `createdate` and the modified date may be given too.
    pub fn update(&self, object_type: &str, id: u64, properties: &[(&str, &str)]) {
        self.change(|portal, now| portal.update(type_named(object_type), id, properties, true, now));
    }

    /// Changes the values of many records in one millisecond, as a bulk edit does.
    pub fn update_many(&self, object_type: &str, ids: &[u64], properties: &[(&str, &str)]) {
        let kind = type_named(object_type);
        self.change(|portal, now| ids.iter().try_for_each(|id| portal.update(kind, *id, properties, true, now)));
    }

    /// Changes values without moving the modified date, as a calculated property's change does.
    pub fn update_silently(&self, object_type: &str, id: u64, properties: &[(&str, &str)]) {
        self.change(|portal, now| portal.update(type_named(object_type), id, properties, false, now));
    }

    /// Sets a value to a JSON string as it stands on the wire, quotes and escapes included, such as
    /// `"\ud800"`.
    pub fn set_raw_value(&self, object_type: &str, id: u64, name: &str, json: &str) {
        self.change(|portal, now| portal.set_raw(type_named(object_type), id, name, json, now));
    }

    /// Moves a record to the recycle bin; the modified date stays.
    pub fn archive(&self, object_type: &str, id: u64) {
        self.change(|portal, now| portal.archive(type_named(object_type), id, now));
    }

    /// Takes a record out of the recycle bin, moving the modified date if `bump`.
    pub fn restore(&self, object_type: &str, id: u64, bump: bool) {
        self.change(|portal, now| portal.restore(type_named(object_type), id, bump, now));
    }

    /// Merges two live records; the winner keeps its id, which is returned.
    pub fn merge(&self, object_type: &str, winner: u64, loser: u64) -> u64 {
        self.change(|portal, now| portal.merge(type_named(object_type), winner, loser, false, now))
    }

    /// Merges two live records into a new one and returns its id; both old ids vanish.
    pub fn merge_into_new(&self, object_type: &str, winner: u64, loser: u64) -> u64 {
        self.change(|portal, now| portal.merge(type_named(object_type), winner, loser, true, now))
    }

    /// Deletes for good: the record is in no list, live or archived.
    pub fn delete_forever(&self, object_type: &str, id: u64) {
        self.change(|portal, now| portal.delete_forever(type_named(object_type), id, now));
    }

    /// Associates two records without moving modified dates. Type id 0 is the unlabelled type alone;
    /// with a label the type is one of the portal's own, defined when it is new (the opposite
    /// direction takes the next id).
    pub fn associate(&self, from_type: &str, from: u64, to_type: &str, to: u64, type_id: u32, label: Option<&str>) {
        let ends = ((type_named(from_type), from), (type_named(to_type), to));
        self.change(|portal, _| portal.associate(ends.0, ends.1, type_id, label));
    }

    /// Removes every association type between two records, without moving modified dates.
    pub fn dissociate(&self, from_type: &str, from: u64, to_type: &str, to: u64) {
        let ends = ((type_named(from_type), from), (type_named(to_type), to));
        self.change(|portal, _| {
            portal.dissociate(ends.0, ends.1);
            Ok(())
        });
    }

    /// Moves a record's modified date to now.
    pub fn touch(&self, object_type: &str, id: u64) {
        self.change(|portal, now| portal.touch(type_named(object_type), id, now));
    }

    /// Defines a property; one of the same name is replaced and its values are gone.
    pub fn define_property(&self, object_type: &str, def: PropertyDef) {
        self.change(|portal, now| {
            portal.define_property(type_named(object_type), def, now);
            Ok(())
        });
    }

    /// Deletes a property: only `archived=true` lists it, and reads leave it out.
    pub fn archive_property(&self, object_type: &str, name: &str) {
        self.change(|portal, now| portal.archive_property(type_named(object_type), name, now));
    }

    /// Changes a property's type; values stay as they are.
    pub fn change_property_type(&self, object_type: &str, name: &str, kind: &str, field_type: &str) {
        self.change(|portal, now| {
            portal.change_property(type_named(object_type), name, now, |def| {
                kind.clone_into(&mut def.kind);
                field_type.clone_into(&mut def.field_type);
            })
        });
    }

    /// Changes the name that people see.
    pub fn rename_property(&self, object_type: &str, name: &str, label: &str) {
        self.change(|portal, now| {
            portal.change_property(type_named(object_type), name, now, |def| {
                label.clone_into(&mut def.label);
            })
        });
    }

    /// Changes the label of a pipeline.
    pub fn rename_pipeline(&self, object_type: &str, id: &str, label: &str) {
        self.change(|portal, now| portal.rename_pipeline(type_named(object_type), id, label, now));
    }

    /// Changes the label of a stage.
    pub fn rename_stage(&self, object_type: &str, id: &str, label: &str) {
        self.change(|portal, now| portal.rename_stage(type_named(object_type), id, label, now));
    }

    /// Adds a stage to a ticket pipeline, with its seven properties.
    pub fn add_stage(&self, pipeline_id: &str, id: &str, label: &str, closed: bool) {
        self.change(|portal, now| portal.add_stage(pipeline_id, id, label, closed, now));
    }

    /// Lets a fault strike the next API request.
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
    pub fn storm(&self, storm: Option<Storm>) {
        self.service().faults().storm(storm);
    }

    /// Lets a named behaviour decide how some requests are answered, until the faults are cleared.
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

    /// Sets other limits and begins counting anew; `None` lifts them.
    pub fn set_limits(&self, limits: Option<Limits>) {
        self.service().usage().set(limits);
    }

    /// Sets how long each answer takes.
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

    /// Adds a token with these scopes.
    pub fn add_token(&self, token: &str, scopes: &[&str]) {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.service().tokens().add(token, scopes, None);
    }

    /// Lets a token expire now: it gets 401 `EXPIRED_AUTHENTICATION`.
    pub fn expire_token(&self, token: &str) {
        let now = self.service().now();
        self.service().tokens().expire(token, now);
    }

    /// Forgets a token: it gets 401 `INVALID_AUTHENTICATION`.
    pub fn revoke_token(&self, token: &str) {
        self.service().tokens().revoke(token);
    }

    /// Voids the refresh token.
    pub fn revoke_refresh_token(&self) {
        self.service().tokens().revoke_refresh_token();
    }

    /// The latest requests, oldest first, as many as `Options::request_log` allows.
    pub fn requests(&self) -> Vec<Request> {
        self.service().journal().requests()
    }

    /// How many requests there were by endpoint (`list tickets`, `batch_read contacts`,
    /// `associations_batch_read tickets companies`, ...), by pool (`pool general`, ...) and by answer
    /// (`status 200`).
    pub fn request_counts(&self) -> BTreeMap<String, u64> {
        self.service().journal().counts()
    }

    /// Forgets requests and counts.
    pub fn clear_requests(&self) {
        self.service().journal().clear();
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
