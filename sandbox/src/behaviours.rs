//! Behaviours: unusual ways in which HubSpot has been seen to respond, or may respond, each under a name.
//!
//! A behaviour is a list of fault rules under a name. Those whose name ends in `_once` affect one request; the others
//! affect all matching requests until the faults are cleared.

use serde_json::{Value, json};

use crate::fault_rules::FaultRule;
use crate::faults::Fault;
use crate::pool::RateLimitKind;

/// A named list of fault rules.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// Its name, in words with underscores.
    pub name: &'static str,
    /// What happens, in a clause.
    pub about: &'static str,
    rules: fn() -> Vec<FaultRule>,
}

impl Behaviour {
    /// The rules that make it.
    pub fn rules(&self) -> Vec<FaultRule> {
        (self.rules)()
    }
}

/// The behaviour of this name.
pub(crate) fn behaviour(name: &str) -> Option<&'static Behaviour> {
    BEHAVIOURS.iter().find(|behaviour| behaviour.name == name)
}

/// The live list of tickets, whatever the version of the API.
const LIST: &str = "tickets?limit=";
const LIVE_PAGE: &str = "archived=false&after=";
const SEARCH: &str = "tickets/search";
const ASSOCIATIONS: &str = "/contacts/batch/read";
const TICKETS_BATCH: &str = "/tickets/batch/read";
const TOKEN: &str = "/oauth/";
/// Behaviours that affect some ids affect the multiples of this.
const SOME: u64 = 7;

fn status(code: u16, body: &Value) -> Fault {
    Fault::Status { code, headers: vec![], body: Some(body.to_string()) }
}

fn error(code: u16, category: &str, message: &str) -> Fault {
    let id = "0a1b2c3d-0000-4000-8000-000000000001";
    let mut body = json!({"status": "error", "message": message, "correlationId": id});
    if !category.is_empty() {
        body["category"] = json!(category);
    }
    status(code, &body)
}

fn set(path: &str, value: Value) -> Fault {
    Fault::SetMember { path: path.to_owned(), value }
}

fn html(code: u16) -> Fault {
    Fault::Html(code)
}

fn next(matches: &str, fault: Fault) -> Vec<FaultRule> {
    vec![FaultRule::next(matches, fault)]
}

fn always(matches: &str, fault: Fault) -> Vec<FaultRule> {
    vec![FaultRule::always(matches, fault)]
}

macro_rules! behaviours {
    ($($name:ident, $about:literal, $rules:expr;)*) => {
        /// All behaviours, by what they are about.
        pub const BEHAVIOURS: &[Behaviour] = &[$(Behaviour { name: stringify!($name), about: $about, rules: || $rules }),*];
    };
}

