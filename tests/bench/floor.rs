//! The floor programs: what the same answers cost at the least. `fetch` fetches them and drops them; `copy` also parses
//! each record into a struct that borrows from the answer and writes it as a message, with no types and no checks.
//!
//! They replay the requests that the tap sent, one after another, with the tap's HTTP library in the tap's setting.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::time::Instant;

use reqwest::{Client, Method};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The argument that makes the benchmarks' program one of them.
pub(crate) const MODE: &str = "--floor";
/// The sandbox's own token: it opens nothing else.
pub(crate) const TOKEN: &str = "pat-na1-sandbox-token";

/// A request of the tap, as the sandbox remembers it.
#[derive(Debug, Deserialize)]
struct Replayed {
    method: String,
    path: String,
    query: String,
    body: String,
}

#[derive(Deserialize)]
struct Page<'p> {
    #[serde(borrow, default)]
    results: Vec<Record<'p>>,
}

#[derive(Deserialize, Serialize)]
struct Record<'p> {
    #[serde(borrow)]
    id: Text<'p>,
    #[serde(borrow, rename = "createdAt")]
    created_at: Text<'p>,
    #[serde(borrow, rename = "updatedAt")]
    updated_at: Text<'p>,
    archived: bool,
    #[serde(borrow)]
    properties: Properties<'p>,
}

/// Borrowed from the answer unless it holds escapes.
#[derive(Deserialize, Serialize)]
struct Text<'p>(#[serde(borrow)] Cow<'p, str>);

/// In HubSpot's order; a list is the cheapest that keeps it.
struct Properties<'p>(Vec<(Text<'p>, Option<Text<'p>>)>);

impl<'de: 'p, 'p> Deserialize<'de> for Properties<'p> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Properties<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of properties")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Properties(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[derive(Serialize)]
struct Message<'p> {
    r#type: &'static str,
    stream: &'static str,
    record: Record<'p>,
}

/// What a replay met, on stderr.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Replay {
    /// Of all bodies, after decompression.
    pub(crate) bytes: u64,
    /// From request to the body's end, of the one in the middle.
    pub(crate) median_secs: f64,
}

/// Runs as `fetch` or `copy`: `arguments` are the kind, the portal's URL and the file of requests.
pub(crate) fn run(arguments: &[String]) -> i32 {
    let [kind, url, requests] = arguments else { return 2 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(replay(kind == "copy", url, requests)) {
        Ok(replay) => {
            eprintln!("{}", serde_json::to_string(&replay).expect("JSON"));
            0
        }
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

async fn replay(copies: bool, url: &str, requests: &str) -> Result<Replay, Box<dyn Error>> {
    let requests: Vec<Replayed> = serde_json::from_slice(&fs::read(requests)?)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().build()?;
    let mut out = BufWriter::with_capacity(256 << 10, io::stdout().lock());
    let (mut bytes, mut times) = (0, Vec::new());
    for Replayed { method, path, query, body } in requests {
        let started = Instant::now();
        let mut request = client
            .request(Method::from_bytes(method.as_bytes())?, format!("{url}{path}?{query}"))
            .header("authorization", format!("Bearer {TOKEN}"));
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await?.error_for_status()?.bytes().await?;
        times.push(started.elapsed().as_secs_f64());
        bytes += u64::try_from(answer.len())?;
        if copies {
            copy(&answer, &mut out)?;
        }
    }
    out.flush()?;
    Ok(Replay { bytes, median_secs: super::process::middle(times.into_iter()) })
}

fn copy(answer: &[u8], out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let page: Page<'_> = serde_json::from_slice(answer)?;
    for record in page.results {
        serde_json::to_writer(&mut *out, &Message { r#type: "RECORD", stream: "tickets", record })?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
