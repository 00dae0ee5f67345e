//! The password file of libpq: <https://www.postgresql.org/docs/current/libpq-pgpass.html>.

use std::fs;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::environment::{Variable, expand_home};

/// Finds the password of a connection in the file PGPASSFILE, else `~/.pgpass`.
pub(super) fn password(config: &Config, variable: Variable<'_>) -> Option<String> {
    let file = variable("PGPASSFILE").unwrap_or_else(|| "~/.pgpass".to_owned());
    let text = fs::read_to_string(expand_home(&file)).ok()?;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        // A socket's connections are those of localhost.
        _ => "localhost".to_owned(),
    };
    let port = config.get_ports().first()?.to_string();
    find(&text, [&host, &port, config.get_dbname()?, config.get_user()?])
}

/// The password of the first line that fits host, port, database and user.
fn find(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let [fields @ .., password] = &fields(line)[..] else { return None };
        let fits = fields.len() == wanted.len()
            && fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        fits.then(|| password.clone())
    })
}

/// The fields between colons; a backslash takes the meaning from a colon or a backslash.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' => fields.push(String::new()),
            '\\' => fields.last_mut().expect("one at least").extend(characters.next()),
            other => fields.last_mut().expect("one at least").push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let text = "# comment\nother:5432:*:*:no\n*:5432:sales:ann:a\\:b\\\\c\n*:*:*:*:last\n";
        assert_eq!(find(text, ["h", "5432", "sales", "ann"]).as_deref(), Some("a:b\\c"));
        assert_eq!(find(text, ["h", "1", "sales", "ann"]).as_deref(), Some("last"));
        assert_eq!(find("short:line\n", ["h", "1", "d", "u"]), None);
    }
}
