//! What a request asks: path, query, body, and the record kept of it.

use serde_json::Value;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct ApiRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Vec<u8>,
    pub(crate) token: Option<String>,
    pub(crate) gzip: bool,
}

impl ApiRequest {
    pub(crate) fn parameters(&self) -> QueryParameters {
        QueryParameters(parse_form(&self.query))
    }

    /// The same request without the cursors of its query and of its inputs.
    pub(crate) fn without_cursors(&self) -> Self {
        let query: Vec<&str> = self.query.split('&').filter(|pair| !pair.starts_with("after=")).collect();
        let mut body = serde_json::from_slice::<Value>(&self.body).unwrap_or_default();
        for input in body["inputs"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            input.remove("after");
        }
        let body = if body.is_object() { body.to_string().into_bytes() } else { self.body.clone() };
        Self { query: query.join("&"), body, ..self.clone() }
    }
}

/// Decoded query parameters, in order.
#[derive(Clone, Debug)]
pub(crate) struct QueryParameters(Vec<(String, String)>);

impl QueryParameters {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The values of a parameter that may be repeated or joined by commas.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let values = self.0.iter().filter(|(key, _)| key == name);
        values.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|text| !text.is_empty()).collect()
    }

    /// The official Python client sends `True`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}

/// Decodes `a=1&b=2` with percent signs and pluses.
pub(crate) fn parse_form(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(key), percent_decode(value))
        })
        .collect()
}

pub(crate) fn percent_decode(text: &str) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (byte, hex) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_decoded_and_lists_split() {
        let parameters = QueryParameters(parse_form("properties=a,b%20c&properties=d&limit=10&x=%zz+1"));
        assert_eq!(parameters.list("properties"), ["a", "b c", "d"]);
        assert_eq!(parameters.get("x"), Some("%zz 1"));
    }
}
