//! `--plan`: what a run would read and cost, told before it begins.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::cli::TapArguments;
use crate::about::AboutFormat;
use crate::client::{DailyUsage, ObjectType};
use crate::extraction::{AssociationCost, Calls, Estimate, HowRead};
use crate::session::{Prepared, TapError, prepare};

/// The object types whose associations tickets have most, offered beside those that are read.
const OFFERED: [&str; 8] = ["contacts", "companies", "deals", "calls", "emails", "meetings", "notes", "tasks"];

/// What a run would take.
struct Outlook {
    tenant: String,
    estimates: Vec<Estimate>,
    associations: Vec<AssociationCost>,
    /// Calls to find out what is there, which a run makes too.
    prepared: u64,
    usage: Option<DailyUsage>,
    /// Requests per ten seconds of the general, the search and the associations pool.
    pace: [f64; 3],
}

/// Writes the plan of the run that these arguments would make.
pub(super) async fn write(arguments: &TapArguments) -> Result<(), TapError> {
    let session = arguments.session()?;
    let Prepared { run, .. } = prepare(&session, arguments.assignment()?).await?;
    let client = &session.client;
    let prepared = client.call_stats().snapshot().total;
    let mut types = session.associations.types.clone();
    types.extend(
        OFFERED.map(ObjectType::parse).into_iter().filter(|offered| !session.associations.types.contains(offered)),
    );
    let outlook = Outlook {
        tenant: run.stamp.tenant_id.clone(),
        estimates: run.estimate(client).await?,
        associations: run.association_costs(client, &types).await?,
        prepared,
        usage: client.daily_usage().await,
        pace: client.pace(),
    };
    let text = match arguments.format {
        AboutFormat::Json => serde_json::to_string_pretty(&outlook.as_json()).expect("a plan is JSON"),
        _ => outlook.as_text(),
    };
    writeln!(io::stdout(), "{}", text.trim_end()).map_err(TapError::Output)
}

impl Outlook {
    fn all(&self) -> Calls {
        // What was read to make this plan is read again by the run; small streams are part of it.
        let small = |one: &&Estimate| one.how == HowRead::Replaced;
        let of_streams = self.estimates.iter().filter(|one| !small(one)).map(|one| one.calls);
        of_streams.fold(Calls { general: self.prepared, ..Calls::default() }, Calls::and)
    }

    /// The time that HubSpot's limits leave such calls, in minutes; pools are used side by side.
    fn minutes(&self, calls: Calls) -> f64 {
        let [general, search, associations] = self.pace;
        let pools = [(calls.general, general), (calls.search, search), (calls.associations, associations)];
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let minutes = pools.map(|(calls, pace)| calls as f64 / pace.max(0.001) / 6.0);
        minutes.into_iter().fold(0.0, f64::max)
    }

    /// Calls in percent of what the day has in all.
    fn share_of_day(&self, calls: Calls) -> Option<f64> {
        let usage = self.usage.as_ref().filter(|usage| usage.limit > 0)?;
        #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
        let share = 100.0 * calls.total() as f64 / usage.limit as f64;
        Some(share)
    }

    fn left_today(&self) -> Option<u64> {
        self.usage.as_ref().map(|usage| usage.limit.saturating_sub(usage.used))
    }

    fn as_text(&self) -> String {
        let mut text = format!("A run of portal {} would read\n\n", self.tenant);
        let cost = |calls: Calls| {
            let share = self.share_of_day(calls).map_or_else(|| "-".to_owned(), |share| format!("{share:.2} %"));
            format!("{:>8}  {:>8.1}  {share:>8}", calls.total(), self.minutes(calls))
        };
        let mut line = |cells: String| {
            text.push_str("  ");
            text.push_str(cells.trim_end());
            text.push('\n');
        };
        line(format!("{:24}{:22}{:>10}  {:>8}  {:>8}  {:>8}", "stream", "how", "rows", "calls", "minutes", "of a day"));
        for one in &self.estimates {
            let rows = one.rows.map_or_else(|| "-".to_owned(), |rows| rows.to_string());
            line(format!("{:24}{:22}{rows:>10}  {}", one.stream, one.how.words(), cost(one.calls)));
        }
        line(format!("{:24}{:22}{:>10}  {}", "all", "", "", cost(self.all())));
        text.push_str("\nAssociations of tickets would take of that, or on top of it\n\n");
        for one in &self.associations {
            let whether = if one.included { "included" } else { "left out" };
            writeln!(text, "  {:24}{whether:22}{:>10}  {}", one.object_type.as_str(), "", cost(one.calls))
                .expect("writing to a String does not fail");
        }
        text.push_str("\nMinutes are what HubSpot's rate limits leave at this run's share of them.\n");
        match (self.left_today(), &self.usage) {
            (Some(left), Some(usage)) => writeln!(text, "{left} of {} calls are left today.", usage.limit),
            _ => writeln!(text, "HubSpot does not tell this token how many calls are left today."),
        }
        .expect("writing to a String does not fail");
        text
    }

    fn as_json(&self) -> Value {
        let cost = |calls: Calls| {
            json!({
                "calls": calls.total(), "general": calls.general, "search": calls.search,
                "associations": calls.associations, "minutes": self.minutes(calls),
                "percent_of_day": self.share_of_day(calls),
            })
        };
        let estimates: Vec<Value> = self
            .estimates
            .iter()
            .map(|one| json!({"stream": one.stream, "how": one.how.words(), "rows": one.rows, "cost": cost(one.calls)}))
            .collect();
        let associations: Vec<Value> = self
            .associations
            .iter()
            .map(|one| {
                json!({"object_type": one.object_type.as_str(), "included": one.included, "cost": cost(one.calls)})
            })
            .collect();
        json!({
            "tenant": self.tenant, "streams": estimates, "all": cost(self.all()), "associations": associations,
            "calls_a_day": self.usage.as_ref().map(|usage| usage.limit), "calls_left_today": self.left_today(),
        })
    }
}
