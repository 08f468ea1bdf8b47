//! Checkpoint directories: the golden ones open and read exactly, broken ones are refused with names and numbers.
use crate::support::{Tensor, copy_of, golden, read_safetensors, write_safetensors};
use half::{bf16, f16};
use qint_core::matrix::DenseValues;
use qint_std::{
    Error,
    error::Class,
    mapping::Loading,
    source::{self, Source},
};
use safetensors::Dtype;
use std::{fs, path::Path, process::Command};

fn refused(path: &Path) -> Error {
    source::open(path).err().unwrap()
}

fn all_rows(source: &dyn Source, index: usize) -> Vec<f32> {
    let shape = &source.tensors()[index].expected;
    let mut out = vec![f32::NAN; shape.rows * shape.cols];
    source.read_rows(index, 0..shape.rows, &mut out).unwrap();
    out
}

fn plain_read(tensor: &Tensor) -> Vec<f32> {
    let pairs = || tensor.bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    match tensor.dtype {
        Dtype::F32 => tensor.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => pairs().map(|bits| f16::from_bits(bits).to_f32()).collect(),
        Dtype::BF16 => pairs().map(|bits| bf16::from_bits(bits).to_f32()).collect(),
        other => panic!("{other:?}"),
    }
}

fn as_f32(values: DenseValues<'_>) -> Vec<f32> {
    match values {
        DenseValues::F32(values) => values.to_vec(),
        DenseValues::F16(values) => values.iter().map(|value| value.to_f32()).collect(),
        DenseValues::BF16(values) => values.iter().map(|value| value.to_f32()).collect(),
    }
}

#[test]
fn goldens_open_and_read_exactly() {
    for (name, stored) in
        [("llama2", "f32"), ("tinyllama", "bf16"), ("mistral", "f16"), ("gemma", "bf16"), ("llama3", "bf16")]
    {
        let file = read_safetensors(&golden(name).join("model.safetensors"));
        for loading in [Loading::Map, Loading::Read] {
            let source = source::open_with(&golden(name), loading).unwrap();
            assert!(source.ignored().is_empty());
            assert_eq!(source.tensors().len(), file.len());
            for (index, tensor) in source.tensors().iter().enumerate() {
                let in_file = file.iter().find(|found| found.name == tensor.expected.name).unwrap();
                assert_eq!((tensor.stored, tensor.bytes), (stored, in_file.bytes.len() as u64));
                let values = all_rows(&*source, index);
                assert_eq!(values, plain_read(in_file));
                assert_eq!(as_f32(source.dense(index).unwrap()), values);
            }
        }
    }
}

#[test]
fn shards_hold_the_same_model() {
    let (one, sharded) = (source::open(&golden("tinyllama")).unwrap(), source::open(&golden("sharded")).unwrap());
    assert_eq!(one.config(), sharded.config());
    assert_eq!(one.tensors(), sharded.tensors());
    for index in 0..one.tensors().len() {
        assert_eq!(all_rows(&*one, index), all_rows(&*sharded, index));
    }
    assert_eq!(one.hash().unwrap(), sharded.hash().unwrap());
    assert_eq!(one.hash().unwrap().len(), 64);
    assert_ne!(one.hash().unwrap(), source::open(&golden("mistral")).unwrap().hash().unwrap());
}

#[test]
fn reads_some_rows_and_checks_the_request() {
    let source = source::open(&golden("llama2")).unwrap();
    let all = all_rows(&*source, 0);
    let mut some = vec![0.0; 3 * 48];
    source.read_rows(0, 128..131, &mut some).unwrap();
    assert_eq!(some, all[128 * 48..]);
    assert!(source.read_rows(0, 129..132, &mut some).is_err());
    assert!(source.read_rows(0, 0..2, &mut some).is_err());
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    let reversed = source.read_rows(0, 3..2, &mut []);
    assert!(reversed.is_err());
}

#[test]
fn refuses_tensors_that_are_missing_misshapen_doubled_or_of_another_type() {
    let dir = copy_of("llama2");
    let path = dir.path().join("model.safetensors");
    let with = |change: &dyn Fn(&mut Vec<Tensor>)| {
        let mut tensors = read_safetensors(&golden("llama2").join("model.safetensors"));
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        change(&mut tensors);
        write_safetensors(&path, &tensors);
        refused(dir.path()).to_string()
    };
    let gone = with(&|tensors| tensors.retain(|tensor| tensor.name != "model.norm.weight"));
    assert!(gone.contains("model.norm.weight") && gone.contains("missing") && gone.contains("[48]"), "{gone}");
    let shape = with(&|tensors| tensors[0].shape = vec![48, 131]);
    assert!(shape.contains("lm_head.weight") && shape.contains("[48, 131]") && shape.contains("[131, 48]"), "{shape}");
    let kind = with(&|tensors| {
        tensors[0].dtype = Dtype::F8_E4M3;
        tensors[0].bytes.truncate(131 * 48);
    });
    assert!(kind.contains("lm_head.weight") && kind.contains("F8_E4M3"), "{kind}");

    let dir = copy_of("sharded");
    fs::copy(dir.path().join("model-00001-of-00003.safetensors"), dir.path().join("model-00002-of-00003.safetensors"))
        .unwrap();
    let twice = refused(dir.path()).to_string();
    assert!(twice.contains("both hold it") && twice.contains("model-00001-of-00003.safetensors"), "{twice}");
}

