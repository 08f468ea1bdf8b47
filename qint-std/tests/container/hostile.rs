//! Files that are cut, flipped, or forged with the right hashes: an error or a correct model, never a panic, a hang, or
//! memory out of proportion.
use crate::{
    forge::{Forged, header_length, paths},
    support::{Seeded, long_tests, peak_of, small_container},
};
use qint_std::{container::Container, mapping::Loading, model::Model};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Opens `bytes` as a model, in memory that stays in proportion. Returns whether it was accepted.
fn open(path: &Path, bytes: &[u8], loading: Loading) -> bool {
    fs::write(path, bytes).unwrap();
    let (model, peak) = peak_of(|| Model::open(path, loading));
    assert!(peak <= 2 * bytes.len() + (32 << 20), "{peak} bytes allocated for a file of {}", bytes.len());
    if let Ok(model) = &model {
        // What is accepted can be used: every matrix and norm is there, whole.
        assert_eq!(model.weights().layers().len(), model.config().architecture.layers);
        let _ = (model.container().unwrap().verify(), model.asset("tokenizer.json"));
    }
    model.is_ok()
}

struct Trial {
    dir: tempfile::TempDir,
    original: Vec<u8>,
}

impl Trial {
    fn new() -> Trial {
        let trial = Trial { dir: tempfile::tempdir().unwrap(), original: small_container() };
        assert!(trial.open(&trial.original));
        assert!(trial.open(&Forged::new(&trial.original).join()));
        trial
    }

    fn open(&self, bytes: &[u8]) -> bool {
        open(&self.dir.path().join("model"), bytes, Loading::Map)
    }
}

#[test]
fn every_byte_of_the_header_changed() {
    let trial = Trial::new();
    let end = 8 + header_length(&trial.original);
    // Spaces at the end of the header are all alike.
    let json_end = trial.original[..end].iter().rposition(|byte| *byte == b'}').unwrap() + 2;
    let step = if long_tests() { 1 } else { 41 };
    let path = trial.dir.path().join("model");
    let manifest = Container::open(&path, Loading::Map).unwrap().manifest().clone();
    let mut accepted = 0;
    for at in (0..json_end).filter(|at| at % step == 0 || *at < 16) {
        let byte = trial.original[at];
        for changed in (0..8).map(|bit| byte ^ (1 << bit)).chain([0, b'"', 0xff]) {
            let mut bytes = trial.original.clone();
            bytes[at] = changed;
            if trial.open(&bytes) {
                // Spaces and the names of pads may change; the model is the same.
                let container = Container::open(&path, Loading::Map).unwrap();
                assert_eq!(*container.manifest(), manifest, "byte {at} as {changed}");
                container.verify().unwrap();
                accepted += 1;
            }
        }
    }
    println!("{accepted} changes accepted");
}

#[test]
fn every_length() {
    let trial = Trial::new();
    let data = 8 + header_length(&trial.original);
    let header: Value = serde_json::from_slice(&trial.original[8..data]).unwrap();
    let boundaries = header.as_object().unwrap().values().filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    let step = if long_tests() { 1 } else { 37 };
    let mut lengths: Vec<usize> = (0..4096).step_by(step).collect();
    lengths.extend(boundaries.flat_map(|end| [end as usize - 1, end as usize, end as usize + 1]).map(|end| data + end));
    for length in lengths.into_iter().filter(|length| *length != trial.original.len()) {
        let mut bytes = trial.original.clone();
        bytes.resize(length, 0);
        for loading in [Loading::Map, Loading::Read] {
            assert!(!open(&trial.dir.path().join("model"), &bytes, loading), "cut to {length}");
        }
    }
}

/// A value like `value` in kind or not at all, from a list of those that tend to break readers.
fn nasty(random: &mut Seeded, value: &Value) -> Value {
    let numbers =
        [0u64, 1, 2, 15, 16, 31, 32, 33, 63, 64, 65, 255, 256, 4095, 1 << 24, (1 << 24) + 1, 1 << 31, 1 << 32];
    match (value, random.below(8)) {
        (Value::Number(number), 0..=2) => {
            json!(number.as_u64().unwrap_or(1).wrapping_add(random.below(130) as u64).wrapping_sub(64))
        }
        (Value::Number(_), 3..=5) => json!(numbers[random.below(numbers.len())]),
        (Value::String(text), 0..=2) => json!(text.chars().rev().collect::<String>()),
        (Value::String(_), 3..=5) => {
            let words = ["q8", "q4", "q2", "q1", "q4-linear", "none", "hadamard", "F32", "U8", "q3", "", "q4:g128"];
            json!(words[random.below(words.len())])
        }
        (Value::Array(list), 0..=4) => {
            let mut list = list.clone();
            match random.below(3) {
                0 => list.push(list.last().cloned().unwrap_or(Value::Null)),
                1 => drop(list.pop()),
                _ => list.reverse(),
            }
            Value::Array(list)
        }
        (_, 6) => json!([true, -1, 1e300, "x", [], {}])[random.below(6)].clone(),
        _ => json!([null, u64::MAX, i64::MIN, 0.5, {}, [[]]])[random.below(6)].clone(),
    }
}

