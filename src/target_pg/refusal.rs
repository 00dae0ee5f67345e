//! What an error of Postgres means for a run.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::DbError;

use super::exit::LoadError;

/// What can be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalConsequence {
    /// The connection or the server is gone: connect again and load the batch again.
    Lost,
    /// Another session was in the way: load the batch again.
    Conflict,
    /// Some row of the batch is to blame.
    Row,
    /// A right or a password is missing.
    Denied,
    /// Disk or memory of the server is used up.
    Full,
    /// A setting is wrong: TLS, the name of the database.
    Setting,
    /// Anything else.
    Other,
}

/// Classifies an error.
pub(super) fn consequence(error: &tokio_postgres::Error) -> RefusalConsequence {
    if let Some(code) = error.code() {
        return of_code(code.code());
    }
    let of_io = error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    match of_io {
        // What is wrong with a certificate arrives as one of these.
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => RefusalConsequence::Setting,
        Some(_) => RefusalConsequence::Lost,
        None if error.is_closed() => RefusalConsequence::Lost,
        None => of_text(&error.to_string()),
    }
}

/// Errors that `tokio_postgres` makes itself and gives no other mark.
fn of_text(heading: &str) -> RefusalConsequence {
    match heading {
        text if text.contains("TLS") || text.contains("configuration") => RefusalConsequence::Setting,
        text if text.contains("authentication") => RefusalConsequence::Denied,
        text if text.contains("connecting") || text.contains("timeout") || text.contains("timed out") => {
            RefusalConsequence::Lost
        }
        _ => RefusalConsequence::Other,
    }
}

/// By the SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn of_code(code: &str) -> RefusalConsequence {
    match code {
        // Shutdown, crash, start-up, time-outs of idle sessions, no free connection.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" | "53300" => RefusalConsequence::Lost,
        // Serialisation, deadlock, lock time-out, a cancelled statement.
        "40001" | "40P01" | "55P03" | "57014" => RefusalConsequence::Conflict,
        "42501" | "25006" => RefusalConsequence::Denied,
        "53100" | "53200" | "53400" => RefusalConsequence::Full,
        "3D000" => RefusalConsequence::Setting,
        // Raised by a trigger, or by a view with a check.
        "P0001" | "44000" | "21000" => RefusalConsequence::Row,
        _ => match &code[..2] {
            "08" => RefusalConsequence::Lost,
            "28" => RefusalConsequence::Denied,
            "22" | "23" | "54" => RefusalConsequence::Row,
            _ => RefusalConsequence::Other,
        },
    }
}

/// An error that ends the run and that no row is to blame for.
pub(super) fn ending(error: &tokio_postgres::Error, place: &str) -> LoadError {
    let reason = sentence(error);
    match consequence(error) {
        RefusalConsequence::Lost | RefusalConsequence::Conflict => {
            LoadError::Unavailable { place: place.to_owned(), reason }
        }
        RefusalConsequence::Denied => LoadError::Denied { reason: advised(error, reason) },
        RefusalConsequence::Full => LoadError::Full { reason },
        RefusalConsequence::Setting => LoadError::Address { reason: format!("{place} cannot be used: {reason}") },
        RefusalConsequence::Row | RefusalConsequence::Other => LoadError::Server { reason },
    }
}

/// What Postgres says, without values of the row.
pub(super) fn sentence(error: &tokio_postgres::Error) -> String {
    let Some(refusal) = error.as_db_error() else {
        let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        return format!("{error}").split(": ").next().unwrap_or_default().to_owned() + &cause;
    };
    // The detail of these names a key, and the views and rules that use a column; that of others may quote a whole row.
    let detail = match refusal.code().code() {
        "0A000" | "2BP01" | "23503" | "23505" => refusal.detail(),
        _ => None,
    };
    let more = [detail, refusal.hint()].into_iter().flatten();
    let more: String = more.map(|text| format!(" ({})", text.trim_end_matches('.'))).collect();
    format!("{}{more} [SQLSTATE {}]", refusal.message(), refusal.code().code())
}

/// The column that a refusal is about, where Postgres says so.
///
/// An error while COPY reads a value tells it as `COPY t, line 3, column name: "…"`.
pub(super) fn column(refusal: &DbError) -> Option<String> {
    if let Some(column) = refusal.column() {
        return Some(column.to_owned());
    }
    let (_, behind) = refusal.where_()?.split_once(", column ")?;
    behind.lines().next()?.split(": ").next().map(str::to_owned)
}

fn advised(error: &tokio_postgres::Error, reason: String) -> String {
    match error.code().map(tokio_postgres::error::SqlState::code) {
        Some("42501") => format!("{reason}; grant the right to the user, or run --test to see which are missing"),
        Some("28P01" | "28000") => format!("{reason}; check user and password"),
        _ => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlstate_says_what_can_be_done() {
        for (code, expected) in [
            ("57P01", RefusalConsequence::Lost),
            ("57P03", RefusalConsequence::Lost),
            ("08006", RefusalConsequence::Lost),
            ("40001", RefusalConsequence::Conflict),
            ("40P01", RefusalConsequence::Conflict),
            ("22P02", RefusalConsequence::Row),
            ("23502", RefusalConsequence::Row),
            ("54000", RefusalConsequence::Row),
            ("42501", RefusalConsequence::Denied),
            ("28P01", RefusalConsequence::Denied),
            ("53100", RefusalConsequence::Full),
            ("3D000", RefusalConsequence::Setting),
            ("42601", RefusalConsequence::Other),
        ] {
            assert_eq!(of_code(code), expected, "{code}");
        }
    }
}
