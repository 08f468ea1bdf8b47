//! What the dense path and the quantized ones lose on WikiText-2.
use super::{engine, quantized};
use qint_core::{codec::Codec, llama::KvKind};
use qint_std::{
    eval::{self, Divergence, EvalOptions, EvalText, Observer, Scored},
    mapping::Loading,
    model::Model,
    tokenizer::Tokenizer,
};
use qint_tests::models;
use std::{path::PathBuf, sync::atomic::AtomicBool};

/// The reference model and the first windows of the test text.
fn reference(test: &str, windows: usize) -> Option<(PathBuf, Model, EvalText)> {
    let (path, texts) = (models::path("QINT_REFERENCE", test)?, models::path("QINT_TEXT", test)?);
    let model = Model::open(&path, Loading::Map).expect("the reference opens");
    let tokenizer = Tokenizer::from_bytes(&model.asset("tokenizer.json").expect("a tokenizer")).expect("it parses");
    let text = std::fs::read_to_string(texts.join("wikitext2-test.txt")).expect("the text");
    let options = EvalOptions { windows: Some(windows), ..EvalOptions::default() };
    Some((path, model, EvalText::new(&tokenizer, &text, &options).expect("windows")))
}

fn scored(model: &Model) -> Scored<'_> {
    Scored { weights: model.weights(), kv: KvKind::F16 }
}

fn divergence(test: &str, codec: Codec, windows: usize) -> Option<Divergence> {
    let (path, dense, text) = reference(test, windows)?;
    let model = quantized(&path, codec);
    let observer = Observer { progress: &|_, _| {}, cancel: &AtomicBool::new(false) };
    let figures = eval::divergence(&mut engine(), scored(&dense), scored(&model), &text, &observer).expect("it runs");
    println!("{codec:?}, {:.3} bits in the linear layers: {figures:?}", model.bits_per_weight_linear());
    Some(figures)
}

/// transformers gives 21.55 over these 8 windows.
#[test]
fn the_dense_path_has_the_perplexity_of_the_original() {
    let Some((_, dense, text)) = reference("dense perplexity", 8) else { return };
    let observer = Observer { progress: &|_, _| {}, cancel: &AtomicBool::new(false) };
    let found = eval::perplexity(&mut engine(), scored(&dense), &text, &observer).expect("it runs");
    println!("{found:?}");
    assert_eq!(found.tokens, 8 * 255);
    assert!((found.ppl / 21.55 - 1.0).abs() < 0.003, "{found:?}");
}

/// llama.cpp's Q8_0 has 0.0036 on this text.
#[test]
fn q8_loses_next_to_nothing() {
    let windows = if models::long() { 30 } else { 8 };
    let Some(found) = divergence("q8 divergence", Codec::Q8, windows) else { return };
    assert!(found.kld_mean <= 0.0025 && found.top1 >= 0.97, "{found:?}");
}

/// llama.cpp's IQ4_NL has 0.170 and Q4_0 has 0.275 on this text, without an importance matrix.
#[test]
fn q4_stays_close() {
    let windows = if models::long() { 30 } else { 2 };
    let Some(found) = divergence("q4 divergence", Codec::Q4, windows) else { return };
    assert!(found.kld_mean <= 0.20, "{found:?}");
}
