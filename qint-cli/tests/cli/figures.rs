//! Commands that measure: the fields of their documents, and the gate.
use super::{
    command::{Ended, qint, run},
    models::{bundled, container, evaluation, scratch},
};
use serde_json::Value;
use std::fs;

fn numbers(document: &Value, fields: &[&str]) {
    for field in fields {
        assert!(document[field].is_number(), "{field}: {document}");
    }
}

#[test]
fn perplexity() {
    let words = format!("eval ppl {} -t 1 -f {} --window 64", container().display(), evaluation().display());
    let document = run(&format!("{words} --windows 4 --json")).fine().json();
    assert_eq!(document["schema"], "qint.eval-ppl/1");
    numbers(&document, &["ppl", "ppl_stderr", "bits_per_weight", "bits_per_weight_linear"]);
    assert_eq!(document["tokens"], 4 * 31);
    assert!(run(&format!("{words} --chars 2000")).fine().stdout.starts_with("perplexity"));
}

#[test]
fn divergence() {
    let words = format!("eval kld {} -t 1 --window 64 -f {}", container().display(), evaluation().display());
    let document = run(&format!("{words} --against {} --json", bundled().display())).fine().json();
    let fields = ["kld_mean", "kld_stderr", "kld_median", "kld_p99", "top1", "ppl", "ppl_reference", "tokens"];
    numbers(&document, &fields);
    assert!(document["kld_mean"].as_f64().is_some_and(|kld| (0.0001..0.05).contains(&kld)), "{document}");
    run(&words).refused(2, "--against");
    let golden = super::command::repository("tests/goldens/llama2");
    run(&format!("{words} --against {}", golden.display())).refused(6, "tokenizer.json");
}

#[test]
fn validation_and_its_gate() {
    let words = format!("validate {} -q -t 1 --window 128", container().display());
    assert!(run(&words).fine().stdout.contains("hashes agree"));
    let against = format!("{words} --against {}", bundled().display());
    let text = format!("{against} -f {}", evaluation().display());
    let document = run(&format!("{text} --json --max-kld 0.5 --min-top1 0.5")).fine().json();
    assert_eq!((&document["passed"], &document["reserved_codes"]), (&true.into(), &0.into()));
    assert_eq!(document["weights"].as_array().map(Vec::len), Some(22));
    numbers(&document, &["kld_mean", "top1", "bits_per_weight"]);
    for (limits, count) in [("--max-kld 0.00001", 1), ("--min-top1 1 --max-kld 0", 2), ("--max-weight-error 0.001", 22)]
    {
        let ended = run(&format!("{text} --json {limits}"));
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert_eq!(ended.json()["failures"].as_array().map(Vec::len), Some(count), "{limits}");
        assert_eq!(ended.stderr.lines().count(), count + 1, "{ended:?}");
    }
    run(&format!("{against} --max-kld 0.1")).refused(2, "--file");
}

#[test]
fn figures_can_be_recorded() {
    let copy = scratch("record").join("model.qint.safetensors");
    fs::copy(container(), &copy).expect("a copy");
    let (bundled, text) = (bundled(), evaluation());
    let words = format!("validate {} -q -t 1 --window 128 --against {} -f", copy.display(), bundled.display());
    run(&format!("{words} {} --record", text.display())).fine();
    let manifest = run(&format!("inspect {} --manifest", copy.display())).fine().json();
    numbers(&manifest["accuracy"], &["kld_mean", "top1", "ppl"]);
    run(&format!("inspect {} --verify", copy.display())).fine();
}

#[test]
fn benchmarks() {
    let words = format!("bench {} -t 1 -p 16 -n 4 -r 2", container().display());
    let document = run(&format!("{words} --json")).fine().json();
    assert_eq!(document["schema"], "qint.bench/1");
    let tests: Vec<_> = document["results"].as_array().expect("results").iter().map(|r| r["test"].clone()).collect();
    assert_eq!(tests, ["pp", "tg"]);
    numbers(&document["results"][1], &["n", "depth", "batch", "threads", "tokens_per_second", "percent_of_limit"]);
    let table = run(&words).fine().stdout.clone();
    assert!(table.contains("| pp16 |") && table.contains("GB/s") && table.contains("(arithmetic)"), "{table}");
    assert_eq!(run(&format!("{words} --format csv")).fine().stdout.lines().count(), 3);
    run(&format!("{words} -d 500")).refused(2, "context is 512");
    run(&format!("bench {} -p 0 -n 0", container().display())).refused(2, "nothing to measure");
}

