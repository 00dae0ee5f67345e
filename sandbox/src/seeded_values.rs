//! The values that seeded records have: what people write, choose and leave out.

use std::fmt::Display;
use std::io::Write;

use fastrand::Rng;

use crate::clock::{DAY, HOUR, Millis, date_text, instant_text, write_instant};
use crate::hostile;
use crate::object_type::ObjectType;
use crate::properties::PropertyDef;
use crate::record::{Record, SINCE, Values};
use crate::seed::{Generator, SlotsByName, World, mix};
use crate::table::Head;
use crate::wording::{self, CITIES, FIRST_NAMES, LAST_NAMES, MODULES, pick};

struct Writer<'a> {
    slots: &'a SlotsByName,
    values: Values,
}

impl Writer<'_> {
    fn text(&mut self, name: &str, value: &str) {
        if let Some(slot) = self.slots.get(name) {
            self.values.push_text(*slot, value);
        }
    }

    /// A value that needs no escapes, such as a number.
    fn put(&mut self, name: &str, value: impl Display) {
        self.plain(name, |out| drop(write!(out, "{value}")));
    }

    fn instant(&mut self, name: &str, at: Millis) {
        self.plain(name, |out| write_instant(out, at));
    }

    fn plain(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(slot) = self.slots.get(name) {
            self.values.push_with(*slot, |out| {
                out.push(b'"');
                write(out);
                out.push(b'"');
            });
        }
    }

    /// A value that counts the milliseconds since an instant.
    fn since(&mut self, name: &str, at: Millis) {
        if let Some(slot) = self.slots.get(name) {
            self.values.push(*slot, format!("{}{at}", char::from(SINCE)).as_bytes());
        }
    }
}

impl Generator {
    pub(crate) fn record(&self, index: u64) -> Record {
        let head = self.head(index);
        let mut rng = self.rng(2, index);
        let mut out = Writer { slots: &self.slots, values: Values::default() };
        self.write_source(&mut out, &mut rng);
        match self.kind {
            ObjectType::Tickets => self.write_ticket(&mut out, &mut rng, index, &head),
            ObjectType::Contacts => self.write_contact(&mut out, &mut rng, index),
            ObjectType::Companies => self.write_company(&mut out, &mut rng, index),
            ObjectType::Deals => self.write_deal(&mut out, &mut rng, &head, index),
            _ => {}
        }
        for (slot, def) in &self.custom {
            if let Some(value) = hostile::value(def, index).filter(|_| self.world.hostile) {
                out.values.push(*slot, &value);
            } else if rng.u8(..10) < 7
                && let Some(value) = custom_value(&mut rng, def, &head)
            {
                out.values.push_text(*slot, &value);
            }
        }
        if self.world.hostile {
            for (name, value) in hostile::replaced(self.kind, index) {
                if let Some(slot) = self.slots.get(name) {
                    out.values.set(*slot, Some(&value));
                }
            }
        }
        out.values.sort();
        let Head { id, created, updated, standing } = head;
        Record { id, created, updated, standing, values: out.values }
    }

    fn write_source(&self, out: &mut Writer<'_>, rng: &mut Rng) {
        let (source, label) = *pick(
            rng,
            &[&("CRM_UI", "CRM_UI"), &("INTEGRATION", "INTEGRATION"), &("FORM", "FORM"), &("EMAIL", "EMAIL")],
        );
        out.text("hs_object_source", source);
        out.text("hs_object_source_label", label);
        out.put("hs_object_source_id", rng.u32(100_000..999_999));
        out.text("hs_object_source_detail_1", "Support");
        if rng.u8(..8) > 0 && !self.world.owner_ids.is_empty() {
            let owner = self.world.owner_ids[rng.usize(..self.world.owner_ids.len())];
            out.put("hubspot_owner_id", owner);
            out.put("hs_all_owner_ids", owner);
            out.put("hubspot_team_id", 5_128_300 + owner % 3);
            out.put("hs_all_team_ids", 5_128_300 + owner % 3);
            out.put("hs_user_ids_of_all_owners", owner + 7);
        }
    }

