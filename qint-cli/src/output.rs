//! The two streams: the payload goes to stdout, everything else to stderr.
//!
//! Payload is text, a [`Table`], or with `--json` exactly one document. Writes are buffered; [`Output::stream`] flushes, so
//! that generated text appears as it is made. Every write error reaches the caller.
use crate::{
    environment,
    errors::{Failure, Result},
};
use serde_json::{Map, Value};
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

/// Where a command writes.
pub(crate) struct Output {
    quiet: bool,
    json: bool,
    stdout: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(quiet: bool, json: bool) -> Output {
        Output { quiet, json, stdout: BufWriter::with_capacity(1 << 16, io::stdout()) }
    }

    /// Whether one JSON document is wanted instead of text.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether somebody watches stderr, so that a line may be rewritten in place.
    pub(crate) fn may_animate(&self) -> bool {
        !self.quiet && io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Payload, buffered.
    pub(crate) fn text(&mut self, text: &str) -> Result<()> {
        self.bytes(text.as_bytes())
    }

    /// Payload and a line feed, buffered.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        self.text(text)?;
        self.bytes(b"\n")
    }

    /// Payload that is not text, buffered.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stdout.write_all(bytes).map_err(Failure::Stdout)
    }

    /// Payload that must be seen at once.
    pub(crate) fn stream(&mut self, text: &str) -> Result<()> {
        self.text(text)?;
        self.flush()
    }

    /// The one document of `--json`: `schema`, `environment` (what the command adds to it in `used`), then `fields`.
    pub(crate) fn document(&mut self, command: &str, used: Value, fields: Value) -> Result<()> {
        let mut document = Map::new();
        document.insert("schema".to_string(), format!("qint.{command}/1").into());
        document.insert("environment".to_string(), environment::document(used));
        if let Value::Object(fields) = fields {
            document.extend(fields);
        }
        let text = serde_json::to_string_pretty(&Value::Object(document))
            .map_err(|error| Failure::Stdout(io::Error::from(error)))?;
        self.line(&text)
    }

    /// Something worth knowing, on stderr. A closed stderr is no failure.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Rewrites the last line of a terminal; only where [`may_animate`](Output::may_animate).
    pub(crate) fn rewrite_line(&self, text: &str) {
        let _ = write!(io::stderr().lock(), "\r\x1b[K{text}");
    }

    /// Text on stderr without a line feed: a prompt that waits for input.
    pub(crate) fn ask(&self, text: &str) {
        if !self.quiet {
            let mut stderr = io::stderr().lock();
            let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
        }
    }

    /// Hands everything to the system.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.stdout.flush().map_err(Failure::Stdout)
    }
}

/// Rows of text in aligned columns.
pub(crate) struct Table {
    alignment: &'static [Align],
    rows: Vec<Vec<String>>,
}

/// The side that a column's entries share.
#[derive(Clone, Copy)]
pub(crate) enum Align {
    Left,
    Right,
}

impl Table {
    /// A table with its header; `alignment` has one entry a column.
    pub(crate) fn new(alignment: &'static [Align], header: &[&str]) -> Table {
        Table { alignment, rows: vec![header.iter().map(ToString::to_string).collect()] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Columns two spaces apart.
    pub(crate) fn plain(&self) -> String {
        self.lines(|cells| cells.join("  ").trim_end().to_string(), |_| None)
    }

    /// GitHub's markdown.
    pub(crate) fn markdown(&self) -> String {
        let rule = |widths: &[usize]| {
            let cell = |(align, &width): (&Align, &usize)| match align {
                Align::Left => "-".repeat(width + 2),
                Align::Right => format!("{}:", "-".repeat(width + 1)),
            };
            Some(format!("|{}|", self.alignment.iter().zip(widths).map(cell).collect::<Vec<_>>().join("|")))
        };
        self.lines(|cells| format!("| {} |", cells.join(" | ")), rule)
    }

    fn lines(&self, join: impl Fn(&[String]) -> String, rule: impl Fn(&[usize]) -> Option<String>) -> String {
        let columns = self.alignment.len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = (0..columns).map(|c| pad(&row[c], widths[c], self.alignment[c])).collect();
            text += &join(&cells);
            text.push('\n');
            if let (0, Some(rule)) = (index, rule(&widths)) {
                text += &rule;
                text.push('\n');
            }
        }
        text
    }
}

/// A count with separators: 1,234,567.
pub(crate) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn pad(cell: &str, width: usize, align: Align) -> String {
    match align {
        Align::Left => format!("{cell:<width$}"),
        Align::Right => format!("{cell:>width$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[Align::Left, Align::Right], &["codec", "bytes"]);
        table.row(vec!["q4-linear".to_string(), "12".to_string()]);
        table
    }

    #[test]
    fn plain_tables_align() {
        assert_eq!(table().plain(), "codec      bytes\nq4-linear     12\n");
    }

    #[test]
    fn counts_have_separators() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn markdown_tables_have_a_rule() {
        assert_eq!(table().markdown(), "| codec     | bytes |\n|-----------|------:|\n| q4-linear |    12 |\n");
    }
}
