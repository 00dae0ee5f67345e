//! Answers requests: faults, limits, authorization, then the endpoint.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};

use crate::clock::{Clock, Millis};
use crate::faults::{Fault, Faults};
use crate::founding::found;
use crate::journal::Journal;
use crate::limits::{Pool, Usage};
use crate::link_writes;
use crate::links;
use crate::oauth::Tokens;
use crate::objects::{self, Scene};
use crate::options::Options;
use crate::outgoing;
use crate::portal::Portal;
use crate::reply::{Errors, Reply};
use crate::request::{Incoming, Request, fingerprint, parse_form};
use crate::routes::{Endpoint, Unroutable, route};
use crate::schema;
use crate::search;
use crate::wire::Scissors;
use crate::writes::{self, Writing};

/// Longest path and query that the edge lets through.
const URI_MAX: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    portal: RwLock<Portal>,
    usage: Mutex<Usage>,
    tokens: Mutex<Tokens>,
    faults: Mutex<Faults>,
    journal: Mutex<Journal>,
    latency: Mutex<Duration>,
    disorder: Mutex<bool>,
    /// The last successful body of each endpoint, for the fault that repeats it; kept only after
    /// such a fault was scripted.
    last_bodies: Mutex<Option<HashMap<String, Vec<u8>>>>,
}

