//! Side streams: what HubSpot answers oddly, refuses or fails there is said, keeps the tables as they are, and never keeps
//! tickets from being read.

use std::collections::BTreeSet;

use hubspot_sandbox::{Fault, FaultRule, Options};
use serde_json::{Value, json};

use crate::support::messages::{Tables, activated, columns, fold, records};
use crate::support::portal::Portal;
use crate::support::source;
use crate::support::tap::{Finished, Tap};

const REFUSED: i32 = 3;
const UNAVAILABLE: i32 = 4;

const SIDES: [(&str, &str); 4] = [
    ("owners", "/owners"),
    ("ticket_pipelines", "/pipelines/"),
    ("ticket_pipeline_stages", "/pipelines/"),
    ("ticket_properties", "dataSensitivity=non_sensitive"),
];

fn portal() -> Portal {
    Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(30) })
}

fn tap(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    tap.set("retry_attempts", 1.into());
    tap.discover();
    tap
}

fn sync(tap: &Tap, state: Option<&Value>) -> Finished {
    let Some(state) = state else { return tap.run(&["--catalog", "catalog.json"]) };
    tap.write("state.json", state);
    tap.run(&["--catalog", "catalog.json", "--state", "state.json"])
}

fn status(code: u16, body: &str) -> Fault {
    Fault::Status { code, headers: Vec::new(), body: Some(body.to_owned()) }
}

fn member(pointer: &str, value: Option<Value>) -> Fault {
    let path = pointer.trim_start_matches('/').to_owned();
    match value {
        Some(value) => Fault::SetMember { path, value },
        None => Fault::RemoveMember(path),
    }
}

/// The keys of a stream's rows that are not deleted.
fn keys(tables: &Tables, stream: &str) -> BTreeSet<Vec<String>> {
    let rows = &tables.table(stream).rows;
    rows.iter().filter(|(_, held)| !held.deleted).map(|(key, _)| key.clone()).collect()
}

/// What a target holds after a first run.
struct Loaded {
    portal: Portal,
    tap: Tap,
    tables: Tables,
}

impl Loaded {
    fn new() -> Self {
        let portal = portal();
        let tap = tap(&portal);
        let tables = fold(&sync(&tap, None).succeeded().messages());
        Self { portal, tap, tables }
    }

    /// Runs again from the last state with these rules, and loads what came.
    fn again(&mut self, rules: impl IntoIterator<Item = FaultRule>) -> Finished {
        self.portal.clear_faults();
        self.portal.faults(rules);
        self.portal.create("tickets", &[("subject", "new")]);
        self.portal.advance(std::time::Duration::from_secs(60));
        let finished = sync(&self.tap, self.tables.state.as_ref());
        self.tables.load(&finished.messages());
        finished
    }

    #[track_caller]
    fn assert_tickets(&self) {
        assert_eq!(keys(&self.tables, "tickets").len(), self.portal.truth().live_tickets().len());
    }
}

#[test]
fn a_side_list_that_is_empty_once_is_asked_for_again() {
    let mut loaded = Loaded::new();
    let before = loaded.tables.clone();
    for (stream, path) in SIDES {
        let finished = loaded.again([FaultRule::next(path, Fault::EmptyPage)]).succeeded();
        assert_eq!(keys(&loaded.tables, stream), keys(&before, stream), "{}", finished.stderr);
        assert_eq!(finished.said("WARN"), 0, "{}", finished.stderr);
        assert_eq!(activated(&finished.messages(), stream).len(), 1);
        loaded.assert_tickets();
    }
}

#[test]
fn a_side_list_that_stays_empty_keeps_its_table() {
    let mut loaded = Loaded::new();
    let before = loaded.tables.clone();
    for (stream, path) in &SIDES[..3] {
        let finished = loaded.again([FaultRule::always(path, Fault::EmptyPage)]).succeeded();
        assert_eq!(keys(&loaded.tables, stream), keys(&before, stream), "{}", finished.stderr);
        assert_eq!(activated(&finished.messages(), stream), [] as [i64; 0]);
        assert!(finished.said(&format!("WARN {stream}: HubSpot gives no")) == 1, "{}", finished.stderr);
        loaded.assert_tickets();
    }
    // A state of an earlier release, which does not know the number of rows.
    let state = loaded.tables.state.as_mut().expect("a state");
    for (stream, _) in SIDES {
        state["bookmarks"][stream].as_object_mut().expect("a bookmark").shift_remove("rows");
    }
    let finished = loaded.again([FaultRule::always("/owners", Fault::EmptyPage)]).succeeded();
    assert_eq!(keys(&loaded.tables, "owners"), keys(&before, "owners"), "{}", finished.stderr);
}

