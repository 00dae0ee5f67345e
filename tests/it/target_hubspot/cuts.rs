//! One file, delivered in pieces of any size, with pauses between them and unrelated lines in any order, has one outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use hubspot_sandbox::{Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, ends, lines, live, record, schema};
use crate::support::portal::Portal;

/// The lines of one record stay in their order; records come in any.
type Histories = Vec<Vec<Value>>;

fn pick<'a>(rng: &mut Rng, choices: &[&'a str]) -> &'a str {
    choices[rng.usize(..choices.len())]
}

/// Records that refer to one another, some of them more than once, some with faults.
fn histories(seed: u64) -> Histories {
    let mut rng = Rng::with_seed(seed);
    let mut histories = Vec::new();
    let domains = ["a.example", "b.example", "c.example", "d.example"];
    for domain in domains {
        let line = |rng: &mut Rng| {
            let domain = pick(rng, &["", " "]).to_owned() + pick(rng, &[domain, &domain.to_uppercase()]);
            record("companies", json!({"domain": domain, "name": format!("Name {}", rng.u32(..9))}))
        };
        histories.push((0..rng.usize(1..4)).map(|_| line(&mut rng)).collect());
    }
    let emails: Vec<String> = (0..14).map(|number| format!("c{number}@x.example")).collect();
    for (number, email) in emails.iter().enumerate() {
        // The portal has a contact with both of the first two addresses.
        if number == 1 {
            continue;
        }
        let mut history = Vec::new();
        for nth in 0..rng.usize(1..5) {
            let email = if number == 0 { pick(&mut rng, &["c0@x.example", "C1@x.example"]) } else { email };
            let mut fields =
                json!({"phone": rng.u32(..99).to_string(), "city": pick(&mut rng, &["Bonn", "Ulm", "Jena"])});
            if nth == 0 && rng.u8(..4) > 0 || rng.bool() {
                fields["firstname"] = json!(format!("First {}", rng.u32(..9)));
                fields["lastname"] = json!("Last");
            }
            if rng.u8(..3) == 0 {
                fields["lifecyclestage"] = json!(pick(&mut rng, &["lead", "customer", "opportunity"]));
            }
            if rng.bool() {
                let none = ["none.example"];
                let domains = if rng.u8(..5) == 0 { &none[..] } else { &domains[..] };
                fields["companyDomain"] = json!(pick(&mut rng, domains));
            }
            let (stream, name) = if rng.bool() { ("contacts", "email") } else { ("people", "mail") };
            fields[name] = json!(email);
            history.push(record(stream, fields));
        }
        histories.push(history);
    }
    // Deals of several contacts, named in any order, by name alone or by number as well: each one's lines share a contact.
    for (number, people) in [[2, 3, 4], [5, 6, 7], [8, 9, 10]].into_iter().enumerate() {
        let line = |rng: &mut Rng, stream: &str| {
            let mut named = vec![people[0], people[rng.usize(1..3)]];
            rng.shuffle(&mut named);
            let named: Vec<String> = named.iter().map(|number| format!("c{number}@x.example")).collect();
            let name = format!("Shared {number}");
            let mut fields = json!({"dealname": name, "amount": rng.u32(..999), "contactEmails": named.join(";")});
            if stream == "numbered" {
                fields["deal_no"] = json!(number.to_string());
            }
            record(stream, fields)
        };
        // The line with the number comes first: it makes the deal that the others find.
        let mut history = vec![line(&mut rng, "numbered")];
        history.extend((0..rng.usize(1..4)).map(|_| {
            let stream = pick(&mut rng, &["numbered", "deals"]);
            line(&mut rng, stream)
        }));
        histories.push(history);
    }
    // An address that goes from one contact to the next, and members of a list that are cleared and added.
    let mut history = Vec::new();
    for number in 0..4 {
        let (holder, email) = (rng.u32(..3), format!("shared{}@x.example", rng.u32(..2)));
        let mut fields = contact(&email)["record"].clone();
        fields["customer_no"] = json!(holder.to_string());
        fields["phone"] = json!(number.to_string());
        fields["tags"] = pick(&mut rng, &["x", ";y", ";z", "", "x;z"]).into();
        if fields["tags"] == "" {
            fields["tags"] = Value::Null;
        }
        history.push(record("customers", fields));
    }
    histories.push(history);
    for email in emails.iter().skip(2) {
        for plan in ["Plan", "Other"] {
            let line = |rng: &mut Rng| {
                let name = format!("{plan}{}", pick(rng, &["", " "]));
                record("deals", json!({"dealname": name, "amount": rng.u32(..999), "contactEmail": email}))
            };
            histories.push((0..rng.usize(..4)).map(|_| line(&mut rng)).collect());
        }
    }
    for number in 0..40 {
        let line = |rng: &mut Rng| {
            let mut fields = json!({"number": number, "subject": format!("Case {number}.{}", rng.u32(..99))});
            if rng.u8(..4) > 0 {
                fields["contactEmail"] = json!(format!("c{}@x.example", rng.u32(2..16)));
                if rng.bool() {
                    fields["dealName"] = json!(pick(rng, &["Plan", "Other"]));
                }
            }
            if rng.u8(..8) == 0 {
                fields["priority"] = json!("EXTREME");
            }
            record("tickets", fields)
        };
        histories.push((0..rng.usize(1..3)).map(|_| line(&mut rng)).collect());
    }
    histories
}

