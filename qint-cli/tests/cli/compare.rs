//! `qint compare`, with a script in the place of llama-bench.
use crate::cli::{
    command::{Ended, run},
    models::{container, scratch},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A program that notes its arguments in a file and then does as `script` says.
fn llama_bench(directory: &Path, script: &str) -> PathBuf {
    let path = directory.join("llama-bench");
    let log = directory.join("arguments");
    fs::write(&path, format!("#!/bin/sh\necho \"$@\" >> '{}'\n{script}\n", log.display())).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
    fs::write(directory.join("model.gguf"), "nobody reads it").expect("a file");
    path
}

fn prints(document: &Value) -> String {
    format!("cat <<'END'\n{document}\nEND")
}

fn results() -> Value {
    json!([
        {"n_prompt": 3, "n_gen": 0, "avg_ts": 1e-3, "build_commit": "abc", "model_type": "llama", "model_size": 7e6},
        {"n_prompt": 0, "n_gen": 2, "avg_ts": 1e9},
    ])
}

/// A comparison of the bundled model in that directory.
fn compare(directory: &Path, more: &str) -> Ended {
    let (directory, model) = (directory.display(), container());
    run(&format!(
        "compare --llama-bench {directory}/llama-bench --gguf {directory}/model.gguf -p 3 -n 2 -t 1 {more} {}",
        model.display()
    ))
}

#[test]
fn both_sides_take_turns_and_are_compared() {
    let directory = scratch("compare");
    llama_bench(&directory, &prints(&results()));
    let document = compare(&directory, "-r 2 -d 4 --kv i8 --backend portable --json").fine().json();
    assert_eq!((&document["schema"], &document["rounds"]), (&"qint.compare/1".into(), &2.into()));
    assert_eq!((&document["environment"]["backend"], &document["gguf"]), (&"portable".into(), &"model.gguf".into()));
    let rows = document["results"].as_array().expect("results");
    let ratios: Vec<f64> = rows.iter().filter_map(|row| row["ratio"].as_f64()).collect();
    assert_eq!((rows.len(), &rows[0]["test"], &rows[1]["n"]), (2, &"pp".into(), &2.into()));
    assert!(ratios[0] > 1.0 && ratios[1] < 1.0, "{document}");
    assert!(rows[0]["ratio_min"].as_f64() <= Some(ratios[0]) && rows[0]["ratio_max"].as_f64() >= Some(ratios[0]));
    for key in ["qint_peak_bytes", "llama_cpp_peak_bytes"] {
        assert!(document[key].as_f64().is_some_and(|bytes| (5e5..2e8).contains(&bytes)), "{key}: {document}");
    }
    let calls = fs::read_to_string(directory.join("arguments")).expect("calls");
    let call =
        format!("-o json -r 1 -ngl 0 -t 1 -m {}/model.gguf -ctk q8_0 -ctv q8_0 -p 3 -n 2 -d 4\n", directory.display());
    assert_eq!(calls, call.repeat(2));
}

#[test]
fn the_table_names_both_models_and_their_memory() {
    let directory = scratch("compare-table");
    llama_bench(&directory, &prints(&results()));
    let ended = compare(&directory, "-r 1");
    let stdout = &ended.fine().stdout;
    assert!(stdout.contains("| pp3 ") && stdout.contains("| tg2 "), "{stdout}");
    assert!(
        stdout.contains("qint: model.qint.safetensors, q4, ") && stdout.contains("llama.cpp abc: llama, 7 MB, peak")
    );
    assert_eq!(ended.stderr, "round 1 of 1: llama.cpp\nround 1 of 1: qint\n");
}

#[test]
fn what_a_side_does_wrong_is_said() {
    let directory = scratch("compare-wrong");
    let refused = |script: &str, code: i32, words: &str| {
        llama_bench(&directory, script);
        compare(&directory, "-q -r 1").refused(code, words);
    };
    refused(
        "echo loading >&2; echo 'error: no such tensor' >&2; echo bye >&2; exit 3",
        1,
        "(exit status: 3): error: no such tensor",
    );
    refused("exit 1", 1, "llama-bench failed (exit status: 1): it said nothing");
    refused("kill -9 $$", 1, "signal: 9");
    refused("echo '| model | test |'", 5, "is not that of `llama-bench -o json`");
    refused(&prints(&json!({"results": []})), 5, "no list of results");
    refused(&prints(&json!([{"n_prompt": 3, "n_gen": 0}])), 5, "no tokens per second");
    refused(&prints(&json!([results()[0]])), 5, "tg2 is missing");
    // More than a pipe holds, on both streams.
    llama_bench(&directory, &format!("yes x | head -c 300000 >&2; {}", prints(&results())));
    compare(&directory, "-q -r 1").fine();

    let gguf = directory.join("model.gguf").display().to_string();
    run(&format!("compare -q --llama-bench {gguf}.none --gguf {gguf} x")).refused(4, "no such program");
    run(&format!("compare -q --llama-bench {gguf} --gguf {gguf} x")).refused(1, "ermission denied");
    run(&format!("compare --llama-bench {gguf} --gguf {gguf}.none x")).refused(4, "no such file");
    run(&format!("compare --llama-bench {gguf} --gguf {gguf} x -p 0 -n 0")).refused(2, "nothing to measure");
    run(&format!("compare --llama-bench {gguf} --gguf {gguf}")).refused(2, "MODEL");
    llama_bench(&directory, &prints(&results()));
    let program = directory.join("llama-bench").display().to_string();
    run(&format!("compare -q --llama-bench {program} --gguf {gguf} -r 1 none.qint.safetensors"))
        .refused(4, "none.qint.safetensors");
}
