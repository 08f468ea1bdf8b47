//! Test vectors for every implementation in any language: JSON files in `vectors/`.
//!
//! `cargo run --release -p qint-tests --example make-vectors` writes them from the readable reference; `tests/vectors.rs`
//! reads them on every backend. `vectors/README.md` explains the fields.
use crate::products::{Draw, Inputs, Random, Weights, bits};
use qint_core::{
    activation::{self, ActivationBlock, ActivationFormat, Activations, Transform},
    backend::Backend,
    codec::{Codec, Group},
    dequantize,
    layout::Layout,
    pack, reference,
};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Where the files lie.
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

/// The file of one codec's products.
pub fn product_file(codec: Codec) -> PathBuf {
    directory().join(format!("{}.json", codec.name()))
}

/// The file of activation transforms and rounding.
pub fn activation_file() -> PathBuf {
    directory().join("activations.json")
}

/// A few products of one codec.
pub fn products(codec: Codec) -> Value {
    let mut random = Random(codec as u64 + 100);
    let cases = [
        (3, 280, Group::G32, ActivationBlock::B256, 2),
        (17, 70, Group::G64, ActivationBlock::B512, 1),
        (2, 200, Group::G128, ActivationBlock::B1024, 1),
    ];
    let cases = cases.map(|(rows, cols, group, block, tokens)| {
        let layout = Layout::new(rows, cols, codec, group).expect("legal sizes");
        product(layout, block, tokens, &mut random)
    });
    json!({ "schema": "qint.vectors/1", "codec": codec.name(), "levels": codec.levels(), "cases": cases })
}

fn product(layout: Layout, block: ActivationBlock, tokens: usize, random: &mut Random) -> Value {
    let cols = layout.padded_cols();
    let mut panels = vec![0; layout.panels_bytes()];
    let (mut codes, mut sub_scales, mut row_scales) = (Vec::new(), Vec::new(), vec![0.0; layout.padded_rows()]);
    for (row, row_scale) in row_scales.iter_mut().take(layout.rows()).enumerate() {
        let mask = u8::MAX >> (8 - layout.codec().bits());
        // The first row holds the ends of every range.
        let row_codes: Vec<u8> = (0..cols).map(|_| if row == 0 { 0 } else { random.bits() as u8 & mask }).collect();
        let row_sub_scales: Vec<i8> =
            (0..layout.groups()).map(|_| if row == 0 { -128 } else { random.within(0..255) as u8 as i8 }).collect();
        pack::pack_row(&layout, row, &row_codes, &row_sub_scales, &mut panels).expect("lengths fit");
        codes.push(hex(&row_codes));
        sub_scales.push(row_sub_scales);
        *row_scale = random.scale();
    }
    let weights = Weights::new(layout, &panels, row_scales);
    let inputs = Inputs::random(tokens, cols, block, Draw::Uniform, random);
    let (matrix, x) = (weights.matrix(), inputs.activations());

    let mut dequantized = Vec::new();
    for row in 0..layout.rows().min(2) {
        let mut weights = vec![0.0; cols];
        dequantize::row(&matrix, row, &mut weights).expect("lengths fit");
        dequantized.push(bits(&weights[..32]));
    }
    let blocks = cols.div_ceil(block.cols());
    let sums = |token: usize, row: usize| -> Vec<i32> {
        (0..blocks).map(|block| reference::block_sum(&matrix, row, &x, token, block)).collect()
    };
    let per_row = |f: &dyn Fn(usize, usize) -> Value| -> Vec<Vec<Value>> {
        (0..tokens).map(|token| (0..layout.rows()).map(|row| f(token, row)).collect()).collect()
    };
    json!({
        "rows": layout.rows(),
        "cols": layout.cols(),
        "group": layout.group().cols(),
        "activation_block": block.cols(),
        "tokens": tokens,
        "codes": codes,
        "sub_scales": sub_scales,
        "row_scales": bits(&matrix.row_scales()[..layout.rows()]),
        "panels": hex(&panels),
        "dequantized": dequantized,
        "x_codes": (0..tokens).map(|token| (0..cols).map(|col| x.code(token, col)).collect()).collect::<Vec<Vec<i8>>>(),
        "x_scales": (0..tokens).map(|token| (0..blocks).map(|block| x.scale(token, block).to_bits()).collect()).collect::<Vec<Vec<u32>>>(),
        "x_sums": x_sums(&x),
        "block_sums": per_row(&|token, row| json!(sums(token, row))),
        "outputs": per_row(&|token, row| json!(reference::dot(&matrix, row, &x, token).to_bits())),
    })
}