#[test]
fn a_side_list_that_is_shorter_once_is_asked_for_again() {
    let mut loaded = Loaded::new();
    let before = loaded.tables.clone();
    for (stream, path) in SIDES {
        let finished = loaded.again([FaultRule::next(path, Fault::RecordMissing)]).succeeded();
        assert_eq!(keys(&loaded.tables, stream), keys(&before, stream), "{}", finished.stderr);
    }
}

#[test]
fn a_side_that_fails_keeps_its_table_and_ends_the_run_after_everything_else() {
    let mut loaded = Loaded::new();
    let before = loaded.tables.clone();
    for (stream, path) in SIDES {
        for (fault, code) in [
            (status(500, "{}"), UNAVAILABLE),
            (Fault::Html(403), UNAVAILABLE),
            (Fault::NotJson, UNAVAILABLE),
            (Fault::ResultsMissing, UNAVAILABLE),
            (status(400, "{}"), REFUSED),
            (status(403, "{}"), REFUSED),
        ] {
            let version = loaded.tables.state.as_ref().expect("a state")["bookmarks"][stream].clone();
            let finished = loaded.again([FaultRule::always(path, fault.clone())]);
            assert_eq!(finished.code, Some(code), "{stream} {fault:?}: {}", finished.stderr);
            assert!(finished.last_line().contains("all else was read"), "{}", finished.last_line());
            assert!(finished.said("WARN") >= 1, "{}", finished.stderr);
            assert_eq!(keys(&loaded.tables, stream), keys(&before, stream), "{stream} {fault:?}");
            assert_eq!(activated(&finished.messages(), stream), [] as [i64; 0]);
            assert_eq!(loaded.tables.state.as_ref().expect("a state")["bookmarks"][stream], version);
            loaded.assert_tickets();
        }
    }
    loaded.again([]).succeeded();
}

#[test]
fn one_list_of_owners_that_fails_leaves_the_other() {
    let mut loaded = Loaded::new();
    let before = loaded.tables.clone();
    for archived in ["archived=true", "archived=false"] {
        let path = format!("owners/2026-03?limit=500&{archived}");
        let finished = loaded.again([FaultRule::always(&path, status(500, "{}"))]);
        assert_eq!(finished.code, Some(UNAVAILABLE), "{}", finished.stderr);
        assert!(!records(&finished.messages(), "owners").is_empty());
        assert_eq!(keys(&loaded.tables, "owners"), keys(&before, "owners"));
        loaded.assert_tickets();
    }
}

#[test]
fn owners_that_stand_in_both_lists_are_written_once() {
    let portal = portal();
    let tap = tap(&portal);
    let before = fold(&sync(&tap, None).succeeded().messages());
    let rows: Vec<Value> = portal.truth_of()["owners"].as_array().expect("owners").clone();
    assert!(rows.iter().any(|owner| owner["archived"] == true), "{rows:?}");
    let body = json!({ "results": rows }).to_string();
    portal.faults([FaultRule::always("/owners", status(200, &body))]);
    let finished = sync(&tap, None).succeeded();
    let found = records(&finished.messages(), "owners");
    assert_eq!(found.len(), rows.len(), "{}", finished.stderr);
    assert_eq!(keys(&fold(&finished.messages()), "owners"), keys(&before, "owners"));
    for owner in &rows {
        let record = found.iter().find(|record| record["id"] == owner["id"]).expect("a record");
        assert_eq!(record["archived"], owner["archived"]);
    }
}

