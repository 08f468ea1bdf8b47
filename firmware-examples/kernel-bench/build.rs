//! Puts the memory map of the board (environment variable `BOARD`) where cortex-m-rt's linker script looks for it, and turns
//! the JSON test vectors into Rust.
use serde_json::Value;
use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

const CODECS: [(&str, &str); 6] =
    [("Q8", "q8"), ("Q4", "q4"), ("Q4Linear", "q4-linear"), ("Q2", "q2"), ("Q2Linear", "q2-linear"), ("Q1", "q1")];

fn main() {
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    board(&out);
    vectors(&out);
}

fn board(out: &Path) {
    println!("cargo::rerun-if-env-changed=BOARD");
    println!("cargo::rerun-if-changed=boards");
    println!("cargo::rustc-check-cfg=cfg(memory, values(\"16k\", \"64k\", \"large\"))");
    let board = env::var("BOARD").unwrap_or_else(|_| "mps2".into());
    let map = Path::new("boards").join(format!("{board}.x"));
    fs::copy(&map, out.join("memory.x")).unwrap_or_else(|error| panic!("no board {board}: {error}"));
    println!("cargo::rustc-link-search={}", out.display());
    let memory = match board.as_str() {
        "microbit" => "16k",
        "lm3s6965evb" => "64k",
        _ => "large",
    };
    println!("cargo::rustc-cfg=memory=\"{memory}\"");
    // Armv6-M and the baseline of Armv8-M have no cycle counter.
    println!("cargo::rustc-check-cfg=cfg(cycles)");
    let target = env::var("TARGET").unwrap_or_default();
    if !target.starts_with("thumbv6m") && !target.starts_with("thumbv8m.base") {
        println!("cargo::rustc-cfg=cycles");
    }
}

/// `cases.rs`: an array of `Case`, whose panels are files of their own.
fn vectors(out: &Path) {
    let mut cases = String::from("&[\n");
    for (name, file) in CODECS {
        let path = format!("../../vectors/{file}.json");
        println!("cargo::rerun-if-changed={path}");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let document: Value = serde_json::from_str(&text).expect("the vectors are JSON");
        for (index, case) in document["cases"].as_array().expect("an array").iter().enumerate() {
            let panels = out.join(format!("{file}-{index}.panels"));
            fs::write(&panels, unhex(case["panels"].as_str().expect("a string"))).expect("OUT_DIR can be written");
            case_as_rust(&mut cases, name, &panels, case);
        }
    }
    fs::write(out.join("cases.rs"), cases + "]\n").expect("OUT_DIR can be written");
}

fn case_as_rust(to: &mut String, codec: &str, panels: &Path, case: &Value) {
    let number = |key: &str| usize::try_from(case[key].as_u64().expect("a number")).expect("small");
    let (tokens, rows) = (number("tokens"), number("rows"));
    let x: Vec<Vec<i64>> = per_token(&case["x_codes"]);
    let padded_rows = rows.next_multiple_of(16);
    let mut row_scales = numbers(&case["row_scales"]);
    row_scales.resize(padded_rows, 0);
    writeln!(
        to,
        "Case {{ codec: Codec::{codec}, group: {}, block: {}, rows: {rows}, cols: {}, tokens: {tokens}, panels: qint_arm::include_qint!({panels:?}), \
         row_scales: &{row_scales:?}, codes: &{:?}, scales: &{:?}, sums: &{:?}, outputs: &{:?} }},",
        number("group"),
        number("activation_block"),
        number("cols"),
        interleaved(&x, 4),
        interleaved(&per_token(&case["x_scales"]), 1),
        interleaved(&per_token(&case["x_sums"]), 1),
        numbers(&case["outputs"]),
    )
    .expect("strings grow");
}

/// One token's numbers, or `[number / together][four tokens][together]`.
fn interleaved(tokens: &[Vec<i64>], together: usize) -> Vec<i64> {
    let [first, .., _] = tokens else { return tokens.concat() };
    let zeros = vec![0; first.len()];
    let lane = |token: usize| tokens.get(token).unwrap_or(&zeros);
    (0..first.len() / together)
        .flat_map(|index| (0..4).flat_map(move |token| lane(token)[index * together..][..together].to_vec()))
        .collect()
}

fn per_token(value: &Value) -> Vec<Vec<i64>> {
    value.as_array().expect("an array").iter().map(numbers).collect()
}

/// All numbers of nested arrays in order.
fn numbers(value: &Value) -> Vec<i64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_i64().expect("an integer")],
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..][..2], 16).expect("hexadecimal")).collect()
}
