//! Models over containers and over sources have the same weights, as far as their codecs allow.
use crate::support::{GOLDENS, bundled, convert_to, golden, recipe};
use qint_core::{backend::Backend, codec::Codec, llama::KvKind, matrix::Matrix, team::Serial};
use qint_std::{
    convert::Options,
    engine::{Engine, Session},
    error::Class,
    mapping::Loading,
    model::Model,
    quantize::{Recipe, parse_activation},
};
use std::{path::Path, sync::Arc};

fn shareable<T: Send + Sync>(value: T) -> Arc<T> {
    Arc::new(value)
}

#[test]
fn both_forms_open_and_agree_on_shapes() {
    let dir = tempfile::tempdir().unwrap();
    for name in GOLDENS {
        let output = dir.path().join(format!("{name}.qint.safetensors"));
        convert_to(&output, &golden(name), &recipe(Codec::Q4), &Options::default());
        let dense = shareable(Model::open(&golden(name), Loading::Map).unwrap());
        for loading in [Loading::Map, Loading::Read] {
            let model = shareable(Model::open(&output, loading).unwrap());
            assert_eq!(model.config(), dense.config());
            assert_eq!(model.weights().final_norm(), dense.weights().final_norm());
            for (quantized, dense) in model.weights().layers().iter().zip(dense.weights().layers()) {
                assert_eq!(quantized.attention_norm, dense.attention_norm);
                assert!(matches!((&quantized.down, &dense.down), (Matrix::Quantized(..), Matrix::Dense(_))));
                assert_eq!((quantized.q.rows(), quantized.q.cols()), (dense.q.rows(), dense.q.cols()));
            }
            assert_eq!(model.asset("config.json"), dense.asset("config.json"));
            assert!(model.manifest().is_some() && dense.manifest().is_none());
            assert!(model.bits_per_weight_linear() < dense.bits_per_weight_linear());
            assert!(dense.bits_per_weight() >= 16.0);
        }
    }
}

#[test]
fn what_is_no_model_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path| Model::open(path, Loading::Map).unwrap_err();
    assert_eq!(open(&dir.path().join("absent")).class(), Class::NotFound);
    assert_eq!(open(dir.path()).class(), Class::NotFound);
    assert_eq!(open(&golden("llama2").join("model.safetensors")).class(), Class::Unsupported);
    let empty = dir.path().join("empty.qint.safetensors");
    std::fs::write(&empty, "").unwrap();
    assert_eq!(open(&empty).class(), Class::Malformed);
}

/// The last logits after `prompt`.
fn logits(model: &Path, prompt: &[u32]) -> Vec<f32> {
    let model = Model::open(model, Loading::Map).unwrap();
    let mut session = Session::new(model.weights().config(), KvKind::F32, prompt.len()).unwrap();
    Engine::new(Backend::detect(), Box::new(Serial), 16).prompt(model.weights(), &mut session, prompt).unwrap()
}

/// How far the logits of the converted `model` are from its own, relative to their spread.
fn error_of(model: &Path, recipe: &Recipe) -> f32 {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("model");
    convert_to(&output, model, recipe, &Options::default());
    let prompt: Vec<u32> = (0..40).map(|i| 1 + i * 37 % 127).collect();
    let (dense, quantized) = (logits(model, &prompt), logits(&output, &prompt));
    let mean = dense.iter().sum::<f32>() / dense.len() as f32;
    let spread: f32 = dense.iter().map(|x| (x - mean) * (x - mean)).sum();
    let error: f32 = dense.iter().zip(&quantized).map(|(x, y)| (x - y) * (x - y)).sum();
    (error / spread).sqrt()
}

#[test]
fn converted_models_compute_nearly_the_same() {
    // The golden models are random and amplify every error; the bundled one is trained.
    let models = GOLDENS.map(|name| (golden(name), 0.12)).into_iter().chain([(bundled(), 0.02)]);
    for (model, bar) in models {
        for (codec, activation, factor) in
            [(Codec::Q8, "hadamard", 1.0), (Codec::Q8, "none:b512", 1.0), (Codec::Q4, "hadamard:b1024", 6.0)]
        {
            let mut recipe = recipe(codec);
            recipe.activation = parse_activation(activation).unwrap();
            let error = error_of(&model, &recipe);
            println!("{} {} {activation}: {error:.4}", model.display(), codec.name());
            assert!(error < bar * factor, "{} {} {activation}: {error}", model.display(), codec.name());
        }
    }
}
