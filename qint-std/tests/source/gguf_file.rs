//! A writer of GGUF files for these tests, and GGUF forms of the golden checkpoints as llama.cpp's converter makes them.
use crate::support::{Tensor, golden, read_safetensors};
use half::bf16;
use safetensors::Dtype;
use serde_json::Value as Json;
use std::{fs, path::Path};

/// A metadata value.
#[derive(Clone)]
pub(crate) enum Value {
    U32(u32),
    F32(f32),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
}

/// What is to be written.
#[derive(Clone)]
pub(crate) struct GgufFile {
    pub(crate) version: u32,
    pub(crate) pairs: Vec<(String, Value)>,
    pub(crate) tensors: Vec<GgufTensor>,
}

#[derive(Clone)]
pub(crate) struct GgufTensor {
    pub(crate) name: String,
    /// Columns first.
    pub(crate) dimensions: Vec<u64>,
    pub(crate) kind: u32,
    pub(crate) bytes: Vec<u8>,
}

impl GgufFile {
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.pairs.retain(|(known, _)| known != key);
        self.pairs.push((key.into(), value));
    }

    pub(crate) fn tensor(&mut self, name: &str) -> &mut GgufTensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, value) in &self.pairs {
            string(&mut out, key);
            write_value(&mut out, value);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            string(&mut out, &tensor.name);
            out.extend((tensor.dimensions.len() as u32).to_le_bytes());
            tensor.dimensions.iter().for_each(|size| out.extend(size.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset += (tensor.bytes.len() as u64).next_multiple_of(32);
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend(&tensor.bytes);
        }
        out
    }

    pub(crate) fn write(&self, path: &Path) {
        fs::write(path, self.to_bytes()).unwrap();
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    let array = |out: &mut Vec<u8>, kind: u32, count: usize| {
        out.extend(9u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((count as u64).to_le_bytes());
    };
    match value {
        Value::U32(number) => out.extend([4u32.to_le_bytes(), number.to_le_bytes()].concat()),
        Value::F32(number) => out.extend([6u32.to_le_bytes(), number.to_le_bytes()].concat()),
        Value::Flag(flag) => {
            out.extend(7u32.to_le_bytes());
            out.push(u8::from(*flag));
        }
        Value::Text(text) => {
            out.extend(8u32.to_le_bytes());
            string(out, text);
        }
        Value::Texts(texts) => {
            array(out, 8, texts.len());
            texts.iter().for_each(|text| string(out, text));
        }
        Value::I32s(numbers) => {
            array(out, 5, numbers.len());
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
        Value::F32s(numbers) => {
            array(out, 6, numbers.len());
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
    }
}

/// The golden checkpoint `name` as GGUF: matrices as they are stored, norms as f32.
pub(crate) fn from_golden(name: &str) -> GgufFile {
    let config: Json = serde_json::from_slice(&fs::read(golden(name).join("config.json")).unwrap()).unwrap();
    let family = if name == "gemma" { "gemma" } else { "llama" };
    let number = |key: &str| config[key].as_u64().map(|number| Value::U32(number as u32));
    let heads = config["num_attention_heads"].as_u64().unwrap();
    let head_dim = config["head_dim"].as_u64().unwrap_or(config["hidden_size"].as_u64().unwrap() / heads);
    let mut file = GgufFile { version: 3, pairs: vec![], tensors: vec![] };
    file.set("general.architecture", Value::Text(family.into()));
    for (key, value) in [
        ("context_length", number("max_position_embeddings")),
        ("embedding_length", number("hidden_size")),
        ("block_count", number("num_hidden_layers")),
        ("feed_forward_length", number("intermediate_size")),
        ("attention.head_count", number("num_attention_heads")),
        ("attention.head_count_kv", number("num_key_value_heads")),
        ("attention.key_length", Some(Value::U32(head_dim as u32))),
        ("attention.value_length", Some(Value::U32(head_dim as u32))),
        ("attention.sliding_window", number("sliding_window")),
        ("attention.layer_norm_rms_epsilon", config["rms_norm_eps"].as_f64().map(|n| Value::F32(n as f32))),
        ("rope.freq_base", config["rope_theta"].as_f64().map(|n| Value::F32(n as f32))),
    ] {
        value.into_iter().for_each(|value| file.set(&format!("{family}.{key}"), value));
    }
    file.set("tokenizer.ggml.bos_token_id", number("bos_token_id").unwrap());
    file.set("tokenizer.ggml.eos_token_id", number("eos_token_id").unwrap());
    let mut tensors = read_safetensors(&golden(name).join("model.safetensors"));
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    file.tensors = tensors.iter().map(|tensor| convert(tensor, family, head_dim as usize)).collect();
    if config["rope_scaling"].is_object() {
        file.tensors.push(rope_factors(&config, head_dim));
    }
    file
}

fn convert(tensor: &Tensor, family: &str, head_dim: usize) -> GgufTensor {
    let kind = match tensor.dtype {
        Dtype::F32 => 0,
        Dtype::F16 => 1,
        _ => 30,
    };
    let name = gguf_name(&tensor.name);
    let dimensions = tensor.shape.iter().rev().map(|&size| size as u64).collect();
    if tensor.shape.len() == 1 {
        let plus = if family == "gemma" { 1.0 } else { 0.0 };
        let bytes = widen(tensor).iter().flat_map(|gain| (gain + plus).to_le_bytes()).collect();
        return GgufTensor { name, dimensions, kind: 0, bytes };
    }
    let permuted = family == "llama" && (name.ends_with("attn_q.weight") || name.ends_with("attn_k.weight"));
    let bytes = if permuted { interleave(tensor, head_dim) } else { tensor.bytes.clone() };
    GgufTensor { name, dimensions, kind, bytes }
}

/// llama.cpp's `permute`: within a head, row (half, i) becomes row (i, half).
fn interleave(tensor: &Tensor, head_dim: usize) -> Vec<u8> {
    let row_bytes = tensor.bytes.len() / tensor.shape[0];
    let rows: Vec<&[u8]> = tensor.bytes.chunks(row_bytes).collect();
    let source = |row: usize| row / head_dim * head_dim + row % 2 * head_dim / 2 + row % head_dim / 2;
    (0..rows.len()).flat_map(|row| rows[source(row)].to_vec()).collect()
}

fn widen(tensor: &Tensor) -> Vec<f32> {
    let half = |b: &[u8]| u16::from_le_bytes([b[0], b[1]]);
    match tensor.dtype {
        Dtype::F32 => tensor.bytes.chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => tensor.bytes.chunks(2).map(|b| half::f16::from_bits(half(b)).to_f32()).collect(),
        _ => tensor.bytes.chunks(2).map(|b| bf16::from_bits(half(b)).to_f32()).collect(),
    }
}

fn gguf_name(name: &str) -> String {
    let mut name = name.to_owned();
    for (from, to) in [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ] {
        name = name.replace(from, to);
    }
    name
}

/// As in llama.cpp's converter.
fn rope_factors(config: &Json, head_dim: u64) -> GgufTensor {
    let scaling = |key: &str| config["rope_scaling"][key].as_f64().unwrap();
    let (factor, low, high) = (scaling("factor"), scaling("low_freq_factor"), scaling("high_freq_factor"));
    let original = scaling("original_max_position_embeddings");
    let theta = config["rope_theta"].as_f64().unwrap() as f32;
    let factors = (0..head_dim / 2).map(|i| {
        let frequency = 1.0 / theta.powf((2 * i) as f32 / head_dim as f32);
        let wavelength = std::f64::consts::TAU / f64::from(frequency);
        if wavelength < original / high {
            1.0
        } else if wavelength > original / low {
            factor
        } else {
            let smooth = (original / wavelength - low) / (high - low);
            1.0 / ((1.0 - smooth) / factor + smooth)
        }
    });
    let bytes = factors.flat_map(|factor| (factor as f32).to_le_bytes()).collect();
    GgufTensor { name: "rope_freqs.weight".into(), dimensions: vec![head_dim / 2], kind: 0, bytes }
}

/// A model of one layer with as many tokens as a golden tokenizer, whose parts are put into the metadata.
pub(crate) fn with_tokenizer(name: &str, pre: Option<&str>) -> GgufFile {
    let path = golden("tokenizer").join(name).join("tokenizer.json");
    let tokenizer: Json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut tokens: Vec<(u64, String)> = tokenizer["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(t, id)| (id.as_u64().unwrap(), t.clone()))
        .collect();
    let added = tokenizer["added_tokens"].as_array().unwrap();
    let added = || added.iter().map(|token| (token["id"].as_u64().unwrap(), token["content"].as_str().unwrap(), token));
    tokens.extend(
        added()
            .filter(|(id, ..)| !tokens.iter().any(|(known, _)| known == id))
            .map(|(id, t, _)| (id, t.into()))
            .collect::<Vec<_>>(),
    );
    tokens.sort_unstable();
    assert!(tokens.iter().enumerate().all(|(i, (id, _))| i as u64 == *id));
    let mut kinds: Vec<i32> = tokens.iter().map(|(_, text)| if is_byte(text) { 6 } else { 1 }).collect();
    added().for_each(|(id, _, token)| kinds[id as usize] = if token["special"].as_bool().unwrap() { 3 } else { 4 });

    let merges: Vec<(String, String)> = tokenizer["model"]["merges"].as_array().unwrap().iter().map(merge).collect();
    let mut file = tiny(tokens.len() as u32);
    let special = |name: &str| added().find(|(_, text, _)| *text == name).map_or(0, |(id, ..)| id as u32);
    if let Some(pre) = pre {
        file.set("tokenizer.ggml.model", Value::Text("gpt2".into()));
        file.set("tokenizer.ggml.pre", Value::Text(pre.into()));
        file.set("tokenizer.ggml.merges", Value::Texts(merges.iter().map(|(a, b)| format!("{a} {b}")).collect()));
        file.set("tokenizer.ggml.bos_token_id", Value::U32(special("<|begin_of_text|>")));
    } else {
        let rank = |text: &str| {
            merges.iter().position(|(a, b)| a.len() + b.len() == text.len() && text.starts_with(a) && text.ends_with(b))
        };
        let scores = tokens.iter().map(|(_, text)| rank(text).map_or(-1e6, |rank| -(rank as f32))).collect();
        file.set("tokenizer.ggml.model", Value::Text("llama".into()));
        file.set("tokenizer.ggml.scores", Value::F32s(scores));
        file.set("tokenizer.ggml.bos_token_id", Value::U32(special("<s>").max(special("<bos>"))));
        file.set("tokenizer.ggml.unknown_token_id", Value::U32(special("<unk>")));
        file.set("tokenizer.ggml.add_space_prefix", Value::Flag(name == "llama2"));
    }
    file.set("tokenizer.ggml.tokens", Value::Texts(tokens.into_iter().map(|(_, text)| text).collect()));
    file.set("tokenizer.ggml.token_type", Value::I32s(kinds));
    file
}

fn is_byte(text: &str) -> bool {
    text.len() == 6 && text.starts_with("<0x")
}

fn merge(merge: &Json) -> (String, String) {
    match merge {
        Json::Array(parts) => (parts[0].as_str().unwrap().into(), parts[1].as_str().unwrap().into()),
        text => text.as_str().unwrap().split_once(' ').map(|(a, b)| (a.into(), b.into())).unwrap(),
    }
}

/// A model of one layer, 2 columns and `vocabulary` tokens.
pub(crate) fn tiny(vocabulary: u32) -> GgufFile {
    let mut file = GgufFile { version: 3, pairs: vec![], tensors: vec![] };
    file.set("general.architecture", Value::Text("llama".into()));
    for (key, value) in [
        ("context_length", 16),
        ("embedding_length", 2),
        ("block_count", 1),
        ("feed_forward_length", 2),
        ("attention.head_count", 1),
    ] {
        file.set(&format!("llama.{key}"), Value::U32(value));
    }
    file.set("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5));
    let mut add = |name: &str, dimensions: &[u64]| {
        let bytes = vec![0; 2 * dimensions.iter().product::<u64>() as usize];
        file.tensors.push(GgufTensor { name: name.into(), dimensions: dimensions.into(), kind: 1, bytes });
    };
    add("token_embd.weight", &[2, vocabulary.into()]);
    add("output_norm.weight", &[2]);
    for part in ["attn_norm", "ffn_norm"] {
        add(&format!("blk.0.{part}.weight"), &[2]);
    }
    for part in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"] {
        add(&format!("blk.0.{part}.weight"), &[2, 2]);
    }
    file
}
