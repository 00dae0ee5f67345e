//! What the tap is meant to reach, held against what was measured.

use super::report::{Cell, Report, with_thousands};

/// A bound on one figure.
struct Goal {
    what: &'static str,
    bench: &'static str,
    /// The column of the figure, and the digits it is shown with.
    head: &'static str,
    digits: usize,
    /// Rows that count: those with this text or number in some column.
    rows: fn(&[String]) -> bool,
    bound: Bound,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

use Bound::{AtLeast, AtMost};

const GOALS: [Goal; 15] = [
    goal(
        "CPU per ticket, times the copying floor program's",
        "throughput",
        "CPU per ticket, times copy's",
        2,
        AtMost(1.7),
        |row| row[1] == "tap",
    ),
    goal("tickets per CPU-second, times a Python tap's", "python", "times singer-io's", 0, AtLeast(15.0), |row| {
        row[0] == "this tap"
    }),
    goal("% over the quota's bound, 100,000 tickets, 100 ms", "quota", "tap over bound %", 1, AtMost(10.0), |row| {
        row[0] == "100,000" && row[1] == "100"
    }),
    goal("% over the quota's bound, 100,000 tickets, 300 ms", "quota", "tap over bound %", 1, AtMost(10.0), |row| {
        row[0] == "100,000" && row[1] == "300"
    }),
    goal("seconds over the quota's bound, 2,000 tickets, 300 ms", "quota", "tap over bound s", 1, AtMost(2.0), |row| {
        row[0] == "2,000" && row[1] == "300"
    }),
    goal("round trips to the first ticket, associations off", "first", "round trips", 2, AtMost(2.2), |row| {
        row[0] == "off"
    }),
    goal("round trips to the first ticket, associations on", "first", "round trips", 2, AtMost(6.2), |row| {
        row[0] == "on"
    }),
    goal("peak MiB, whatever the portal's size", "size", "peak MiB", 1, AtMost(61.0), |_| true),
    goal("ms from start to the first request, unchanged portal", "idle", "start-up ms", 1, AtMost(30.0), |_| true),
    goal("ms of CPU, unchanged portal", "idle", "CPU ms", 1, AtMost(50.0), |_| true),
    goal("peak MiB, unchanged portal", "idle", "peak MiB", 1, AtMost(19.0), |_| true),
    goal(
        "% over the quota's bound and 2 s, tap and target-pg, 20,000 and 100,000 tickets, 100 ms",
        "loading",
        "over bound and 2 s %",
        1,
        AtMost(10.0),
        |_| true,
    ),
    goal("ms of CPU, unchanged portal, tap and target-pg", "idle_loading", "CPU ms", 1, AtMost(80.0), |_| true),
    goal("peak MiB of both, unchanged portal", "idle_loading", "peak MiB of both", 1, AtMost(33.3), |_| true),
    goal("seconds, a thousand unchanged tenants with target-pg", "tenants", "seconds", 0, AtMost(180.0), |row| {
        row[0] == "unchanged"
    }),
];

const fn goal(
    what: &'static str,
    bench: &'static str,
    head: &'static str,
    digits: usize,
    bound: Bound,
    rows: fn(&[String]) -> bool,
) -> Goal {
    Goal { what, bench, head, digits, rows, bound }
}

/// The goals as a Markdown table; of several rows the worst counts.
pub(crate) fn markdown(reports: &[Report]) -> String {
    let mut out = "| what | goal | measured | reached |\n|---|--:|--:|---|\n".to_owned();
    for goal in &GOALS {
        let Some(report) = reports.iter().find(|report| report.bench == goal.bench) else { continue };
        let (sign, bound, figure) = match goal.bound {
            AtMost(bound) => ("≤", bound, figures(report, goal).fold(f64::MIN, f64::max)),
            AtLeast(bound) => ("≥", bound, figures(report, goal).fold(f64::MAX, f64::min)),
        };
        let is_reached = if sign == "≤" { figure <= bound } else { figure >= bound };
        let measured = with_thousands(figure, goal.digits);
        out +=
            &format!("| {} | {sign} {bound} | {measured} | {} |\n", goal.what, if is_reached { "yes" } else { "no" });
    }
    out
}

/// The figures that count for a goal.
fn figures<'r>(report: &'r Report, goal: &'r Goal) -> impl Iterator<Item = f64> + 'r {
    let at = report.columns.iter().position(|column| column.head == goal.head).expect("a column");
    report.rows.iter().filter(|row| (goal.rows)(&report.shown(row))).map(move |row| match &row[at] {
        Cell::Number(number) => *number,
        Cell::Text(text) => panic!("{text} is no number"),
    })
}