#[test]
fn synthetic_models_are_measured_like_files() {
    let words = "bench --shape smollm2-135m --codec q2 --group 32 --head q8 -t 1 -p 2,4 -n 1 -r 1";
    let document = run(&format!("{words} --json")).fine().json();
    numbers(&document["limits"], &["read_gb_per_s", "dot_gmac_per_s"]);
    let results = document["results"].as_array().expect("results");
    let tests: Vec<_> = results.iter().map(|r| (r["test"].as_str(), r["n"].as_u64(), r["codec"].as_str())).collect();
    let test = |name, n| (Some(name), Some(n), Some("q2"));
    assert_eq!(tests, [test("pp", 2), test("pp", 4), test("tg", 1)]);
    assert_eq!((&results[0]["limited_by"], &results[2]["limited_by"]), (&"arithmetic".into(), &"memory".into()));
    for result in results {
        numbers(result, &["tokens_per_second", "stddev", "percent_of_limit"]);
    }
    // What the picture needs: two tokens share each byte of the layers, one each byte of layers and head.
    let of = |index: usize, key: &str| results[index][key].as_f64().unwrap_or_default();
    let weights = [106_168_320.0, 106_168_320.0, 106_168_320.0 + 28_311_552.0];
    for (index, weights) in weights.into_iter().enumerate() {
        assert!((of(index, "gmac_per_s") / of(index, "tokens_per_second") * 1e9 / weights - 1.0).abs() < 1e-9);
    }
    assert!((of(1, "multiply_adds_per_byte") / of(0, "multiply_adds_per_byte") - 2.0).abs() < 1e-9);
    let bytes = document["bytes_per_token"].as_f64().unwrap_or_default();
    assert!((of(2, "multiply_adds_per_byte") * bytes / weights[2] - 1.0).abs() < 1e-9);
    // 30 layers of q2 with groups of 32 columns, and a head of q8 with as many; 4 bytes a row beside; panels of 576 columns,
    // which have 18 groups, end with 32 bytes of padding.
    let (layer, head) = (576 * (576 * 2 + 192 * 2 + 1536 * 3), 576 * 49_152);
    let rows = 30 * (576 * 3 + 192 * 2 + 1536 * 2) + 49_152;
    let panels = (30 * (576 * 2 + 192 * 2 + 1536 * 2) + 49_152) / 16;
    assert_eq!(document["bytes_per_token"], 30 * layer * 9 / 32 + head * 33 / 32 + 4 * rows + 32 * panels);

    let document = run(&format!("{words} --no-limits --json")).fine().json();
    assert!(document["limits"]["read_gb_per_s"].is_null() && document["results"][0]["percent_of_limit"].is_null());

    run("bench --shape smollm2-135m").refused(2, "--codec");
    run("bench --shape gpt-5 --codec q4").refused(2, "tinyllama-1.1b");
    run("bench --codec q4").refused(2, "--shape");
    run(&format!("bench {} --shape smollm2-135m --codec q4", container().display())).refused(2, "--shape");
    run("bench --shape smollm2-135m --codec q4 -p 40000").refused(2, "32768");
}

#[test]
fn the_listing_of_a_container_and_of_a_checkpoint() {
    let document = run(&format!("inspect {} --json", container().display())).fine().json();
    assert_eq!((&document["weights"], &document["format"]), (&968_800.into(), &"container".into()));
    let document = run(&format!("inspect {} --json", bundled().display())).fine().json();
    assert_eq!(document["tensors"][0]["stored"], "f16");
    run(&format!("inspect {} --manifest", bundled().display())).refused(2, "manifest");
}

#[test]
fn the_demo_measures_every_codec_and_writes() {
    let document = run("demo --json -t 1").fine().json();
    let codecs: Vec<_> = document["results"].as_array().expect("results").iter().map(|r| r["codec"].clone()).collect();
    assert_eq!(codecs, ["original, f16", "q8", "q4", "q4-linear", "q2", "q2-linear", "q1"]);
    let divergence: Vec<f64> =
        document["results"].as_array().expect("results").iter().filter_map(|r| r["kld_mean"].as_f64()).collect();
    assert!(divergence[0] < divergence[1] && divergence[1] < divergence[3] && divergence[3] < divergence[5]);
    assert!(document["passage"]["text"].as_str().is_some_and(|text| text.len() > 100));
    let ended = Ended::new(&qint(["demo", "-q", "-t", "1"]).output().expect("qint starts"));
    assert_eq!(ended.fine().stderr, "");
}
