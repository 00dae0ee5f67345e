use super::*;

fn refused(status: u16) -> ClientError {
    ClientError::Refused { endpoint: "list", status, detail: String::new(), reason: Box::default() }
}

fn failing(endpoint: &'static str, status: u16) -> ClientError {
    ClientError::Failing { endpoint, status, detail: String::new(), tries: 1 }
}

fn denied() -> ClientError {
    ClientError::MissingScopes { endpoint: "list", scopes: Vec::new(), detail: String::new() }
}

fn unreachable(is_sent: bool) -> ClientError {
    ClientError::Unreachable { endpoint: "list", host: String::new(), reason: String::new(), is_sent, tries: 1 }
}

fn daily_limit() -> ClientError {
    ClientError::DailyLimit { detail: String::new(), resume_at: None }
}

fn unauthorized() -> ClientError {
    ClientError::Unauthorized { detail: String::new(), fault: CredentialFault::Unknown }
}

/// Each with whether a shorter URL may succeed, whether a smaller page may, and whether nothing else can.
#[test]
fn the_truth_table_of_fallbacks() {
    for (error, of_length, of_size, ends_all) in [
        (refused(400), true, false, false),
        (refused(404), false, false, false),
        (refused(413), true, true, false),
        (refused(414), true, false, false),
        (refused(431), true, false, false),
        (failing("list", 400), true, false, false),
        (failing("list", 403), true, false, false),
        (failing("list", 408), false, true, false),
        (failing("list", 429), false, false, false),
        (failing("list", 500), false, true, false),
        (failing("list", 502), false, true, false),
        (failing("list", 504), false, true, false),
        (failing("token", 500), false, true, true),
        (denied(), true, false, false),
        (unreachable(true), false, true, false),
        (unreachable(false), false, false, false),
        (daily_limit(), false, false, true),
        (unauthorized(), false, false, true),
    ] {
        let found = (error.may_be_of_length(), error.may_be_of_size(), error.ends_all());
        assert_eq!(found, (of_length, of_size, ends_all), "{error:?}");
    }
}
