//! GGUF files: the golden checkpoints in that form, tokenizers, refusals, and SmolLM2's real file.
use crate::{
    gguf_file::{GgufFile, Value, from_golden, tiny, with_tokenizer},
    support::{golden, path_from_environment},
};
use qint_core::llama::Activation;
use qint_std::{
    Error,
    error::Class,
    source::{self, Source},
    tokenizer::Tokenizer,
};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::fs;

fn open(file: &GgufFile) -> Result<Box<dyn Source>, Error> {
    let dir = tempfile::tempdir().unwrap();
    file.write(&dir.path().join("model.gguf"));
    source::open(&dir.path().join("model.gguf"))
}

fn refused(file: &GgufFile, class: Class, name: &str) {
    let error = open(file).err().unwrap();
    assert_eq!(error.class(), class, "{error}");
    assert!(error.to_string().contains(name), "{name}: {error}");
}

fn all_rows(source: &dyn Source, index: usize) -> Vec<f32> {
    let shape = &source.tensors()[index].expected;
    let mut out = vec![f32::NAN; shape.rows * shape.cols];
    source.read_rows(index, 0..shape.rows, &mut out).unwrap();
    out
}

#[test]
fn golden_checkpoints_are_the_same_model_in_this_form() {
    for name in ["llama2", "tinyllama", "mistral", "gemma", "llama3"] {
        let (checkpoint, gguf) = (source::open(&golden(name)).unwrap(), open(&from_golden(name)).unwrap());
        let mut expected = checkpoint.config().clone();
        let plus_one = std::mem::replace(&mut expected.architecture.norm_plus_one, false);
        if name == "mistral" {
            expected.family = "llama".into();
        }
        assert_eq!(gguf.config(), &expected, "{name}");
        assert!(gguf.ignored().is_empty());
        for (index, tensor) in checkpoint.tensors().iter().enumerate() {
            assert_eq!(gguf.tensors()[index].expected, tensor.expected);
            let mut values = all_rows(&*checkpoint, index);
            if tensor.expected.role.is_norm() && plus_one {
                values.iter_mut().for_each(|value| *value += 1.0);
            }
            assert_eq!(all_rows(&*gguf, index), values, "{name} {}", tensor.expected.name);
        }
    }
}

#[test]
fn reads_single_rows_of_interleaved_heads_and_lends_the_others() {
    let gguf = open(&from_golden("llama2")).unwrap();
    for (index, tensor) in gguf.tensors().iter().enumerate() {
        let (all, cols) = (all_rows(&*gguf, index), tensor.expected.cols);
        let mut row = vec![0.0; cols];
        for at in 0..tensor.expected.rows {
            gguf.read_rows(index, at..at + 1, &mut row).unwrap();
            assert_eq!(row, all[at * cols..][..cols]);
        }
        let interleaved = tensor.expected.name.contains("q_proj") || tensor.expected.name.contains("k_proj");
        assert_eq!(gguf.dense(index).is_none(), interleaved, "{}", tensor.expected.name);
    }
}

#[test]
fn tokenizers_give_the_golden_ids() {
    for (name, pre) in [("smollm2", Some("smollm")), ("llama3", Some("llama-bpe")), ("llama2", None), ("gemma", None)] {
        let source = open(&with_tokenizer(name, pre)).unwrap();
        let tokenizer = Tokenizer::from_bytes(&source.asset("tokenizer.json").unwrap()).unwrap();
        let path = golden("tokenizer").join(name).join("golden.json");
        let expected: Json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        for text in expected["texts"].as_array().unwrap() {
            for (special, key) in [(true, "ids"), (false, "ids_bare")] {
                let ids: Json = tokenizer.encode(text["text"].as_str().unwrap(), special).unwrap().into();
                assert_eq!(ids, text[key], "{name}: {:?}", text["text"]);
            }
        }
        for decode in expected["decodes"].as_array().unwrap() {
            let ids: Vec<u32> = serde_json::from_value(decode["ids"].clone()).unwrap();
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), decode["decoded"], "{name}: {ids:?}");
            assert_eq!(tokenizer.decode(&ids, false).unwrap(), decode["decoded_all"], "{name}: {ids:?}");
        }
    }
}

