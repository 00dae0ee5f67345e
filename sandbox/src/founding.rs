//! Builds the portal that the options describe.

use std::collections::HashMap;
use std::sync::Arc;

use fastrand::Rng;

use crate::associations::{Associations, TypeKey, seeded_ends};
use crate::clock::{DAY, HOUR, Millis, parse_instant};
use crate::hostile;
use crate::object_type::ObjectType;
use crate::options::Options;
use crate::owners::Owner;
use crate::pipelines::{Pipeline, deal_pipelines, ticket_pipelines};
use crate::portal::Portal;
use crate::properties::{Properties, PropertyDef};
use crate::seed::{Generator, World, mix};
use crate::table::Table;
use crate::unique::UniqueValues;
use crate::wording::{FIRST_NAMES, LAST_NAMES, ascii_name};

/// Seeded records end here, so that equal seeds give equal portals on any day.
const ANCHOR: &str = "2026-11-01T00:00:00Z";

pub(crate) fn found(options: &Options, now: Millis) -> Portal {
    // A portal's records must not be younger than its clock.
    let anchor = parse_instant(ANCHOR).unwrap_or(now).min(now - HOUR);
    let pipelines = ticket_pipelines(anchor - 900 * DAY);
    let owners = owners(options, anchor);
    let mut properties: Vec<Properties> = ObjectType::ALL.into_iter().map(Properties::hubspot_defined).collect();
    define_ticket_properties(&mut properties[ObjectType::Tickets.index()], options, &pipelines, anchor);
    let world = World {
        seed: options.seed,
        anchor,
        tickets: options.tickets as u64,
        contacts: options.contacts as u64,
        companies: options.companies as u64,
        deals: options.deals as u64,
        owner_ids: owners.iter().map(|owner| owner.id).collect(),
        archived_share: options.archived_share,
        hostile: options.hostile,
        ticket_stages: pipelines.iter().map(stage_ids).collect(),
    };
    let generators: HashMap<ObjectType, Arc<Generator>> = ObjectType::HELD
        .into_iter()
        .map(|kind| (kind, Arc::new(Generator::new(kind, world.clone(), &properties[kind.index()]))))
        .collect();
    let tickets = generators[&ObjectType::Tickets].clone();
    let mut portal = Portal {
        id: options.portal_id,
        tables: ObjectType::ALL.into_iter().map(|_| Table::default()).collect(),
        properties,
        pipelines: HashMap::from([
            (ObjectType::Tickets, pipelines),
            (ObjectType::Deals, deal_pipelines(anchor - 900 * DAY)),
        ]),
        owners,
        associations: Associations::new(options.virtual_tickets.then(|| tickets.clone())),
        unique: UniqueValues::default(),
        rng: Rng::with_seed(options.seed),
        lag: 0,
        version: 0,
    };
    for (kind, generator) in &generators {
        let count = generator.count();
        let table = &mut portal.tables[kind.index()];
        if *kind == ObjectType::Tickets && options.virtual_tickets {
            *table = Table::generated(generator.clone(), count);
        } else {
            (0..count).for_each(|index| table.put(generator.record(index), anchor, 0));
        }
    }
    ObjectType::HELD.into_iter().for_each(|kind| portal.index_unique(kind));
    associate(&mut portal, &generators, options.virtual_tickets);
    merge_some(&mut portal, &tickets, options.merged, anchor);
    portal.lag = Millis::try_from(options.search_lag.as_millis()).unwrap_or(Millis::MAX);
    portal
}

fn stage_ids(pipeline: &Pipeline) -> (String, Vec<String>) {
    (pipeline.id.clone(), pipeline.stages.iter().map(|stage| stage.id.clone()).collect())
}

fn owners(options: &Options, anchor: Millis) -> Vec<Owner> {
    (0..options.owners as u64)
        .map(|index| {
            let draw = mix(options.seed, 61, index);
            let first = FIRST_NAMES[draw as usize % FIRST_NAMES.len()];
            let last = LAST_NAMES[(draw >> 16) as usize % LAST_NAMES.len()];
            let created = anchor - 1_000 * DAY + index as Millis * 11 * DAY + 4_321;
            Owner {
                id: 96_879_917 + index * 10_457 + draw % 9_000,
                user_id: 40_000_000 + index,
                email: format!("{}.{}@support.example", ascii_name(first), ascii_name(last)),
                first_name: first.to_owned(),
                last_name: last.to_owned(),
                queue: index == 6,
                team: (index % 3 != 2).then(|| (5_128_300 + index % 3, format!("Team {}", index % 3 + 1))),
                created,
                updated: created + 30 * DAY,
                archived: index % 5 == 4,
            }
        })
        .collect()
}

