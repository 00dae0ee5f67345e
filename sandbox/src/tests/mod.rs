//! How the sandbox behaves over HTTP.

use chrono::DateTime;
use serde_json::Value;

use super::*;

mod access;
mod history;
mod objects;
mod reading;
mod searching;
mod writing;

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

async fn send(sandbox: &Sandbox, token: &str, path: &str, body: Option<String>) -> Answer {
    // Another test may have installed it already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::new();
    let url = format!("{}{path}", sandbox.url());
    let request = match body {
        None => client.get(url),
        Some(body) => client.post(url).body(body),
    };
    let response = request.bearer_auth(token).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

async fn get(sandbox: &Sandbox, path: &str) -> Answer {
    send(sandbox, &sandbox.access_token(), path, None).await
}

async fn post(sandbox: &Sandbox, path: &str, body: Value) -> Answer {
    send(sandbox, &sandbox.access_token(), path, Some(body.to_string())).await
}

/// A portal of 250 tickets with a clock that stands still.
fn small() -> Options {
    let start_time = DateTime::from_timestamp(1_750_000_000, 0);
    Options { start_time, ..Options::with_tickets(250) }
}

async fn list_all(sandbox: &Sandbox, path: &str) -> Vec<Value> {
    let mut records = Vec::new();
    let mut after = String::new();
    loop {
        let page = get(sandbox, &format!("{path}&limit=100{after}")).await.json();
        records.extend(page["results"].as_array().unwrap().iter().cloned());
        match page["paging"]["next"]["after"].as_str() {
            Some(next) => after = format!("&after={}", next.replace('%', "%25")),
            None => return records,
        }
    }
}

fn ids(records: &[Value]) -> Vec<u64> {
    records.iter().map(|record| record["id"].as_str().unwrap().parse().unwrap()).collect()
}

fn true_ids(sandbox: &Sandbox, archived: bool) -> Vec<u64> {
    let truth = sandbox.truth();
    let tickets = truth["tickets"].as_array().unwrap().iter();
    let wanted: Vec<Value> =
        tickets.filter(|t| t["archived"] == archived && t["merged_into"].is_null()).cloned().collect();
    ids(&wanted)
}
