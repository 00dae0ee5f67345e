//! The sandbox portal as a process of its own, so that what it costs is not counted. It is this program again: the sandbox
//! is a library of the benchmarks, and Cargo builds no program of another package for them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The argument that makes the benchmarks' program the sandbox.
pub(crate) const MODE: &str = "--sandbox";
/// Making a large portal takes this long at most.
const PATIENCE: Duration = Duration::from_secs(120);
/// Ticket properties of a sandbox portal besides its custom ones.
const PROPERTIES_OF_HUBSPOT: usize = 227;

/// A portal that ends with the value.
pub(crate) struct Portal {
    process: Child,
    pub(crate) url: String,
}

/// What a portal is started with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    pub(crate) tickets: u64,
    /// Ticket properties in all; none: the sandbox's default.
    pub(crate) properties: Option<usize>,
    /// Made when they are read; with few contacts and companies, which are held.
    pub(crate) on_the_fly: bool,
    pub(crate) gzip: bool,
    pub(crate) latency: Duration,
    /// HubSpot's limits of a Professional account, or none.
    pub(crate) limited: bool,
}

/// Is the sandbox's program, with what follows [`MODE`] as its arguments.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let program = std::iter::once("hubspot-sandbox".into());
    hubspot_sandbox::cli::run(program.chain(arguments.iter().map(Into::into)))
}

impl Portal {
    /// Starts one that keeps its log in `folder`.
    pub(crate) fn start(shape: &Shape, folder: &Path) -> Self {
        let url_file = folder.join("url");
        let _ = fs::remove_file(&url_file);
        let mut command = Command::new(std::env::current_exe().expect("our own program"));
        command.arg(MODE).arg("--url-file").arg(&url_file).args(["--tickets", &shape.tickets.to_string()]);
        if let Some(properties) = shape.properties {
            let custom = properties.checked_sub(PROPERTIES_OF_HUBSPOT).expect("at least HubSpot's own properties");
            command.args(["--custom-properties", &custom.to_string()]);
        }
        if shape.on_the_fly {
            command.args(["--virtual-tickets", "--contacts", "20000", "--companies", "6000", "--deals", "100"]);
        }
        if !shape.gzip {
            command.arg("--no-gzip");
        }
        if !shape.limited {
            command.arg("--unlimited");
        }
        command.args(["--latency-ms", &shape.latency.as_millis().to_string()]);
        let process = command.stdout(Stdio::null()).spawn().expect("the sandbox runs");
        let mut portal = Self { process, url: String::new() };
        portal.url = portal.wait_for(&url_file);
        portal
    }

    fn wait_for(&mut self, url_file: &PathBuf) -> String {
        let started = Instant::now();
        loop {
            if let Ok(url) = fs::read_to_string(url_file) {
                return url.trim().to_owned();
            }
            let ended = self.process.try_wait().expect("a child");
            assert!(ended.is_none() && started.elapsed() < PATIENCE, "the sandbox did not start");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Forgets the requests so far, and their counts.
    pub(crate) fn forget_requests(&self) {
        self.control("DELETE", "requests");
    }

    /// Requests by endpoint, pool and status.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        serde_json::from_slice(&self.control("GET", "counts")).expect("counts")
    }

    /// The latest requests, up to 10,000.
    pub(crate) fn requests(&self) -> Vec<Value> {
        serde_json::from_slice(&self.control("GET", "requests")).expect("requests")
    }

    fn control(&self, method: &str, call: &str) -> Vec<u8> {
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("the sandbox listens");
        write!(stream, "{method} /_sandbox/{call} HTTP/1.0\r\nhost: {host}\r\nconnection: close\r\n\r\n")
            .expect("the sandbox reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the sandbox answers");
        let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an HTTP answer") + 4;
        answer.split_off(body)
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        // Nothing of it is wanted any more; a failure means that it is gone.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
