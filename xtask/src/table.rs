//! A committed table of counts: one JSON document a line.
use crate::say;
use serde_json::Value;
use std::{fs, process::ExitCode};

/// What a table is about.
pub(crate) struct Kind {
    /// The committed file.
    pub(crate) path: &'static str,
    /// Fields that tell rows apart.
    pub(crate) key: &'static [&'static str],
    /// The field that is compared.
    pub(crate) count: &'static str,
    /// By how much it may differ.
    pub(crate) percent: f64,
}

/// Rows of a table.
pub(crate) struct Table {
    kind: &'static Kind,
    rows: Vec<Value>,
}

impl Kind {
    /// Compares `rows` with the committed table, or replaces it if `write`. Returns what is wrong.
    pub(crate) fn settle(&'static self, rows: Vec<Value>, write: bool) -> Vec<String> {
        if write {
            return Table::empty(self).with(rows).write().err().into_iter().collect();
        }
        Table::committed(self).map_or_else(|error| vec![error], |table| table.differences(&rows, |_| true))
    }

    /// Says what is wrong, and that `task` can renew the table.
    pub(crate) fn report(&self, failures: &[String], task: &str) -> ExitCode {
        failures.iter().for_each(|failure| say(&format!("FAILED {failure}\n")));
        if failures.is_empty() {
            return ExitCode::SUCCESS;
        }
        say(&format!("If {} is out of date: cargo xtask {task} --write\n", self.path));
        ExitCode::FAILURE
    }
}

impl Table {
    pub(crate) fn empty(kind: &'static Kind) -> Table {
        Table { kind, rows: Vec::new() }
    }

    pub(crate) fn committed(kind: &'static Kind) -> Result<Table, String> {
        let path = kind.path;
        let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}; --write makes it"))?;
        let rows: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        Ok(Table { kind, rows: rows.map_err(|error| format!("{path}: {error}"))? })
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
        let Kind { path, count, percent, .. } = *self.kind;
        let mut differences = Vec::new();
        for row in found {
            match self.rows.iter().find(|committed| self.key(committed) == self.key(row)) {
                None => differences.push(format!("{}: not in {path}", self.key(row))),
                Some(committed) => {
                    let (was, is) = (self.count(committed), self.count(row));
                    if (was - is).abs() > was * percent / 100.0 {
                        differences.push(format!("{}: {is} {count}, {path} says {was}", self.key(row)));
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

    static KIND: Kind = Kind { path: "none", key: &["core", "cols"], count: "instructions", percent: 1.0 };

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
}
