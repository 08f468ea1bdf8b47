//! A program that runs to its end: what it printed, and the memory it took.
use crate::errors::{Failure, Result};
use qint_std::Error;
use std::{
    io::{self, Read},
    process::{Command, Stdio},
    thread,
};
use wait4::Wait4;

/// What a program left behind.
pub(super) struct Finished {
    pub(super) stdout: String,
    /// The most memory that was resident at a time, files that it mapped included.
    pub(super) peak_bytes: u64,
}

/// Runs `command` and waits for it. Its stderr is read to the end; if it fails, one line of it is a part of the failure.
///
/// # Errors
/// [`Failure::NotFound`] if there is no such program, [`Failure::Child`] if it does not succeed.
pub(super) fn run(command: &mut Command) -> Result<Finished> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::NotFound(format!("{program}: there is no such program")),
        _ => Failure::from(Error::io(&program)(error)),
    };
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Both at once: a full pipe would stop the program.
    let complaints = thread::spawn(move || stderr.map(read).transpose());
    let stdout = stdout.map(read).transpose().map_err(failed)?.unwrap_or_default();
    let complaints = complaints.join().ok().and_then(io::Result::ok).flatten().unwrap_or_default();
    let ended = child.wait4().map_err(failed)?;
    if !ended.status.success() {
        let code = ended.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        let why = format!("{} failed ({}): {}", short(&program), ended.status, complaint(&complaints));
        return Err(Failure::Child { code, why });
    }
    Ok(Finished { stdout, peak_bytes: ended.rusage.maxrss })
}

fn read(mut from: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The line that tells most: the last one with an error, or the last one.
fn complaint(stderr: &str) -> &str {
    let mut lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines.clone().rfind(|line| line.to_ascii_lowercase().contains("error"));
    error.or_else(|| lines.next_back()).unwrap_or("it said nothing on stderr")
}

/// Without the directory.
fn short(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}
