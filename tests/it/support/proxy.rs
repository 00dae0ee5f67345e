//! A way to the portal that can be closed: requests go through until one matches, then connections are refused.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A listener that forwards to a portal.
pub(crate) struct Proxy {
    address: SocketAddr,
    trap: Arc<Mutex<Trap>>,
}

/// Which request closes the way, and for how long.
#[derive(Debug, Default)]
struct Trap {
    matches: Option<String>,
    closed_for: Option<Duration>,
    sprung: bool,
    ended: bool,
}

impl Proxy {
    /// Forwards to `http://HOST:PORT`.
    pub(crate) fn start(url: &str) -> Self {
        let portal: SocketAddr = url.trim_start_matches("http://").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let trap = Arc::new(Mutex::new(Trap::default()));
        let shared = Arc::clone(&trap);
        thread::spawn(move || accept(listener, address, portal, &shared));
        Self { address, trap }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Closes the way at the next request whose line contains `matches`, for some time or for good.
    pub(crate) fn close_at(&self, matches: &str, closed_for: Option<Duration>) {
        let mut trap = self.trap.lock().expect("a trap");
        *trap = Trap { matches: Some(matches.to_owned()), closed_for, ..Trap::default() };
    }

    /// Whether the way was closed since the last [`Self::close_at`].
    pub(crate) fn was_closed(&self) -> bool {
        self.trap.lock().expect("a trap").sprung
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.trap.lock().expect("a trap").ended = true;
        // The thread that accepts sees it with the next connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(mut listener: TcpListener, address: SocketAddr, portal: SocketAddr, trap: &Arc<Mutex<Trap>>) {
    let (closed, way_closed) = std::sync::mpsc::channel();
    loop {
        listener.set_nonblocking(true).expect("a listener");
        // Ten milliseconds at most between a request that closes the way and the way being closed.
        while let Ok(closed_for) = way_closed.try_recv() {
            drop(listener);
            let Some(closed_for) = closed_for else { return };
            thread::sleep(closed_for);
            listener = TcpListener::bind(address).expect("the same port");
            listener.set_nonblocking(true).expect("a listener");
        }
        if trap.lock().expect("a trap").ended {
            return;
        }
        match listener.accept() {
            Ok((client, _)) => {
                let (trap, closed) = (Arc::clone(trap), closed.clone());
                // A connection that breaks is the test's business.
                thread::spawn(move || drop(forward(client, portal, &trap, &closed)));
            }
            Err(_) => thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn forward(
    client: TcpStream,
    portal: SocketAddr,
    trap: &Mutex<Trap>,
    closed: &std::sync::mpsc::Sender<Option<Duration>>,
) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let server = TcpStream::connect(portal)?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let copied = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(std::net::Shutdown::Both);
        copied
    });
    let (mut reader, mut server) = (BufReader::new(client), server);
    loop {
        let mut head = Vec::new();
        let mut length = 0;
        while !head.ends_with(b"\r\n\r\n") {
            let begin = head.len();
            if reader.read_until(b'\n', &mut head)? == 0 {
                return server.shutdown(std::net::Shutdown::Both);
            }
            let line = String::from_utf8_lossy(&head[begin..]).to_ascii_lowercase();
            if let Some(number) = line.strip_prefix("content-length:") {
                length = number.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        let mut set = trap.lock().expect("a trap");
        if !set.sprung && set.matches.as_ref().is_some_and(|matches| line.contains(matches)) {
            set.sprung = true;
            closed.send(set.closed_for).map_err(io::Error::other)?;
            drop(set);
            // Refused from the instant on at which the client learns of it.
            thread::sleep(Duration::from_millis(10));
            return server.shutdown(std::net::Shutdown::Both);
        }
        if set.sprung && set.closed_for.is_none() {
            return server.shutdown(std::net::Shutdown::Both);
        }
        drop(set);
        server.write_all(&head)?;
        server.write_all(&body)?;
    }
}
