//! `qint bench kernel`, and the gate against an earlier run.
use crate::cli::{command::run, models::scratch};
use serde_json::{Value, json};
use std::{fs, path::Path};

const KERNELS: &str = "bench kernel --cached --rows 64 --cols 96 --tokens 2,3 --positions 80 -t 1";
const MODEL: &str = "bench --shape smollm2-135m --codec q1 -t 1 -p 2 -n 1 -r 1";

fn saved(directory: &Path, name: &str, document: &Value) -> String {
    let path = directory.join(name);
    fs::write(&path, document.to_string()).expect("a file");
    path.display().to_string()
}

/// All figures of all results times `factor`: what a slower or faster machine would have written.
fn scaled(document: &Value, factor: f64) -> Value {
    let mut document = document.clone();
    for result in document["results"].as_array_mut().expect("results") {
        for key in ["percent_of_limit", "tokens_per_second", "gmac_per_s", "gb_per_s"] {
            if let Some(figure) = result.get(key).and_then(Value::as_f64) {
                result[key] = json!(figure * factor);
            }
        }
    }
    document
}

#[test]
fn kernels_are_measured_in_every_form() {
    let document = run(&format!("{KERNELS} --codec q4,q8:g64 --json")).fine().json();
    assert_eq!(document["schema"], "qint.bench-kernel/1");
    assert_eq!(document["limits"].as_array().map(Vec::len), Some(1));
    let results = document["results"].as_array().expect("results");
    let names: Vec<_> = results.iter().filter_map(|result| result["kernel"].as_str()).collect();
    assert_eq!(names[..6], ["matvec", "matvec", "matmul", "matmul", "matmul", "matmul"]);
    assert_eq!(names[6..], ["attention", "quantize-activations"]);
    assert_eq!((&results[1]["codec"], &results[1]["group"]), (&"q8".into(), &64.into()));
    assert!(results[2]["percent_of_limit"].as_f64().is_some_and(|percent| percent > 0.0));

    let csv = run(&format!("{KERNELS} matvec --codec q4 --format csv")).fine().stdout.clone();
    assert_eq!(csv.lines().count(), 2);
    assert_eq!(csv.lines().nth(1).map(|line| line.split(',').count()), Some(14));
    let table = run(&format!("{KERNELS} matmul --codec q4 --all-backends")).fine().stdout.clone();
    assert!(table.contains("| portable ") && table.contains("Limits with portable: memory"), "{table}");

    run("bench kernel nonsense").refused(2, "quantize-activations");
    run("bench kernel --rows 0").refused(2, "--rows");
    run("bench kernel --codec q5").refused(2, "q4-linear");
}

#[test]
fn slower_than_the_baseline_is_code_3() {
    let directory = scratch("slower");
    for (words, results) in [(format!("{KERNELS} matvec --codec q4"), 1), (MODEL.to_string(), 2)] {
        let document = run(&format!("{words} --json")).fine().json();
        let slow = saved(&directory, &format!("slow{results}.json"), &scaled(&document, 0.01));
        let ended = run(&format!("{words} --baseline {slow} --fail-over 5%"));
        assert_eq!(ended.fine().stderr, "");
        let fast = saved(&directory, &format!("fast{results}.json"), &scaled(&document, 100.0));
        let ended = run(&format!("{words} --baseline {fast} --fail-over 5%"));
        let lines =
            ended.stderr.lines().filter(|line| line.contains("percent of limit") && line.contains("5 % allowed"));
        assert_eq!((ended.code, lines.count()), (Some(3), results), "{ended:?}");
        assert!(ended.stdout.starts_with('|'), "the results come all the same: {ended:?}");
        run(&format!("{words} --baseline {fast} --fail-over 100%")).fine();
    }
}

#[test]
fn runs_become_a_picture() {
    let directory = scratch("picture");
    let picture = directory.join("one.svg").display().to_string();
    let document = run(&format!("{MODEL} --json --svg {picture}")).fine().json();
    let svg = fs::read_to_string(&picture).expect("a picture");
    assert!(svg.starts_with("<svg ") && svg.contains("smollm2-135m: ") && svg.matches("<circle").count() == 2, "{svg}");
    run(&format!("{MODEL} --svg {picture}")).refused(2, "exists already");
    run(&format!("{MODEL} --svg {picture} --no-limits")).refused(2, "--no-limits");

    let one = saved(&directory, "one.json", &document);
    let both = directory.join("both.svg").display().to_string();
    run(&format!("bench roofline {one} {one} --svg {both}")).fine();
    assert_eq!(fs::read_to_string(&both).expect("a picture").matches("<circle").count(), 3);
    run(&format!("bench roofline {one} --svg {both}")).refused(2, "exists already");
    run(&format!("bench roofline {one} --svg {both} --force")).fine();
    run(&format!("bench roofline {one}.none --svg {both} --force")).refused(4, "no such file");
    run(&format!("bench roofline {picture} --svg {both} --force")).refused(5, "not JSON");
    let mut dense = document.clone();
    dense["limits"] = json!({});
    let dense = saved(&directory, "dense.json", &dense);
    run(&format!("bench roofline {dense} --svg {both} --force")).refused(5, "limits were not measured");
    run(&format!("bench roofline {one}")).refused(2, "--svg");
}

#[test]
fn results_without_a_partner_are_named() {
    let words = format!("{KERNELS} matvec --codec q4");
    let document = run(&format!("{KERNELS} matvec --codec q2 --json")).fine().json();
    let other = saved(&scratch("partner"), "other.json", &scaled(&document, 100.0));
    let ended = run(&format!("{words} --baseline {other}"));
    let stderr = &ended.fine().stderr;
    assert!(
        stderr.contains("not in the baseline: matvec") && stderr.contains("only in the baseline: matvec"),
        "{stderr}"
    );
}

#[test]
fn baselines_that_are_none_are_refused_before_measuring() {
    let directory = scratch("baseline");
    let refused = |path: &Path, code, words| {
        run(&format!("{MODEL} --baseline {}", path.display())).refused(code, words);
    };
    refused(&directory.join("missing.json"), 4, "no such file");
    for (name, content, words) in [
        ("text.json", "tokens", "not JSON"),
        ("kernel.json", r#"{"schema": "qint.bench-kernel/1", "results": []}"#, "qint.bench/1"),
        ("none.json", r#"{"schema": "qint.bench/1"}"#, "not a list"),
        ("empty.json", r#"{"schema": "qint.bench/1", "results": [{"test": "pp"}]}"#, "none of the figures"),
    ] {
        let path = directory.join(name);
        fs::write(&path, content).expect("a file");
        refused(&path, 5, words);
    }
    run(&format!("{MODEL} --fail-over 5%")).refused(2, "--baseline");
    run(&format!("{MODEL} --baseline x --fail-over=-5%")).refused(2, "--fail-over");
}