#[test]
fn owners_come_in_smaller_pages_where_large_ones_are_refused() {
    let portal = portal();
    let tap = tap(&portal);
    portal.faults([FaultRule::always("limit=500", status(400, r#"{"message":"limit must be at most 100"}"#))]);
    let finished = sync(&tap, None).succeeded();
    assert_eq!(records(&finished.messages(), "owners").len(), portal.truth().list("owners").len());
    assert_eq!(finished.said("WARN"), 0, "{}", finished.stderr);
}

#[test]
fn members_that_are_no_keys_may_be_null_absent_or_of_another_type() {
    let portal = portal();
    let tap = tap(&portal);
    let before = fold(&sync(&tap, None).succeeded().messages());
    for (path, pointer) in [
        ("/pipelines/", "/results/*/stages/*/metadata"),
        ("/pipelines/", "/results/*/label"),
        ("/pipelines/", "/results/*/displayOrder"),
        ("/owners", "/results/*/email"),
        ("/owners", "/results/*/userId"),
        ("/owners", "/results/*/archived"),
        ("/owners", "/results/*/teams"),
        ("/properties/", "/results/*/label"),
        ("/properties/", "/results/*/type"),
        ("/properties/", "/results/*/fieldType"),
        ("/properties/", "/results/*/options"),
        ("/properties/", "/results/*/dataSensitivity"),
        ("account-info", "/timeZone"),
        ("account-info", "/utcOffsetMilliseconds"),
        ("account-info", "/accountType"),
    ] {
        for value in
            [Some(Value::Null), None, Some(json!({"odd": [1]})), Some(json!(-18_000_000.5)), Some(json!("odd"))]
        {
            portal.clear_faults();
            portal.faults([FaultRule::always(path, member(pointer, value.clone()))]);
            for with_catalog in [true, false] {
                let finished = if with_catalog { sync(&tap, None) } else { tap.sync(None) };
                assert_eq!(finished.code, Some(0), "{pointer} {value:?}: {}", finished.stderr);
                let tables = fold(&finished.messages());
                for stream in ["tickets", "owners", "ticket_pipelines", "ticket_pipeline_stages", "ticket_properties"] {
                    assert_eq!(keys(&tables, stream), keys(&before, stream), "{stream}: {pointer} {value:?}");
                }
            }
        }
    }
}

#[test]
fn a_row_without_its_key_is_left_out_and_said() {
    let portal = portal();
    let tap = tap(&portal);
    for (stream, path, pointer) in [
        ("owners", "owners/2026-03?limit=500&archived=false", "/results/0/id"),
        ("ticket_pipelines", "/pipelines/", "/results/0/id"),
        ("ticket_properties", "dataSensitivity=non_sensitive", "/results/0/name"),
    ] {
        for value in [None, Some(Value::Null)] {
            portal.clear_faults();
            portal.faults([FaultRule::always(path, member(pointer, value))]);
            let finished = sync(&tap, None).succeeded();
            assert!(finished.said("have no name or id") >= 1, "{stream}: {}", finished.stderr);
            assert_eq!(records(&finished.messages(), "tickets").len(), 30);
        }
    }
}

#[test]
fn stages_that_are_not_told_are_kept() {
    let mut loaded = Loaded::new();
    let before = loaded.tables.clone();
    for value in [None, Some(Value::Null), Some(json!("none"))] {
        let finished = loaded.again([FaultRule::always("/pipelines/", member("/results/0/stages", value))]).succeeded();
        assert_eq!(keys(&loaded.tables, "ticket_pipeline_stages"), keys(&before, "ticket_pipeline_stages"));
        assert_eq!(keys(&loaded.tables, "ticket_pipelines"), keys(&before, "ticket_pipelines"));
        assert_eq!(finished.said("WARN ticket_pipeline_stages"), 1, "{}", finished.stderr);
    }
}

#[test]
fn a_sensitivity_that_hubspot_ignores_or_names_anew_selects_nothing_sensitive() {
    let portal = portal();
    let expected = columns(&tap(&portal).sync(None).succeeded().messages(), "tickets");
    let plain = |level: &str| format!("dataSensitivity={level}");
    let all: Vec<Value> = portal.truth().definitions().into_iter().cloned().collect();
    let visible: Vec<&Value> = all.iter().filter(|one| one["dataSensitivity"] == "non_sensitive").collect();
    for (case, rules) in [
        ("the plain list for every question", {
            let body = json!({ "results": visible }).to_string();
            vec![
                FaultRule::always(&plain("sensitive"), status(200, &body)),
                FaultRule::always(&plain("highly"), status(200, &body)),
            ]
        }),
        ("all for every question", {
            let body = json!({ "results": all }).to_string();
            vec![FaultRule::always("dataSensitivity=", status(200, &body))]
        }),
        (
            "a word that is new",
            vec![FaultRule::always(
                &plain("sensitive"),
                member("/results/*/dataSensitivity", Some("top_secret".into())),
            )],
        ),
        ("no word", vec![FaultRule::always("dataSensitivity=", member("/results/*/dataSensitivity", None))]),
    ] {
        portal.clear_faults();
        portal.faults(rules);
        let mut tap = Tap::unhurried(&portal);
        let finished = tap.set("retry_attempts", 0.into()).sync(None).succeeded();
        assert_eq!(columns(&finished.messages(), "tickets"), expected, "{case}: {}", finished.stderr);
    }
}

#[test]
fn a_list_of_sensitive_properties_that_fails_is_done_without() {
    let mut loaded = Loaded::new();
    let before = loaded.tables.clone();
    let rule = || FaultRule::always("dataSensitivity=sensitive", status(503, "{}"));
    let finished = loaded.again([rule()]).succeeded();
    assert!(finished.said("WARN the sensitive ticket properties cannot be read now") >= 1, "{}", finished.stderr);
    assert_eq!(keys(&loaded.tables, "ticket_properties"), keys(&before, "ticket_properties"));
    assert_eq!(finished.said("the portal has not"), 0, "{}", finished.stderr);
    loaded.assert_tickets();
    for arguments in [&["--discover"][..], &["--plan"], &[]] {
        loaded.tap.run(arguments).succeeded();
    }
}

#[test]
fn a_portal_that_is_not_told_is_read_where_nobody_asks_which_it_is() {
    let portal = portal();
    let mut tap = tap(&portal);
    for (fault, code) in [
        (status(403, r#"{"message":"This oauth-token (1-2) does not have proper permissions!"}"#), 0),
        (status(404, r#"{"message":"not found"}"#), 0),
        (status(500, "{}"), UNAVAILABLE),
        (member("/portalId", None), UNAVAILABLE),
    ] {
        portal.clear_faults();
        portal.faults([FaultRule::always("account-info", fault.clone())]);
        tap.set("organization_id", Value::Null);
        for arguments in [&["--catalog", "catalog.json"][..], &[]] {
            let finished = tap.run(arguments);
            assert_eq!(finished.code, Some(code), "{fault:?}: {}", finished.stderr);
            assert_eq!(records(&finished.messages(), "tickets").len(), 30);
            assert!(finished.said("WARN HubSpot does not tell which portal") == 1, "{}", finished.stderr);
        }
        tap.run(&["--discover"]).succeeded();
        tap.run(&["--plan"]).succeeded();
        tap.set("organization_id", portal.portal_id().to_string().into());
        let finished = tap.run(&[]);
        let refused = if code == 0 { REFUSED } else { UNAVAILABLE };
        assert_eq!((finished.code, finished.text()), (Some(refused), ""), "{}", finished.stderr);
        for part in ["organization_id is 245001234", "does not tell which portal", "nothing was read"] {
            assert!(finished.last_line().contains(part), "{}", finished.last_line());
        }
    }
}

#[test]
fn an_oauth_grant_tells_the_portal_where_the_account_does_not() {
    let portal = portal();
    let mut tap = tap(&portal);
    tap.set("access_token", Value::Null)
        .set("client_id", "sandbox-client".into())
        .set("client_secret", "sandbox-secret".into())
        .set("refresh_token", "sandbox-refresh".into())
        .set("organization_id", portal.portal_id().to_string().into());
    portal.faults([FaultRule::always("account-info", status(403, "{}"))]);
    let finished = tap.sync(None).succeeded();
    assert_eq!(records(&finished.messages(), "tickets")[0]["_tenant_id"], "245001234");
    tap.set("organization_id", "7".into());
    let finished = tap.sync(None);
    assert_eq!((finished.code, finished.text()), (Some(REFUSED), ""), "{}", finished.stderr);
    assert!(finished.last_line().contains("the token belongs to portal 245001234"), "{}", finished.last_line());
}

#[test]
fn airbyte_completes_what_was_read_and_leaves_a_failed_side_incomplete() {
    let portal = portal();
    let tap = tap(&portal);
    let catalog = source::configured(&source::discover(&tap), |_| "incremental");
    portal.faults([FaultRule::always("/owners", status(500, "{}"))]);
    let said = source::read(&tap, &catalog, &[]);
    assert_eq!(said.error()["failure_type"], "transient_error");
    assert_eq!(said.records("tickets").len(), 30);
    for (stream, expected) in [("owners", "INCOMPLETE"), ("ticket_pipelines", "COMPLETE"), ("tickets", "COMPLETE")] {
        assert_eq!(said.statuses(stream).last().map(String::as_str), Some(expected), "{stream}");
    }
    let check = source::run(&tap, &["check", "--config", "config.json"]).succeeded();
    assert_eq!(check.of("CONNECTION_STATUS")[0]["connectionStatus"]["status"], "FAILED");
    // A scope that is missing from the beginning ends nothing.
    portal.clear_faults();
    portal.faults([FaultRule::always("/owners", status(403, "{}"))]);
    let said = source::read(&tap, &catalog, &[]).succeeded();
    assert_eq!(said.statuses("owners").last().map(String::as_str), Some("INCOMPLETE"));
    assert_eq!(said.statuses("deals").last().map(String::as_str), Some("COMPLETE"));
}

#[test]
fn other_objects_that_fail_leave_the_rest_to_be_read() {
    let mut loaded = Loaded::new();
    let catalog: Value =
        serde_json::from_slice(&loaded.tap.run(&["--discover"]).succeeded().stdout).expect("a catalog");
    loaded.tap.select_streams(&catalog, &["tickets", "contacts", "companies", "deals"]);
    let finished = loaded.again([FaultRule::always("GET /crm/objects/2026-03/companies", status(500, "{}"))]);
    assert_eq!(finished.code, Some(UNAVAILABLE), "{}", finished.stderr);
    assert!(finished.last_line().contains("companies"), "{}", finished.last_line());
    assert!(!records(&finished.messages(), "contacts").is_empty());
    assert!(!records(&finished.messages(), "deals").is_empty());
    assert_eq!(activated(&finished.messages(), "companies"), [] as [i64; 0]);
    loaded.assert_tickets();
    loaded.again([]).succeeded();
    let companies = loaded.portal.truth().list("companies").len();
    assert_eq!(keys(&loaded.tables, "companies").len(), companies);
}

#[test]
fn a_portal_that_is_told_later_is_read_again_under_its_own_id() {
    let portal = portal();
    let tap = tap(&portal);
    portal.faults([FaultRule::always("account-info", status(404, "{}"))]);
    let mut tables = fold(&tap.sync(None).succeeded().messages());
    let state = tables.state.clone();
    tables.load(&tap.sync(state.as_ref()).succeeded().messages());
    portal.clear_faults();
    let state = tables.state.clone();
    let finished = tap.sync(state.as_ref()).succeeded();
    tables.load(&finished.messages());
    for (_, held) in tables.table("tickets").rows.iter().filter(|(_, held)| !held.deleted) {
        assert_eq!(held.row["_tenant_id"].get(), "\"245001234\"");
    }
    assert_eq!(keys(&tables, "tickets").len(), 30);
    // And where it is not told again, the state says which one it is.
    portal.faults([FaultRule::always("account-info", status(404, "{}"))]);
    let finished = tap.sync(tables.state.as_ref()).succeeded();
    assert_eq!(records(&finished.messages(), "owners")[0]["_tenant_id"], "245001234");
}

#[test]
fn figures_of_the_day_that_are_odd_or_missing_are_done_without() {
    let portal = portal();
    let tap = tap(&portal);
    for fault in [
        status(500, "{}"),
        status(403, "{}"),
        Fault::NotJson,
        member("/results/0/usageLimit", Some(Value::Null)),
        member("/results/0/currentUsage", Some(json!(12.0))),
        member("/results/0/resetsAt", Some(json!(7))),
    ] {
        portal.clear_faults();
        portal.faults([FaultRule::always("api-usage", fault)]);
        tap.run(&["--test"]).succeeded();
        tap.run(&["--plan"]).succeeded();
    }
}
