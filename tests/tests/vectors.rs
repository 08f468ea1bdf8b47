//! The JSON vectors in `vectors/` hold on every backend, from codes to the bits of the outputs.
use qint_core::{
    activation::{self, ActivationBlock, ActivationFormat, Transform},
    codec::Codec,
    dequantize, pack, reference,
};
use qint_tests::{
    backends::backends,
    products::{bits, product},
    vectors::{self, flat, unhex},
};
use serde_json::Value;
use std::path::Path;

fn cases(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["schema"], "qint.vectors/1");
    document["cases"].as_array().unwrap().clone()
}

fn for_each_product(check: impl Fn(Codec, &Value)) {
    for codec in Codec::ALL {
        let cases = cases(&vectors::product_file(codec));
        assert!(!cases.is_empty());
        cases.iter().for_each(|case| check(codec, case));
    }
}

#[test]
fn rows_pack_into_the_stored_panels_and_back() {
    for_each_product(|codec, case| {
        let layout = vectors::layout(codec, case);
        let stored = unhex(case["panels"].as_str().unwrap());
        let mut panels = vec![0; layout.panels_bytes()];
        for row in 0..layout.rows() {
            let codes = unhex(case["codes"][row].as_str().unwrap());
            let sub_scales: Vec<i8> = flat(&case["sub_scales"][row]).iter().map(|&scale| scale as i8).collect();
            pack::pack_row(&layout, row, &codes, &sub_scales, &mut panels).unwrap();

            let (mut codes_back, mut sub_scales_back) = (vec![0; codes.len()], vec![0; sub_scales.len()]);
            pack::unpack_row(&layout, row, &stored, &mut codes_back, &mut sub_scales_back).unwrap();
            assert_eq!((codes_back, sub_scales_back), (codes, sub_scales));
        }
        assert_eq!(panels, stored, "{codec:?}");
    });
}

#[test]
fn rows_dequantize_to_the_stored_weights() {
    for_each_product(|codec, case| {
        let weights = vectors::weights(codec, case);
        for (row, expected) in case["dequantized"].as_array().unwrap().iter().enumerate() {
            let mut found = vec![0.0; vectors::layout(codec, case).padded_cols()];
            dequantize::row(&weights.matrix(), row, &mut found).unwrap();
            let found = bits(&found[..flat(expected).len()]);
            assert_eq!(found.into_iter().map(i64::from).collect::<Vec<_>>(), flat(expected), "{codec:?} {row}");
        }
    });
}

#[test]
fn products_give_the_stored_sums_and_outputs() {
    for_each_product(|codec, case| {
        let (weights, inputs) = (vectors::weights(codec, case), vectors::inputs(case));
        let (matrix, x) = (weights.matrix(), inputs.activations());
        assert!(vectors::sums_agree(case, &x));
        let blocks = x.padded_cols().div_ceil(x.block().cols());
        let mut sums = Vec::new();
        for token in 0..x.tokens() {
            for row in 0..matrix.layout().rows() {
                sums.extend((0..blocks).map(|block| i64::from(reference::block_sum(&matrix, row, &x, token, block))));
            }
        }
        assert_eq!(sums, flat(&case["block_sums"]), "{codec:?}");
        for backend in backends() {
            let found: Vec<i64> = bits(&product(backend, &matrix, &x)).into_iter().map(i64::from).collect();
            assert_eq!(found, flat(&case["outputs"]), "{} {codec:?}", backend.name());
        }
    });
}

#[test]
fn activations_round_to_the_stored_codes() {
    for case in cases(&vectors::activation_file()) {
        let x: Vec<f32> = flat(&case["x"]).iter().map(|&bits| f32::from_bits(bits as u32)).collect();
        let block = ActivationBlock::from_cols(flat(&case["activation_block"])[0] as usize).unwrap();
        let transform = match case["transform"].as_str().unwrap() {
            "none" => Transform::None,
            "hadamard" => Transform::Hadamard,
            other => panic!("unknown transform {other}"),
        };
        for backend in backends() {
            let mut transformed = x.clone();
            let (mut codes, mut sums) = (vec![0i8; x.len()], vec![0; x.len() / activation::SUM_COLS]);
            let mut scales = vec![0.0; x.len().div_ceil(block.cols())];
            let format = ActivationFormat { transform, block };
            activation::quantize(backend, &mut transformed, format, &mut codes, &mut scales, &mut sums).unwrap();
            let integers = |bits: Vec<u32>| bits.into_iter().map(i64::from).collect::<Vec<_>>();
            assert_eq!(integers(bits(&transformed)), flat(&case["transformed"]), "{}", backend.name());
            assert_eq!(integers(bits(&scales)), flat(&case["x_scales"]), "{}", backend.name());
            assert_eq!(codes.iter().map(|&code| i64::from(code)).collect::<Vec<_>>(), flat(&case["x_codes"]));
            assert_eq!(sums.iter().map(|&sum| i64::from(sum)).collect::<Vec<_>>(), flat(&case["x_sums"]));
        }
    }
}

/// Whoever changes a table or a formula sees it here, and writes the files again on purpose.
#[test]
fn the_files_are_what_the_reference_writes() {
    for codec in Codec::ALL {
        let stored = std::fs::read_to_string(vectors::product_file(codec)).unwrap();
        assert!(stored == vectors::text(&vectors::products(codec)), "{}: run the make-vectors example", codec.name());
    }
    let stored = std::fs::read_to_string(vectors::activation_file()).unwrap();
    assert!(stored == vectors::text(&vectors::activations()), "activations: run the make-vectors example");
}
