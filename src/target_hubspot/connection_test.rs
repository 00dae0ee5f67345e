//! `--test`: what a delivery would hit, without writing anything.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use super::cli::TargetArguments;
use super::definitions::PropertyDefinitions;
use super::error::TargetError;
use super::order::ORDER;
use super::outcome_log::OutcomeLog;
use super::plan::{MatchBy, StreamPlan, object_type_of};
use super::portal_rules::{PortalRules, PortalRulesResult};
use super::session::{DELIVERY_KEY, DOUBLE_DEALS, TargetSession, definition_scope};
use crate::client::{ClientError, ObjectType};
use crate::config::{TargetConfig, UnknownFields};

/// What was found, for people, and what a run would end with.
#[derive(Debug, Default)]
struct Findings {
    report: String,
    /// Scopes that the token lacks.
    missing: BTreeSet<String>,
    /// Config entries that the portal has no counterpart for.
    faults: Vec<String>,
}

/// Reports the portal, what the token may do with each object type, whether the config fits the portal, and the quota;
/// then ends as a run would: with what is missing.
///
/// A write of nothing shows whether the token may: HubSpot asks for the scope before it looks at the body.
pub(super) async fn run(arguments: &TargetArguments) -> Result<(), TargetError> {
    let session = TargetSession::open(arguments).await?;
    let mut findings = Findings::default();
    let account_type = session.account_type.as_ref().map_or_else(String::new, |one| format!(", {one}"));
    findings.say(&format!("portal {}{account_type}", session.portal_id));
    for object_type in types(arguments, &session.config)? {
        findings.object_type(&session, arguments, &object_type).await?;
    }
    // OAuth apps have no such figure.
    if let Some(usage) = session.client.daily_usage().await {
        let left = usage.limit.saturating_sub(usage.used);
        findings.say(&format!("{left} of {} API calls left today", usage.limit));
    }
    for fault in &findings.faults {
        writeln!(findings.report, "config: {fault}").expect("writing to a String does not fail");
    }
    io::stdout().write_all(findings.report.as_bytes()).map_err(TargetError::Output)?;
    findings.verdict()?;
    // Its files are opened by no run that writes nothing.
    OutcomeLog::open(&session.config, true).map(drop)
}

/// The object types that a run may write: that of --stream, else all but those whose own stream is left out and that no
/// other stream is mapped to.
fn types(arguments: &TargetArguments, config: &TargetConfig) -> Result<Vec<ObjectType>, TargetError> {
    if let Some(stream) = &arguments.stream {
        let of_stream = |reason| TargetError::Stream { stream: stream.clone(), reason };
        let left_out = || of_stream("the config leaves it out (streams)".to_owned());
        return Ok(vec![object_type_of(stream, config).map_err(of_stream)?.ok_or_else(left_out)?]);
    }
    let written = |object_type: &ObjectType| !streams(arguments, config, object_type).is_empty();
    Ok(ORDER.into_iter().filter(written).collect())
}

/// The streams that are written as a type: those of the config, and the one of the type's own name.
fn streams(arguments: &TargetArguments, config: &TargetConfig, object_type: &ObjectType) -> Vec<String> {
    let own = object_type.as_str();
    let configured = config.streams.keys().map(String::as_str).filter(|stream| *stream != own);
    let named: Vec<&str> = match &arguments.stream {
        Some(stream) => vec![stream],
        None => configured.chain([own]).collect(),
    };
    let named = named.into_iter().map(str::to_owned);
    named.filter(|stream| object_type_of(stream, config).ok().flatten().as_ref() == Some(object_type)).collect()
}

impl Findings {
    fn say(&mut self, line: &str) {
        writeln!(self.report, "{line}").expect("writing to a String does not fail");
    }

    /// Reports the result of a call; none where the token may not.
    fn permitted<T>(
        &mut self,
        what: &str,
        result: Result<T, ClientError>,
        (permitted, scope): (&str, &str),
    ) -> Result<Option<T>, TargetError> {
        let scopes = match result {
            Ok(found) => {
                self.say(&format!("{what}: {permitted}"));
                return Ok(Some(found));
            }
            Err(ClientError::MissingScopes { scopes, .. }) if !scopes.is_empty() => scopes,
            Err(ClientError::MissingScopes { .. } | ClientError::Refused { status: 403, .. }) => vec![scope.to_owned()],
            Err(error) => return Err(error.into()),
        };
        let scopes = scopes.join(" or ");
        self.say(&format!("{what}: missing: add the scope {scopes}"));
        self.missing.insert(scopes);
        Ok(None)
    }

    /// Reports the result of a call that a run can do without.
    fn advised(&mut self, what: &str, result: Result<(), ClientError>, scope: &str) -> Result<(), TargetError> {
        let scopes = match result {
            Ok(()) => {
                self.say(&format!("{what}: created on first use"));
                return Ok(());
            }
            Err(ClientError::MissingScopes { scopes, .. }) if !scopes.is_empty() => scopes.join(" or "),
            Err(ClientError::MissingScopes { .. } | ClientError::Refused { status: 403, .. }) => scope.to_owned(),
            Err(error) => return Err(error.into()),
        };
        self.say(&format!("{what}: not needed, but advised: add the scope {scopes}; {DOUBLE_DEALS}"));
        Ok(())
    }

