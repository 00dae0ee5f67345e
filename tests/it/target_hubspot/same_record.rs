//! Records that several lines, streams or renamed records in the portal could be taken for.

use hubspot_sandbox::{Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, ends, live, record, schema, with};
use crate::support::portal::Portal;

fn empty() -> Portal {
    let portal = Portal::start(Options { merged: 0, ..Options::with_tickets(0) });
    for (name, of) in [("customer_no", "contacts"), ("deal_no", "deals")] {
        portal.define_property(of, PropertyDef { has_unique_value: true, ..PropertyDef::new(name, "string", "text") });
    }
    portal
}

fn contacts() -> Value {
    schema("contacts", &["email"])
}

fn id_of(one: &Value) -> u64 {
    one["id"].as_str().expect("an id").parse().expect("a number")
}

#[test]
fn a_deal_is_found_among_the_deals_of_every_contact_that_its_line_names() {
    let portal = empty();
    let target = Target::of(&portal);
    let people = ["ann@x.example", "bob@x.example", "carl@x.example"].map(contact);
    target.deliver(&[vec![contacts()], people.to_vec()].concat()).succeeded();
    let deal = |emails: &str, amount: u32| {
        record("deals", json!({"contactEmails": emails, "dealname": "Plan", "amount": amount}))
    };
    // Each names one of the contacts before, never as the first.
    for (amount, emails) in
        ["bob@x.example; carl@x.example", "ann@x.example, bob@x.example", "ann@x.example"].into_iter().enumerate()
    {
        target.deliver(&[schema("deals", &[]), deal(emails, u32::try_from(amount).expect("small"))]).succeeded();
        assert_eq!(live(&portal, "deals").len(), 1, "{emails}");
    }
    let plan = with(&portal, "deals", "dealname", "Plan");
    assert_eq!((ends(&plan, "contacts").len(), &plan["properties"]["amount"]), (3, &json!("2")));
    // A ticket finds it through any of them, too.
    let nobodys = contact("aaa@x.example");
    let case = record(
        "tickets",
        json!({"n": 1, "subject": "s", "contactEmails": "aaa@x.example, carl@x.example", "dealName": "Plan"}),
    );
    target.deliver(&[contacts(), schema("tickets", &["n"]), nobodys, case]).succeeded();
    assert_eq!(ends(&live(&portal, "tickets")[0], "deals").len(), 1, "{}", target.log());
}

#[test]
fn the_deal_that_most_of_the_named_contacts_have_is_meant() {
    let portal = empty();
    let target = Target::of(&portal);
    let deal = |emails: &str, amount: u32| {
        record("deals", json!({"contactEmails": emails, "dealname": "Plan", "amount": amount}))
    };
    let (ann, bob) = ("ann@x.example", "bob@x.example");
    target.deliver(&[contacts(), contact(ann), contact(bob)]).succeeded();
    target.deliver(&[schema("deals", &[]), deal(ann, 1)]).succeeded();
    // Bob's own deal, which then gets Ann as its second contact.
    target.deliver(&[schema("deals", &[]), deal(bob, 2)]).succeeded();
    let bobs = with(&portal, "deals", "amount", "2");
    let ann_id = id_of(&with(&portal, "contacts", "email", ann));
    portal.associate("deals", id_of(&bobs), "contacts", ann_id, 3, None);
    target.deliver(&[schema("deals", &[]), deal("ann@x.example, bob@x.example", 3)]).succeeded();
    assert_eq!(with(&portal, "deals", "amount", "3")["id"], bobs["id"]);
    assert_eq!(live(&portal, "deals").len(), 2);
}

#[test]
fn a_deal_of_two_streams_is_one_deal_with_and_without_a_pause() {
    let streams = json!({"numbered": {"object_type": "deals", "id_property": "deal_no"}});
    let schemas = [contacts(), schema("numbered", &["deal_no"]), schema("deals", &[])];
    let fields = |amount: u32| json!({"dealname": "Plan", "contactEmail": "ann@x.example", "amount": amount});
    let mut numbered = record("numbered", fields(1));
    numbered["record"]["deal_no"] = json!("8");
    let lines = [contact("ann@x.example"), numbered, record("deals", fields(2))];
    let together = empty();
    Target::of(&together).set("streams", streams.clone()).deliver(&[&schemas[..], &lines].concat()).succeeded();
    // The contact comes last: both lines wait for it.
    let waiting = empty();
    let waited = [&schemas[..], &lines[1..], &lines[..1]].concat();
    Target::of(&waiting).set("streams", streams.clone()).deliver(&waited).succeeded();
    let apart = empty();
    let mut target = Target::of(&apart);
    target.set("streams", streams);
    for line in lines {
        target.deliver(&[&schemas[..], &[line]].concat()).succeeded();
    }
    for portal in [together, waiting, apart] {
        let deals = live(&portal, "deals");
        assert_eq!(deals.len(), 1);
        assert_eq!((&deals[0]["properties"]["amount"], &deals[0]["properties"]["deal_no"]), (&json!("2"), &json!("8")));
    }
}

