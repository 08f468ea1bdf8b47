//! The payload on stdout and nothing else; what happens when it can't be written.
use super::command::{Ended, qint, run};
use std::{fs::OpenOptions, process::Stdio};

#[test]
fn doctor_prints_one_document() {
    let document = run("doctor --json").fine().json();
    assert_eq!(document["schema"], "qint.doctor/1");
    for field in ["version", "os", "arch", "cpu", "backend", "threads"] {
        assert!(!document["environment"][field].is_null() || field == "cpu", "{field}: {document}");
    }
}

#[test]
fn doctor_says_of_every_backend_whether_it_is_there_and_why() {
    let document = run("doctor --json").fine().json();
    let ended = run("doctor");
    let text = &ended.fine().stdout;
    let known = document["known_backends"].as_array().expect("a list");
    let mut available = Vec::new();
    for backend in known {
        let missing = backend["missing"].as_array().expect("a list");
        let name = backend["name"].as_str().expect("a name");
        let line = text.lines().find(|line| line.contains(&format!("  {name} "))).expect("a line for each");
        assert_eq!(backend["available"], missing.is_empty(), "{backend}");
        assert_eq!(line.contains("not available"), !missing.is_empty(), "{line}");
        assert!(missing.iter().all(|feature| line.contains(feature.as_str().expect("a name"))), "{line}");
        if missing.is_empty() {
            available.push(name);
        }
    }
    assert_eq!(document["backends"], serde_json::json!(available));
    assert_eq!(document["backend"]["name"], available[0]);
    assert_eq!(available.last(), Some(&"portable"));
}

#[test]
fn a_backend_that_is_not_there_is_refused_and_the_others_are_named() {
    run("doctor --backend abacus").refused(2, "portable");
    let ended = Ended::new(&qint(["doctor"]).env("QINT_BACKEND", "abacus").output().expect("qint starts"));
    ended.refused(2, "`abacus`");
    let chosen = qint(["doctor", "--json"]).env("QINT_BACKEND", "portable").output().expect("qint starts");
    assert_eq!(Ended::new(&chosen).json()["backend"]["name"], "portable");
}

#[test]
fn wrong_arguments_are_usage_errors() {
    run("").refused(2, "Usage:");
    run("frobnicate").refused(2, "frobnicate");
    run("run").refused(2, "MODEL");
    run("run x").refused(2, "--prompt");
    run("run x -p y --temp NaN").refused(2, "finite");
    run("run x -p y --temp=-1").refused(2, "0 or more");
    run("run x -p y --top-p 1.5").refused(2, "from 0 to 1");
    run("run x -p y -n 0").refused(2, "0");
    run("run x -m z -p y").refused(2, "cannot be used with");
    run("doctor -t 0").refused(2, "0");
}

#[test]
fn commands_that_do_not_exist_yet_are_not_promised() {
    let help = run("--help").stdout;
    for absent in ["pull", "serve", "calibrate"] {
        assert!(!help.contains(&format!("\n  {absent} ")), "{absent}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_a_resource_error() {
    for arguments in [&["doctor"][..], &["doctor", "--json"], &["--help"], &["--version"], &["completions", "zsh"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let output = qint(arguments).stdout(full).output().expect("qint starts");
        Ended::new(&output).refused(8, "No space left");
    }
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_quietly() {
    for arguments in [&["doctor"][..], &["--help"], &["completions", "bash"]] {
        let ended = Ended::new(&qint(arguments).stdout(closed_pipe()).output().expect("qint starts"));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(141), ""));
    }
}

/// The writing end of a pipe that nobody reads.
#[cfg(unix)]
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}
