//! Texts from the command line, from files and from stdin: bounded, UTF-8, not empty.
use crate::errors::{Failure, Result};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufRead, Read},
    path::Path,
};

/// Bytes of a prompt. No context holds more.
const PROMPT_LIMIT: u64 = 16 << 20;
/// Bytes of a text to score, or of a list of prompts.
const TEXT_LIMIT: u64 = 1 << 30;

/// A prompt that was given on the command line (`-` stands for stdin) or as a file.
pub(crate) fn prompt(given: Option<&OsStr>, file: Option<&Path>) -> Result<String> {
    let text = match (given, file) {
        (Some(dash), _) if dash == "-" => without_line_feed(stdin(PROMPT_LIMIT)?),
        (Some(text), _) => text.to_str().map(str::to_string).ok_or_else(|| not_utf8("the prompt"))?,
        (None, Some(path)) => without_line_feed(read(path, PROMPT_LIMIT)?),
        (None, None) => String::new(),
    };
    if text.is_empty() {
        return Err(Failure::Malformed("the prompt is empty; give at least one character".to_string()));
    }
    Ok(text)
}

/// The next line of stdin without its end; `None` when there are no more.
pub(crate) fn line() -> Result<Option<String>> {
    let mut bytes = Vec::new();
    let limit = PROMPT_LIMIT;
    io::stdin().lock().take(limit + 1).read_until(b'\n', &mut bytes).map_err(qint_std::Error::io("stdin"))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::Usage(format!("a line is longer than {limit} bytes, the most that is read")));
    }
    if bytes.is_empty() { Ok(None) } else { utf8(bytes, "the line").map(without_line_feed).map(Some) }
}

/// A text file, as it is.
pub(crate) fn text(path: &Path) -> Result<String> {
    read(path, TEXT_LIMIT)
}

fn read(path: &Path, limit: u64) -> Result<String> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::NotFound(format!("{}: no such file", path.display())),
        _ => qint_std::Error::io(path)(error).into(),
    })?;
    let bytes = bounded(file, limit, path)?;
    utf8(bytes, &path.display().to_string())
}

fn stdin(limit: u64) -> Result<String> {
    utf8(bounded(io::stdin().lock(), limit, Path::new("stdin"))?, "stdin")
}

fn bounded(from: impl Read, limit: u64, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit + 1).read_to_end(&mut bytes).map_err(qint_std::Error::io(path))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::Usage(format!("{} is longer than {limit} bytes, the most that is read", path.display())));
    }
    Ok(bytes)
}

fn utf8(bytes: Vec<u8>, what: &str) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| not_utf8(what))
}

fn not_utf8(what: &str) -> Failure {
    Failure::Malformed(format!("{what} is not UTF-8 text; convert it first, for example with iconv"))
}

/// `echo` and editors end a text with a line feed that is not part of a prompt.
fn without_line_feed(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_feed_is_dropped() {
        assert_eq!(without_line_feed("a\r\n".to_string()), "a");
        assert_eq!(without_line_feed("a\n\n".to_string()), "a\n");
    }

    #[test]
    fn an_empty_prompt_is_refused() {
        assert!(matches!(prompt(Some(OsStr::new("")), None), Err(Failure::Malformed(_))));
    }
}
