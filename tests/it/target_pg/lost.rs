//! Loaders that are killed, and servers that are restarted: nothing is lost, and nothing is there twice.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use crate::support::delivery::{lines, record, state};
use crate::support::loader::{Loader, schema};
use crate::support::own_server::OwnServer;
use crate::support::postgres::Database;

/// Records of the source.
const RECORDS: u64 = 60_000;
/// Records between two states.
const STATE_EVERY: u64 = 250;

/// A source that goes on from a state: a stream with a key, of which every record comes twice, and one without.
fn messages(from: u64) -> Vec<Value> {
    let properties = json!({"id": {"type": "integer"}, "v": {"type": "string"}});
    let mut messages = vec![schema("keyed", properties.clone(), &["id"]), schema("plain", properties, &[])];
    for id in from..RECORDS {
        let row =
            |stream: &str, id: u64| record(stream, json!({"id": id, "v": format!("value {id} {}", "x".repeat(100))}));
        messages.extend([row("keyed", id / 2), row("plain", id)]);
        if (id + 1).is_multiple_of(STATE_EVERY) {
            messages.push(state(json!({"next": id + 1})));
        }
    }
    messages
}

/// What happens when a run has written a number of states.
#[derive(Clone, Copy)]
enum Event<'s> {
    Kill,
    Crash(&'s OwnServer),
    /// The server ends the loader's session, a few milliseconds later.
    EndSession(&'s Database),
    /// The process of the loader's session is killed, after which Postgres starts all of its processes anew.
    KillSession(&'s Database),
}

/// Runs from a state on, with an event after each of some states; gives the last state, and whether it ran to its end.
fn run(loader: &Loader, from: u64, events: &[(usize, Event<'_>)]) -> (u64, bool) {
    std::fs::write(loader.path("input.jsonl"), lines(&messages(from))).expect("a writable folder");
    let input = std::fs::File::open(loader.path("input.jsonl")).expect("the input");
    let mut child = loader.command(&[]).stdin(input).spawn().expect("the target runs");
    let mut last = from;
    for (at, line) in BufReader::new(child.stdout.take().expect("a pipe")).lines().enumerate() {
        let state: Value = serde_json::from_str(&line.expect("a line")).expect("a state");
        last = state["next"].as_u64().expect("a number");
        for (_, event) in events.iter().filter(|(after, _)| *after == at) {
            match event {
                Event::Kill => child.kill().expect("a running target"),
                Event::Crash(server) => server.crash(),
                Event::EndSession(database) => end_sessions(database),
                Event::KillSession(database) => kill_sessions(database),
            }
        }
    }
    (last, child.wait().expect("a child").success())
}

/// Ends all sessions of a database but the one that asks, after a random time in which a loader writes its next batch.
fn end_sessions(database: &Database) {
    database.rows("select pg_sleep(random() * 0.03)");
    database.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity \
         where datname = current_database() and pid <> pg_backend_pid()",
    );
}

/// Kills the processes of all sessions of a database but the one that asks.
fn kill_sessions(database: &Database) {
    let sessions = database.rows(
        "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
         and backend_type = 'client backend'",
    );
    for pid in sessions.concat().into_iter().flatten() {
        assert!(Command::new("kill").args(["-KILL", &pid]).status().expect("kill runs").success());
    }
}

fn assert_keyed_is_whole(database: &Database) {
    let wrong = format!(
        "select count(*) from (select n / 2 as id, max(n) as last from generate_series(0, {RECORDS} - 1) n group by 1) w \
         full join loaded.keyed t on t.id = w.id where t.id is null or w.id is null or t.v not like 'value ' || w.id || ' %'"
    );
    assert_eq!(database.number(&wrong), 0);
    assert_eq!(database.number("select count(*) from loaded.keyed") as u64, RECORDS / 2);
}

#[test]
fn killed_again_and_again_a_load_loses_nothing() {
    let database = Database::create();
    let mut loader = Loader::of(&database);
    loader.set("batch_size_rows", json!(2_000));
    let mut from = 0;
    for after in [0, 3, 1, 5, 2, 0] {
        let (last, ended) = run(&loader, from, &[(after, Event::Kill)]);
        assert!(!ended && last > from, "{from} {last}: {}", loader.log());
        from = last;
    }
    assert!(run(&loader, from, &[]).1, "{}", loader.log());
    assert_keyed_is_whole(&database);
    // Rows without a key that were committed after the last state come again, as in every target.
    assert_eq!(database.number("select count(distinct id) from loaded.plain") as u64, RECORDS);
}

#[test]
fn a_server_that_crashes_and_comes_back_costs_no_row_and_doubles_none() {
    let server = OwnServer::start();
    let mut loader = Loader::of(&server.database);
    loader.set("batch_size_rows", json!(2_000));
    for after in [1, 4] {
        server.database.rows("drop schema if exists loaded cascade");
        let (last, ended) = run(&loader, 0, &[(after, Event::Crash(&server))]);
        assert!(ended, "{}", loader.log());
        assert_eq!(last, RECORDS);
        assert!(loader.log().contains("trying again"), "{}", loader.log());
        assert_keyed_is_whole(&server.database);
        let plain = server.database.number("select count(*) from loaded.plain");
        assert_eq!(plain as u64, RECORDS, "rows without a key are there once");
    }
}

#[test]
fn sessions_that_the_server_ends_at_any_moment_cost_no_row_and_double_none() {
    let database = Database::create();
    let mut loader = Loader::of(&database);
    loader.set("batch_size_rows", json!(2_000));
    let events: Vec<_> = (0..20).map(|after| (after, Event::EndSession(&database))).collect();
    let (last, ended) = run(&loader, 0, &events);
    assert!(ended && last == RECORDS, "{last}: {}", loader.log());
    assert!(loader.log().contains("trying again"), "{}", loader.log());
    assert_keyed_is_whole(&database);
    assert_eq!(
        database.number("select count(*) from loaded.plain") as u64,
        RECORDS,
        "each row without a key is there once"
    );
}

#[test]
fn a_killed_process_of_the_server_costs_no_row_and_doubles_none() {
    let server = OwnServer::start();
    let mut loader = Loader::of(&server.database);
    loader.set("batch_size_rows", json!(2_000));
    for after in [0, 3, 9] {
        server.database.rows("drop schema if exists loaded cascade");
        let (last, ended) = run(&loader, 0, &[(after, Event::KillSession(&server.database))]);
        assert!(ended && last == RECORDS, "{last}: {}", loader.log());
        assert!(loader.log().contains("trying again"), "{}", loader.log());
        assert_keyed_is_whole(&server.database);
        let plain = server.database.number("select count(*) from loaded.plain");
        assert_eq!(plain as u64, RECORDS, "rows without a key are there once");
    }
}

/// What a network does to the first commit that it carries.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// It reaches the server, and its answer is lost.
    Answer,
    /// It is lost, and the server does not notice that nobody is there any more.
    Commit,
}

/// A way to a server that breaks down at the first commit, and is whole again at once; gives its address.
fn breaking_way(server: String, cut: Cut) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        let mut cut = Some(cut);
        let mut forgotten = Vec::new();
        for client in listener.incoming() {
            let (client, server) = (client.expect("a client"), TcpStream::connect(&server).expect("the server"));
            let (mut from_server, mut to_client) =
                (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
            thread::spawn(move || io::copy(&mut from_server, &mut to_client));
            // The server's end of a connection that broke down stays open.
            forgotten.push(server.try_clone().expect("a socket"));
            if carry_until_commit(client, server, cut).is_ok_and(|was_cut| was_cut) {
                cut = None;
            }
        }
    });
    address
}