    fn write_ticket(&self, out: &mut Writer<'_>, rng: &mut Rng, index: u64, head: &Head) {
        let links = self.ticket_links(index);
        let contacts: Vec<_> = links.contacts.iter().map(|at| person(&self.world, *at)).collect();
        let company = links.companies.first().map(|at| company(&self.world, *at));
        let company_name = company.as_ref().map_or("no company", |(name, _)| name);
        out.text("subject", &wording::ticket_subject(rng, company_name));
        let writer = contacts.first().map_or("", |person| person.first);
        out.text("content", &wording::ticket_content(rng, writer));
        out.text("hs_ticket_priority", pick(rng, &["LOW", "MEDIUM", "MEDIUM", "HIGH", "URGENT"]));
        if rng.u8(..6) > 0 {
            let category =
                ["PRODUCT_ISSUE", "BILLING_ISSUE", "FEATURE_REQUEST", "GENERAL_INQUIRY", "PRODUCT_ISSUE;BILLING_ISSUE"];
            out.text("hs_ticket_category", pick(rng, &category));
        }
        out.text("source_type", pick(rng, &["EMAIL", "EMAIL", "CHAT", "FORM", "PHONE"]));
        let created = head.created;
        out.instant("hs_createdate", created);
        out.instant("hs_helpdesk_sort_timestamp", created);
        out.instant("hs_lastactivitydate", head.updated);
        out.instant("notes_last_updated", head.updated);
        out.text("hs_is_visible_in_help_desk", "true");
        out.text("hs_in_helpdesk", "true");
        out.put("hs_last_message_from_visitor", rng.bool());
        out.put("hs_num_associated_companies", links.companies.len());
        out.put("hs_num_associated_conversations", rng.u8(..2));
        out.put("hs_num_times_contacted", rng.u8(..9));
        out.put("num_contacted_notes", rng.u8(..9));
        out.put("num_notes", rng.u8(..14));
        out.put("hs_was_imported", rng.u8(..9) == 0);
        out.put("hs_inbox_id", 410_775_u32);
        out.put("hs_created_by_user_id", rng.u32(40_000_000..40_000_020));
        out.put("hs_updated_by_user_id", rng.u32(40_000_000..40_000_020));
        out.put("source_thread_id", rng.u64(7_000_000_000..7_999_999_999));
        if rng.u8(..20) == 0 {
            // A cleared value reads back as an empty text, not as null.
            out.text("tags", "");
        }
        let replied = created + rng.i64(5 * 60_000..2 * DAY);
        if replied < self.world.anchor {
            out.instant("first_agent_reply_date", replied);
            out.instant("hs_first_agent_message_sent_at", replied);
            out.instant("hs_last_message_sent_at", replied);
            out.put("time_to_first_agent_reply", replied - created);
            out.text("hs_time_to_first_response_sla_status", pick(rng, &["1", "2", "4"]));
            out.instant("hs_time_to_first_response_sla_at", created + 4 * HOUR);
        }
        let joined = |field: fn(&Person) -> &str| contacts.iter().map(field).collect::<Vec<_>>().join(";");
        if !contacts.is_empty() {
            out.text("hs_all_associated_contact_emails", &joined(|person| &person.email));
            out.text("hs_all_associated_contact_firstnames", &joined(|person| person.first));
            out.text("hs_all_associated_contact_lastnames", &joined(|person| person.last));
        }
        if let (Some((name, _)), Some(at)) = (&company, links.companies.first()) {
            out.text("hs_primary_company", name);
            out.text("hs_primary_company_name", name);
            out.put("hs_primary_company_id", self.id_of(ObjectType::Companies, *at));
        }
        self.write_stage(out, rng, head);
    }

