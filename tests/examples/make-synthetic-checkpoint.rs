//! Writes a sharded bf16 checkpoint of the Llama-2-7B shape with random weights, to measure a conversion with.
//!
//! usage: cargo run --release -p qint-tests --example make-synthetic-checkpoint -- DIR LAYERS TOKENIZER_JSON
//! (9 layers: 4.2 GB)
use std::{
    fmt::Write as _,
    fs::File,
    io::{BufWriter, Result, Write},
    path::Path,
};

const HIDDEN: usize = 4096;
const INTERMEDIATE: usize = 11008;
const VOCABULARY: usize = 32000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, layers, tokenizer] = arguments.as_slice() else {
        panic!("usage: make-synthetic-checkpoint DIR LAYERS TOKENIZER_JSON");
    };
    let (directory, layers) = (Path::new(directory), layers.parse().expect("LAYERS is a number"));
    std::fs::create_dir_all(directory)?;
    std::fs::copy(tokenizer, directory.join("tokenizer.json"))?;
    std::fs::write(directory.join("config.json"), config(layers))?;
    let shards: Vec<_> = (0..layers + 2).map(|shard| shard_tensors(shard, layers)).collect();
    let mut index = String::new();
    let mut random = Random::new();
    for (number, tensors) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        write_shard(&directory.join(&name), tensors, &mut random)?;
        for (tensor, ..) in tensors {
            let comma = if index.is_empty() { "" } else { "," };
            write!(index, "{comma}\"{tensor}\":\"{name}\"").expect("a string takes everything");
        }
    }
    std::fs::write(directory.join("model.safetensors.index.json"), format!("{{\"weight_map\":{{{index}}}}}"))
}

fn config(layers: usize) -> String {
    format!(
        r#"{{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":{HIDDEN},"intermediate_size":{INTERMEDIATE},
"num_hidden_layers":{layers},"num_attention_heads":32,"num_key_value_heads":32,"hidden_act":"silu","max_position_embeddings":4096,
"rms_norm_eps":1e-5,"rope_theta":10000.0,"vocab_size":{VOCABULARY},"tie_word_embeddings":false,"bos_token_id":1,"eos_token_id":2,
"torch_dtype":"bfloat16"}}"#
    )
}

/// The embedding, then a layer each, then norm and head.
fn shard_tensors(shard: usize, layers: usize) -> Vec<(String, usize, usize)> {
    if shard == 0 {
        return vec![("model.embed_tokens.weight".into(), VOCABULARY, HIDDEN)];
    }
    if shard > layers {
        return vec![("model.norm.weight".into(), 1, HIDDEN), ("lm_head.weight".into(), VOCABULARY, HIDDEN)];
    }
    let tensor = |name: &str, rows, cols| (format!("model.layers.{}.{name}.weight", shard - 1), rows, cols);
    vec![
        tensor("input_layernorm", 1, HIDDEN),
        tensor("self_attn.q_proj", HIDDEN, HIDDEN),
        tensor("self_attn.k_proj", HIDDEN, HIDDEN),
        tensor("self_attn.v_proj", HIDDEN, HIDDEN),
        tensor("self_attn.o_proj", HIDDEN, HIDDEN),
        tensor("post_attention_layernorm", 1, HIDDEN),
        tensor("mlp.gate_proj", INTERMEDIATE, HIDDEN),
        tensor("mlp.up_proj", INTERMEDIATE, HIDDEN),
        tensor("mlp.down_proj", HIDDEN, INTERMEDIATE),
    ]
}

fn write_shard(path: &Path, tensors: &[(String, usize, usize)], random: &mut Random) -> Result<()> {
    let mut header = String::from("{");
    let mut at = 0;
    for (name, rows, cols) in tensors {
        let shape = if *rows == 1 { format!("[{cols}]") } else { format!("[{rows},{cols}]") };
        let end = at + rows * cols * 2;
        let comma = if at == 0 { "" } else { "," };
        write!(header, "{comma}\"{name}\":{{\"dtype\":\"BF16\",\"shape\":{shape},\"data_offsets\":[{at},{end}]}}")
            .expect("a string takes everything");
        at = end;
    }
    header.push('}');
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for (_, rows, cols) in tensors {
        (0..*rows).try_for_each(|_| file.write_all(&random.row(*cols)))?;
    }
    file.flush()
}

/// Normally distributed bf16, from a table of 65,536 and a linear congruential generator.
struct Random {
    table: Vec<[u8; 2]>,
    state: u64,
}

impl Random {
    fn new() -> Random {
        let mut state = 1;
        let table = (0..65536)
            .map(|_| {
                let sum: f64 = (0..12).map(|_| f64::from(next(&mut state)) / f64::from(u32::MAX)).sum();
                let value = ((sum - 6.0) * 0.02) as f32;
                [(value.to_bits() >> 16) as u8, (value.to_bits() >> 24) as u8]
            })
            .collect();
        Random { table, state }
    }

    fn row(&mut self, cols: usize) -> Vec<u8> {
        (0..cols).flat_map(|_| self.table[(next(&mut self.state) & 0xffff) as usize]).collect()
    }
}

/// The upper half of a 64-bit linear congruential generator (Knuth's MMIX).
fn next(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*state >> 32) as u32
}
