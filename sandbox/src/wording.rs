//! Names and sentences that make the seeded portal read like a real one.

use fastrand::Rng;

pub(crate) const FIRST_NAMES: [&str; 28] = [
    "Amina", "Ben", "Carla", "Diego", "Elena", "Farid", "Grace", "Hannah", "Ivan", "Jonas", "Keiko", "Liam", "Maya",
    "Noah", "Olivia", "Priya", "Quentin", "Rosa", "Sven", "Tara", "Umar", "Vera", "Wei", "Ximena", "Yusuf", "Zoë",
    "Łukasz", "Siobhán",
];

pub(crate) const LAST_NAMES: [&str; 28] = [
    "Abbott",
    "Bianchi",
    "Carter",
    "Dubois",
    "Eriksen",
    "Fernández",
    "Gruber",
    "Haddad",
    "Ibrahim",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "O'Brien",
    "Patel",
    "Quinn",
    "Rossi",
    "Schäfer",
    "Tanaka",
    "Ueda",
    "Vargas",
    "Walker",
    "Xu",
    "Young",
    "Zhang",
    "Müller",
    "Silva",
];

const COMPANY_FIRST: [&str; 20] = [
    "Northwind",
    "Bluebird",
    "Cedar",
    "Harbor",
    "Summit",
    "Lakeside",
    "Granite",
    "Maple",
    "Orbit",
    "Pioneer",
    "Quartz",
    "Redwood",
    "Silverline",
    "Tidewater",
    "Vertex",
    "Willow",
    "Aurora",
    "Brightside",
    "Copper",
    "Delta",
];

const COMPANY_LAST: [&str; 16] = [
    "Logistics",
    "Foods",
    "Health",
    "Studios",
    "Systems",
    "Analytics",
    "Outfitters",
    "Energy",
    "Robotics",
    "Dental",
    "Travel",
    "Media",
    "Furniture",
    "Insurance",
    "Schools",
    "Brewing",
];

pub(crate) const CITIES: [(&str, &str, &str); 8] = [
    ("Boston", "MA", "United States"),
    ("Denver", "CO", "United States"),
    ("Berlin", "BE", "Germany"),
    ("Lyon", "ARA", "France"),
    ("Dublin", "L", "Ireland"),
    ("Toronto", "ON", "Canada"),
    ("Osaka", "27", "Japan"),
    ("São Paulo", "SP", "Brazil"),
];

const PROBLEMS: [&str; 18] = [
    "Cannot log in after password reset",
    "Invoice shows the wrong amount",
    "Export stops at 50 %",
    "Request for a bulk edit of orders",
    "Webhook fires twice",
    "Dashboard loads slowly",
    "Mobile app crashes on start",
    "Question about the annual plan",
    "Missing tracking number",
    "Refund for a duplicate charge",
    "Calendar sync shows wrong time zone",
    "CSV import rejects our dates",
    "Two-factor codes do not arrive",
    "How do I add a second workspace?",
    "Email notifications stopped",
    "Search does not find archived orders",
    "API returns 500 for large payloads",
    "Change of billing address",
];

const OPENINGS: [&str; 6] =
    ["Hi team,\n\n", "Hello,\n\n", "Good morning,\n\n", "Hi there \u{1F44B},\n\n", "", "To whom it may concern,\n\n"];

const DETAILS: [&str; 12] = [
    "This started on Monday and affects everyone in our office.",
    "We tried another browser and a private window, with the same result.",
    "The message says \"Something went wrong\" and nothing else.",
    "It worked last week; nothing has changed on our side.",
    "Our finance team needs this before the end of the month.",
    "Steps: open Settings > Billing, choose a period, press \"Download\".",
    "Please find the screenshot attached (C:\\Users\\support\\error.png).",
    "Could you tell us whether a fix is planned?",
    "About 40 customers are waiting for an answer.",
    "Only accounts created before 2024 seem to be affected.",
    "We would be happy to join a short call to show it.",
    "The same thing happened in March and was solved by support.",
];

const CLOSINGS: [&str; 4] = ["\n\nThanks!", "\n\nBest regards", "\n\nMany thanks in advance", ""];

pub(crate) const MODULES: [&str; 5] = ["billing", "reporting", "inventory", "messaging", "api"];

pub(crate) fn pick<'a, T: ?Sized>(rng: &mut Rng, from: &[&'a T]) -> &'a T {
    from[rng.usize(..from.len())]
}

pub(crate) fn ticket_subject(rng: &mut Rng, company: &str) -> String {
    let problem = pick(rng, &PROBLEMS);
    match rng.u8(..4) {
        0 => format!("{problem} ({company})"),
        1 => format!("Re: {problem}"),
        2 => format!("{problem} [order #{}]", rng.u32(10_000..99_999)),
        _ => problem.to_owned(),
    }
}

pub(crate) fn ticket_content(rng: &mut Rng, writer: &str) -> String {
    let mut text = pick(rng, &OPENINGS).to_owned();
    for sentence in 0..rng.usize(2..6) {
        if sentence > 0 {
            text.push(if rng.u8(..4) == 0 { '\n' } else { ' ' });
        }
        text.push_str(pick(rng, &DETAILS));
    }
    text.push_str(pick(rng, &CLOSINGS));
    if !writer.is_empty() {
        text.push('\n');
        text.push_str(writer);
    }
    text
}

/// Name and domain of a company; the number keeps domains apart.
pub(crate) fn company(index: u64, rng: &mut Rng) -> (String, String) {
    let (first, last) = (pick(rng, &COMPANY_FIRST), pick(rng, &COMPANY_LAST));
    let domain = format!("{}{}{index}.example", first.to_lowercase(), last.to_lowercase());
    (format!("{first} {last}"), domain)
}

/// A name in the characters that an address may hold.
pub(crate) fn ascii_name(name: &str) -> String {
    let fold = |c: char| match c {
        'á' | 'ã' | 'ä' => 'a',
        'é' | 'ë' => 'e',
        'ü' => 'u',
        'Ł' | 'ł' => 'l',
        other => other,
    };
    name.chars().map(fold).filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase()
}
