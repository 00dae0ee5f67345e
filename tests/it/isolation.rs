//! Tenants are kept apart: what belongs to one portal is refused by a run of another, and one portal has one run at a time.

use std::io::Read;
use std::process::Stdio;

use hubspot_sandbox::Options;
use serde_json::{Value, json};

use crate::support::figures;
use crate::support::messages::{self, records};
use crate::support::portal::Portal;
use crate::support::tap::Tap;

const LOCKED: i32 = 8;

fn portal(portal_id: u64) -> Portal {
    Portal::start(Options { portal_id, merged: 0, stage_properties: false, ..Options::with_tickets(30) })
}

/// A tenant: its portal, and what runs of it left.
struct Tenant {
    portal: Portal,
    tap: Tap,
    catalog: Value,
    state: Value,
}

impl Tenant {
    fn new(portal_id: u64) -> Self {
        let portal = portal(portal_id);
        let tap = Tap::unhurried(&portal);
        let catalog = tap.discover();
        let state = messages::states(&tap.sync(None).succeeded().messages()).pop().expect("a state");
        Self { portal, tap, catalog, state }
    }
}

#[test]
fn whatever_belongs_to_another_portal_is_refused_before_the_first_record() {
    let tenants = [Tenant::new(111_111), Tenant::new(222_222)];
    let whose = || [None, Some(0), Some(1)].into_iter();
    let (mut refused, mut allowed) = (0, 0);
    for token in [0, 1] {
        for config in whose() {
            for state in whose() {
                for catalog in whose() {
                    let mut tap = Tap::unhurried(&tenants[token].portal);
                    if let Some(tenant) = config {
                        let portal: &Portal = &tenants[tenant].portal;
                        tap.set("organization_id", portal.portal_id().into());
                    }
                    let mut arguments = Vec::new();
                    if let Some(tenant) = state {
                        let state: &Value = &tenants[tenant].state;
                        tap.write("state.json", state);
                        arguments.extend(["--state", "state.json"]);
                    }
                    if let Some(tenant) = catalog {
                        let catalog: &Value = &tenants[tenant].catalog;
                        tap.write("catalog.json", catalog);
                        arguments.extend(["--catalog", "catalog.json"]);
                    }
                    let finished = tap.run(&arguments);
                    let mix = format!("token {token}, config {config:?}, state {state:?}, catalog {catalog:?}");
                    let own = [config, state, catalog].into_iter().flatten().all(|tenant| tenant == token);
                    if own {
                        assert_eq!(finished.code, Some(0), "{mix}: {}", finished.stderr);
                        let tenant = tenants[token].portal.portal_id().to_string();
                        let found = records(&finished.messages(), "owners");
                        assert!(
                            !found.is_empty() && found.iter().all(|record| record["_tenant_id"] == tenant.as_str())
                        );
                        allowed += 1;
                        continue;
                    }
                    assert!(matches!(finished.code, Some(2 | 3)), "{mix}: {:?} {}", finished.code, finished.stderr);
                    assert_eq!(finished.text(), "", "{mix}");
                    for id in ["111111", "222222"] {
                        assert!(finished.last_line().contains(id), "{mix}: {}", finished.last_line());
                    }
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((allowed, refused), (16, 38));
    // And what was refused changed nothing for its owner.
    for tenant in &tenants {
        tenant.tap.sync_catalog(&tenant.catalog, Some(&tenant.state)).succeeded();
    }
    figures::tell(
        "tenants",
        &format!("{} mixes of token, config, state and catalog; {refused} refused before a record", 54),
    );
}

#[test]
fn a_second_run_of_a_portal_says_so_and_leaves() {
    let (portal, other) = (self::portal(111_111), self::portal(222_222));
    let mut tap = Tap::unhurried(&portal);
    tap.set("page_size", 1.into());
    let folder = tap.path("locks");
    tap.set("lock_path", json!(folder));
    // Nobody reads it, so that it is under way until it is killed.
    portal.set_latency(std::time::Duration::from_millis(20));
    let mut first = tap.command(&[]).stdout(Stdio::piped()).spawn().expect("the tap runs");
    let mut output = first.stdout.take().expect("a pipe");
    output.read_exact(&mut [0; 100]).expect("messages");

    let mut second = Tap::unhurried(&portal);
    second.set("lock_path", json!(folder));
    let finished = second.sync(None);
    assert_eq!((finished.code, finished.text()), (Some(LOCKED), ""), "{}", finished.stderr);
    for part in ["another run of portal 111111", &format!("process {}", first.id()), "run again when it has ended"] {
        assert!(finished.last_line().contains(part), "{part} in: {}", finished.last_line());
    }
    // What writes nothing needs no lock, and another portal has its own.
    second.run(&["--test"]).succeeded();
    second.run(&["--discover"]).succeeded();
    let mut another = Tap::unhurried(&other);
    another.set("lock_path", json!(folder));
    another.sync(None).succeeded();

    // The system takes the lock from whoever dies.
    first.kill().expect("a child");
    first.wait().expect("a child");
    portal.set_latency(std::time::Duration::ZERO);
    second.sync(None).succeeded();
    second.sync(None).succeeded();
}

#[test]
fn a_lock_that_cannot_be_taken_is_a_wrong_setting() {
    let portal = portal(111_111);
    let mut tap = Tap::unhurried(&portal);
    tap.set("lock_path", "config.json/locks".into());
    let finished = tap.sync(None);
    assert_eq!((finished.code, finished.text()), (Some(2), ""), "{}", finished.stderr);
    assert!(finished.last_line().contains("lock_path cannot be used"), "{}", finished.last_line());
}