/// A panic elsewhere must not hide what the sandbox holds.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    pub(crate) fn new(options: Options) -> Self {
        let clock = Clock::new(options.start_time);
        let now = clock.now();
        Self {
            portal: RwLock::new(found(&options, now)),
            usage: Mutex::new(Usage::new(options.limits.clone())),
            tokens: Mutex::new(Tokens::new(&options, now)),
            faults: Mutex::default(),
            journal: Mutex::new(Journal::new(options.request_log)),
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

    pub(crate) fn portal(&self) -> RwLockReadGuard<'_, Portal> {
        self.portal.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn portal_mut(&self) -> RwLockWriteGuard<'_, Portal> {
        self.portal.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn usage(&self) -> MutexGuard<'_, Usage> {
        held(&self.usage)
    }

    pub(crate) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        held(&self.tokens)
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        held(&self.journal)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        held(&self.faults)
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        *held(&self.latency) = latency;
    }

    pub(crate) fn set_disorder(&self, disorder: bool) {
        *held(&self.disorder) = disorder;
    }

    /// Begins to remember bodies, so that one can be repeated.
    pub(crate) fn remember_bodies(&self) {
        held(&self.last_bodies).get_or_insert_default();
    }

    /// Answers one API request.
    pub(crate) async fn answer(&self, mut incoming: Incoming, scissors: &Scissors) -> Response<Body> {
        let errors = Errors::new();
        let routed = route(&incoming.method, &incoming.path);
        let label = routed.as_ref().map_or_else(|_| "unroutable".to_owned(), Endpoint::label);
        let pool = routed.as_ref().map_or(Pool::None, Endpoint::pool);
        let number = self.journal().arrived(self.record(&incoming, label.clone(), pool));
        let line = format!("{} {}?{}", incoming.method, incoming.path, incoming.query);
        let fault = self.faults().strike(&line, &incoming.body);
        let latency = *held(&self.latency);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if let Some(Fault::SlowMs(millis)) = &fault {
            tokio::time::sleep(Duration::from_millis(*millis)).await;
        }
        let struck = fault.as_ref().filter(|fault| fault.replaces());
        let mut reply = match struck {
            Some(Fault::EmailRace) => writes::email_race(&mut self.portal_mut(), &errors, &incoming.body, self.now()),
            Some(fault) => outgoing::faulty(fault, self.now(), &errors),
            None if fault == Some(Fault::IgnoreAfter) => self.regular(&incoming.without_cursors(), routed, &errors),
            None => {
                if fault == Some(Fault::AssociationsDropped) {
                    writes::drop_associations(&mut incoming.body);
                }
                self.regular(&incoming, routed, &errors)
            }
        };
        if let Some(fault) = fault.as_ref().filter(|fault| !fault.replaces() && reply.status < 300) {
            self.distort(fault, &label, &errors, &mut reply);
        }
        if reply.status < 300
            && let Some(bodies) = held(&self.last_bodies).as_mut()
        {
            bodies.insert(label, reply.body.clone());
        }
        let cut = matches!(fault, Some(Fault::ResetBeforeBody | Fault::LostReply));
        let status = if cut { 0 } else { reply.status };
        self.journal().answered(number, status, fault.as_ref().map(Fault::name));
        if cut {
            scissors.cut();
        }
        self.usage().add_headers(pool, &mut reply);
        outgoing::respond(reply, &errors, self.now(), incoming.gzip && self.options.gzip, fault.as_ref())
    }

    fn record(&self, incoming: &Incoming, endpoint: String, pool: Pool) -> Request {
        Request {
            number: 0,
            at: self.now(),
            method: incoming.method.clone(),
            path: incoming.path.clone(),
            query: incoming.query.clone(),
            body: String::from_utf8_lossy(&incoming.body).into_owned(),
            endpoint,
            pool: pool.name(),
            status: 0,
            fault: None,
            authorization_fingerprint: incoming.token.as_deref().map(fingerprint),
        }
    }

    fn regular(&self, incoming: &Incoming, routed: Result<Endpoint, Unroutable>, errors: &Errors) -> Reply {
        if incoming.path.len() + incoming.query.len() > URI_MAX {
            return Reply::html(414, "Request-URI Too Large");
        }
        let endpoint = match routed {
            Ok(endpoint) => endpoint,
            Err(Unroutable::NoSuchPath) => return Reply::html(404, "Not Found"),
            Err(Unroutable::WrongMethod) => return Reply::html(405, "Method Not Allowed"),
            Err(Unroutable::NoSuchType(name)) => {
                return errors.plain(400, &format!("Unable to infer object type from: {name}"));
            }
        };
        match self.admitted(incoming, &endpoint, errors) {
            Ok(scopes) if endpoint.writes() => self.write(incoming, &endpoint, &scopes, errors),
            Ok(scopes) => self.read(incoming, &endpoint, &scopes, errors),
            Err(refused) => *refused,
        }
    }

    /// The scopes of a request that is let through.
    fn admitted(&self, incoming: &Incoming, endpoint: &Endpoint, errors: &Errors) -> Result<Vec<String>, Box<Reply>> {
        let now = self.now();
        if !endpoint.needs_token() {
            return Ok(Vec::new());
        }
        let scopes = self.tokens().check(incoming.token.as_deref(), now, errors)?;
        let mut usage = self.usage();
        usage.admit(endpoint.pool(), now).map_err(|limit| {
            let reply = errors.rate_limited(limit);
            let wait = usage.retry_after(limit, now);
            Box::new(if usage.sends_retry_after() { reply.header("Retry-After", wait) } else { reply })
        })?;
        match endpoint.scopes().into_iter().find(|scope| !scopes.iter().any(|held| held == scope)) {
            Some(missing) => Err(Box::new(errors.missing_scopes(&[missing]))),
            None => Ok(scopes),
        }
    }

    fn read(&self, incoming: &Incoming, endpoint: &Endpoint, scopes: &[String], errors: &Errors) -> Reply {
        let portal = self.portal();
        let sensitive = |kind| scopes.iter().any(|scope| schema::is_sensitive_scope(kind, scope));
        let kind = match endpoint {
            Endpoint::List(kind)
            | Endpoint::Get(kind, _)
            | Endpoint::BatchRead(kind)
            | Endpoint::Search(kind)
            | Endpoint::Properties(kind) => Some(*kind),
            _ => None,
        };
        let scene = Scene {
            portal: &portal,
            now: self.now(),
            errors,
            cursor: self.options.cursor,
            sensitive: kind.is_some_and(sensitive),
            path: &incoming.path,
        };
        let parameters = incoming.parameters();
        let body = incoming.body.as_slice();
        let answer = match endpoint {
            Endpoint::List(kind) => objects::list(&scene, *kind, &parameters),
            Endpoint::Get(kind, id) => objects::get(&scene, *kind, id, &parameters),
            Endpoint::BatchRead(kind) => objects::batch_read(&scene, *kind, &parameters, body),
            Endpoint::Search(kind) => search::search(&scene, *kind, body, *held(&self.disorder)),
            Endpoint::RecordAssociations(from, id, to) => {
                links::record_associations(&scene, *from, id, *to, &parameters)
            }
            Endpoint::AssociationsBatchRead(from, to) => {
                let Options { association_batch_max, association_page_size, .. } = self.options;
                links::batch_read(&scene, *from, *to, body, association_batch_max, association_page_size)
            }
            Endpoint::AssociationLabels(from, to) => Ok(links::labels(&scene, *from, *to)),
            Endpoint::Properties(kind) => schema::properties(&scene, *kind, &parameters),
            Endpoint::Property(kind, name) => schema::property(&scene, *kind, name),
            Endpoint::PropertiesBatchRead(kind) => schema::properties_batch_read(&scene, *kind, body),
            Endpoint::PropertyValidations(kind) => Ok(schema::property_validations(&scene, *kind)),
            Endpoint::Pipelines(kind) => Ok(schema::pipelines(&scene, *kind)),
            Endpoint::Pipeline(kind, id) => schema::pipeline(&scene, *kind, id, false),
            Endpoint::Stages(kind, id) => schema::pipeline(&scene, *kind, id, true),
            Endpoint::Owners => schema::owners(&scene, &parameters),
            Endpoint::Owner(id) => schema::owner(&scene, id, &parameters),
            Endpoint::AccountDetails => Ok(schema::account_details(&scene)),
            Endpoint::ApiUsage => Ok(schema::api_usage(&scene, &self.usage())),
            Endpoint::Token => {
                let form = parse_form(&String::from_utf8_lossy(body));
                Ok(self.tokens().refresh(&form, portal.id, scene.now))
            }
            Endpoint::Introspect => {
                let form = parse_form(&String::from_utf8_lossy(body));
                let token = form.iter().find(|(key, _)| key == "token").map_or("", |(_, value)| value);
                Ok(self.introspect(token, portal.id, scene.now, errors))
            }
            Endpoint::TokenDetails(token) => Ok(self.introspect(token, portal.id, scene.now, errors)),
            _ => Ok(errors.plain(500, "not a read")),
        };
        answer.unwrap_or_else(|refused| *refused)
    }

    fn write(&self, incoming: &Incoming, endpoint: &Endpoint, scopes: &[String], errors: &Errors) -> Reply {
        let mut portal = self.portal_mut();
        let (now, body) = (self.now(), incoming.body.as_slice());
        let sensitive = |kind| scopes.iter().any(|scope| schema::is_sensitive_scope(kind, scope));
        let may_see = match endpoint {
            Endpoint::Create(kind) | Endpoint::Update(kind, _) | Endpoint::BatchWrite(kind, _) => sensitive(*kind),
            _ => false,
        };
        let writing = Writing { now, errors, cursor: self.options.cursor, sensitive: may_see };
        let parameters = incoming.parameters();
        let answer = match endpoint {
            Endpoint::Create(kind) => writes::single(&mut portal, writing, *kind, None, body),
            Endpoint::Update(kind, id) => {
                let named = Some((id.as_str(), parameters.get("idProperty")));
                writes::single(&mut portal, writing, *kind, named, body)
            }
            Endpoint::BatchWrite(kind, operation) => writes::batch(&mut portal, writing, (*kind, *operation), body),
            Endpoint::AssociationsBatchCreate(from, to) => {
                link_writes::batch(&mut portal, errors, now, (*from, *to), false, body)
            }
            Endpoint::AssociationsBatchDefault(from, to) => {
                link_writes::batch(&mut portal, errors, now, (*from, *to), true, body)
            }
            Endpoint::PutAssociation(from, id, to, to_id, default) => {
                link_writes::put(errors, now, &mut portal, (*from, id), (*to, to_id), *default, body)
            }
            Endpoint::CreateProperty(kind) => schema::create_property(&mut portal, errors, *kind, now, body),
            _ => Ok(errors.plain(500, "not a write")),
        };
        answer.unwrap_or_else(|refused| *refused)
    }

    fn introspect(&self, token: &str, portal_id: u64, now: Millis, errors: &Errors) -> Reply {
        let scopes = self.tokens().check(Some(token), now, errors);
        let active = scopes.is_ok();
        let scopes = scopes.unwrap_or_default();
        let body = json!({"active": active, "hub_id": portal_id, "scopes": scopes, "token_use": "access_token", "token_type": "bearer"});
        Reply::json(200, &body)
    }

    /// Spoils an answer that was already made.
    fn distort(&self, fault: &Fault, label: &str, errors: &Errors, reply: &mut Reply) {
        match fault {
            Fault::SlowMs(_)
            | Fault::LostReply
            | Fault::ResetMidBody
            | Fault::EndlessBody
            | Fault::AssociationsDropped
            | Fault::IgnoreAfter
            | Fault::Date { .. } => {}
            Fault::StatusAfter(code) => *reply = errors.plain(*code, "internal error"),
            Fault::TruncatedJson => reply.body.truncate(reply.body.len() / 2),
            Fault::RepeatedPage => {
                let bodies = held(&self.last_bodies);
                if let Some(body) = bodies.as_ref().and_then(|bodies| bodies.get(label)) {
                    reply.body.clone_from(body);
                }
            }
            _ => {
                if let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) {
                    outgoing::distort_json(fault, &mut body);
                    reply.body = body.to_string().into_bytes();
                }
            }
        }
    }
}