    fn write_stage(&self, out: &mut Writer<'_>, rng: &mut Rng, head: &Head) {
        let choice = usize::from(rng.u8(..5) == 0).min(self.world.ticket_stages.len() - 1);
        let (pipeline, stages) = &self.world.ticket_stages[choice];
        // Most tickets of a real portal are closed.
        let reached = if rng.u8(..3) > 0 { stages.len() - 1 } else { rng.usize(..stages.len()) };
        out.text("hs_pipeline", pipeline);
        out.text("hs_pipeline_stage", &stages[reached]);
        let whole = (head.updated - head.created) / (reached as i64 + 1);
        for (at, stage) in stages.iter().enumerate().take(reached + 1) {
            let entered = head.created + whole * at as i64;
            out.instant(&format!("hs_date_entered_{stage}"), entered);
            out.instant(&format!("hs_v2_date_entered_{stage}"), entered);
            if at < reached {
                out.instant(&format!("hs_date_exited_{stage}"), entered + whole);
                out.instant(&format!("hs_v2_date_exited_{stage}"), entered + whole);
                out.put(&format!("hs_time_in_{stage}"), whole);
                out.put(&format!("hs_v2_latest_time_in_{stage}"), whole);
                out.put(&format!("hs_v2_cumulative_time_in_{stage}"), whole);
            } else {
                out.since(&format!("hs_time_in_{stage}"), entered);
            }
        }
        if reached + 1 == stages.len() {
            let closed = head.created + whole * reached as i64;
            out.instant("closed_date", closed);
            out.instant("hs_last_closed_date", closed);
            out.put("time_to_close", closed - head.created);
            out.text("hs_resolution", pick(rng, &["ISSUE_FIXED", "FEATURE_SHIPPED", "DUPLICATE"]));
            out.put("hs_is_one_touch_ticket", rng.u8(..4) == 0);
        }
    }

    fn write_contact(&self, out: &mut Writer<'_>, rng: &mut Rng, index: u64) {
        let person = person(&self.world, index);
        out.text("firstname", person.first);
        out.text("lastname", person.last);
        out.text("email", &person.email);
        out.put("hs_full_name_or_email", format_args!("{} {}", person.first, person.last));
        out.put("phone", format_args!("+1 617 555 {:04}", rng.u16(..10_000)));
        let stages = ["subscriber", "lead", "marketingqualifiedlead", "opportunity", "customer"];
        out.text("lifecyclestage", pick(rng, &stages));
        out.text("hs_is_contact", "true");
        out.text("jobtitle", pick(rng, &["Support lead", "Office manager", "CTO", "Buyer"]));
        let (city, state, country) = CITIES[rng.usize(..CITIES.len())];
        out.text("city", city);
        out.text("state", state);
        out.text("country", country);
        if let Some(at) = self.company_of_contact(index) {
            out.text("company", &company(&self.world, at).0);
            out.put("associatedcompanyid", self.id_of(ObjectType::Companies, at));
        }
    }

    fn write_company(&self, out: &mut Writer<'_>, rng: &mut Rng, index: u64) {
        let (name, domain) = company(&self.world, index);
        out.text("name", &name);
        out.put("website", format_args!("https://www.{domain}"));
        out.text("domain", &domain);
        out.put("phone", format_args!("+1 303 555 {:04}", rng.u16(..10_000)));
        let (city, state, country) = CITIES[rng.usize(..CITIES.len())];
        out.text("city", city);
        out.text("state", state);
        out.text("country", country);
        out.text("industry", pick(rng, &["COMPUTER_SOFTWARE", "RETAIL", "FINANCIAL_SERVICES"]));
        out.put("numberofemployees", rng.u32(3..5_000));
        out.put("annualrevenue", rng.u64(100_000..90_000_000));
        out.put("founded_year", rng.u16(1890..2024));
        out.text("lifecyclestage", pick(rng, &["lead", "opportunity", "customer"]));
    }

