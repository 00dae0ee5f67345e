//! `make bench`: what the tap costs, measured against the sandbox portal in a process of its own.
//!
//! Named benchmarks run, or all of them; `page` writes what they found last into `docs/performance.*`.

#![expect(clippy::print_stdout, reason = "the tables are for people")]

mod benches;
mod floor;
mod goals;
mod loading;
mod page;
mod plot;
mod portal;
mod postgres;
mod process;
mod publish;
mod report;
mod singer_io;
mod tap;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((mode, rest)) if mode == process::MODE => return exit(process::run_measured(rest)),
        Some((mode, rest)) if mode == floor::MODE => return exit(floor::run(rest)),
        Some((mode, rest)) if mode == portal::MODE => return portal::run(rest),
        _ => {}
    }
    // Cargo says what kind of program this is.
    let names: Vec<&str> = arguments.iter().map(String::as_str).filter(|name| *name != "--bench").collect();
    if names == ["page"] {
        publish::write_page();
        return ExitCode::SUCCESS;
    }
    let unknown = names.iter().find(|name| !benches::ALL.iter().any(|(known, _)| known == *name));
    if let Some(name) = unknown {
        let known: Vec<&str> = benches::ALL.iter().map(|(name, _)| *name).collect();
        eprintln!("there is no benchmark {name}; there are {} and page", known.join(", "));
        return ExitCode::from(2);
    }
    for (name, bench) in benches::ALL {
        if names.is_empty() || names.contains(&name) {
            eprintln!("{name}");
            bench();
        }
    }
    ExitCode::SUCCESS
}

fn exit(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