#[test]
fn a_company_whose_domain_was_changed_is_another_company() {
    let portal = empty();
    let target = Target::of(&portal);
    let company = |domain: &str, name: &str| record("companies", json!({"domain": domain, "name": name}));
    let companies = schema("companies", &["domain"]);
    target.deliver(&[companies.clone(), company("a.example", "A")]).succeeded();
    let first = id_of(&live(&portal, "companies")[0]);
    portal.update("companies", first, &[("domain", "b.example"), ("name", "B")]);
    let mut ann = contact("ann@x.example");
    ann["record"]["companyDomain"] = json!("a.example");
    let messages = [companies, contacts(), company("a.example", "A2"), company("b.example", "B2"), ann];
    for round in 0..2 {
        target.deliver(&messages).succeeded();
        assert_eq!(live(&portal, "companies").len(), 2, "round {round}");
        let [a, b] = ["a.example", "b.example"].map(|domain| with(&portal, "companies", "domain", domain));
        assert_eq!((id_of(&b), &b["properties"]["name"]), (first, &json!("B2")));
        assert_eq!(a["properties"]["name"], "A2");
        let ann = with(&portal, "contacts", "email", "ann@x.example");
        assert_eq!(ends(&ann, "companies"), [a["id"].as_str().expect("an id")]);
    }
    // Renamed again: the third company of the domain.
    let second = id_of(&with(&portal, "companies", "domain", "a.example"));
    portal.update("companies", second, &[("domain", "c.example")]);
    target.deliver(&messages).succeeded();
    target.deliver(&messages).succeeded();
    assert_eq!(live(&portal, "companies").len(), 3);
}

#[test]
fn a_company_of_two_streams_is_one_company_although_the_search_lags() {
    let portal = empty();
    let unique = PropertyDef { has_unique_value: true, ..PropertyDef::new("company_no", "string", "text") };
    portal.define_property("companies", unique);
    portal.set_search_lag(std::time::Duration::from_secs(3_600));
    let mut target = Target::of(&portal);
    target.set("streams", json!({"numbered": {"object_type": "companies", "id_property": "company_no"}}));
    let numbered = |domain: &str| record("numbered", json!({"company_no": "1", "domain": domain, "name": "A"}));
    let named = |domain: &str, name: &str| record("companies", json!({"domain": domain, "name": name}));
    let messages = [
        schema("numbered", &["company_no"]),
        schema("companies", &["domain"]),
        numbered("a.example"),
        named("a.example", "B"),
        // The domain goes to another company.
        numbered("b.example"),
        named("a.example", "C"),
        named("b.example", "D"),
    ];
    target.deliver(&messages).succeeded();
    assert_eq!(live(&portal, "companies").len(), 2, "{}", target.log());
    assert_eq!(with(&portal, "companies", "domain", "a.example")["properties"]["name"], "C");
    let one = with(&portal, "companies", "company_no", "1");
    assert_eq!((&one["properties"]["domain"], &one["properties"]["name"]), (&json!("b.example"), &json!("D")));
}

#[test]
fn a_domain_is_known_in_the_form_that_hubspot_keeps() {
    let portal = empty();
    let target = Target::of(&portal);
    let company = record("companies", json!({"domain": "www.a.example", "name": "A"}));
    let messages = [schema("companies", &["domain"]), company];
    target.deliver(&messages).succeeded();
    let id = id_of(&live(&portal, "companies")[0]);
    portal.update("companies", id, &[("domain", "a.example")]);
    target.deliver(&messages).succeeded();
    assert_eq!(live(&portal, "companies").len(), 1);
}

#[test]
fn a_deal_that_was_renamed_is_another_deal() {
    let portal = empty();
    let target = Target::of(&portal);
    let deal = |name: &str, amount: u32| {
        record("deals", json!({"dealname": name, "contactEmail": "ann@x.example", "amount": amount}))
    };
    let deals = schema("deals", &[]);
    target.deliver(&[contacts(), deals.clone(), contact("ann@x.example"), deal("Plan", 1)]).succeeded();
    let first = id_of(&live(&portal, "deals")[0]);
    portal.update("deals", first, &[("dealname", "Other")]);
    for round in 0..2 {
        target.deliver(&[deals.clone(), deal("Plan", 6), deal("Other", 7)]).succeeded();
        assert!(target.rejects().is_empty(), "{}", target.log());
        assert_eq!(live(&portal, "deals").len(), 2, "round {round}");
        let other = with(&portal, "deals", "dealname", "Other");
        assert_eq!((id_of(&other), &other["properties"]["amount"]), (first, &json!("7")));
        assert_eq!(with(&portal, "deals", "dealname", "Plan")["properties"]["amount"], "6");
    }
    // A second time: the next key is taken as well.
    let second = id_of(&with(&portal, "deals", "dealname", "Plan"));
    portal.update("deals", second, &[("dealname", "Third")]);
    target.deliver(&[deals, deal("Plan", 8)]).succeeded();
    assert_eq!(live(&portal, "deals").len(), 3);
}

