//! The command line of `--output` as a process that can be started.

use std::path::Path;
use std::process::Command;

/// Characters that have a meaning for a shell alone, wherever they stand.
const OF_THE_SHELL: &[char] =
    &['|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '?', '[', ']', '#', '~', '{', '}', '!', '\n'];

/// What to start, and what to start instead where there is no such program: plain words are a program and its arguments, and
/// anything else is for a shell. So a container image needs no shell, and no process stands between the tap and the target.
pub(super) fn commands(line: &str, folder: Option<&Path>) -> Vec<Command> {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]);
    // A word that is no program may be the shell's own, such as exec.
    let mut commands: Vec<Command> = program(line, folder).into_iter().chain([shell]).collect();
    if let Some(folder) = folder {
        for command in &mut commands {
            command.current_dir(folder);
        }
    }
    commands
}

fn program(line: &str, folder: Option<&Path>) -> Option<Command> {
    let words = if line.contains(OF_THE_SHELL) { None } else { shlex::split(line) }?;
    let (program, arguments) = words.split_first()?;
    // A variable for the program.
    if program.contains('=') {
        return None;
    }
    let mut command = match folder {
        // The program's own place counts, not that of the tap.
        Some(folder) if program.contains('/') => Command::new(folder.join(program)),
        _ => Command::new(program),
    };
    command.args(arguments);
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let command = commands(line, Some(Path::new("/tenant"))).remove(0);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn plain_words_are_a_program_and_all_else_is_for_the_shell() {
        for (line, expected) in [
            ("target-pg --config target.json", vec!["target-pg", "--config", "target.json"]),
            (" target-pg  --config 'my target.json' ", vec!["target-pg", "--config", "my target.json"]),
            ("./target \"a\\\\b\"", vec!["/tenant/./target", "a\\b"]),
            ("/opt/target", vec!["/opt/target"]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
        for line in ["tee a | target", "A=1 target", "target > log", "target $HOME", "target 'unclosed", "a\nb", ""] {
            assert_eq!(words(line), ["sh", "-c", line]);
        }
    }
}
