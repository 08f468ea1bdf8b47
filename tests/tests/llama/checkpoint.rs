//! A small loader: a folder of `tests/goldens` becomes a configuration, tensors and expectations.
use half::{bf16, f16};
use qint_core::{
    llama::{Activation, Config, Layer, RopeScaling, Weights},
    matrix::{DenseMatrix, DenseValues, Matrix},
};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::{collections::HashMap, fs, path::PathBuf};

pub(crate) const FAMILIES: [&str; 5] = ["llama2", "tinyllama", "mistral", "gemma", "llama3"];

pub(crate) struct Checkpoint {
    pub(crate) config: Config,
    pub(crate) golden: Golden,
    tied: bool,
    tensors: HashMap<String, Tensor>,
}

/// What transformers computes.
pub(crate) struct Golden {
    pub(crate) prompt: Vec<u32>,
    pub(crate) positions: Vec<usize>,
    pub(crate) logits: Vec<Vec<f32>>,
    pub(crate) greedy: Vec<u32>,
}

struct Tensor {
    rows: usize,
    cols: usize,
    values: Values,
}

enum Values {
    F32(Vec<f32>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
}

impl Checkpoint {
    pub(crate) fn load(family: &str) -> Checkpoint {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens").join(family);
        let json = |name: &str| -> Value { serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap() };
        let settings = json("config.json");
        let bytes = fs::read(folder.join("model.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let tensors: HashMap<String, Tensor> =
            tensors.tensors().into_iter().map(|(name, view)| (name, Tensor::new(&view))).collect();
        let tied = !tensors.contains_key("lm_head.weight");
        Checkpoint { config: config(&settings), golden: Golden::new(&json("golden.json")), tied, tensors }
    }

    /// One norm as f32, which is what a layer wants whatever the file holds.
    pub(crate) fn norm(&self, name: &str) -> Vec<f32> {
        self.tensors[&format!("model.{name}.weight")].to_f32()
    }

    pub(crate) fn matrix(&self, name: &str) -> DenseMatrix<'_> {
        let tensor = &self.tensors[&format!("{name}.weight")];
        let values = match &tensor.values {
            Values::F32(values) => DenseValues::F32(values),
            Values::F16(values) => DenseValues::F16(values),
            Values::BF16(values) => DenseValues::BF16(values),
        };
        DenseMatrix::new(tensor.rows, tensor.cols, values).unwrap()
    }

    /// All matrices.
    pub(crate) fn matrix_names(&self) -> Vec<String> {
        let names = self.tensors.iter().filter(|(_, tensor)| tensor.rows > 1);
        names.map(|(name, _)| name.trim_end_matches(".weight").to_owned()).collect()
    }

    /// All norms: two per layer, then the last.
    pub(crate) fn norms(&self) -> Vec<Vec<f32>> {
        let layers = (0..self.config.layers).flat_map(|layer| {
            ["input_layernorm", "post_attention_layernorm"].map(|name| self.norm(&format!("layers.{layer}.{name}")))
        });
        layers.chain([self.norm("norm")]).collect()
    }

    /// The model, `matrix` making a matrix of each name.
    pub(crate) fn layers<'a>(&self, norms: &'a [Vec<f32>], matrix: impl Fn(&str) -> Matrix<'a>) -> Vec<Layer<'a>> {
        let layer = |index: usize| {
            let matrix = |name: &str| matrix(&format!("model.layers.{index}.{name}"));
            Layer {
                attention_norm: &norms[2 * index],
                q: matrix("self_attn.q_proj"),
                k: matrix("self_attn.k_proj"),
                v: matrix("self_attn.v_proj"),
                o: matrix("self_attn.o_proj"),
                mlp_norm: &norms[2 * index + 1],
                gate: matrix("mlp.gate_proj"),
                up: matrix("mlp.up_proj"),
                down: matrix("mlp.down_proj"),
            }
        };
        (0..self.config.layers).map(layer).collect()
    }

    pub(crate) fn head_name(&self) -> &'static str {
        if self.tied { "model.embed_tokens" } else { "lm_head" }
    }

    /// Calls `test` with the un-quantized model.
    pub(crate) fn with_dense<R>(&self, test: impl FnOnce(&Weights<'_>) -> R) -> R {
        let norms = self.norms();
        let dense = |name: &str| Matrix::Dense(self.matrix(name));
        let layers = self.layers(&norms, dense);
        let (embedding, head) = (dense("model.embed_tokens"), dense(self.head_name()));
        test(&Weights::new(self.config, embedding, &layers, &norms[2 * layers.len()], head).unwrap())
    }
}

impl Golden {
    fn new(json: &Value) -> Golden {
        let ids = |name: &str| json[name].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
        let row = |row: &Value| row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        Golden {
            prompt: ids("prompt"),
            positions: json["positions"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect(),
            logits: json["logits"].as_array().unwrap().iter().map(row).collect(),
            greedy: ids("greedy"),
        }
    }
}

impl Tensor {
    fn new(view: &safetensors::tensor::TensorView<'_>) -> Tensor {
        let (rows, cols) = match *view.shape() {
            [rows, cols] => (rows, cols),
            [cols] => (1, cols),
            _ => panic!("shape {:?}", view.shape()),
        };
        let (words, pairs) = (view.data().as_chunks::<4>().0, view.data().as_chunks::<2>().0);
        let values = match view.dtype() {
            Dtype::F32 => Values::F32(words.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()),
            Dtype::F16 => Values::F16(pairs.iter().map(|&bytes| f16::from_le_bytes(bytes)).collect()),
            Dtype::BF16 => Values::BF16(pairs.iter().map(|&bytes| bf16::from_le_bytes(bytes)).collect()),
            other => panic!("{other:?}"),
        };
        Tensor { rows, cols, values }
    }

    fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            Values::F32(values) => values.clone(),
            Values::F16(values) => values.iter().map(|x| x.to_f32()).collect(),
            Values::BF16(values) => values.iter().map(|x| x.to_f32()).collect(),
        }
    }
}

fn config(json: &Value) -> Config {
    let size = |name: &str| json[name].as_u64().map(|x| x as usize);
    let (hidden, heads) = (size("hidden_size").unwrap(), size("num_attention_heads").unwrap());
    let gemma = json["model_type"] == "gemma";
    Config {
        hidden,
        intermediate: size("intermediate_size").unwrap(),
        layers: size("num_hidden_layers").unwrap(),
        heads,
        kv_heads: size("num_key_value_heads").unwrap(),
        head_dim: size("head_dim").unwrap_or(hidden / heads),
        vocabulary: size("vocab_size").unwrap(),
        context: size("max_position_embeddings").unwrap(),
        norm_epsilon: json["rms_norm_eps"].as_f64().unwrap() as f32,
        rope_theta: json["rope_theta"].as_f64().unwrap(),
        rope_scaling: rope_scaling(&json["rope_scaling"]),
        sliding_window: size("sliding_window"),
        activation: if gemma { Activation::GeluTanh } else { Activation::Silu },
        norm_plus_one: gemma,
        embedding_scale: if gemma { (hidden as f64).sqrt() as f32 } else { 1.0 },
    }
}

fn rope_scaling(json: &Value) -> RopeScaling {
    let number = |name: &str| json[name].as_f64().unwrap();
    if json.is_null() {
        return RopeScaling::None;
    }
    assert_eq!(json["rope_type"], "llama3");
    RopeScaling::Llama3 {
        factor: number("factor"),
        low_frequency: number("low_freq_factor"),
        high_frequency: number("high_freq_factor"),
        original_context: number("original_max_position_embeddings"),
    }
}