#[test]
fn names_where_a_weight_is_not_a_number() {
    let dir = copy_of("llama2");
    let mut tensors = read_safetensors(&golden("llama2").join("model.safetensors"));
    let tensor = tensors.iter_mut().find(|tensor| tensor.name == "lm_head.weight").unwrap();
    tensor.bytes[(7 * 48 + 5) * 4..][..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    write_safetensors(&dir.path().join("model.safetensors"), &tensors);
    let source = source::open(dir.path()).unwrap();
    let head = source.tensors().len() - 1;
    let mut row = vec![0.0; 48];
    source.read_rows(head, 6..7, &mut row).unwrap();
    let error = source.read_rows(head, 7..8, &mut row).unwrap_err();
    assert_eq!(error.to_string(), "lm_head.weight is malformed: row 7, column 5 is inf");
}

#[test]
fn tolerates_what_the_model_does_not_need() {
    let dir = copy_of("gemma");
    let mut tensors = read_safetensors(&golden("gemma").join("model.safetensors"));
    let embedding = tensors.iter().find(|tensor| tensor.name == "model.embed_tokens.weight").unwrap();
    let head = Tensor {
        name: "lm_head.weight".into(),
        dtype: embedding.dtype,
        shape: embedding.shape.clone(),
        bytes: embedding.bytes.clone(),
    };
    let inv_freq = Tensor {
        name: "model.layers.0.self_attn.rotary_emb.inv_freq".into(),
        dtype: Dtype::F32,
        shape: vec![2],
        bytes: vec![0; 8],
    };
    tensors.extend([head, inv_freq]);
    write_safetensors(&dir.path().join("model.safetensors"), &tensors);
    let source = source::open(dir.path()).unwrap();
    assert_eq!(source.ignored(), ["lm_head.weight"]);
    assert_eq!(source.tensors(), source::open(&golden("gemma")).unwrap().tensors());
}

#[test]
fn finds_the_chat_template_and_the_other_assets() {
    let dir = copy_of("llama2");
    let template = || {
        let source = source::open(dir.path()).unwrap();
        source.asset("chat_template.jinja").map(|bytes| String::from_utf8(bytes.into_owned()).unwrap())
    };
    let write = |name: &str, content: &str| fs::write(dir.path().join(name), content).unwrap();
    assert_eq!(template(), None);
    write("chat_template.json", r#"{"chat_template": "c"}"#);
    assert_eq!(template().unwrap(), "c");
    write("tokenizer_config.json", r#"{"add_bos_token": true, "x": [1, {"y": null}]}"#);
    assert_eq!(template().unwrap(), "c");
    write(
        "tokenizer_config.json",
        r#"{"chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}, 3]}"#,
    );
    assert_eq!(template().unwrap(), "d");
    write("tokenizer_config.json", r#"{"chat_template": "s"}"#);
    assert_eq!(template().unwrap(), "s");
    write("chat_template.jinja", "j");
    assert_eq!(template().unwrap(), "j");
    write("tokenizer.json", "{}");
    let source = source::open(dir.path()).unwrap();
    assert_eq!(&*source.asset("tokenizer.json").unwrap(), b"{}");
    assert!(source.asset("config.json").unwrap().starts_with(b"{"));
    assert!(source.asset("generation_config.json").is_none() && source.asset("golden.json").is_none());
    drop(source);
    write("chat_template.jinja", &"x".repeat((1 << 20) + 1));
    assert_eq!(refused(dir.path()).class(), Class::Malformed);
}

#[test]
fn says_what_is_not_a_model_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    assert_eq!(refused(&path.join("absent")).class(), Class::NotFound);
    assert_eq!(refused(path).class(), Class::NotFound);
    assert_eq!(refused(Path::new("/dev/null")).class(), Class::NotFound);
    if Command::new("mkfifo").arg(path.join("fifo")).status().is_ok_and(|status| status.success()) {
        assert_eq!(refused(&path.join("fifo")).class(), Class::NotFound);
    }
    fs::write(path.join("empty.gguf"), b"").unwrap();
    assert_eq!(refused(&path.join("empty.gguf")).class(), Class::Malformed);
    fs::copy(golden("llama2").join("config.json"), path.join("config.json")).unwrap();
    assert_eq!(refused(path).class(), Class::NotFound);
    fs::write(path.join("pytorch_model.bin"), b"PK").unwrap();
    for error in [refused(path), refused(&path.join("pytorch_model.bin"))] {
        assert_eq!(error.class(), Class::Unsupported);
        assert!(error.to_string().contains("safe_serialization=True"), "{error}");
    }
    let dir = copy_of("llama2");
    fs::write(dir.path().join("tokenizer.model"), b"x").unwrap();
    let error = refused(dir.path());
    assert!(error.class() == Class::Unsupported && error.to_string().contains("save_pretrained"), "{error}");
}

#[test]
fn an_index_stays_in_its_directory() {
    let dir = copy_of("sharded");
    for names in [r#"{"a": "../x.safetensors"}"#, r#"{"a": "/etc/passwd"}"#, r#"{"a": ".."}"#, r#"{"a": 3}"#, "{}", "3"]
    {
        let index = format!(r#"{{"metadata": {{}}, "weight_map": {names}}}"#);
        fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
        assert_eq!(refused(dir.path()).class(), Class::Malformed, "{names}");
    }
}
