//! A committed table of counts: one JSON document a line.
use crate::say;
use serde_json::Value;
use std::{fs, io::ErrorKind, process::ExitCode};

/// What a table is about.
pub(crate) struct Kind {
    /// The task that makes it.
    pub(crate) task: &'static str,
    /// The committed file.
    pub(crate) path: &'static str,
    /// Fields that tell rows apart.
    pub(crate) key: &'static [&'static str],
    /// The field that is compared.
    pub(crate) count: &'static str,
    /// By how much it may differ.
    pub(crate) percent: f64,
    /// Fields that must be the same.
    pub(crate) exact: &'static [&'static str],
}

/// Rows of a table.
pub(crate) struct Table {
    kind: &'static Kind,
    rows: Vec<Value>,
}

/// What a task found: rows, and what went wrong besides differing counts.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) rows: Vec<Value>,
    pub(crate) failures: Vec<String>,
}

impl Kind {
    /// The rest of a task that measured the rows of which `wanted` is true: compares what it found with the committed table,
    /// or renews those rows if `write` and nothing else is wrong, and says what is.
    pub(crate) fn settle(&'static self, found: Found, wanted: impl Fn(&Value) -> bool, write: bool) -> ExitCode {
        let failures = self.judge(found, wanted, write);
        failures.iter().for_each(|failure| say(&format!("FAILED {failure}\n")));
        say(&format!("{}: {} failures\n", self.task, failures.len()));
        if failures.is_empty() {
            return ExitCode::SUCCESS;
        }
        if !write {
            say(&format!("If {} is out of date: cargo xtask {} --write\n", self.path, self.task));
        }
        ExitCode::FAILURE
    }

    /// Compares or renews, and returns what is wrong.
    fn judge(&'static self, found: Found, wanted: impl Fn(&Value) -> bool, write: bool) -> Vec<String> {
        let Found { rows, mut failures } = found;
        match Table::committed(self) {
            Err(error) => failures.push(error),
            Ok(committed) if write && failures.is_empty() => {
                let kept = committed.unwrap_or_else(|| Table::empty(self)).without(wanted);
                failures.extend(kept.with(rows).write().err());
            }
            Ok(Some(committed)) if !write => failures.extend(committed.differences(&rows, wanted)),
            Ok(None) if !write => failures.push(format!("{} is missing; --write makes it", self.path)),
            Ok(_) => failures.push(format!("{} is left as it was", self.path)),
        }
        failures
    }

    /// [`settle`](Kind::settle) for a task that measures all rows or none.
    pub(crate) fn settle_all(&'static self, rows: Result<Vec<Value>, String>, write: bool) -> ExitCode {
        let found = match rows {
            Ok(rows) => Found { rows, failures: Vec::new() },
            Err(error) => Found { rows: Vec::new(), failures: vec![error] },
        };
        self.settle(found, |_| true, write)
    }
}

impl Table {
    pub(crate) fn empty(kind: &'static Kind) -> Table {
        Table { kind, rows: Vec::new() }
    }

