//! The floor programs: what the same answers cost at the least. `fetch` fetches them and drops them; `copy` also parses
//! each record into a struct and writes it as a message, with no types, no checks and no order to keep.
//!
//! They replay the requests that the tap sent, one after another, with the tap's HTTP library in the tap's setting.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::time::Instant;

use reqwest::{Client, Method};
use serde::{Deserialize, Serialize};

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
struct Page {
    #[serde(default)]
    results: Vec<Record>,
}

#[derive(Deserialize, Serialize)]
struct Record {
    id: String,
    #[serde(rename = "createdAt")]
    created_at: String,
    #[serde(rename = "updatedAt")]
    updated_at: String,
    archived: bool,
    properties: BTreeMap<String, Option<String>>,
}

#[derive(Serialize)]
struct Message {
    r#type: &'static str,
    stream: &'static str,
    record: Record,
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
    let page: Page = serde_json::from_slice(answer)?;
    for record in page.results {
        serde_json::to_writer(&mut *out, &Message { r#type: "RECORD", stream: "tickets", record })?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
