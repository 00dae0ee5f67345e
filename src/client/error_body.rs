//! The body of an error response, and what it tells.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::request::Request;
use super::retry::Limit;

/// HubSpot's error body; any member may be absent or of another type, and then hides nothing of the rest.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct ErrorBody(Map<String, Value>);

impl ErrorBody {
    /// HubSpot's words, or OAuth's: `{"error": "invalid_grant", "error_description": …}`.
    pub(super) fn words(&self) -> Option<&str> {
        self.text("message").or_else(|| self.text("error_description"))
    }

    /// `VALIDATION_ERROR`, `MISSING_SCOPES`, …; empty where there is none.
    pub(super) fn category(&self) -> &str {
        self.text("category").unwrap_or_default()
    }

    pub(super) fn correlation_id(&self) -> Option<&str> {
        self.text("correlationId")
    }

    /// The kind of error, as the token endpoint names it: `BAD_REFRESH_TOKEN` and the like.
    pub(super) fn status(&self) -> &str {
        self.text("status").unwrap_or_default()
    }

    /// Which limit a 429 names: in `policyName`, or in the text alone (search).
    pub(super) fn limit(&self) -> Limit {
        let [policy, message] = ["policyName", "message"].map(|name| self.text(name).unwrap_or_default());
        let text = format!("{policy} {message}").to_ascii_lowercase();
        if text.contains("daily") {
            Limit::Daily
        } else if text.contains("ten_secondly") {
            Limit::TenSecondly
        } else {
            Limit::Secondly
        }
    }

    /// The scopes of which one would do: from a MISSING_SCOPES answer's lists, or the one that the words name in quotes
    /// (`… auth request is missing required 'crm.objects.owners.read' scope`).
    pub(super) fn required_scopes(&self) -> Vec<String> {
        let mut scopes: Vec<String> = Vec::new();
        for error in self.0.get("errors").and_then(Value::as_array).into_iter().flatten() {
            for list in [&error["context"]["requiredGranularScopes"], &error["context"]["requiredScopes"]] {
                scopes.extend(list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
            }
        }
        let message = self.words().filter(|words| words.contains("scope")).unwrap_or_default();
        if scopes.is_empty() {
            let in_quotes = message.split('\'').skip(1).step_by(2);
            scopes.extend(in_quotes.filter(|word| !word.contains(' ') && !word.is_empty()).map(str::to_owned));
        }
        scopes.dedup();
        scopes
    }

    /// The data centre that has the portal, from a 488: `eu1`.
    pub(super) fn correct_hublet(&self) -> Option<String> {
        fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
            match value {
                Value::Object(members) => {
                    members.get(name).or_else(|| members.values().find_map(|member| find(member, name)))
                }
                Value::Array(values) => values.iter().find_map(|value| find(value, name)),
                _ => None,
            }
        }
        let found = self.0.values().find_map(|member| find(member, "correctHublet"));
        let found = self.0.get("correctHublet").or(found)?;
        let text = found.as_str().or_else(|| found.get(0)?.as_str())?;
        Some(text.to_owned())
    }

    /// The properties that `request` asks for and the answer names: in quotes or in its context, else in its words.
    pub(super) fn denied_properties(&self, request: &Request) -> Vec<String> {
        let message = self.words().unwrap_or_default();
        let details = ["context", "errors"].iter().filter_map(|name| self.0.get(*name)).map(Value::to_string);
        let text = details.fold(message.to_owned(), |text, detail| text + " " + &detail);
        if self.category() == "MISSING_SCOPES" || !text.to_ascii_lowercase().contains("propert") {
            return Vec::new();
        }
        let is_name = |one: char| one.is_alphanumeric() || "_-.".contains(one);
        let asked = |words: Vec<&str>| {
            let words = words.into_iter().map(|word| word.trim_end_matches('.'));
            let asked = words.filter(|word| !word.is_empty() && request.asks_for(word)).map(str::to_owned);
            let mut names: Vec<String> = asked.collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let named = asked(text.split(['\'', '"', '`']).filter(|part| part.chars().all(is_name)).collect());
        if named.is_empty() { asked(message.split(|one| !is_name(one)).collect()) } else { named }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::request::Endpoint;

    fn body(text: &str) -> ErrorBody {
        serde_json::from_str(text).expect("a JSON object")
    }

    #[test]
    fn scopes_are_found_wherever_hubspot_names_them() {
        for (text, scopes) in [
            (
                r#"{"category":"MISSING_SCOPES","errors":[{"context":{"requiredGranularScopes":["a","b"]}}]}"#,
                &["a", "b"][..],
            ),
            (r#"{"errors":[{"context":{"requiredScopes":["c"]}}]}"#, &["c"]),
            (r#"{"message":"This auth request is missing required 'crm.lists.read' scope"}"#, &["crm.lists.read"]),
            (r#"{"message":"This oauth-token (1-2) does not have proper permissions!"}"#, &[]),
            (r#"{"category":"MISSING_SCOPES","message":7,"errors":{}}"#, &[]),
        ] {
            assert_eq!(body(text).required_scopes(), scopes, "{text}");
        }
    }

    #[test]
    fn a_data_centre_is_found_wherever_hubspot_names_it() {
        for (text, hublet) in [
            (r#"{"correctHublet":"eu1"}"#, Some("eu1")),
            (r#"{"context":{"correctHublet":["na2"]}}"#, Some("na2")),
            (r#"{"errors":[{"context":{"correctHublet":["ap1"]}}]}"#, Some("ap1")),
            (r#"{"message":"Hub 7 is unknown to this Hublet"}"#, None),
        ] {
            assert_eq!(body(text).correct_hublet().as_deref(), hublet, "{text}");
        }
    }

    #[test]
    fn properties_are_denied_only_where_they_were_asked_for_and_are_spoken_of() {
        let url = "http://h/crm/objects/2026-03/tickets?limit=1&properties=subject,health_no,app";
        let request = Request::get(Endpoint::List, url.to_owned());
        for (text, names) in [
            (r#"{"message":"The scope of property 'health_no' was not granted"}"#, &["health_no"][..]),
            (r#"{"message":"not allowed","context":{"propertyName":["health_no","other"]}}"#, &["health_no"]),
            (r#"{"message":"No access to properties health_no, subject."}"#, &["health_no", "subject"]),
            (r#"{"message":"This app may not read app"}"#, &[]),
            (r#"{"category":"MISSING_SCOPES","message":"no property app"}"#, &[]),
        ] {
            assert_eq!(body(text).denied_properties(&request), names, "{text}");
        }
    }
}