/// All lines, each record's in their order, the records mixed at random.
fn shuffled(histories: &Histories, rng: &mut Rng) -> Vec<Value> {
    let mut order: Vec<usize> = histories.iter().enumerate().flat_map(|(at, lines)| vec![at; lines.len()]).collect();
    rng.shuffle(&mut order);
    let mut next = vec![0; histories.len()];
    order
        .into_iter()
        .map(|at| {
            next[at] += 1;
            histories[at][next[at] - 1].clone()
        })
        .collect()
}

/// What a delivery left in the portal and among the rejects, without ids and instants.
#[derive(Debug, PartialEq)]
struct Outcome {
    records: BTreeSet<String>,
    rejected: BTreeMap<String, usize>,
}

fn outcome(portal: &Portal, target: &Target) -> Outcome {
    let types = ["companies", "contacts", "deals", "tickets"];
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut all: Vec<(&str, Value)> = Vec::new();
    for of in types {
        for one in live(portal, of) {
            let value = |name: &str| one["properties"][name].as_str().unwrap_or_default().to_owned();
            let name = match of {
                "companies" => value("domain").trim().to_lowercase(),
                "contacts" => value("email"),
                "deals" => {
                    let contacts: BTreeSet<String> =
                        ends(&one, "contacts").iter().map(|id| names[&format!("contacts {id}")].clone()).collect();
                    format!("{} of {contacts:?}", value("dealname"))
                }
                _ => value("tap_delivery_key"),
            };
            // An id is one of its type.
            names.insert(format!("{of} {}", one["id"].as_str().expect("an id")), name);
            all.push((of, one));
        }
    }
    let compared =
        ["name", "phone", "city", "firstname", "lifecyclestage", "amount", "subject", "deal_no", "customer_no"];
    let mut records = BTreeSet::new();
    for (of, one) in &all {
        let id = one["id"].as_str().expect("an id");
        let values: Vec<&Value> = compared.iter().map(|name| &one["properties"][name]).collect();
        let tags: BTreeSet<&str> = one["properties"]["tags"].as_str().unwrap_or_default().split(';').collect();
        let linked = types.iter().filter(|to| one["associations"][to].is_array());
        let mut linked: Vec<&String> = linked
            .flat_map(|to| ends(one, to).into_iter().map(|id| &names[&format!("{to} {id}")]).collect::<Vec<_>>())
            .collect();
        linked.sort();
        let name = &names[&format!("{of} {id}")];
        assert!(records.insert(format!("{of} {name} {values:?} {tags:?} {linked:?}")), "{name} is there twice");
    }
    let mut rejected = BTreeMap::new();
    for one in target.rejects().iter().filter(|one| one["type"] == "RECORD") {
        *rejected.entry(format!("{} {}", one["stream"], one["record"])).or_default() += 1;
    }
    Outcome { records, rejected }
}