    fn write_deal(&self, out: &mut Writer<'_>, rng: &mut Rng, head: &Head, index: u64) {
        let buyer = match self.company_of_deal(index) {
            Some(at) => company(&self.world, at).0,
            None => "New customer".to_owned(),
        };
        out.put("dealname", format_args!("{buyer} - {} plan", pick(rng, &["Starter", "Team", "Business"])));
        let cents = rng.u64(50_000..9_000_000);
        out.put("amount", format_args!("{}.{:02}", cents / 100, cents % 100));
        out.text("deal_currency_code", "USD");
        out.text("pipeline", "default");
        let stages = [
            "appointmentscheduled",
            "qualifiedtobuy",
            "presentationscheduled",
            "contractsent",
            "closedwon",
            "closedlost",
        ];
        let stage = pick(rng, &stages);
        out.text("dealstage", stage);
        out.put("hs_is_closed", stage.starts_with("closed"));
        out.put("hs_is_closed_won", stage == "closedwon");
        out.text("hs_deal_stage_probability", "0.200000000000000011102230246251565404236316680908203125");
        out.instant("closedate", head.created + rng.i64(DAY..90 * DAY));
        out.put("hs_open_deal_create_date", head.created);
        out.instant("hs_v2_time_in_current_stage", head.updated);
    }
}

struct Person {
    first: &'static str,
    last: &'static str,
    email: String,
}

fn person(world: &World, index: u64) -> Person {
    let mut rng = Rng::with_seed(mix(world.seed, 53, index));
    let (first, last) = (pick(&mut rng, &FIRST_NAMES), pick(&mut rng, &LAST_NAMES));
    let domain = if world.companies > 0 && !index.is_multiple_of(9) {
        company(world, mix(world.seed, 41, index) % world.companies).1
    } else {
        "mailbox.example".to_owned()
    };
    let email = format!("{}.{}.{index}@{domain}", wording::ascii_name(first), wording::ascii_name(last));
    Person { first, last, email }
}

fn company(world: &World, index: u64) -> (String, String) {
    wording::company(index, &mut Rng::with_seed(mix(world.seed, 59, index)))
}

fn custom_value(rng: &mut Rng, def: &PropertyDef, head: &Head) -> Option<String> {
    let some = |text: &str| Some(text.to_owned());
    match (def.kind.as_str(), def.field_type.as_str()) {
        ("number", _) if def.name.contains("amount") => Some(format!("{}.{:02}", rng.u32(..5_000), rng.u8(..100))),
        ("number", _) => Some(rng.u32(..10_000).to_string()),
        ("bool", _) => Some(rng.bool().to_string()),
        ("enumeration", "checkbox") => {
            let chosen = MODULES.iter().filter(|_| rng.bool()).copied().collect::<Vec<_>>();
            (!chosen.is_empty()).then(|| chosen.join(";"))
        }
        ("enumeration", _) => {
            let (value, _) = def.options.get(rng.usize(..def.options.len().max(1)))?;
            some(value)
        }
        ("date", _) => Some(date_text(head.created + rng.i64(-400..400) * DAY)),
        ("datetime", _) => Some(instant_text(head.created - rng.i64(0..DAY))),
        ("phone_number", _) => Some(format!("+1617555{:04}", rng.u16(..10_000))),
        ("json", _) => Some(format!("{{\"browser\":\"Firefox\",\"build\":{},\"tags\":[\"a\",\"b\"]}}", rng.u16(..900))),
        ("object_coordinates", _) => Some(format!("0-48:{}", rng.u64(1_000_000_000..9_999_999_999))),
        (_, "textarea") => Some(format!("Windows 11\nChrome {}\nproxy: none", rng.u8(90..140))),
        _ => Some(format!("SO-{:06}", rng.u32(..1_000_000))),
    }
}
