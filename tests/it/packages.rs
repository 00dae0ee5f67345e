//! What people install: completions, the man page, the wheel, the image.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use hubspot_sandbox::Options;
use serde_json::Value;

use crate::support::clients::{building, repository, run, tool};
use crate::support::figures;
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tap::Tap;
use crate::support::targets::{SCHEMA, target_pg};

#[test]
fn completions_and_the_man_page_know_every_flag() {
    let portal = Portal::start(Options::with_tickets(1));
    let tap = Tap::of(&portal);
    let man = tap.finish(tap.bare_command(&["--man"])).succeeded();
    let bash = tap.finish(tap.bare_command(&["--completions", "bash"])).succeeded();
    for flag in ["config", "catalog", "state", "discover", "plan", "tenants", "quiet", "about"] {
        assert!(bash.text().contains(&format!("--{flag}")), "{flag}");
        assert!(man.text().contains(&format!("\\-\\-{flag}")), "{flag}");
    }
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(tap.finish(tap.bare_command(&["--completions", shell])).succeeded().stdout.len() > 1000, "{shell}");
    }
    fs::write(tap.path("completions.bash"), bash.text()).expect("a writable folder");
    let complete = "source completions.bash; \
        function=$(complete -p tap-hubspot-tickets | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
        COMP_WORDS=(tap-hubspot-tickets --dis); COMP_CWORD=1; \
        $function tap-hubspot-tickets --dis ''; echo ${COMPREPLY[@]}";
    assert_eq!(run(Command::new("bash").args(["-c", complete]).current_dir(tap.path(""))).trim(), "--discover");
}

/// As in the container image, which holds one program and links to it.
#[test]
fn the_tap_is_the_program_that_it_is_called_as() {
    let folder = tempfile::tempdir().expect("a folder");
    for (link, program) in [
        ("source-hubspot-tickets", "source-hubspot-tickets "),
        ("target-hubspot", "target-hubspot "),
        ("target-pg", "target-pg "),
        ("anything", "tap-hubspot-tickets "),
    ] {
        symlink(env!("CARGO_BIN_EXE_tap-hubspot-tickets"), folder.path().join(link)).expect("a link");
        let said = run(Command::new(folder.path().join(link)).arg("--version"));
        assert!(said.starts_with(program), "{link}: {said}");
    }
}

#[test]
#[ignore = "make test-clients builds the programs"]
fn cargo_installs_the_programs() {
    let folder = tempfile::tempdir().expect("a folder");
    for package in ["", "sandbox"] {
        let mut install = Command::new(env!("CARGO"));
        install.args(["install", "--locked", "--quiet", "--profile", "quick", "--path"]).arg(repository(package));
        run(building(&mut install).arg("--root").arg(folder.path()));
    }
    for program in ["tap-hubspot-tickets", "source-hubspot-tickets", "target-hubspot", "target-pg", "hubspot-sandbox"] {
        let said = run(Command::new(folder.path().join("bin").join(program)).arg("--version"));
        assert!(said.contains(env!("CARGO_PKG_VERSION")), "{program}: {said}");
    }
}

#[test]
#[ignore = "make test-clients builds the wheel"]
fn pip_installs_the_programs() {
    let folder = tempfile::tempdir().expect("a folder");
    run(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(folder.path()));
    let mut install = Command::new(folder.path().join("venv/bin/pip"));
    install.args(["install", "--disable-pip-version-check", "--quiet"]).arg(repository(""));
    run(building(&mut install));
    for program in ["tap-hubspot-tickets", "source-hubspot-tickets", "target-hubspot", "target-pg", "hubspot-sandbox"] {
        assert!(folder.path().join("venv/bin").join(program).is_file(), "{program}");
    }
    let said = run(Command::new(folder.path().join("venv/bin/tap-hubspot-tickets")).arg("--version"));
    assert_eq!(said, format!("tap-hubspot-tickets v{}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
#[ignore = "make test-clients builds the image"]
fn the_image_loads_a_portal() {
    let file = fs::read_to_string(repository("Containerfile")).expect("the Containerfile");
    let instructions: Vec<&str> = file.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert_eq!(instructions.first(), Some(&"FROM scratch"));
    for needed in
        ["COPY bin/ /usr/local/bin/", "USER 65532:65532", r#"ENTRYPOINT ["/usr/local/bin/tap-hubspot-tickets"]"#]
    {
        assert!(instructions.contains(&needed), "{needed}: {instructions:?}");
    }
    let possible = Command::new(tool("image.sh")).arg("possible").output().expect("the script runs");
    if !possible.status.success() {
        // The file alone is held to what it must say; that the one program is all of them is tested with every build.
        figures::tell("image", &format!("NOT BUILT: {}", String::from_utf8_lossy(&possible.stderr).trim()));
        return;
    }
    let portal = Portal::start(Options::with_tickets(15));
    let tap = Tap::unhurried(&portal);
    // The image's user is nobody in particular, and a temporary folder is closed to all others.
    fs::set_permissions(tap.path(""), fs::Permissions::from_mode(0o755)).expect("our own folder");
    run(building(Command::new(tool("image.sh")).arg("build")));
    let run_in_image =
        |arguments: &[&str]| run(Command::new(tool("image.sh")).arg("run").arg(tap.path("")).args(arguments));
    let said = run_in_image(&["tap-hubspot-tickets", "--config", "config.json"]);
    let tickets = said.lines().filter(|line| line.starts_with(r#"{"type":"RECORD","stream":"tickets""#)).count();
    assert_eq!(tickets, portal.truth().list("tickets").len(), "{said}");
    let database = Database::create();
    let _ = target_pg(&tap, &database);
    fs::File::create(tap.path("state.json")).expect("a file");
    fs::set_permissions(tap.path(""), fs::Permissions::from_mode(0o777)).expect("our own folder");
    fs::set_permissions(tap.path("state.json"), fs::Permissions::from_mode(0o666)).expect("our own file");
    // The line of the Kubernetes sample, whose image this is.
    let sample = fs::read_to_string(repository("sample_configs/kubernetes/tenants.yaml")).expect("the sample");
    assert!(sample.contains("/tap-hubspot-tickets:") && sample.contains("--output=target-pg --config "), "{sample}");
    let output = "--output=target-pg --config target.json";
    run_in_image(&["tap-hubspot-tickets", "--config=config.json", "--state=state.json", output]);
    let held = database.number(&format!("select count(*) from {SCHEMA}.tickets where not archived"));
    assert_eq!(usize::try_from(held).expect("a count"), portal.truth().live_tickets().len());
    assert!(fs::read_to_string(tap.path("state.json")).expect("a state").contains("bookmarks"));
    assert!(run_in_image(&["source-hubspot-tickets", "spec"]).contains(r#""type":"SPEC""#));
    assert_eq!(
        run_in_image(&["target-hubspot", "--version"]),
        concat!("target-hubspot v", env!("CARGO_PKG_VERSION"), "\n")
    );
    let told = run(Command::new(tool("image.sh")).arg("describe"));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["user"], "65532:65532");
    assert_eq!(told["linked"], "static");
    assert!(told["megabytes"].as_f64().is_some_and(|size| size < 20.0), "{told}");
    figures::tell("image", &format!("{} MB, all programs in one, as {}", told["megabytes"], told["user"]));
}
