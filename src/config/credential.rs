//! Credentials as people hand them over: without what copying, shells and base64 put around them.

/// The settings that hold credentials.
pub(super) const CREDENTIALS: [&str; 4] = ["access_token", "client_id", "client_secret", "refresh_token"];
/// What stands before a token in an HTTP header, and in the examples that it is copied from.
const HEADER_WORDS: [&str; 2] = ["authorization:", "bearer"];
const QUOTES: [char; 7] = ['"', '\'', '`', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}'];
/// Byte order mark and zero-width space, which pages and files add and nobody sees.
const INVISIBLE: [char; 2] = ['\u{feff}', '\u{200b}'];

/// The credential in `text`: without spaces, line breaks and quotation marks around it, and without `Bearer ` before it.
/// Empty when there is nothing else.
///
/// # Errors
/// What it holds that no credential has. The text itself is in no message.
pub(super) fn clean(text: &str) -> Result<&str, String> {
    let mut rest = text;
    loop {
        let shorter = without_header_word(rest.trim_matches(is_around));
        if shorter.len() == rest.len() {
            break;
        }
        rest = shorter;
    }
    match rest.chars().position(|one| !one.is_ascii_graphic() || one == '\\' || QUOTES.contains(&one)) {
        None => Ok(rest),
        Some(at) => Err(format!(
            "{} stands inside the value, at character {} of {}, which no credential has; copy it again from HubSpot",
            named(rest.chars().nth(at).unwrap_or_default()),
            at + 1,
            rest.chars().count()
        )),
    }
}

fn is_around(one: char) -> bool {
    one.is_whitespace() || one.is_control() || QUOTES.contains(&one) || INVISIBLE.contains(&one)
}

fn without_header_word(text: &str) -> &str {
    for word in HEADER_WORDS {
        let Some((begin, rest)) = text.split_at_checked(word.len()) else { continue };
        let ends = word.ends_with(':') || !rest.starts_with(|one: char| one.is_ascii_graphic());
        if ends && begin.eq_ignore_ascii_case(word) {
            return rest;
        }
    }
    text
}

fn named(one: char) -> &'static str {
    match one {
        '\r' | '\n' => "a line break",
        _ if one.is_whitespace() => "a space",
        '\\' => "a backslash",
        _ if QUOTES.contains(&one) => "a quotation mark",
        _ => "a character outside ASCII",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_a_credential_is_taken_away() {
        for given in [
            "pat-na1-x",
            "pat-na1-x\n",
            "pat-na1-x\r\n",
            " \tpat-na1-x ",
            "\"pat-na1-x\"",
            "'pat-na1-x'\n",
            "\u{201c}pat-na1-x\u{201d}",
            "Bearer pat-na1-x",
            "bearer\tpat-na1-x\n",
            "\"Bearer 'pat-na1-x'\"",
            "Authorization: Bearer pat-na1-x",
            "\u{feff}pat-na1-x\u{a0}",
        ] {
            assert_eq!(clean(given), Ok("pat-na1-x"), "{given:?}");
        }
        for nothing in ["", "\n", "\"\"", "Bearer ", "Bearer"] {
            assert_eq!(clean(nothing), Ok(""), "{nothing:?}");
        }
        assert_eq!(clean("bearer-of-news"), Ok("bearer-of-news"));
    }

    #[test]
    fn what_stands_inside_a_credential_is_named_and_the_credential_is_not_shown() {
        for (given, named) in [
            ("hush hush", "a space stands inside the value, at character 5 of 9"),
            ("hush\nhush", "a line break"),
            ("hush\\nhush", "a backslash"),
            ("hush\"hush", "a quotation mark"),
            ("hush\u{e9}", "a character outside ASCII"),
            ("hush\u{0}hush", "a character outside ASCII"),
        ] {
            let said = clean(given).expect_err("refused");
            assert!(said.starts_with(named) && !said.contains("hush"), "{said}");
        }
    }
}
