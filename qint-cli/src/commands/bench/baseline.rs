//! `--baseline FILE --fail-over 5%`: results against those of an earlier run of the same command.
//!
//! Results are alike if everything agrees that is not a measured figure. They are compared by their percentage of the
//! machine's limit where both have it, so that a baseline survives a move to a faster machine, and by their rate otherwise.
use crate::{
    errors::{Failure, Result},
    input,
    output::Output,
};
use clap::Args;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// The measured figures of a result, in the order in which they are preferred for comparing.
const FIGURES: [&str; 4] = ["percent_of_limit", "tokens_per_second", "gmac_per_s", "gb_per_s"];
/// Fields that are neither measured figures to compare nor part of what was measured.
const BESIDE: [&str; 4] = ["stddev", "limited_by", "microseconds", "multiply_adds_per_byte"];

/// What to compare with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gate")]
pub(super) struct BaselineArguments {
    /// A --json document of an earlier run; code 3 if a result has become slower
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// How much slower a result may be
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = percent, requires = "baseline")]
    fail_over: f64,
}

/// An earlier run.
pub(super) struct Baseline {
    model: Option<Value>,
    results: Vec<Map<String, Value>>,
    tolerance: f64,
}

impl BaselineArguments {
    /// Reads the file, before anything is measured.
    pub(super) fn read(&self, schema: &str) -> Result<Option<Baseline>> {
        let Some(path) = &self.baseline else { return Ok(None) };
        let malformed = |why: &str| Failure::Malformed(format!("{}: {why}", path.display()));
        let document: Value = serde_json::from_str(&input::text(path)?)
            .map_err(|error| malformed(&format!("this is not JSON: {error}")))?;
        if document["schema"] != schema {
            return Err(malformed(&format!("this is not a document of the schema {schema}")));
        }
        let results = document["results"]
            .as_array()
            .and_then(|results| results.iter().map(|result| result.as_object().cloned()).collect::<Option<Vec<_>>>());
        let results = results.ok_or_else(|| malformed("results is not a list of objects"))?;
        if let Some(index) = results.iter().position(|result| figure(result, result).is_none()) {
            return Err(malformed(&format!("result {index} has none of the figures {}", FIGURES.join(", "))));
        }
        Ok(Some(Baseline { model: document.get("model").cloned(), results, tolerance: self.fail_over }))
    }
}

impl Baseline {
    /// Compares `document` with it: one line per result that has become slower. Results without a partner are reported.
    pub(super) fn check(&self, document: &Value, output: &Output) -> Result<()> {
        let now: Vec<&Map<String, Value>> =
            document["results"].as_array().into_iter().flatten().filter_map(Value::as_object).collect();
        let same_model = self.model.as_ref() == document.get("model");
        let mut slower = Vec::new();
        for result in &now {
            match self.results.iter().find(|earlier| same_model && subject(earlier) == subject(result)) {
                Some(earlier) => slower.extend(regression(earlier, result, self.tolerance)),
                None => output.note(&format!("not in the baseline: {}", name(result))),
            }
        }
        for earlier in &self.results {
            if !same_model || !now.iter().any(|result| subject(earlier) == subject(result)) {
                output.note(&format!("only in the baseline: {}", name(earlier)));
            }
        }
        if slower.is_empty() { Ok(()) } else { Err(Failure::Gate(slower)) }
    }
}

/// What was measured: the fields that must agree.
fn subject(result: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<_> =
        result.iter().filter(|(key, _)| ![&FIGURES[..], &BESIDE[..]].concat().contains(&key.as_str())).collect();
    fields.sort_by_key(|field| field.0);
    fields
}

fn name(result: &Map<String, Value>) -> String {
    let fields = result
        .iter()
        .filter(|(key, value)| ![&FIGURES[..], &BESIDE[..]].concat().contains(&key.as_str()) && !value.is_null());
    let word = |(key, value): (&String, &Value)| match value {
        Value::String(text) => text.clone(),
        value => format!("{key} {value}"),
    };
    fields.map(word).collect::<Vec<_>>().join(", ")
}

/// The first figure that both have.
fn figure(earlier: &Map<String, Value>, now: &Map<String, Value>) -> Option<(&'static str, f64, f64)> {
    let number = |result: &Map<String, Value>, key| result.get(key).and_then(Value::as_f64).filter(|x| *x > 0.0);
    FIGURES.into_iter().find_map(|key| Some((key, number(earlier, key)?, number(now, key)?)))
}

fn regression(earlier: &Map<String, Value>, now: &Map<String, Value>, tolerance: f64) -> Option<String> {
    let (key, before, after) = figure(earlier, now)?;
    let loss = 100.0 * (1.0 - after / before);
    let words = key.replace('_', " ");
    (loss > tolerance).then(|| {
        format!("{}: {words} {before:.2} before, {after:.2} now ({loss:.1} % less, {tolerance} % allowed)", name(now))
    })
}

/// `5%` or `5`.
fn percent(text: &str) -> std::result::Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
    let inside = number.ok().filter(|percent| (0.0..=100.0).contains(percent));
    inside.ok_or_else(|| "it is from 0% to 100%".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(fields: Value) -> Map<String, Value> {
        fields.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn percentages_count_before_rates() {
        let earlier = result(json!({"test": "pp", "n": 8, "tokens_per_second": 100.0, "percent_of_limit": 50.0}));
        let on_a_slower_machine =
            result(json!({"test": "pp", "n": 8, "tokens_per_second": 60.0, "percent_of_limit": 51.0}));
        let slower = result(json!({"test": "pp", "n": 8, "tokens_per_second": 120.0, "percent_of_limit": 47.0}));
        let without = result(json!({"test": "pp", "n": 8, "tokens_per_second": 94.0, "percent_of_limit": null}));
        assert_eq!(regression(&earlier, &on_a_slower_machine, 5.0), None);
        assert_eq!(regression(&earlier, &slower, 7.0), None);
        let line = regression(&earlier, &slower, 5.0).unwrap_or_default();
        assert_eq!(line, "pp, n 8: percent of limit 50.00 before, 47.00 now (6.0 % less, 5 % allowed)");
        assert!(regression(&earlier, &without, 5.0).is_some_and(|line| line.contains("tokens per second 100.00")));
    }

    #[test]
    fn only_what_was_measured_tells_results_apart() {
        let a = result(json!({"test": "pp", "n": 8, "stddev": 1.0, "tokens_per_second": 1.0}));
        let b = result(json!({"n": 8, "stddev": 2.0, "tokens_per_second": 2.0, "test": "pp"}));
        assert_eq!(subject(&a), subject(&b));
        assert_ne!(subject(&a), subject(&result(json!({"test": "pp", "n": 9}))));
    }

    #[test]
    fn percents_are_judged() {
        assert_eq!([percent("5%"), percent("2.5"), percent("0 %")], [Ok(5.0), Ok(2.5), Ok(0.0)]);
        assert!(["-1%", "101", "x", "", "NaN"].iter().all(|text| percent(text).is_err()));
    }
}
