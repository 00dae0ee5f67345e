//! The value of a setting, from the forms in which files, variables and orchestrators give it.

use serde_json::Value;

use super::credential::{CREDENTIALS, clean};
use super::date_time;
use super::error::ConfigError;

/// The value that the schema's `definition` of a setting takes: numbers, booleans and lists out of texts, instants in one
/// form, credentials without what stands around them. An empty text where only something else makes sense is null, as
/// orchestrators write what is not set. What is not clear is left as it is, for the schema to refuse.
///
/// # Errors
/// For credentials and instants of a wrong form.
pub(super) fn normalised(setting: &str, value: Value, definition: &Value) -> Result<Value, ConfigError> {
    let invalid = |constraint| ConfigError::Invalid { field: setting.to_owned(), constraint };
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) if is(definition, "integer") => return Ok(whole(number)),
        other => return Ok(other),
    };
    if CREDENTIALS.contains(&setting) {
        let credential = clean(&text).map_err(invalid)?;
        return Ok(Some(credential).filter(|credential| !credential.is_empty()).map_or(Value::Null, Value::from));
    }
    let is_instant = definition["format"] == "date-time";
    let is_text = !is_instant && (is(definition, "string") || definition["type"].is_null());
    if is_text {
        return Ok(text.into());
    }
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    if is_instant {
        let instant = date_time::normalised(&text);
        let instant = instant.ok_or_else(|| {
            invalid(format!("{} is no date or date and time; write it as {}", Value::from(text), date_time::EXAMPLE))
        });
        return instant.map(Value::from);
    }
    Ok(of_text(&text, definition).unwrap_or_else(|_| text.into()))
}

/// What a text says in the type of a setting.
///
/// # Errors
/// What is expected instead.
pub(super) fn of_text(text: &str, definition: &Value) -> Result<Value, &'static str> {
    let text = text.trim();
    if is(definition, "array") {
        if text.starts_with('[') {
            return serde_json::from_str(text).map_err(|_| "a JSON array or names with commas between");
        }
        return Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect());
    }
    if is(definition, "object") {
        return serde_json::from_str(text).map_err(|_| "a JSON object");
    }
    if is(definition, "boolean") {
        return match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true.into()),
            "false" | "0" | "no" | "off" => Ok(false.into()),
            _ => Err("true or false"),
        };
    }
    if is(definition, "null") && text == "null" {
        return Ok(Value::Null);
    }
    match serde_json::from_str(text) {
        Ok(Value::Number(number)) if is(definition, "integer") => Ok(whole(number)),
        Ok(number @ Value::Number(_)) => Ok(number),
        _ => Err("a number"),
    }
}

/// Whether a setting's values can be of a JSON type.
pub(super) fn is(definition: &Value, name: &str) -> bool {
    match &definition["type"] {
        Value::String(one) => one == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    }
}

/// A whole number that was written with a point, as some orchestrators do, without it.
fn whole(number: serde_json::Number) -> Value {
    let text = number.to_string();
    let digits = text.split_once('.').filter(|(_, rest)| rest.bytes().all(|byte| byte == b'0'));
    digits.and_then(|(digits, _)| digits.parse::<i64>().ok()).map_or(Value::Number(number), Value::from)
}

#[cfg(test)]
mod tests {
    use super::super::settings_schema;
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_become_the_type_of_their_setting_where_they_are_clear() {
        for (setting, given, expected) in [
            ("page_size", json!("50"), json!(50)),
            ("page_size", json!(" 50 "), json!(50)),
            ("page_size", json!("50.0"), json!(50)),
            ("page_size", json!(50.0), json!(50)),
            ("page_size", json!("ten"), json!("ten")),
            ("page_size", json!(""), Value::Null),
            ("rate_limit_share", json!("0.5"), json!(0.5)),
            ("include_archived", json!("false"), json!(false)),
            ("include_archived", json!("Yes"), json!(true)),
            ("include_archived", json!("perhaps"), json!("perhaps")),
            ("properties", json!("subject, hs_*"), json!(["subject", "hs_*"])),
            ("properties", json!("[\"subject\"]"), json!(["subject"])),
            ("organization_id", json!("123"), json!("123")),
            ("scan_id", json!("7"), json!("7")),
            ("start_date", json!("2024-01-01"), json!("2024-01-01T00:00:00Z")),
            ("start_date", json!(""), Value::Null),
            ("access_token", json!("Bearer t\n"), json!("t")),
            ("access_token", json!("\n"), Value::Null),
            ("hash_salt", json!(" pepper "), json!(" pepper ")),
        ] {
            let definition = &settings_schema()["properties"][setting];
            assert_eq!(normalised(setting, given.clone(), definition).expect("taken"), expected, "{setting} {given}");
        }
    }

    #[test]
    fn a_bad_date_time_is_answered_with_an_example() {
        for setting in ["start_date", "end_date", "created_after"] {
            let definition = &settings_schema()["properties"][setting];
            let said = normalised(setting, json!("01/02/2024"), definition).expect_err("refused").to_string();
            assert!(
                said.contains(setting) && said.contains("01/02/2024") && said.contains(date_time::EXAMPLE),
                "{said}"
            );
        }
    }
}
