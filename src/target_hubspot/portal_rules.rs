//! The validation rules that a portal's admins set on properties. HubSpot applies them to every write; those that can be
//! decided here are checked before anything is sent.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Utc};
use jsonschema::Validator;
use serde_json::json;

use super::date_time;
use super::wording::quoted;
use crate::client::{Client, ClientError, ObjectType, ValidationRule};

/// The rules of one object type.
#[derive(Debug, Default)]
pub(super) struct PortalRules {
    by_property: BTreeMap<String, Vec<Rule>>,
    /// `property: RULE_TYPE` of each rule that only HubSpot decides.
    left_to_hubspot: Vec<String>,
}

/// Whether there are rules to know.
#[derive(Debug)]
pub(super) enum PortalRulesResult {
    Read(PortalRules),
    /// HubSpot does not list them, for this reason.
    Unavailable(String),
    /// The configured API version has none.
    NotSupported,
}

/// A rule that is decided here.
#[derive(Debug)]
enum Rule {
    MinLength(usize),
    MaxLength(usize),
    MinNumber(f64),
    MaxNumber(f64),
    MaxDecimals(usize),
    Characters(Characters),
    Days(Vec<String>),
    NotBefore(DateTime<Utc>),
    NotAfter(DateTime<Utc>),
    Address,
    Domains { allowed: bool, domains: Vec<String> },
    CountryCode,
    Pattern(Validator),
}

#[derive(Debug, Clone, Copy)]
enum Characters {
    Letters,
    Digits,
    Both,
}