#[test]
fn a_record_is_found_by_another_property_than_it_was_created_by() {
    let streams = json!({"changes": {"object_type": "contacts", "id_property": "customer_no"}});
    let schemas = [contacts(), schema("changes", &["customer_no"])];
    let mut created = contact("ann@x.example");
    created["record"]["customer_no"] = json!("7");
    let changed = record("changes", json!({"customer_no": "7", "phone": "2"}));
    // An empty portal: nothing of it is looked for before it was written.
    let together = empty();
    let mut target = Target::of(&together);
    target.set("streams", streams);
    target.deliver(&[&schemas[..], &[created.clone(), changed.clone()]].concat()).succeeded();
    assert!(target.rejects().is_empty(), "{}", target.log());
    assert_eq!(with(&together, "contacts", "customer_no", "7")["properties"]["phone"], "2");
    // In another segment: the first contact is delivered before the change is read.
    let mut many = vec![created];
    many[0]["record"]["customer_no"] = json!("8");
    many[0]["record"]["email"] = json!("bob@x.example");
    many.extend((0..10_050).map(|number| contact(&format!("c{number}@x.example"))));
    let mut last = changed;
    last["record"]["customer_no"] = json!("8");
    many.push(last);
    let apart = empty();
    let mut target = Target::of(&apart);
    target.set("streams", json!({"changes": {"object_type": "contacts", "id_property": "customer_no"}}));
    target.deliver(&[&schemas[..], &many].concat()).succeeded();
    assert!(target.rejects().is_empty(), "{}", target.log());
    assert_eq!(with(&apart, "contacts", "customer_no", "8")["properties"]["phone"], "2");
}

#[test]
fn an_address_that_one_line_gives_up_can_be_taken_by_a_later_one() {
    const PEOPLE: u32 = 60;
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("streams", json!({"contacts": {"id_property": "customer_no"}}));
    let line = |number: u32, email: String| {
        let mut line = contact(&email);
        line["record"]["customer_no"] = json!(number.to_string());
        line
    };
    let of_contacts = schema("contacts", &["customer_no"]);
    let first = (0..PEOPLE).map(|number| line(number, format!("c{number}@x.example")));
    target.deliver(&[of_contacts.clone()].into_iter().chain(first).collect::<Vec<_>>()).succeeded();
    // Each takes the address that the line before gives up; the last one is taken by a new contact.
    let shifted = (0..PEOPLE).map(|number| match number {
        0 => line(0, "free@x.example".to_owned()),
        _ => line(number, format!("c{}@x.example", number - 1)),
    });
    let new = line(PEOPLE, format!("c{}@x.example", PEOPLE - 1));
    target.deliver(&[of_contacts].into_iter().chain(shifted).chain([new]).collect::<Vec<_>>()).succeeded();
    assert!(target.rejects().is_empty(), "{}", target.log());
    for number in 1..=PEOPLE {
        let one = with(&portal, "contacts", "customer_no", &number.to_string());
        assert_eq!(one["properties"]["email"], format!("c{}@x.example", number - 1));
    }
}

#[test]
fn what_is_added_after_a_property_was_cleared_is_all_that_it_has() {
    let portal = empty();
    let tags = PropertyDef::new("tags", "enumeration", "checkbox").with_options(&["x=X", "y=Y", "b=B"]);
    portal.define_property("contacts", tags);
    let mut target = Target::of(&portal);
    target.set("clear_nulls", json!(true));
    let line = |email: &str, tags: Value| record("contacts", json!({"email": email, "tags": tags}));
    for (email, lines, expected) in [
        ("a@x.example", vec![json!(null), json!(";b")], "b"),
        ("b@x.example", vec![json!("y"), json!(null), json!(";b")], "b"),
        ("c@x.example", vec![json!(null), json!(";b"), json!(";y")], "b;y"),
        ("d@x.example", vec![json!(";b"), json!(null), json!(";y")], "y"),
    ] {
        let mut first = contact(email);
        first["record"]["tags"] = json!("x");
        target.deliver(&[contacts(), first]).succeeded();
        let changes = lines.into_iter().map(|tags| line(email, tags));
        target.deliver(&[contacts()].into_iter().chain(changes).collect::<Vec<_>>()).succeeded();
        assert_eq!(with(&portal, "contacts", "email", email)["properties"]["tags"], expected, "{email}");
    }
}
