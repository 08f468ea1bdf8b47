//! NPZ and manifest.json: exports read back as the same model, and what numpy wrote reads.
use crate::{
    gguf_file::from_golden,
    support::{golden, path_from_environment},
};
use qint_std::{
    error::Class,
    npz,
    source::{self, Source},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

fn all_rows(source: &dyn Source, index: usize) -> Vec<f32> {
    let shape = &source.tensors()[index].expected;
    let mut out = vec![f32::NAN; shape.rows * shape.cols];
    source.read_rows(index, 0..shape.rows, &mut out).unwrap();
    out
}

fn same_model(a: &dyn Source, b: &dyn Source) {
    assert_eq!(a.config(), b.config());
    for (index, (left, right)) in a.tensors().iter().zip(b.tensors()).enumerate() {
        assert_eq!(left.expected, right.expected);
        assert_eq!(all_rows(a, index), all_rows(b, index), "{}", left.expected.name);
    }
}

#[test]
fn exports_read_back_as_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["llama2", "mistral", "gemma", "llama3", "sharded"] {
        let (original, out) = (source::open(&golden(name)).unwrap(), dir.path().join(name));
        npz::export(&*original, &out, false).unwrap();
        let exported = source::open(&out).unwrap();
        same_model(&*original, &*exported);
        assert!(exported.ignored().is_empty());
        let config =
            |source: &dyn Source| serde_json::from_slice::<Value>(&source.asset("config.json").unwrap()).unwrap();
        assert_eq!(config(&*original), config(&*exported));
        for (index, tensor) in exported.tensors().iter().enumerate() {
            assert_eq!(tensor.stored, if name == "mistral" { "f16" } else { "f32" });
            assert!(exported.dense(index).is_some());
        }
        if name == "llama2" || name == "mistral" {
            assert_eq!(original.hash().unwrap(), exported.hash().unwrap());
        }
        let again = npz::export(&*original, &out, false).unwrap_err();
        assert_eq!(again.class(), Class::Usage);
        npz::export(&*original, &out, true).unwrap();
    }
    from_golden("gemma").write(&dir.path().join("gemma.gguf"));
    let gguf = source::open(&dir.path().join("gemma.gguf")).unwrap();
    npz::export(&*gguf, &dir.path().join("gguf"), false).unwrap();
    same_model(&*gguf, &*source::open(&dir.path().join("gguf")).unwrap());
}

#[test]
fn carries_the_tokenizer_and_the_chat_template() {
    let Some(reference) = path_from_environment("QINT_STORIES", "carries_the_tokenizer_and_the_chat_template") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let original = source::open(&reference).unwrap();
    npz::export(&*original, dir.path(), false).unwrap();
    let exported = source::open(dir.path()).unwrap();
    same_model(&*original, &*exported);
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"] {
        assert_eq!(original.asset(name), exported.asset(name), "{name}");
    }
}

#[test]
fn reads_what_numpy_deflated() {
    let source = source::open(&golden("npz")).unwrap();
    assert_eq!(source.config().architecture.kv_heads, 2);
    for (index, tensor) in source.tensors().iter().enumerate() {
        let (rows, cols) = (tensor.expected.rows, tensor.expected.cols);
        let expected: Vec<f32> = (0..rows * cols).map(|i| ((7 * i + 13 * index) % 64) as f32 / 32.0 - 1.0).collect();
        assert_eq!(all_rows(&*source, index), expected, "{}", tensor.expected.name);
        assert_eq!(tensor.stored, if tensor.expected.role.is_norm() { "f32" } else { "f16" });
        assert!(source.dense(index).is_none());
        let mut row = vec![0.0; cols];
        for at in (0..rows).chain((0..rows).rev().step_by(3)) {
            source.read_rows(index, at..at + 1, &mut row).unwrap();
            assert_eq!(row, expected[at * cols..][..cols]);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    npz::export(&*source, dir.path(), false).unwrap();
    let stored = source::open(dir.path()).unwrap();
    same_model(&*source, &*stored);
    assert_eq!(source.hash().unwrap(), stored.hash().unwrap());
}

#[test]
fn refuses_manifests_that_do_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(golden("npz").join("weights.npz"), dir.path().join("weights.npz")).unwrap();
    let good: Value = serde_json::from_slice(&fs::read(golden("npz").join("manifest.json")).unwrap()).unwrap();
    let with = |path: &Path, change: &dyn Fn(&mut Value)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        fs::write(path.join("manifest.json"), manifest.to_string()).unwrap();
        source::open(path).err().unwrap()
    };
    let norm = "model.norm.weight";
    for (change, class, name) in [
        (&(|m: &mut Value| m["format"] = "npz".into()) as &dyn Fn(&mut Value), Class::Malformed, "qint-npz"),
        (&|m: &mut Value| m["version"] = 2.into(), Class::Unsupported, "version 2"),
        (&|m: &mut Value| m["config"] = Value::Null, Class::Malformed, "neither"),
        (&|m: &mut Value| m["config"]["hidden_act"] = "relu".into(), Class::Unsupported, "relu"),
        (&|m: &mut Value| m["tensors"][norm]["shape"] = json!([9]), Class::Malformed, norm),
        (&|m: &mut Value| m["tensors"][norm]["dtype"] = "f16".into(), Class::Malformed, norm),
        (&|m: &mut Value| drop(m["tensors"].as_object_mut().unwrap().remove(norm)), Class::Malformed, norm),
        (&|m: &mut Value| m["config"]["vocab_size"] = 301.into(), Class::Malformed, "[300, 8]"),
        (&|m: &mut Value| m["config"]["num_hidden_layers"] = 2.into(), Class::Malformed, "model.layers.1"),
    ] {
        let error = with(dir.path(), change);
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
}