    /// The committed table, if there is one.
    pub(crate) fn committed(kind: &'static Kind) -> Result<Option<Table>, String> {
        let path = kind.path;
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| format!("{path}: {error}"))?,
        };
        let rows: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        Ok(Some(Table { kind, rows: rows.map_err(|error| format!("{path}: {error}"))? }))
    }

    /// The rows of which `wanted` is false.
    pub(crate) fn without(mut self, wanted: impl Fn(&Value) -> bool) -> Table {
        self.rows.retain(|row| !wanted(row));
        self
    }

    pub(crate) fn with(mut self, rows: Vec<Value>) -> Table {
        self.rows.extend(rows);
        self
    }

    pub(crate) fn write(&self) -> Result<(), String> {
        let text: String = self.rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(self.kind.path, text).map_err(|error| format!("{}: {error}", self.kind.path))
    }

    /// How `found` differs from the rows of which `wanted` is true.
    pub(crate) fn differences(&self, found: &[Value], wanted: impl Fn(&Value) -> bool) -> Vec<String> {
        let Kind { path, count, percent, exact, .. } = *self.kind;
        let mut differences = Vec::new();
        for row in found {
            match self.rows.iter().find(|committed| self.key(committed) == self.key(row)) {
                None => differences.push(format!("{}: not in {path}", self.key(row))),
                Some(committed) => {
                    let (was, is) = (self.count(committed), self.count(row));
                    if (was - is).abs() > was * percent / 100.0 {
                        differences.push(format!("{}: {is} {count}, {path} says {was}", self.key(row)));
                    }
                    for field in exact.iter().filter(|field| committed[**field] != row[**field]) {
                        let (was, is) = (&committed[*field], &row[*field]);
                        differences.push(format!("{}: {is} {field}, {path} says {was}", self.key(row)));
                    }
                }
            }
        }
        for committed in self.rows.iter().filter(|row| wanted(row)) {
            if !found.iter().any(|row| self.key(row) == self.key(committed)) {
                differences.push(format!("{}: was not measured", self.key(committed)));
            }
        }
        differences
    }

    fn key(&self, row: &Value) -> String {
        let words = self.kind.key.iter().map(|field| match &row[field] {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// A row without a count is far from every other.
    fn count(&self, row: &Value) -> f64 {
        row[self.kind.count].as_f64().unwrap_or(f64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    static KIND: Kind = Kind {
        task: "count",
        path: "none",
        key: &["core", "cols"],
        count: "instructions",
        percent: 1.0,
        exact: &["stores"],
    };

    fn row(core: &str, instructions: u64) -> Value {
        json!({ "core": core, "cols": 1, "instructions": instructions })
    }

    #[test]
    fn a_hundredth_is_tolerated_and_rows_must_match() {
        let table = Table::empty(&KIND).with(vec![row("m0", 1000), row("m3", 1000)]);
        let (all, m0) = (|_: &Value| true, |row: &Value| row["core"] == "m0");
        assert!(table.differences(&[row("m0", 1010), row("m3", 990)], all).is_empty());
        assert_eq!(table.differences(&[row("m0", 1011), row("m3", 989)], all).len(), 2);
        assert_eq!(table.differences(&[row("m0", 1000)], all), ["m3 1: was not measured"]);
        assert!(table.differences(&[row("m0", 1000)], m0).is_empty());
        assert_eq!(table.differences(&[row("m0", 1000), row("m4", 1)], m0), ["m4 1: not in none"]);
        assert_eq!(table.differences(&[row("m0", 1000), json!({"core": "m3", "cols": 1})], all).len(), 1);
        assert_eq!(table.without(m0).rows, [row("m3", 1000)]);
    }

    #[test]
    fn some_fields_must_be_the_same() {
        let with = |stores: u64| json!({ "core": "m0", "cols": 1, "instructions": 1000, "stores": stores });
        let table = Table::empty(&KIND).with(vec![with(3)]);
        assert!(table.differences(&[with(3)], |_| true).is_empty());
        assert_eq!(table.differences(&[with(4)], |_| true), ["m0 1: 4 stores, none says 3"]);
        assert_eq!(table.differences(&[row("m0", 1000)], |_| true), ["m0 1: null stores, none says 3"]);
    }

    /// A table in a file of its own.
    fn kind(name: &str) -> &'static Kind {
        let path = std::env::temp_dir().join(format!("qint-table-{}-{name}.jsonl", std::process::id()));
        let _ = fs::remove_file(&path);
        Box::leak(Box::new(Kind { path: path.to_string_lossy().into_owned().leak(), ..KIND }))
    }

    fn found(rows: Vec<Value>, failures: &[&str]) -> Found {
        Found { rows, failures: failures.iter().map(|failure| (*failure).to_owned()).collect() }
    }

    #[test]
    fn tables_are_renewed_only_if_nothing_else_is_wrong() {
        let (kind, m0) = (kind("renewed"), |row: &Value| row["core"] == "m0");
        let (path, text) = (kind.path, || fs::read_to_string(kind.path).unwrap_or_default());
        let judge = |row: Value, failures: &[&str], write| kind.judge(found(vec![row], failures), m0, write);
        assert_eq!(judge(row("m0", 1), &[], false), [format!("{path} is missing; --write makes it")]);
        assert_eq!(judge(row("m0", 1), &["a bit"], true), ["a bit", &format!("{path} is left as it was")]);
        assert_eq!(text(), "");
        assert!(kind.judge(found(vec![row("m0", 1), row("m3", 1)], &[]), |_| true, true).is_empty());
        let before = text();
        assert_eq!(before.lines().count(), 2);
        assert_eq!(judge(row("m0", 9), &["a bit"], true).len(), 2);
        assert_eq!(judge(row("m0", 9), &[], false), [format!("m0 1: 9 instructions, {path} says 1")]);
        assert_eq!(text(), before);
        assert!(judge(row("m0", 9), &[], true).is_empty());
        assert!(kind.judge(found(vec![row("m3", 1), row("m0", 9)], &[]), |_| true, false).is_empty());
        fs::write(kind.path, "no table").expect("the directory is there");
        assert_eq!(judge(row("m0", 1), &[], true).len(), 1);
        assert_eq!(text(), "no table");
        let _ = fs::remove_file(kind.path);
    }
}
