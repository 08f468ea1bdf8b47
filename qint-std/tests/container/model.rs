//! Models over containers and over sources have the same weights, as far as their codecs allow.
use crate::support::{GOLDENS, convert_to, golden, recipe};
use qint_core::{codec::Codec, matrix::Matrix};
use qint_std::{convert::Options, error::Class, mapping::Loading, model::Model};
use std::sync::Arc;

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
