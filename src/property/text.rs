//! JSON text that every target can store.

use memchr::memchr;

/// Appends the JSON string token `token` (with its quotes), NUL and lone surrogates replaced by U+FFFD: Postgres stores
/// neither, and one of them ends a target's whole run.
pub fn push_sanitised(token: &str, out: &mut Vec<u8>) {
    let bytes = token.as_bytes();
    let mut rest = bytes;
    while let Some(backslash) = memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..backslash]);
        rest = &rest[backslash..];
        let escape = match unit(rest) {
            None => &rest[..2],
            Some(0) => b"\\ufffd",
            Some(0xd800..=0xdbff) if unit(&rest[6..]).is_some_and(|low| (0xdc00..=0xdfff).contains(&low)) => {
                &rest[..12]
            }
            Some(0xd800..=0xdfff) => b"\\ufffd",
            Some(_) => &rest[..6],
        };
        out.extend_from_slice(escape);
        // A replacement is as long as what it replaces.
        rest = &rest[escape.len()..];
    }
    out.extend_from_slice(rest);
}

/// Appends `text` as a JSON string, NUL replaced by U+FFFD.
pub fn push_json_string(text: &str, out: &mut Vec<u8>) {
    let token = serde_json::to_string(text).expect("text is JSON");
    push_sanitised(&token, out);
}

/// The UTF-16 unit of a `\uXXXX` escape at the beginning of `bytes`.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sanitised(token: &str) -> String {
        let mut out = Vec::new();
        push_sanitised(token, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn nul_and_lone_surrogates_become_the_replacement_character() {
        for (given, expected) in [
            (r#""plain""#, r#""plain""#),
            (r#""a\u0000b""#, r#""a\ufffdb""#),
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""\udc00\ud800x""#, r#""\ufffd\ufffdx""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\u0000 \u0041""#, r#""\\u0000 \u0041""#),
            (r#""\ud800\n""#, r#""\ufffd\n""#),
        ] {
            assert_eq!(sanitised(given), expected);
        }
    }

    #[test]
    fn control_characters_of_our_own_text_are_escaped() {
        let mut out = Vec::new();
        push_json_string("a\u{0}\n\"é", &mut out);
        assert_eq!(out, r#""a\ufffd\n\"é""#.as_bytes());
    }
}