    async fn object_type(
        &mut self,
        session: &TargetSession,
        arguments: &TargetArguments,
        object_type: &ObjectType,
    ) -> Result<(), TargetError> {
        let client = &session.client;
        let scope = |area: &str, may: &str| match object_type.as_str() {
            "tickets" => "tickets".to_owned(),
            of => format!("crm.{area}.{of}.{may}"),
        };
        let found = PropertyDefinitions::read(client, object_type).await;
        let definitions =
            self.permitted(&format!("properties {object_type}"), found, ("ok", &scope("schemas", "read")))?;
        let found = client.has_no_objects(object_type).await;
        self.permitted(&format!("read {object_type}"), found, ("ok", &scope("objects", "read")))?;
        let written = match client.batch_update_objects(object_type, &[]).await {
            // An empty batch is refused once the token may.
            Err(ClientError::Refused { status: 400, .. }) => Ok(()),
            other => other.map(drop),
        };
        self.permitted(&format!("write {object_type}"), written, ("ok", &scope("objects", "write")))?;
        let Some(definitions) = definitions else { return Ok(()) };
        match PortalRules::read(client, object_type).await? {
            PortalRulesResult::Read(rules) => self.say(&format!("rules {object_type}: {}", rules.in_words())),
            PortalRulesResult::Unavailable(reason) => self.say(&format!("rules {object_type}: not checked: {reason}")),
            PortalRulesResult::NotSupported => {}
        }
        let definitions = Arc::new(definitions);
        let mut key = None;
        for stream in streams(arguments, &session.config, object_type) {
            let keys = match arguments.stream.is_some() {
                true => arguments.key.clone(),
                // The SCHEMA of a stream brings them.
                false => vec!["id".to_owned()],
            };
            match StreamPlan::new(&stream, object_type.clone(), keys, definitions.clone(), &session.config) {
                Ok(plan) => {
                    // Deals are found without it.
                    let is_needed = plan.match_by != MatchBy::DealName;
                    key = plan.created_with().map(|name| (name.to_owned(), is_needed)).or(key);
                }
                Err(reason) => self.faults.push(format!("stream {stream:?}: {reason}")),
            }
            self.mapping(session, &stream, object_type, &definitions);
        }
        if let Some((name, is_needed)) = key {
            self.key(session, object_type, &definitions, (&name, is_needed)).await?;
        }
        Ok(())
    }

    /// Reports properties in the config that the portal does not have.
    fn mapping(
        &mut self,
        session: &TargetSession,
        stream: &str,
        object_type: &ObjectType,
        definitions: &PropertyDefinitions,
    ) {
        let config = &session.config;
        let Some(entry) = config.streams.get(stream).and_then(Option::as_ref) else { return };
        for (field, name) in entry.properties.iter().filter_map(|(field, name)| Some((field, name.as_ref()?))) {
            let own_id = name == "hs_object_id" && entry.id_property.as_deref() == Some("hs_object_id");
            if own_id || definitions.by_name.contains_key(name) || config.unknown_fields != UnknownFields::Reject {
                continue;
            }
            let portal = &session.portal_id;
            self.faults.push(format!(
                "stream {stream:?}: properties: {field:?} is to be {name:?}, which the {object_type} of portal {portal} \
                 do not have{}",
                definitions.hint(name)
            ));
        }
    }

    /// Reports whether the unique property for delivery keys exists or can be created.
    async fn key(
        &mut self,
        session: &TargetSession,
        object_type: &ObjectType,
        definitions: &PropertyDefinitions,
        (name, is_needed): (&str, bool),
    ) -> Result<(), TargetError> {
        let what = format!("{object_type} property {name}");
        match definitions.by_name.get(name) {
            Some(definition) if definition.unique => self.say(&format!("{what}: there")),
            Some(_) if !is_needed => self.say(&format!("{what}: there, but its values are not unique; {DOUBLE_DEALS}")),
            Some(_) => {
                let setting = if name == DELIVERY_KEY { "" } else { "; set ticket_key to another property" };
                self.faults.push(format!("{what} is there, but its values are not unique{setting}"));
            }
            None => {
                let scope = definition_scope(object_type);
                let created = session.client.may_create_property(object_type).await;
                match is_needed {
                    true => drop(self.permitted(&what, created, ("created on first use", &scope))?),
                    false => self.advised(&what, created, &scope)?,
                }
            }
        }
        Ok(())
    }

    fn verdict(self) -> Result<(), TargetError> {
        if !self.missing.is_empty() {
            return Err(TargetError::Lacking { scopes: self.missing.into_iter().collect() });
        }
        match self.faults.is_empty() {
            true => Ok(()),
            false => Err(TargetError::Mapping { faults: self.faults }),
        }
    }
}