fn define_ticket_properties(properties: &mut Properties, options: &Options, pipelines: &[Pipeline], anchor: Millis) {
    let at = Some(anchor - 800 * DAY + 123);
    if options.stage_properties {
        for pipeline in pipelines {
            for stage in &pipeline.stages {
                properties.define_stage(stage, &pipeline.label, at);
            }
        }
    }
    if let Some(def) = properties.named_mut("hs_pipeline") {
        def.options = pipelines.iter().map(|p| (p.id.clone(), p.label.clone())).collect();
        def.external_options = true;
    }
    if let Some(def) = properties.named_mut("hs_pipeline_stage") {
        let stages = pipelines.iter().flat_map(|pipeline| &pipeline.stages);
        def.options = stages.map(|stage| (stage.id.clone(), stage.label.clone())).collect();
        def.external_options = true;
    }
    let mut custom: Vec<PropertyDef> = (0..options.custom_properties).map(custom_property).collect();
    if options.hostile {
        custom.extend(hostile::definitions());
    }
    if options.custom_properties > 0 {
        let mut sensitive = PropertyDef::new("health_record_number", "string", "text");
        "sensitive".clone_into(&mut sensitive.data_sensitivity);
        custom.push(sensitive);
        custom.push(PropertyDef::new("legacy_reference", "string", "text"));
    }
    for mut def in custom {
        "ticketinformation".clone_into(&mut def.group_name);
        (def.created_at, def.updated_at) = (at, at);
        properties.define(def);
    }
    // A deleted property that only `archived=true` lists.
    properties.archive("legacy_reference", anchor - 100 * DAY);
}

fn custom_property(index: usize) -> PropertyDef {
    let modules = ["billing=Billing", "reporting=Reporting", "inventory=Inventory", "messaging=Messaging", "api=API"];
    let lines = ["core=Core", "mobile=Mobile app", "hardware=Hardware"];
    let shapes: [(&str, &str, &str, &[&str]); 12] = [
        ("order_number", "string", "text", &[]),
        ("environment_details", "string", "textarea", &[]),
        ("affected_seats", "number", "number", &[]),
        ("is_vip", "bool", "booleancheckbox", &["true=Yes", "false=No"]),
        ("product_line", "enumeration", "select", &lines),
        ("affected_modules", "enumeration", "checkbox", &modules),
        ("contract_renewal_date", "date", "date", &[]),
        ("incident_started_at", "datetime", "date", &[]),
        ("callback_number", "phone_number", "phonenumber", &[]),
        ("diagnostics", "json", "text", &[]),
        ("call_coordinates", "object_coordinates", "text", &[]),
        ("refund_amount", "number", "number", &[]),
    ];
    let (name, kind, field_type, options) = shapes[index % shapes.len()];
    let round = index / shapes.len();
    let name = if round == 0 { name.to_owned() } else { format!("{name}_{}", round + 1) };
    let def = PropertyDef::new(&name, kind, field_type);
    if options.is_empty() { def } else { def.with_options(options) }
}

fn associate(portal: &mut Portal, generators: &HashMap<ObjectType, Arc<Generator>>, virtual_tickets: bool) {
    use ObjectType::{Companies, Contacts, Deals, Tickets};
    let tickets = &generators[&Tickets];
    let all = &mut portal.associations;
    if !virtual_tickets {
        for index in 0..tickets.count() {
            for to in [Contacts, Companies, Deals] {
                for (end, types) in seeded_ends(tickets, index, to) {
                    for key in types {
                        all.associate((Tickets, to), tickets.id(index), end, Some(key));
                    }
                }
            }
        }
    }
    let hubspot = |type_id| Some(TypeKey { user_defined: false, type_id });
    let (contacts, deals) = (&generators[&Contacts], &generators[&Deals]);
    for index in 0..contacts.count() {
        if let Some(at) = contacts.company_of_contact(index) {
            let company = contacts.id_of(Companies, at);
            all.associate((Contacts, Companies), contacts.id(index), company, hubspot(1));
        }
    }
    for index in 0..deals.count() {
        if let Some(at) = deals.company_of_deal(index) {
            let company = deals.id_of(Companies, at);
            all.associate((Deals, Companies), deals.id(index), company, hubspot(5));
        }
        if let Some(at) = deals.contact_of_deal(index) {
            all.associate((Deals, Contacts), deals.id(index), deals.id_of(Contacts, at), None);
        }
    }
}

/// Merges neighbours that are both live, spread over the portal.
fn merge_some(portal: &mut Portal, tickets: &Generator, pairs: usize, anchor: Millis) {
    let count = tickets.count();
    if count < 50 {
        return;
    }
    let step = count / (pairs as u64 + 1);
    for pair in 1..=pairs as u64 {
        let live: Vec<u64> = (pair * step..count)
            .map(|index| tickets.id(index))
            .filter(|id| portal.is_live(ObjectType::Tickets, *id))
            .take(2)
            .collect();
        if let [winner, loser] = live[..] {
            // Neighbours of an earlier pair may be gone already; one pair fewer does no harm.
            drop(portal.merge(ObjectType::Tickets, winner, loser, false, anchor + pair as Millis * 1_237));
        }
    }
}