/// Carries what a client says; true when the way broke down at its commit.
fn carry_until_commit(mut client: TcpStream, mut server: TcpStream, cut: Option<Cut>) -> io::Result<bool> {
    let mut buffer = [0; 65_536];
    loop {
        let count = client.read(&mut buffer)?;
        let said = &buffer[..count];
        let is_commit = said.ends_with(b"commit\0");
        match cut {
            Some(cut) if is_commit => {
                client.shutdown(Shutdown::Both)?;
                if matches!(cut, Cut::Answer) {
                    server.write_all(said)?;
                }
                return Ok(true);
            }
            _ if count == 0 => return server.shutdown(Shutdown::Both).map(|()| false),
            _ => server.write_all(said)?,
        }
    }
}

#[test]
fn a_commit_whose_answer_is_lost_and_one_that_never_came_leave_every_row_once() {
    for cut in [Cut::Answer, Cut::Commit] {
        let database = Database::create();
        let [user, password, host, port, name] = database.parts();
        let way = breaking_way(format!("{host}:{port}"), cut);
        let mut loader = Loader::of(&database);
        loader.set("sqlalchemy_url", json!(format!("postgresql://{user}:{password}@{way}/{name}")));
        let row = |id: u32| record("s", json!({"id": id}));
        let id = json!({"id": {"type": "integer"}});
        let schemas = [schema("s", id.clone(), &[]), schema("keyed", id, &["id"])];
        let rows = [row(1), row(2), record("keyed", json!({"id": 1})), state(json!("all"))];
        let messages = [schemas.as_slice(), &rows].concat();
        let finished = loader.load(&messages).succeeded();
        assert_eq!(finished.text(), "\"all\"\n", "{cut:?}");
        assert_eq!(finished.said("trying again"), 1, "{cut:?}: {}", finished.stderr);
        assert_eq!(database.number("select count(*) from loaded.s"), 2, "{cut:?}");
        assert_eq!(database.number("select count(*) from loaded.keyed"), 1, "{cut:?}");
    }
}