impl PortalRules {
    /// Reads the rules where the API version has them. A portal or token without the endpoint is no error.
    ///
    /// # Errors
    /// Any [`ClientError`] but a refusal.
    pub(super) async fn read(client: &Client, object_type: &ObjectType) -> Result<PortalRulesResult, ClientError> {
        if !client.has_property_validations() {
            return Ok(PortalRulesResult::NotSupported);
        }
        match client.list_property_validations(object_type).await {
            Ok(listed) => {
                Ok(PortalRulesResult::Read(Self::of(listed.into_iter().map(|one| (one.property, one.rules)))))
            }
            Err(error @ (ClientError::MissingScopes { .. } | ClientError::Refused { .. })) => {
                Ok(PortalRulesResult::Unavailable(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    fn of(listed: impl Iterator<Item = (String, Vec<ValidationRule>)>) -> Self {
        let mut rules = Self::default();
        for (property, of_property) in listed {
            for rule in of_property {
                match Rule::of(&rule) {
                    Some(known) => rules.by_property.entry(property.clone()).or_default().push(known),
                    None => rules.left_to_hubspot.push(format!("{property}: {}", rule.rule_type)),
                }
            }
        }
        rules
    }

    /// What breaks a rule, and what to write instead.
    pub(super) fn fault(&self, property: &str, value: &str) -> Option<String> {
        let rules = self.by_property.get(property)?;
        let asked = rules.iter().find_map(|rule| rule.broken(value))?;
        Some(format!("{} breaks a validation rule of the portal: {asked}", quoted(value)))
    }

    /// A sentence with the number of rules, and which of them only HubSpot checks.
    pub(super) fn in_words(&self) -> String {
        let here: usize = self.by_property.values().map(Vec::len).sum();
        match self.left_to_hubspot.as_slice() {
            [] if here == 0 => "no validation rules".to_owned(),
            [] => format!("{here} validation rules, all checked by --dry-run"),
            left => {
                let all = here + left.len();
                format!("{all} validation rules, {here} checked by --dry-run, left to HubSpot: {}", left.join(", "))
            }
        }
    }
}

impl Rule {
    /// The rule that HubSpot describes; none where its arguments leave room for doubt.
    /// <https://developers.hubspot.com/docs/api-reference/latest/crm/property-validations/guide>
    fn of(rule: &ValidationRule) -> Option<Self> {
        let first = rule.arguments.first().map(String::as_str);
        let size = || first?.trim().parse::<usize>().ok();
        let number = || first?.trim().parse::<f64>().ok();
        let at = || date_time::instant(first?.trim()).ok();
        let domains = |allowed| {
            let domains = rule.arguments.iter().map(|domain| domain.trim().trim_start_matches('@').to_lowercase());
            Some(Self::Domains { allowed, domains: domains.collect() })
        };
        match rule.rule_type.as_str() {
            "MIN_LENGTH" => size().map(Self::MinLength),
            "MAX_LENGTH" => size().map(Self::MaxLength),
            "MIN_NUMBER" => number().map(Self::MinNumber),
            "MAX_NUMBER" => number().map(Self::MaxNumber),
            "DECIMAL" => size().map(Self::MaxDecimals),
            "ALPHANUMERIC" => match first? {
                "ALPHA_ONLY" => Some(Self::Characters(Characters::Letters)),
                "NUMERIC_ONLY" => Some(Self::Characters(Characters::Digits)),
                "ALPHANUMERIC" => Some(Self::Characters(Characters::Both)),
                _ => None,
            },
            "DAYS_OF_WEEK" if !rule.arguments.is_empty() => {
                Some(Self::Days(rule.arguments.iter().map(|day| day.to_uppercase()).collect()))
            }
            "START_DATE" | "START_DATETIME" => at().map(Self::NotBefore),
            "END_DATE" | "END_DATETIME" => at().map(Self::NotAfter),
            "EMAIL" => Some(Self::Address),
            "EMAIL_ALLOWED_DOMAINS" | "URL_ALLOWED_DOMAINS" => domains(true),
            "EMAIL_BLOCKED_DOMAINS" | "URL_BLOCKED_DOMAINS" => domains(false),
            "PHONE_NUMBER_WITH_EXPLICIT_COUNTRY_CODE" => Some(Self::CountryCode),
            "REGEX" => jsonschema::options().build(&json!({"pattern": first?})).ok().map(Self::Pattern),
            _ => None,
        }
    }

    /// What the rule asks for, when the value does not have it.
    fn broken(&self, value: &str) -> Option<String> {
        let length = value.chars().count();
        let number = || value.parse::<f64>().ok();
        let instant = || date_time::instant(value).ok();
        let (broken, asks) = match self {
            Self::MinLength(least) => (length < *least, format!("write {least} characters or more")),
            Self::MaxLength(most) => (length > *most, format!("write {most} characters or fewer")),
            Self::MinNumber(least) => (number().is_some_and(|one| one < *least), format!("write {least} or more")),
            Self::MaxNumber(most) => (number().is_some_and(|one| one > *most), format!("write {most} or less")),
            Self::MaxDecimals(most) => {
                let decimals = value.split_once('.').map_or("", |(_, decimals)| decimals.trim_end_matches('0'));
                let digits = decimals.bytes().all(|byte| byte.is_ascii_digit());
                (digits && decimals.len() > *most, format!("write {most} decimals or fewer"))
            }
            Self::Characters(characters) => {
                let other = |one: char| !one.is_whitespace() && !characters.has(one);
                (value.contains(other), format!("write {} only", characters.in_words()))
            }
            Self::Days(days) => {
                let day = instant().map(|instant| instant.weekday());
                let name = day.map(|day| DAYS[day.num_days_from_monday() as usize]);
                (name.is_some_and(|name| !days.iter().any(|day| day == name)), format!("choose {}", days.join(", ")))
            }
            Self::NotBefore(first) => {
                (instant().is_some_and(|at| at < *first), format!("write {} or later", first.to_rfc3339()))
            }
            Self::NotAfter(last) => {
                (instant().is_some_and(|at| at > *last), format!("write {} or earlier", last.to_rfc3339()))
            }
            Self::Address => {
                let (_, domain) = value.split_once('@').unwrap_or_default();
                (domain.is_empty(), "write an e-mail address such as name@example.com".to_owned())
            }
            Self::Domains { allowed, domains } => {
                let host = host(value);
                let listed = domains.iter().any(|domain| {
                    host == *domain || host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
                });
                let which = if *allowed { "one of" } else { "another domain than" };
                (listed != *allowed, format!("use {which} {}", domains.join(", ")))
            }
            Self::CountryCode => {
                (!value.starts_with('+'), "begin with the country code, such as +1 555 0100".to_owned())
            }
            Self::Pattern(pattern) => {
                let fits = pattern.is_valid(&value.into());
                (!fits, "it has not the form that the portal's admins ask for; see the property in HubSpot".to_owned())
            }
        };
        broken.then_some(asks)
    }
}

const DAYS: [&str; 7] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];

impl Characters {
    fn has(self, one: char) -> bool {
        match self {
            Self::Letters => one.is_alphabetic(),
            Self::Digits => one.is_numeric(),
            Self::Both => one.is_alphanumeric(),
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Letters => "letters",
            Self::Digits => "digits",
            Self::Both => "letters and digits",
        }
    }
}

/// The domain of an address or a URL.
fn host(value: &str) -> String {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let rest = rest.rsplit('@').next().unwrap_or_default();
    rest.split(':').next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rule_type: &str, arguments: &[&str]) -> PortalRules {
        let arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        let rule = ValidationRule { rule_type: rule_type.to_owned(), arguments };
        PortalRules::of([("p".to_owned(), vec![rule])].into_iter())
    }

    #[test]
    fn a_rule_is_broken_by_some_values_and_kept_by_others() {
        for (rule_type, arguments, keeps, breaks) in [
            ("MIN_LENGTH", vec!["3"], "abc", "ab"),
            ("MAX_LENGTH", vec!["3"], "äöü", "abcd"),
            ("MIN_NUMBER", vec!["1"], "1", "0.5"),
            ("MAX_NUMBER", vec!["10"], "-3", "10.01"),
            ("DECIMAL", vec!["2"], "1.250", "1.255"),
            ("ALPHANUMERIC", vec!["NUMERIC_ONLY"], "123", "12a"),
            ("ALPHANUMERIC", vec!["ALPHA_ONLY"], "Ann", "Ann1"),
            ("ALPHANUMERIC", vec!["ALPHANUMERIC"], "Ann1", "Ann#1"),
            ("DAYS_OF_WEEK", vec!["MONDAY", "thursday"], "2024-02-29", "2024-03-01"),
            ("START_DATE", vec!["2024-01-01"], "2024-01-01", "2023-12-31"),
            ("END_DATETIME", vec!["1709168523000"], "2024-02-29T01:02:03.000Z", "2024-02-29T01:02:04.000Z"),
            ("EMAIL", vec![], "a@b.c", "nobody"),
            ("EMAIL_ALLOWED_DOMAINS", vec!["x.com"], "a@X.com", "a@y.com"),
            ("EMAIL_BLOCKED_DOMAINS", vec!["@x.com"], "a@y.com", "a@mail.x.com"),
            ("URL_ALLOWED_DOMAINS", vec!["x.com"], "https://www.x.com:8080/a", "https://x.com.evil/"),
            ("PHONE_NUMBER_WITH_EXPLICIT_COUNTRY_CODE", vec![], "+1 555", "555"),
            ("REGEX", vec!["^[A-Z]{2}[0-9]+$"], "AB12", "ab12"),
        ] {
            let rules = rules(rule_type, &arguments);
            assert_eq!(rules.fault("p", keeps), None, "{rule_type} {keeps}");
            let said = rules.fault("p", breaks).unwrap_or_else(|| panic!("{rule_type} {breaks}"));
            assert!(said.contains(breaks) && said.contains("validation rule"), "{said}");
            assert_eq!(rules.fault("other", breaks), None);
        }
    }

    #[test]
    fn what_cannot_be_decided_here_is_left_to_hubspot() {
        for (rule_type, arguments) in
            [("AFTER_DURATION", ["P7D"]), ("WHITESPACE", ["x"]), ("NEW_ONE", ["x"]), ("MIN_LENGTH", ["few"])]
        {
            let rules = rules(rule_type, &arguments);
            assert_eq!(rules.fault("p", "2001-01-01"), None);
            assert!(rules.in_words().contains(&format!("p: {rule_type}")), "{}", rules.in_words());
        }
    }
}
