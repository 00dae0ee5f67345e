//! The program `hubspot-sandbox`.

use std::net::TcpListener;
use std::process::Command;

use hubspot_sandbox::BEHAVIOURS;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_hubspot-sandbox"))
}

#[test]
fn help_lists_every_behaviour() {
    let help = program().arg("--help").output().expect("the program runs");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    for behaviour in BEHAVIOURS {
        assert!(help.contains(behaviour.name), "{} is not in:\n{help}", behaviour.name);
    }
}

#[test]
fn a_port_in_use_is_an_error_of_one_line_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = program().args(["--tickets", "1", "--port", &port]).output().expect("the program runs");
    assert!(!output.status.success());
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for part in ["in use", &port, "choose another --port"] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}