behaviours! {
    list_page_empty_once, "a page of the live list is empty and the last, though the one before names a next record",
        vec![FaultRule::nth(LIVE_PAGE, 1, 1, Fault::EmptyPage)];
    list_first_page_empty_once, "the first page of the live list is empty",
        vec![FaultRule::nth("archived=false&properties", 1, 1, Fault::EmptyPage)];
    list_pages_empty, "every page of the live list but the first is empty",
        always(LIVE_PAGE, Fault::EmptyPage);
    list_paging_missing_once, "a page in the middle of the live list comes without paging",
        vec![FaultRule::nth(LIVE_PAGE, 1, 1, Fault::PagingMissing)];
    list_paging_missing, "every page of the live list comes without paging",
        always(LIVE_PAGE, Fault::PagingMissing);
    list_record_missing, "every page of the live list lacks a record",
        always(LIVE_PAGE, Fault::RecordMissing);
    list_holds_archived, "the first record of each page of the live list is archived",
        vec![FaultRule::always(LIVE_PAGE, set("results/0/archived", json!(true)))];
    list_properties_null, "a record of each list's page has null for its properties, once",
        vec![FaultRule::nth(LIVE_PAGE, 0, 1, set("results/0/properties", Value::Null))];
    list_cursor_lower_once, "a cursor of the live list is a lower number than the one before",
        vec![FaultRule::nth(LIVE_PAGE, 1, 1, set("paging/next/after", json!("1")))];
    owners_empty_once, "the owners are none, once",
        next("limit=500&archived=false", Fault::EmptyPage);
    owners_empty, "the owners are none",
        always("/owners", Fault::EmptyPage);
    pipelines_empty_once, "the pipelines are none, once",
        next("/pipelines", Fault::EmptyPage);
    pipelines_empty, "the pipelines are none",
        always("/pipelines", Fault::EmptyPage);
    associations_fail_in_part_once, "a batch read of associations leaves ids out, with INTERNAL_ERROR, once",
        vec![FaultRule::nth(ASSOCIATIONS, 1, 1, left_out(Some("INTERNAL_ERROR")))];
    associations_fail_in_part, "batch reads of associations leave some ids out, with INTERNAL_ERROR",
        always(ASSOCIATIONS, left_out(Some("INTERNAL_ERROR")));
    associations_left_out, "batch reads of associations leave some ids out and say nothing",
        always(ASSOCIATIONS, left_out(None));
    associations_refuse_some_ids, "a batch read of associations is refused when it names a dead id",
        vec![FaultRule::always(ASSOCIATIONS, error(400, "VALIDATION_ERROR", "Invalid input: an id does not exist"))
            .names_multiple_of(101)];
    associations_too_large, "batch reads of more than 20 associations are answered with 413",
        vec![FaultRule::always(ASSOCIATIONS, html(413)).more_inputs_than(20)];
    associations_time_out, "batch reads of more than 200 associations are answered with 504",
        vec![FaultRule::always(ASSOCIATIONS, html(504)).more_inputs_than(200)];
    associations_cursor_ignored, "batch reads of associations ignore the cursor",
        vec![FaultRule::always("/associations/", Fault::IgnoreAfter).with_body("\"after\"")];
    associations_cursor_refused, "batch reads of associations refuse the cursor",
        vec![FaultRule::always("/associations/", error(400, "VALIDATION_ERROR", "Invalid paging cursor")).with_body("\"after\"")];
    associations_of_others, "batch reads of associations answer the first record under another id",
        always(ASSOCIATIONS, set("results/0/from/id", json!("1")));
    batch_read_leaves_out_once, "a batch read of tickets leaves ids out, once",
        next(TICKETS_BATCH, left_out(None));
    batch_read_leaves_out, "batch reads of tickets leave some ids out and say nothing",
        always(TICKETS_BATCH, left_out(None));
    batch_read_fails_in_part, "batch reads of tickets leave some ids out, with INTERNAL_ERROR",
        always(TICKETS_BATCH, left_out(Some("INTERNAL_ERROR")));
    search_total_too_low, "the search counts less than it gives",
        always(SEARCH, Fault::TotalOff(-500));
    search_total_too_high, "the search counts one record more than it gives",
        always(SEARCH, Fault::TotalOff(1));
    search_limit_refused, "the search refuses pages of 200",
        vec![FaultRule::always("/search", error(400, "VALIDATION_ERROR", "limit must be at most 100")).with_body("\"limit\":200")];
    search_id_filter_refused, "the search refuses to filter by id",
        vec![FaultRule::always(SEARCH, error(400, "VALIDATION_ERROR", "Property hs_object_id cannot be filtered"))
            .with_body("\"operator\":\"GT\"")];
    search_refused, "the search refuses every request",
        always("/search", error(400, "VALIDATION_ERROR", "There was a problem with the request."));
    clock_hours_ahead, "every Date is six hours ahead",
        always("", Fault::Date { ahead_secs: Some(6 * 3600) });
    clock_day_ahead_once, "one Date is a day ahead",
        vec![FaultRule::nth(LIST, 1, 1, Fault::Date { ahead_secs: Some(86_400) })];
    clock_missing, "no answer has a Date",
        always("", Fault::Date { ahead_secs: None });
    long_url_400, "URLs of more than 2,000 characters are answered with 400",
        vec![FaultRule::always(LIST, html(400)).longer_than(2000)];
    long_url_403, "URLs of more than 2,000 characters are answered with 403",
        vec![FaultRule::always(LIST, html(403)).longer_than(2000)];
    long_url_413, "URLs of more than 2,000 characters are answered with 413",
        vec![FaultRule::always(LIST, html(413)).longer_than(2000)];
    long_url_414, "URLs of more than 2,000 characters are answered with 414",
        vec![FaultRule::always(LIST, html(414)).longer_than(2000)];
    long_url_431, "URLs of more than 2,000 characters are answered with 431",
        vec![FaultRule::always(LIST, html(431)).longer_than(2000)];
    long_url_502, "URLs of more than 2,000 characters are answered with 502",
        vec![FaultRule::always(LIST, html(502)).longer_than(2000)];
    long_url_reset, "requests with URLs of more than 2,000 characters are cut",
        vec![FaultRule::always(LIST, Fault::ResetBeforeBody).longer_than(2000)];
    large_pages_fail, "pages of more than 25 tickets are answered with 504",
        vec![FaultRule::always(LIST, html(504)).limit_above(25)];
    unauthorized_once, "a request is answered with 401, once",
        vec![FaultRule::nth(LIST, 1, 1, error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found"))];
    html_400_once, "a page is answered with 400 in HTML, once",
        vec![FaultRule::nth(LIST, 1, 1, html(400))];
    html_403_once, "a page is answered with 403 in HTML, once",
        vec![FaultRule::nth(LIST, 1, 1, html(403))];
    html_404_once, "a page is answered with 404 in HTML, once",
        vec![FaultRule::nth(LIST, 1, 1, html(404))];
    redirect_once, "a page is answered with a redirect, once",
        vec![FaultRule::nth(LIST, 1, 1, Fault::Status {
            code: 307, headers: vec![("Location".to_owned(), "https://login.example/".to_owned())], body: Some(String::new()),
        })];
    edge_522_thrice, "three answers are 522",
        vec![FaultRule::nth(LIST, 1, 3, html(522))];
    edge_525_thrice, "three answers are 525",
        vec![FaultRule::nth(LIST, 1, 3, html(525))];
    edge_526_thrice, "three answers are 526",
        vec![FaultRule::nth(LIST, 1, 3, html(526))];
    edge_530_once, "an answer is 530, once",
        vec![FaultRule::nth(LIST, 1, 1, html(530))];
    hublet_unknown_once, "an answer says that the portal is unknown to this data centre, once",
        vec![FaultRule::nth(LIST, 1, 1, status(488, &json!({
            "status": "error", "message": "Hub 245001234 is unknown to this Hublet", "correctHublet": "eu1",
        })))];
    token_limited_thrice, "the token endpoint answers 429 three times",
        vec![FaultRule::nth(TOKEN, 0, 3, Fault::RateLimited { limit: RateLimitKind::Secondly, retry_after: None })];
}

fn left_out(category: Option<&str>) -> Fault {
    Fault::LeaveOut { every: SOME, category: category.map(str::to_owned) }
}
