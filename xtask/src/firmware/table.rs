//! The committed table: one JSON document a line, as the firmware prints it.
use serde_json::Value;
use std::fs;

const PATH: &str = "firmware-examples/instructions.jsonl";
/// Counts may differ by one part in this many.
const TOLERANCE: u64 = 100;
/// What tells rows apart.
const KEY: [&str; 6] = ["core", "kernel", "codec", "group", "rows", "cols"];

/// Rows of the fixed table.
#[derive(Default)]
pub(crate) struct Table(Vec<Value>);

impl Table {
    pub(crate) fn committed() -> Result<Table, String> {
        let text = fs::read_to_string(PATH).map_err(|error| format!("{PATH}: {error}; --write makes it"))?;
        let rows: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        rows.map(Table).map_err(|error| format!("{PATH}: {error}"))
    }

    /// The rows of other cores than these (of none, if none is named).
    pub(crate) fn without(self, cores: &[String]) -> Table {
        Table(self.0.into_iter().filter(|row| !is_of(row, cores)).collect())
    }

    pub(crate) fn with(mut self, rows: Vec<Value>) -> Table {
        self.0.extend(rows);
        self
    }

    pub(crate) fn write(&self) -> Result<(), String> {
        let text: String = self.0.iter().map(|row| format!("{row}\n")).collect();
        fs::write(PATH, text).map_err(|error| format!("{PATH}: {error}"))
    }

    /// How `found` differs from the rows of these cores (all, if none is named).
    pub(crate) fn differences(&self, found: &[Value], cores: &[String]) -> Vec<String> {
        let mut differences = Vec::new();
        for row in found {
            match self.0.iter().find(|committed| key(committed) == key(row)) {
                None => differences.push(format!("{}: not in {PATH}", key(row))),
                Some(committed) => {
                    let (was, is) = (instructions(committed), instructions(row));
                    if was.abs_diff(is) * TOLERANCE > was {
                        differences.push(format!("{}: {is} instructions, {PATH} says {was}", key(row)));
                    }
                }
            }
        }
        for committed in self.0.iter().filter(|row| is_of(row, cores)) {
            if !found.iter().any(|row| key(row) == key(committed)) {
                differences.push(format!("{}: was not measured", key(committed)));
            }
        }
        differences
    }
}

fn is_of(row: &Value, cores: &[String]) -> bool {
    cores.is_empty() || cores.iter().any(|core| row["core"] == core.as_str())
}

fn key(row: &Value) -> String {
    KEY.map(|field| row[field].to_string()).join(" ")
}

fn instructions(row: &Value) -> u64 {
    row["instructions"].as_u64().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(core: &str, instructions: u64) -> Value {
        json!({ "core": core, "kernel": "matvec", "codec": "q8", "group": 32, "rows": 1, "cols": 1, "instructions": instructions })
    }

    #[test]
    fn a_hundredth_is_tolerated_and_rows_must_match() {
        let table = Table(vec![row("m0", 1000), row("m3", 1000)]);
        assert!(table.differences(&[row("m0", 1010), row("m3", 990)], &[]).is_empty());
        assert_eq!(table.differences(&[row("m0", 1011), row("m3", 989)], &[]).len(), 2);
        assert_eq!(table.differences(&[row("m0", 1000)], &[]).len(), 1);
        assert!(table.differences(&[row("m0", 1000)], &["m0".to_owned()]).is_empty());
        assert_eq!(table.differences(&[row("m0", 1000), row("m4", 1)], &["m0".to_owned()]).len(), 1);
    }
}
