//! The plot of wall time against the portal's size, a line for each latency, beside one request after another.

use std::fmt::Write as _;

use super::report::{Cell, Report};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
/// Left, top, right and bottom of the area that is drawn in.
const AREA: [f64; 4] = [70.0, 50.0, 560.0, 390.0];
/// One colour a latency, told apart without seeing red from green.
const COLOURS: [&str; 3] = ["#0072b2", "#d55e00", "#009e73"];

struct Point {
    tickets: f64,
    latency: f64,
    seconds: f64,
}

/// A scale that shows powers of ten at equal distances.
struct Scale {
    /// Decimal logarithms of the values at its ends.
    values: (f64, f64),
    places: (f64, f64),
}

impl Scale {
    fn over(values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let (least, most) = values.fold((f64::MAX, 1.0_f64), |(least, most), one| (least.min(one), most.max(one)));
        Self { values: (least.log10().floor(), most.log10().ceil()), places }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.log10() - self.values.0) / (self.values.1 - self.values.0);
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// The powers of ten between its ends.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (mut power, most) = self.values;
        std::iter::from_fn(move || {
            power += 1.0;
            (power <= most + 1.0).then(|| 10_f64.powf(power - 1.0))
        })
    }
}

/// The plot as an SVG file.
pub(crate) fn svg(quota: &Report) -> String {
    let tap = points(quota, "tap s");
    let sequential = points(quota, "one after another s");
    let bound = points(quota, "bound s");
    let all = || tap.iter().chain(&sequential).chain(&bound);
    let x = Scale::over(all().map(|point| point.tickets), (AREA[0], AREA[2]));
    let y = Scale::over(all().map(|point| point.seconds), (AREA[3], AREA[1]));
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<text x="{}" y="28" font-size="15">First load of tickets with contacts and companies, 190 requests in ten seconds</text>
"##,
        AREA[0]
    );
    grid(&x, &y, &mut out);
    let mut latencies: Vec<f64> = tap.iter().map(|point| point.latency).collect();
    latencies.dedup();
    latencies.sort_by(f64::total_cmp);
    latencies.dedup();
    let mut legend = Legend { y: AREA[1] + 10.0 };
    for (latency, colour) in latencies.iter().zip(COLOURS) {
        line(&tap, *latency, &x, &y, &format!(r#"stroke="{colour}" stroke-width="2.5""#), &mut out);
        let dashes = format!(r#"stroke="{colour}" stroke-width="1.5" stroke-dasharray="6 4""#);
        line(&sequential, *latency, &x, &y, &dashes, &mut out);
        legend.add(&format!("tap, {latency} ms"), &format!(r#"stroke="{colour}" stroke-width="2.5""#), &mut out);
        legend.add(&format!("one by one, {latency} ms"), &dashes, &mut out);
    }
    let dots = r##"stroke="#555555" stroke-width="1.5" stroke-dasharray="2 3""##;
    line(&bound, latencies.first().copied().unwrap_or(0.0), &x, &y, dots, &mut out);
    legend.add("what the quota allows", dots, &mut out);
    out.push_str("</svg>\n");
    out
}

/// The figures of a column.
fn points(quota: &Report, head: &str) -> Vec<Point> {
    let place = |head: &str| quota.columns.iter().position(|column| column.head == head).expect("a column");
    let (tickets, latency, seconds) = (place("tickets"), place("latency ms"), place(head));
    let number = |cell: &Cell| match cell {
        Cell::Number(number) => *number,
        Cell::Text(text) => panic!("{text} is no number"),
    };
    let rows = quota.rows.iter();
    rows.map(|row| Point {
        tickets: number(&row[tickets]),
        latency: number(&row[latency]),
        seconds: number(&row[seconds]),
    })
    .collect()
}

fn grid(x: &Scale, y: &Scale, out: &mut String) {
    let [left, top, right, bottom] = AREA;
    for value in x.ticks() {
        let at = x.place(value);
        write!(
            out,
            "<line x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value}</text>\n",
            bottom + 18.0
        )
        .expect("writing to a String does not fail");
    }
    for value in y.ticks() {
        let at = y.place(value);
        write!(
            out,
            "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>\n",
            left - 8.0,
            at + 4.0
        )
        .expect("writing to a String does not fail");
    }
    let middle = f64::midpoint(left, right);
    write!(
        out,
        "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">tickets in the portal</text>\n\
         <text x=\"16\" y=\"{:.1}\" transform=\"rotate(-90 16 {:.1})\" text-anchor=\"middle\">seconds</text>\n",
        bottom + 40.0,
        f64::midpoint(top, bottom),
        f64::midpoint(top, bottom)
    )
    .expect("writing to a String does not fail");
}

fn line(points: &[Point], latency: f64, x: &Scale, y: &Scale, style: &str, out: &mut String) {
    let places: Vec<String> = points
        .iter()
        .filter(|point| (point.latency - latency).abs() < 0.5)
        .map(|point| format!("{:.1},{:.1}", x.place(point.tickets), y.place(point.seconds)))
        .collect();
    writeln!(out, "<polyline points=\"{}\" fill=\"none\" {style}/>", places.join(" "))
        .expect("writing to a String does not fail");
}

/// What the lines are, beside the area.
struct Legend {
    y: f64,
}

impl Legend {
    fn add(&mut self, text: &str, style: &str, out: &mut String) {
        let (x, y) = (AREA[2] + 15.0, self.y);
        self.y += 24.0;
        write!(
            out,
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" {style}/>\n<text x=\"{}\" y=\"{:.1}\">{text}</text>\n",
            x + 30.0,
            x + 38.0,
            y + 4.0
        )
        .expect("writing to a String does not fail");
    }
}