/// A way to a server whose first connections break down after so many bytes of what the client says; gives its address.
fn fraying_way(server: String, lengths: Vec<u64>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        let lengths = lengths.into_iter().map(Some).chain(std::iter::repeat(None));
        for (client, length) in listener.incoming().zip(lengths) {
            let (mut client, mut server) =
                (client.expect("a client"), TcpStream::connect(&server).expect("the server"));
            let (mut from_server, mut to_client) =
                (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
            thread::spawn(move || io::copy(&mut from_server, &mut to_client));
            thread::spawn(move || {
                let carried = io::copy(&mut Read::by_ref(&mut client).take(length.unwrap_or(u64::MAX)), &mut server);
                let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
                carried
            });
        }
    });
    address
}

#[test]
fn a_connection_that_breaks_anywhere_costs_no_row_and_doubles_none() {
    let database = Database::create();
    let [user, password, host, port, name] = database.parts();
    // From the first greeting to the last batch; a load says about 400 kB.
    let lengths = vec![5, 90, 300, 700, 1_200, 1_900, 2_400, 3_300, 5_000, 20_000, 60_000, 61_000, 100_000, 150_000];
    let way = fraying_way(format!("{host}:{port}"), lengths);
    let mut loader = Loader::of(&database);
    loader
        .set("sqlalchemy_url", json!(format!("postgresql://{user}:{password}@{way}/{name}")))
        .set("batch_size_rows", json!(300));
    let id = json!({"id": {"type": "integer"}, "v": {"type": "string"}});
    let mut messages = vec![schema("plain", id.clone(), &[]), schema("keyed", id, &["id"])];
    for id in 0..1_000 {
        messages.extend(["plain", "keyed"].map(|stream| record(stream, json!({"id": id, "v": "x".repeat(40)}))));
    }
    messages.push(state(json!("all")));
    let finished = loader.load(&messages).succeeded();
    assert!(finished.text().ends_with("\"all\"\n"), "{}", finished.text());
    assert!(finished.said("trying again") > 3, "{}", finished.stderr);
    for stream in ["plain", "keyed"] {
        let ids = format!("select count(*) * 10000 + count(distinct id) from loaded.{stream}");
        assert_eq!(database.number(&ids), 10_001_000, "{stream}");
    }
}
