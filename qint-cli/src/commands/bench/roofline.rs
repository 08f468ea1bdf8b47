//! Results of one or several runs as a roofline picture: `qint bench --svg`, and `qint bench roofline` for runs of before.
use super::picture::{Picture, Point};
use crate::{
    args::ForceArgument,
    errors::{Failure, Result},
    input,
    output::Output,
};
use clap::Args;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  qint bench --shape tinyllama-1.1b --codec q8 -t 1 --json > q8.json
  qint bench --shape tinyllama-1.1b --codec q4 -t 1 --json > q4.json
  qint bench roofline q8.json q4.json --svg roofline.svg

The roof is the best that one of the runs measured; percentages are each run's own.";

/// Draw earlier runs of `qint bench --json` into one picture
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RooflineArguments {
    /// Documents of runs with the same threads and backend
    #[arg(value_name = "DOCUMENT", required = true)]
    documents: Vec<PathBuf>,
    /// The picture
    #[arg(long, value_name = "FILE")]
    svg: PathBuf,
    #[command(flatten)]
    force: ForceArgument,
}

/// Where `qint bench` draws, if it does.
#[derive(Debug, Args)]
#[command(next_help_heading = "Picture")]
pub(super) struct SvgArguments {
    /// Draw the results below the machine's limits
    #[arg(long, value_name = "FILE", conflicts_with = "no_limits")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    force: ForceArgument,
}

pub(super) fn run(arguments: &RooflineArguments, output: &Output) -> Result<()> {
    arguments.force.check(&arguments.svg)?;
    let documents: Result<Vec<Value>> = arguments.documents.iter().map(|path| read(path)).collect();
    draw(&documents?, &arguments.svg, output)
}

fn read(path: &Path) -> Result<Value> {
    let malformed = |why: String| Failure::Malformed(format!("{}: {why}", path.display()));
    let document: Value =
        serde_json::from_str(&input::text(path)?).map_err(|error| malformed(format!("this is not JSON: {error}")))?;
    if document["schema"] != "qint.bench/1" {
        return Err(malformed("this is not a document of the schema qint.bench/1".to_string()));
    }
    Ok(document)
}

impl SvgArguments {
    /// Refuses what can't be written, before anything is measured.
    pub(super) fn check(&self) -> Result<()> {
        self.svg.as_deref().map_or(Ok(()), |path| self.force.check(path))
    }

    pub(super) fn draw(&self, document: &Value, output: &Output) -> Result<()> {
        self.svg.as_deref().map_or(Ok(()), |path| draw(std::slice::from_ref(document), path, output))
    }
}

fn draw(documents: &[Value], path: &Path, output: &Output) -> Result<()> {
    let picture = picture(documents).map_err(|why| Failure::Malformed(format!("there is nothing to draw: {why}")))?;
    fs::write(path, picture.to_string()).map_err(qint_std::Error::io(path))?;
    output.note(&format!("{} points in {}", picture.points.len(), path.display()));
    Ok(())
}

/// One picture of all documents, or why there is none.
fn picture(documents: &[Value]) -> std::result::Result<Picture, String> {
    let limit = |key: &str| documents.iter().filter_map(|document| document["limits"][key].as_f64()).reduce(f64::max);
    let limits = limit("read_gb_per_s").zip(limit("dot_gmac_per_s"));
    let (read_gb_per_s, dot_gmac_per_s) = limits.ok_or("the machine's limits were not measured")?;
    let results = || documents.iter().filter_map(|document| document["results"].as_array()).flatten();
    let first = results().next().ok_or("there are no results")?;
    for key in ["threads", "backend"] {
        if let Some(other) = results().find(|result| result[key] != first[key]) {
            return Err(format!("{key} {} and {}: one picture needs one roof", first[key], other[key]));
        }
    }
    // Lengths are named only where there are several of a kind.
    let alike = |a: &Value, b: &Value| a["test"] != b["test"] || a["n"] == b["n"];
    let one_length = results().all(|a| results().all(|b| alike(a, b)));
    let points: Vec<Point> = results().filter_map(|result| point(result, one_length)).collect();
    if points.is_empty() {
        return Err("no result has multiply-adds of integers".to_string());
    }
    Ok(Picture { title: title(documents, first), read_gb_per_s, dot_gmac_per_s, points })
}