#[test]
fn forged_with_the_right_hashes() {
    let trial = Trial::new();
    let original = Forged::new(&trial.original);
    let (header_paths, manifest_paths) = (paths(&original.header), paths(&original.manifest_json()));
    let rounds = if long_tests() { 20_000 } else { 1_500 };
    let mut random = Seeded(1);
    let mut accepted = 0;
    for _ in 0..rounds {
        let mut forged = original.clone();
        forged.edit(|header, manifest| {
            for _ in 0..=random.below(3) {
                let (target, paths) = if random.below(2) == 0 {
                    (&mut *header, &header_paths)
                } else {
                    (&mut *manifest, &manifest_paths)
                };
                // The metadata is put together again at the end; its object stays one.
                let path = &paths[random.below(paths.len())];
                if path.is_empty() || path == "/__metadata__" {
                    continue;
                }
                if let Some(value) = target.pointer_mut(path) {
                    *value = nasty(&mut random, &value.clone());
                }
            }
        });
        if random.below(4) == 0 {
            let at = random.below(forged.data.len());
            forged.data[at] = random.next() as u8;
        }
        if random.below(8) == 0 {
            let length = forged.data.len() + random.below(129);
            forged.data.resize(length.saturating_sub(64), 0);
        }
        accepted += usize::from(trial.open(&forged.join()));
    }
    println!("{accepted} of {rounds} accepted");
    assert!(accepted < rounds);
}

#[test]
fn what_matters_is_checked() {
    let trial = Trial::new();
    let original = Forged::new(&trial.original);
    let refused = |what: &str, edit: &dyn Fn(&mut Value, &mut Value)| {
        let mut forged = original.clone();
        forged.edit(edit);
        assert!(!trial.open(&forged.join()), "{what}");
    };
    refused("a later version", &|header, _| header["__metadata__"]["qint.version"] = json!("2"));
    refused("another format", &|header, _| header["__metadata__"]["format"] = json!("pt"));
    refused("an unknown field", &|_, manifest| manifest["surprise"] = json!(1));
    refused("other layers", &|_, manifest| manifest["config"]["layers"] = json!(1));
    refused("another codec", &|_, manifest| manifest["matrices"][1]["codec"] = json!("q8"));
    refused("rows", &|_, manifest| manifest["matrices"][1]["rows"] = json!(96));
    refused("a torn input", &|_, manifest| manifest["matrices"][2]["transform"] = json!("none"));
    refused("a torn block", &|_, manifest| manifest["matrices"][2]["block"] = json!(512));
    refused("a hash too many", &|_, manifest| {
        let extra = json!({"name": "x", "sha256": "0".repeat(64)});
        manifest["tensors"].as_array_mut().unwrap().push(extra);
    });
    refused("a hash too few", &|_, manifest| drop(manifest["tensors"].as_array_mut().unwrap().pop()));
    refused("a hash of another form", &|_, manifest| manifest["tensors"][0]["sha256"] = json!("00"));
    refused("a stranger", &|header, _| {
        let last = header.as_object().unwrap().values().filter_map(|t| t["data_offsets"][1].as_u64()).max().unwrap();
        header["stranger"] = json!({"dtype": "U8", "shape": [0], "data_offsets": [last, last]});
    });
    for scale in [f32::NAN, f32::INFINITY, 1e-30, 1e30] {
        let mut forged = original.clone();
        let at = forged.header["model.layers.0.mlp.up_proj.weight.row_scales"]["data_offsets"][0].as_u64().unwrap();
        forged.data[at as usize..][..4].copy_from_slice(&scale.to_le_bytes());
        assert!(!trial.open(&forged.join()), "row scale {scale}");
    }
    let mut forged = original.clone();
    let at = forged.header["model.norm.weight"]["data_offsets"][0].as_u64().unwrap() as usize;
    forged.data[at..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(!trial.open(&forged.join()), "a norm that is NaN");
    let mut forged = original.clone();
    forged.data[100] ^= 1;
    assert!(trial.open(&forged.join()), "any bytes are legal weights");
}

/// Headers that cost little to store and much to parse.
#[test]
fn bombs_stay_small() {
    let trial = Trial::new();
    let original = Forged::new(&trial.original);
    let bomb = |edit: &dyn Fn(&mut Value, &mut Value)| {
        let mut forged = original.clone();
        forged.edit(edit);
        forged.join()
    };
    let zeros: Value = vec![0; 900_000].into();
    let nested = (0..100).fold(json!(0), |value, _| json!([value]));
    let tensor = json!({"dtype": "U8", "shape": [0], "data_offsets": [0, 0]});
    for bytes in [
        bomb(&|header, _| header["x"] = json!({"dtype": "U8", "shape": zeros, "data_offsets": [0, 0]})),
        bomb(&|header, _| header["x"] = zeros.clone()),
        bomb(&|header, _| header["__metadata__"]["x"] = zeros.clone()),
        bomb(&|header, _| (0..25_000).for_each(|i| header[format!("__pad.{i}")] = tensor.clone())),
        bomb(&|_, manifest| manifest["config"]["eos"] = zeros.clone()),
        bomb(&|_, manifest| manifest["accuracy"] = json!({"x": zeros})),
        bomb(&|_, manifest| manifest["matrices"] = zeros.clone()),
        bomb(&|_, manifest| manifest["recipe"]["rules"] = vec![""; 300_000].into()),
        bomb(&|_, manifest| manifest["producer"] = "\\".repeat(400_000).into()),
        bomb(&|_, manifest| manifest["config"] = nested.clone()),
        bomb(&|_, manifest| manifest["config"]["layers"] = json!(1024)),
    ] {
        trial.open(&bytes);
        assert!(!open(&trial.dir.path().join("model"), &bytes[..bytes.len() / 2], Loading::Read));
    }
}