/// Activations before and after transform and rounding.
pub fn activations() -> Value {
    let mut random = Random(200);
    let mut cases = Vec::new();
    for cols in [32, 96, 320] {
        for (transform, block) in
            [(Transform::None, ActivationBlock::B256), (Transform::Hadamard, ActivationBlock::B512)]
        {
            let x: Vec<f32> = (0..cols).map(|_| random.scale()).collect();
            cases.push(rounded(&x, ActivationFormat { transform, block }));
        }
    }
    // Ties, and a block that counts as zero.
    let mut x = vec![1e-20; 288];
    x[..6].copy_from_slice(&[127.0, 0.5, 1.5, -0.5, -2.5, 126.5]);
    cases.push(rounded(&x, ActivationFormat { transform: Transform::None, block: ActivationBlock::B256 }));
    json!({ "schema": "qint.vectors/1", "cases": cases })
}

fn rounded(x: &[f32], format: ActivationFormat) -> Value {
    let portable = Backend::from_name("portable").expect("always there");
    let mut transformed = x.to_vec();
    let mut codes = vec![0; x.len()];
    let mut scales = vec![0.0; x.len().div_ceil(format.block.cols())];
    let mut sums = vec![0; x.len() / activation::SUM_COLS];
    activation::quantize(portable, &mut transformed, format, &mut codes, &mut scales, &mut sums).expect("finite");
    json!({
        "transform": if format.transform == Transform::Hadamard { "hadamard" } else { "none" },
        "activation_block": format.block.cols(),
        "x": bits(x),
        "transformed": bits(&transformed),
        "x_codes": codes,
        "x_scales": bits(&scales),
        "x_sums": sums,
    })
}

/// A document as text: one line per field of a case, so that a change can be read in a diff.
pub fn text(document: &Value) -> String {
    let mut lines = Vec::new();
    for (name, value) in document.as_object().unwrap_or(&Map::new()) {
        let value = match value.as_array().filter(|_| name == "cases") {
            Some(cases) => format!("[\n{}\n]", cases.iter().map(case_text).collect::<Vec<_>>().join(",\n")),
            None => value.to_string(),
        };
        lines.push(format!("{}: {value}", json!(name)));
    }
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

fn case_text(case: &Value) -> String {
    let fields = case.as_object().into_iter().flatten();
    let fields: Vec<String> = fields.map(|(name, value)| format!("  {}: {value}", json!(name))).collect();
    format!(" {{\n{}\n }}", fields.join(",\n"))
}

/// Two digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The inverse of [`hex`].
///
/// # Panics
/// If `text` is not hexadecimal.
pub fn unhex(text: &str) -> Vec<u8> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "an odd number of digits");
    let digits = pairs.iter().map(|pair| str::from_utf8(pair).expect("ASCII"));
    digits.map(|digits| u8::from_str_radix(digits, 16).expect("two digits")).collect()
}

/// One token of a case, as [`Activations`] wants it.
pub fn inputs(case: &Value) -> Inputs {
    let tokens = integer(&case["tokens"]);
    let codes: Vec<i8> = flat(&case["x_codes"]).iter().map(|code| *code as i8).collect();
    let scales = flat(&case["x_scales"]).iter().map(|bits| f32::from_bits(*bits as u32)).collect();
    let block = ActivationBlock::from_cols(integer(&case["activation_block"])).expect("a legal block");
    Inputs::new(tokens, codes.len() / tokens, block, codes, scales)
}

/// The matrix of a case, from its panels.
pub fn weights(codec: Codec, case: &Value) -> Weights {
    let layout = layout(codec, case);
    let mut row_scales = vec![0.0; layout.padded_rows()];
    for (scale, bits) in row_scales.iter_mut().zip(flat(&case["row_scales"])) {
        *scale = f32::from_bits(bits as u32);
    }
    Weights::new(layout, &unhex(case["panels"].as_str().expect("a string")), row_scales)
}

/// The layout of a case.
pub fn layout(codec: Codec, case: &Value) -> Layout {
    let group = Group::from_cols(integer(&case["group"])).expect("a legal group");
    Layout::new(integer(&case["rows"]), integer(&case["cols"]), codec, group).expect("legal sizes")
}

/// All numbers of nested arrays in order.
pub fn flat(value: &Value) -> Vec<i64> {
    match value {
        Value::Array(values) => values.iter().flat_map(flat).collect(),
        value => vec![value.as_i64().expect("an integer")],
    }
}

fn integer(value: &Value) -> usize {
    usize::try_from(value.as_i64().expect("an integer")).expect("not negative")
}

/// Whether the sums that go with `x` are what a case says.
pub fn sums_agree(case: &Value, x: &Activations<'_>) -> bool {
    flat(&case["x_sums"]) == x_sums(x).concat().into_iter().map(i64::from).collect::<Vec<_>>()
}

/// The sums of every 32 columns, `[tokens][steps]`.
fn x_sums(x: &Activations<'_>) -> Vec<Vec<i32>> {
    let steps = x.padded_cols() / activation::SUM_COLS;
    (0..x.tokens()).map(|token| (0..steps).map(|step| x.sum(token, step)).collect()).collect()
}