#[test]
fn adds_the_tokens_that_the_file_asks_for() {
    let ids = |file: &GgufFile| {
        let source = open(file).unwrap();
        Tokenizer::from_bytes(&source.asset("tokenizer.json").unwrap()).unwrap().encode("hey", true).unwrap()
    };
    let mut file = with_tokenizer("smollm2", Some("smollm"));
    let bare = ids(&file);
    file.set("tokenizer.ggml.bos_token_id", Value::U32(1));
    file.set("tokenizer.ggml.eos_token_id", Value::U32(2));
    file.set("tokenizer.ggml.add_bos_token", Value::Flag(true));
    assert_eq!(ids(&file), [&[1], &bare[..]].concat());
    file.set("tokenizer.ggml.add_eos_token", Value::Flag(true));
    assert_eq!(ids(&file), [&[1], &bare[..], &[2]].concat());
    file.set("tokenizer.chat_template", Value::Text("{{ x }}".into()));
    let source = open(&file).unwrap();
    assert_eq!(&*source.asset("chat_template.jinja").unwrap(), b"{{ x }}");
    assert_eq!((source.config().bos, source.config().eos.as_slice()), (Some(1), &[2][..]));
}

#[test]
fn a_file_without_tokenizer_is_a_model() {
    let source = open(&tiny(5)).unwrap();
    assert!(source.asset("tokenizer.json").is_none() && source.asset("config.json").is_none());
    let c = source.config().architecture;
    assert_eq!((c.kv_heads, c.head_dim, c.activation, c.rope_theta), (1, 2, Activation::Silu, 10_000.0));
    let mut old = tiny(5);
    old.version = 2;
    assert!(open(&old).is_ok());
}

#[test]
fn names_the_tokens_that_end_a_turn() {
    let mut file = with_tokenizer("gemma", None);
    file.set("tokenizer.ggml.eos_token_id", Value::U32(1));
    let source = open(&file).unwrap();
    assert_eq!(source.config().eos, [1, 5]);
}

#[test]
fn refuses_by_name_what_it_does_not_do() {
    let with = |key: &str, value: Value| {
        let mut file = tiny(5);
        file.set(key, value);
        file
    };
    let text = |text: &str| Value::Text(text.into());
    for (file, name) in [
        (with("general.architecture", text("qwen2")), "qwen2"),
        (with("general.type", text("adapter")), "adapter"),
        (with("split.count", Value::U32(3)), "llama-gguf-split"),
        (with("llama.expert_count", Value::U32(8)), "expert_count"),
        (with("llama.attention.head_count_kv", Value::I32s(vec![1, 2])), "head_count_kv"),
        (with("llama.rope.scaling.type", text("yarn")), "yarn"),
        (with("llama.rope.dimension_count", Value::U32(1)), "rope.dimension_count"),
        (with("llama.attention.value_length", Value::U32(4)), "value_length"),
        (with("tokenizer.ggml.model", text("bert")), "bert"),
    ] {
        let mut file = file;
        if name == "bert" {
            file.set("tokenizer.ggml.tokens", Value::Texts(vec!["a".into()]));
        }
        refused(&file, Class::Unsupported, name);
    }
    let mut pre = with_tokenizer("smollm2", Some("qwen2"));
    refused(&pre, Class::Unsupported, "qwen2");
    pre.pairs.retain(|(key, _)| key != "tokenizer.ggml.pre");
    refused(&pre, Class::Unsupported, "tokenizer.ggml.pre");
    let mut kind = tiny(5);
    kind.tensor("blk.0.attn_v.weight").kind = 10;
    refused(&kind, Class::Unsupported, "model.layers.0.self_attn.v_proj.weight stored as Q2_K");
    let mut bias = tiny(5);
    bias.tensors.push(bias.tensors[2].clone());
    bias.tensors[11].name = "blk.0.attn_q.bias".into();
    refused(&bias, Class::Unsupported, "blk.0.attn_q.bias");
    let mut factors = from_golden("llama3");
    factors.tensor("rope_freqs.weight").bytes[2] ^= 32;
    refused(&factors, Class::Unsupported, "rope_freqs.weight");
    for (version, name) in [(1u32, "version 1"), (4, "version 4"), (3u32.swap_bytes(), "big-endian")] {
        let mut file = tiny(5);
        file.version = version;
        refused(&file, Class::Unsupported, name);
    }
}

