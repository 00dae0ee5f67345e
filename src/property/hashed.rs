//! A value as a hash, for those who may compare it but not read it.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::value::Fit;
use crate::hex::hex;

/// Appends the hexadecimal SHA-256 of `salt` and the text of the JSON token `token`, as a JSON string; null for a value
/// that is none.
///
/// The text is the one that HubSpot has, escapes resolved; a lone surrogate counts as U+FFFD, as everywhere.
pub fn push_hashed(salt: &[u8], token: &str, out: &mut Vec<u8>) -> Fit {
    if matches!(token, "" | "null" | "\"\"") {
        out.extend_from_slice(b"null");
        return Fit::Null;
    }
    let mut text = Vec::new();
    super::push_sanitised(token, &mut text);
    let text = match serde_json::from_slice(&text) {
        Ok(Value::String(text)) => text,
        // HubSpot sends strings; other tokens are taken for the text they show.
        _ => token.to_owned(),
    };
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(text.as_bytes());
    out.push(b'"');
    out.extend_from_slice(hex(&hash.finalize()).as_bytes());
    out.push(b'"');
    Fit::Value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(token: &str) -> String {
        let mut out = Vec::new();
        push_hashed(b"pepper", token, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn the_hash_is_that_of_the_salt_and_the_text() {
        // printf 'pepperada@example.com' | sha256sum
        let expected = r#""f3de2501fc91c4a9ae4d4ed50bef931c9901aabe5ea36979890a69204e7eb2b1""#;
        assert_eq!(hashed(r#""ada@example.com""#), expected);
        assert_eq!(hashed(r#""ada\u0040example.com""#), expected, "however it is escaped");
        assert_eq!(hashed("5"), hashed(r#""5""#));
        assert_ne!(hashed("5"), hashed("6"));
        for none in ["", "null", "\"\""] {
            assert_eq!(hashed(none), "null");
        }
        assert_eq!(hashed(r#""\ud800""#).len(), 66);
    }
}
