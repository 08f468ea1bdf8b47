//! Ctrl-C, a reader that goes away, and a model file that shrinks, all in the middle of a text.
use super::{
    command::{Ended, qint},
    models::endless,
};
use std::{
    fs::OpenOptions,
    io::{Read, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const ENDLESS: [&str; 6] = ["-q", "--ignore-eos", "-n", "90000", "-t", "1"];

/// `qint run` on a model that does not stop, once it has written something.
fn writing(model: &Path, more: &[&str]) -> (Child, ChildStdout) {
    let mut command = qint(["run", "-p", "ROMEO:"]);
    command.arg(model).args(ENDLESS).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("qint starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    read_some(&mut stdout);
    (child, stdout)
}

/// `qint chat` on such a model.
fn chatting(model: &Path) -> (Child, ChildStdin, ChildStdout) {
    let mut command = qint(["chat"]);
    command.arg(model).args(ENDLESS);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("qint starts");
    let (stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    (child, stdin, stdout)
}

fn read_some(stdout: &mut ChildStdout) {
    stdout.read_exact(&mut [0; 8]).expect("some text");
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(status.expect("kill").success());
}

/// Waits for the end, reading on.
fn end(child: Child, mut stdout: ChildStdout) -> Ended {
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("the rest");
    Ended::new(&child.wait_with_output().expect("qint ends"))
}

#[test]
fn an_interrupted_run_ends_with_130() {
    let (child, stdout) = writing(&endless("interrupt"), &[]);
    interrupt(&child);
    let ended = end(child, stdout);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(130), "error: interrupted\n"));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let (child, stdout) = writing(&endless("reader"), &[]);
    drop(stdout);
    let ended = Ended::new(&child.wait_with_output().expect("qint ends"));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(141), ""));
}

#[test]
fn a_model_that_shrinks_is_one_line_and_malformed() {
    let model = endless("shrinks");
    let (child, stdout) = writing(&model, &[]);
    OpenOptions::new().write(true).open(&model).expect("the model").set_len(4096).expect("a shorter file");
    let ended = end(child, stdout);
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(5), 1), "{ended:?}");
    assert!(ended.stderr.contains("--no-mmap"), "{ended:?}");
}

#[test]
fn a_model_in_memory_may_shrink() {
    let model = endless("memory");
    let (child, mut stdout) = writing(&model, &["--no-mmap"]);
    OpenOptions::new().write(true).open(&model).expect("the model").set_len(4096).expect("a shorter file");
    for _ in 0..100 {
        read_some(&mut stdout);
    }
    interrupt(&child);
    assert_eq!(end(child, stdout).code, Some(130));
}

#[test]
fn in_a_chat_the_first_interrupt_stops_the_answer() {
    let (child, mut stdin, mut stdout) = chatting(&endless("chat-interrupt"));
    for _ in 0..2 {
        stdin.write_all(b"Hello\n").expect("a line");
        read_some(&mut stdout);
        interrupt(&child);
    }
    stdin.write_all(b"/exit\n").expect("a line");
    let ended = end(child, stdout);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn an_interrupt_while_a_chat_waits_ends_it() {
    let (child, mut stdin, mut stdout) = chatting(&endless("chat-waits"));
    stdin.write_all(b"Hello\n").expect("a line");
    read_some(&mut stdout);
    interrupt(&child);
    // The answer's end is a line feed that comes after everything else.
    std::thread::sleep(std::time::Duration::from_millis(500));
    interrupt(&child);
    assert_eq!(end(child, stdout).code, Some(130));
    drop(stdin);
}

#[test]
fn a_measurement_can_be_interrupted() {
    let mut command = qint(["bench", "-q", "-p", "64", "-n", "0", "-r", "100000000", "-t", "1"]);
    command.arg(endless("bench")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("qint starts");
    std::thread::sleep(std::time::Duration::from_millis(1000));
    interrupt(&child);
    let stdout = child.stdout.take().expect("a pipe");
    assert_eq!(end(child, stdout).code, Some(130));
}