/// Models, backend and threads.
fn title(documents: &[Value], result: &Value) -> String {
    let mut models: Vec<&str> = documents.iter().filter_map(|document| document["model"].as_str()).collect();
    models.dedup();
    let threads = result["threads"].as_u64().unwrap_or(1);
    let threads = if threads == 1 { "1 thread".to_string() } else { format!("{threads} threads") };
    format!("{}: {}, {threads}", models.join(", "), result["backend"].as_str().unwrap_or_default())
}

/// A result's point; none for matrices that are not quantized.
fn point(result: &Value, one_length: bool) -> Option<Point> {
    let number = |key: &str| result[key].as_f64().filter(|number| *number > 0.0 && number.is_finite());
    let (test, n, codec) = (result["test"].as_str()?, result["n"].as_u64()?, result["codec"].as_str()?);
    let (speed, percent) = (number("tokens_per_second")?, number("percent_of_limit")?);
    Some(Point {
        is_prompt: test == "pp",
        label: [if one_length { codec.to_string() } else { format!("{codec} {test}{n}") }, format!("{percent:.0} %")],
        tooltip: format!(
            "{codec} {test}{n}: {speed:.1} tokens/s, {percent:.1} % ({})",
            result["limited_by"].as_str().unwrap_or_default()
        ),
        multiply_adds_per_byte: number("multiply_adds_per_byte")?,
        gmac_per_s: number("gmac_per_s")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(codec: &str, threads: u64) -> Value {
        let result = |test: &str, x: f64, y: f64| {
            json!({
                "test": test, "n": 8, "threads": threads, "codec": codec, "backend": "avx2", "tokens_per_second": 1.0,
                "limited_by": "memory", "percent_of_limit": 50.0, "multiply_adds_per_byte": x, "gmac_per_s": y,
            })
        };
        let limits = json!({"read_gb_per_s": 40.0, "dot_gmac_per_s": 200.0 + threads as f64});
        json!({"model": "m", "limits": limits, "results": [result("pp", 900.0, 100.0), result("tg", 1.9, 70.0)]})
    }

    #[test]
    fn runs_share_a_roof() {
        let drawn = picture(&[document("q8", 2), document("q4", 2)]).unwrap();
        assert_eq!((drawn.title.as_str(), drawn.points.len()), ("m: avx2, 2 threads", 4));
        assert_eq!((drawn.read_gb_per_s, drawn.dot_gmac_per_s), (40.0, 202.0));
        assert!(drawn.points[0].is_prompt && !drawn.points[3].is_prompt);
        assert_eq!(drawn.points[3].label, ["q4", "50 %"]);
        let mut longer = document("q4", 2);
        longer["results"][0]["n"] = json!(9);
        let drawn = picture(&[document("q8", 2), longer]).unwrap();
        assert_eq!((drawn.points[0].label[0].as_str(), drawn.points[2].label[0].as_str()), ("q8 pp8", "q4 pp9"));
    }

    #[test]
    fn what_has_no_roof_or_no_points_says_why() {
        let why = |documents: &[Value]| picture(documents).err().unwrap_or_default();
        assert!(why(&[document("q8", 1), document("q8", 2)]).contains("threads 1 and 2"));
        let mut dense = document("f16", 1);
        for result in dense["results"].as_array_mut().unwrap() {
            result["gmac_per_s"] = Value::Null;
        }
        assert!(why(&[dense]).contains("integers"));
        assert!(why(&[json!({"limits": {"read_gb_per_s": null}})]).contains("limits"));
        assert!(why(&[json!({"limits": {"read_gb_per_s": 1.0, "dot_gmac_per_s": 1.0}})]).contains("no results"));
    }
}