/// Delivers lines in pieces. A piece ends with a contact of its own, whose arrival in the portal says that the next piece
/// is in another batch.
fn deliver(messages: &[Value], cuts: &[usize]) -> Outcome {
    let portal = Portal::start(Options { merged: 0, ..Options::with_tickets(0) });
    let winner = portal.create("contacts", &[("email", "c0@x.example")]);
    let loser = portal.create("contacts", &[("email", "c1@x.example")]);
    portal.merge("contacts", winner, loser);
    for (of, name) in [("contacts", "customer_no"), ("deals", "deal_no")] {
        portal.define_property(of, PropertyDef { has_unique_value: true, ..PropertyDef::new(name, "string", "text") });
    }
    let tags = PropertyDef::new("tags", "enumeration", "checkbox").with_options(&["x=X", "y=Y", "z=Z"]);
    portal.define_property("contacts", tags);
    let mut target = Target::of(&portal);
    let people = json!({"object_type": "contacts", "properties": {"mail": "email"}});
    let customers = json!({"object_type": "contacts", "id_property": "customer_no"});
    let numbered = json!({"object_type": "deals", "id_property": "deal_no"});
    target.set("streams", json!({"people": people, "customers": customers, "numbered": numbered}));
    target.set("clear_nulls", json!(true));
    target.set("results_path", json!("results.jsonl"));
    let streams = [("companies", "domain"), ("contacts", "email"), ("people", "mail"), ("customers", "customer_no")];
    let mut head: Vec<Value> = streams.iter().map(|(stream, key)| schema(stream, &[key])).collect();
    head.extend([schema("deals", &[]), schema("numbered", &["deal_no"]), schema("tickets", &["number"])]);
    let mut child = target.command(&[]).stdin(Stdio::piped()).spawn().expect("the target runs");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(lines(&head).as_bytes()).expect("a reading target");
    let mut begun = 0;
    for cut in cuts {
        input.write_all(lines(&messages[begun..*cut]).as_bytes()).expect("a reading target");
        begun = *cut;
        let marker = format!("marker{cut}@x.example");
        input.write_all(lines(&[contact(&marker)]).as_bytes()).expect("a reading target");
        for _ in 0..3_000 {
            if live(&portal, "contacts").iter().any(|one| one["properties"]["email"] == *marker) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    input.write_all(lines(&messages[begun..]).as_bytes()).expect("a reading target");
    drop(input);
    assert!(child.wait().expect("a child").success(), "{}", target.log());
    // Each line has its result, and one alone.
    let told: BTreeSet<u64> = target.results().iter().map(|one| one["line"].as_u64().expect("a line")).collect();
    assert_eq!((told.len(), target.results().len()), (messages.len() + cuts.len(), messages.len() + cuts.len()));
    let mut outcome = outcome(&portal, &target);
    outcome.records.retain(|one| !one.contains("marker"));
    outcome
}

#[test]
fn cuts_pauses_and_the_order_of_unrelated_lines_change_nothing() {
    let seed = std::env::var("CUTS_SEED")
        .map_or_else(|_| u64::from(std::process::id()), |seed| seed.parse().expect("a number"));
    eprintln!("CUTS_SEED={seed}");
    let histories = histories(seed);
    let mut rng = Rng::with_seed(seed);
    let variants: Vec<(Vec<Value>, Vec<usize>)> = (0..6)
        .map(|variant| {
            let messages = shuffled(&histories, &mut rng);
            let mut cuts: Vec<usize> = (0..variant).map(|_| rng.usize(..messages.len())).collect();
            cuts.sort_unstable();
            cuts.dedup();
            (messages, cuts)
        })
        .collect();
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let running: Vec<_> =
            variants.iter().map(|(messages, cuts)| scope.spawn(move || deliver(messages, cuts))).collect();
        running.into_iter().map(|one| one.join().expect("a delivery")).collect()
    });
    assert!(outcomes[0].records.len() > 30 && !outcomes[0].rejected.is_empty(), "{:?}", outcomes[0]);
    for (outcome, (_, cuts)) in outcomes.iter().zip(&variants).skip(1) {
        let lost: Vec<&String> = outcomes[0].records.difference(&outcome.records).collect();
        let more: Vec<&String> = outcome.records.difference(&outcomes[0].records).collect();
        assert!(lost.is_empty() && more.is_empty(), "cut at {cuts:?}: {lost:#?} became {more:#?}");
        assert_eq!(outcome.rejected, outcomes[0].rejected, "cut at {cuts:?}");
    }
}
