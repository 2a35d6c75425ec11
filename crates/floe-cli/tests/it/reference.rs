//! The reference of the command line: the help of every command there is.

use crate::environment::{User, stdout};

/// The names listed under `Commands:`.
fn commands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

#[test]
fn help_of_every_command() {
    let user = User::new();
    let help = stdout(&user.floe(&["--help"], 0));
    let mut reference = format!("# floe\n\n{help}");
    let names = commands(&help);
    assert!(names.contains(&"ls".to_owned()), "{help}");
    for name in names.into_iter().filter(|name| name != "help") {
        let help = stdout(&user.floe(&[&name, "--help"], 0));
        reference.push_str(&format!("\n# floe {name}\n\n{help}"));
        for inner in commands(&help).into_iter().filter(|inner| inner != "help") {
            let help = stdout(&user.floe(&[&name, &inner, "--help"], 0));
            reference.push_str(&format!("\n# floe {name} {inner}\n\n{help}"));
        }
    }
    insta::assert_snapshot!(reference);
}

#[test]
fn what_is_not_built_does_not_exist() {
    let user = User::new();
    for command in ["mount", "nbd", "uffd", "serve", "deploy", "git", "cp", "gc"] {
        let refused = user.floe(&[command], 2);
        assert!(user.stderr(&refused).contains("unrecognized subcommand"), "{command}");
    }
}

#[test]
fn help_is_a_command_too() {
    let user = User::new();
    let help = |arguments: &[&str]| stdout(&user.floe(arguments, 0));
    assert_eq!(help(&["help"]), help(&["--help"]));
    assert_eq!(help(&["help", "push"]), help(&["push", "--help"]));
}

#[test]
fn completions_name_the_commands() {
    let user = User::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(stdout(&user.floe(&["completions", shell], 0)).contains("completions"), "{shell}");
    }
    user.floe(&["completions", "tcl"], 2);
}

#[test]
fn the_version_is_told() {
    let user = User::new();
    let version = stdout(&user.floe(&["--version"], 0));
    assert_eq!(version, format!("floe {}\n", env!("CARGO_PKG_VERSION")));
}
