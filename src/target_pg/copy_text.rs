//! JSON values as the text form of COPY:
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2>.

use memchr::{memchr, memchr3};

use super::value::ValueError;

/// What becomes of characters that Postgres cannot store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unstorable {
    /// They become U+FFFD; otherwise they are errors.
    pub(super) sanitize: bool,
    /// How many did.
    pub(super) replaced: u64,
}

impl Unstorable {
    fn replace(&mut self, error: ValueError) -> Result<char, ValueError> {
        if !self.sanitize {
            return Err(error);
        }
        self.replaced += 1;
        Ok(char::REPLACEMENT_CHARACTER)
    }
}

/// The text between the quotes of a JSON string; JSON's own escapes are still in it.
pub(super) fn inner(string: &str) -> &str {
    &string[1..string.len() - 1]
}

/// Writes the text of a JSON string.
///
/// # Errors
/// When it has a character that Postgres cannot store, for this and the others below.
pub(super) fn push_string(string: &str, unstorable: &mut Unstorable, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let inner = inner(string);
    // Without an escape of JSON there is nothing to escape for COPY: JSON has no bare control characters.
    if memchr(b'\\', inner.as_bytes()).is_none() {
        out.extend_from_slice(inner.as_bytes());
        return Ok(());
    }
    let mut text = String::with_capacity(inner.len());
    unescape(inner, unstorable, &mut text)?;
    push_text(&text, out);
    Ok(())
}

/// Writes text.
pub(super) fn push_text(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    // Most texts have newlines, few have tabs.
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Writes a JSON value as JSON.
pub(super) fn push_json(json: &str, unstorable: &mut Unstorable, out: &mut Vec<u8>) -> Result<(), ValueError> {
    // Blanks between tokens may be tabs; a newline would have ended the line.
    if memchr3(b'\\', b'\t', b'\r', json.as_bytes()).is_none() {
        out.extend_from_slice(json.as_bytes());
        return Ok(());
    }
    push_text(&storable_json(json, unstorable)?, out);
    Ok(())
}

/// The same JSON without the escapes that jsonb refuses.
pub(super) fn storable_json(json: &str, unstorable: &mut Unstorable) -> Result<String, ValueError> {
    let mut storable = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        storable.push_str(&rest[..at]);
        let (escape, behind) = Escape::read(&rest[at..]);
        match escape {
            Escape::Nul => storable.push(unstorable.replace(ValueError::Nul)?),
            Escape::HalfPair => storable.push(unstorable.replace(ValueError::Surrogate)?),
            Escape::Character(_) => storable.push_str(&rest[at..rest.len() - behind.len()]),
        }
        rest = behind;
    }
    storable.push_str(rest);
    Ok(storable)
}

/// Writes the text that the inside of a JSON string stands for.
pub(super) fn unescape(inner: &str, unstorable: &mut Unstorable, text: &mut String) -> Result<(), ValueError> {
    let mut rest = inner;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let (escape, behind) = Escape::read(&rest[at..]);
        text.push(match escape {
            Escape::Character(character) => character,
            Escape::Nul => unstorable.replace(ValueError::Nul)?,
            Escape::HalfPair => unstorable.replace(ValueError::Surrogate)?,
        });
        rest = behind;
    }
    text.push_str(rest);
    Ok(())
}

/// What an escape of a JSON string stands for.
enum Escape {
    Character(char),
    Nul,
    HalfPair,
}

impl Escape {
    /// Reads the escape that a text begins with, and gives what follows it. The JSON is known to be well-formed.
    fn read(text: &str) -> (Self, &str) {
        let (head, behind) = text.split_at(2);
        let character = match head.as_bytes()[1] {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => return Self::read_unicode(behind),
            other => char::from(other),
        };
        (Self::Character(character), behind)
    }

    fn read_unicode(text: &str) -> (Self, &str) {
        let unit = hex(text);
        let behind = &text[4..];
        match unit {
            0 => (Self::Nul, behind),
            0xD800..=0xDBFF => {
                let low = behind.strip_prefix("\\u").map(hex).filter(|low| (0xDC00..=0xDFFF).contains(low));
                match low {
                    None => (Self::HalfPair, behind),
                    Some(low) => {
                        let code = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                        (Self::Character(char::from_u32(code).expect("a pair is a character")), &behind[6..])
                    }
                }
            }
            _ => (char::from_u32(unit).map_or(Self::HalfPair, Self::Character), behind),
        }
    }
}

fn hex(text: &str) -> u32 {
    u32::from_str_radix(&text[..4], 16).expect("four hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Unstorable = Unstorable { sanitize: false, replaced: 0 };

    fn copied(string: &str) -> String {
        let mut out = Vec::new();
        push_string(string, &mut STRICT.clone(), &mut out).expect("storable");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_string_is_written_as_copy_reads_it() {
        for (string, expected) in [
            (r#""plain ünï 😀""#, "plain ünï 😀"),
            (r#""a\"b\/c""#, "a\"b/c"),
            (r#""tab\tline\nreturn\r""#, r"tab\tline\nreturn\r"),
            (r#""back\\slash \\N \\.""#, r"back\\slash \\N \\."),
            (r#""\u00e9\ud83d\ude00\u0007""#, "é😀\u{7}"),
            (r#""""#, ""),
        ] {
            assert_eq!(copied(string), expected, "{string}");
        }
    }

    #[test]
    fn json_keeps_its_escapes() {
        let mut out = Vec::new();
        push_json("{\"a\":\t\"x\\ny\\u00e9\"}", &mut STRICT.clone(), &mut out).expect("storable");
        assert_eq!(String::from_utf8(out).expect("UTF-8"), r#"{"a":\t"x\\ny\\u00e9"}"#);
    }

    #[test]
    fn what_postgres_cannot_store_is_an_error_or_replaced() {
        for (string, error) in [
            (r#""a\u0000b""#, ValueError::Nul),
            (r#""\ud800""#, ValueError::Surrogate),
            (r#""\ud800\u0041""#, ValueError::Surrogate),
            (r#""\udc00x""#, ValueError::Surrogate),
        ] {
            assert_eq!(push_string(string, &mut STRICT.clone(), &mut Vec::new()), Err(error), "{string}");
            let mut lenient = Unstorable { sanitize: true, replaced: 0 };
            let (mut text, json) = (Vec::new(), format!("[{string}]"));
            push_string(string, &mut lenient, &mut text).expect("replaced");
            assert!(String::from_utf8(text).expect("UTF-8").contains('\u{FFFD}'), "{string}");
            assert!(storable_json(&json, &mut lenient).expect("replaced").contains('\u{FFFD}'), "{json}");
            assert_eq!(lenient.replaced, 2);
        }
        // A backslash before it makes it plain text.
        assert_eq!(copied(r#""\\u0000""#), r"\\u0000");
        assert_eq!(storable_json(r#""\\u0000""#, &mut STRICT.clone()), Ok(r#""\\u0000""#.to_owned()));
    }
}