#[test]
fn refuses_broken_files_by_name() {
    let mut missing = tiny(5);
    missing.tensors.remove(4);
    refused(&missing, Class::Malformed, "model.layers.0.self_attn.q_proj.weight");
    let mut shape = tiny(5);
    shape.tensor("blk.0.ffn_up.weight").dimensions = vec![2, 1];
    refused(&shape, Class::Malformed, "[1, 2], the configuration asks for [2, 2]");
    let mut blocks = tiny(5);
    blocks.tensor("blk.0.ffn_up.weight").kind = 8;
    refused(&blocks, Class::Malformed, "whole blocks of q8_0");
    let mut twice = tiny(5);
    twice.tensors.push(twice.tensors[2].clone());
    refused(&twice, Class::Malformed, "there twice");
    let mut key = tiny(5);
    key.pairs.push(key.pairs[1].clone());
    refused(&key, Class::Malformed, "there twice");
    let mut tokens = with_tokenizer("llama2", None);
    tokens.tensor("token_embd.weight").dimensions = vec![2, 100];
    refused(&tokens, Class::Malformed, "445 tokens, at most 100");
    for (key, value, name) in [
        ("tokenizer.ggml.scores", Value::F32s(vec![0.0; 3]), "3 entries for 445 tokens"),
        ("tokenizer.ggml.tokens", Value::Texts(vec!["a".into(); 445]), "tokens 0 and 1 are both a"),
        ("tokenizer.ggml.tokens", Value::F32(1.0), "tokenizer.ggml.tokens"),
        ("tokenizer.ggml.bos_token_id", Value::U32(445), "445"),
        ("llama.block_count", Value::U32(0), "layers"),
        ("llama.attention.head_count", Value::U32(0), "attention heads"),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(f32::NAN), "rms_epsilon"),
        ("general.alignment", Value::U32(48), "general.alignment"),
    ] {
        let mut file = with_tokenizer("llama2", None);
        file.set(key, value);
        refused(&file, Class::Malformed, name);
    }
    let mut merges = with_tokenizer("smollm2", Some("smollm"));
    merges.set("tokenizer.ggml.merges", Value::Texts(vec!["a".into()]));
    refused(&merges, Class::Malformed, "merge 0");
}

/// SHA-256 of all weights as f32 in Hugging Face order, as the Python package `gguf` 0.19 dequantizes them.
const SMOLLM2_VALUES: &str = "2899813afdca87ee1adacf264547c2468ce3b70e8625a1b61650d3ced24a4e4c";

#[test]
fn reads_smollm2_as_the_reference_does() {
    let Some(path) = path_from_environment("QINT_GGUF", "reads_smollm2_as_the_reference_does") else { return };
    let source = source::open(&path).unwrap();
    let mut hash = Sha256::new();
    for index in 0..source.tensors().len() {
        all_rows(&*source, index).iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, SMOLLM2_VALUES);

    let test = "reads_smollm2_as_the_reference_does (tokenizer)";
    let Some(reference) = path_from_environment("QINT_REFERENCE", test) else { return };
    let Some(texts) = path_from_environment("QINT_TEXT", test) else { return };
    let reference = source::open(&reference).unwrap();
    assert_eq!(source.config(), reference.config());
    assert_eq!(source.asset("chat_template.jinja"), reference.asset("chat_template.jinja"));
    let tokenizer = |source: &dyn Source| Tokenizer::from_bytes(&source.asset("tokenizer.json").unwrap()).unwrap();
    let (ours, theirs) = (tokenizer(&*source), tokenizer(&*reference));
    for name in ["wikitext2-test.txt", "tinyshakespeare.txt"] {
        let text = fs::read_to_string(texts.join(name)).unwrap();
        assert!(ours.encode(&text, true).unwrap() == theirs.encode(&text, true).unwrap(), "{name}");
    }
}
