//! Models of published shapes with random packed weights, made in memory: for measuring speed without a checkpoint.
//!
//! Speed depends on shapes, codecs and activation formats only, and those are a converted model's: the recipe decides. The
//! panels hold random bytes (any byte is a legal code), and row scales keep activations of order 1.
use crate::{
    Error, Result,
    config::{ModelConfig, Role},
    mapping::values,
    pages::Pages,
    quantize::{Assignment, Recipe},
};
use qint_core::{
    activation::Transform,
    layout::Layout,
    matrix::{Matrix, QMatrix},
};
use serde_json::{Value, json};
use std::{collections::HashMap, ops::Range};

/// Positions that a synthetic model may have, whatever the published model was made for.
const CONTEXT: usize = 32_768;
/// Matrices start at multiples of this.
const ALIGN: usize = 64;

/// A published model's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the models'")]
pub enum Shape {
    TinyLlama1_1B,
    Mistral7B,
    Llama2_7B,
    Gemma2B,
    SmolLm2_135M,
}

impl Shape {
    /// All of them.
    pub const ALL: [Shape; 5] =
        [Shape::TinyLlama1_1B, Shape::Mistral7B, Shape::Llama2_7B, Shape::Gemma2B, Shape::SmolLm2_135M];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Shape::TinyLlama1_1B => "tinyllama-1.1b",
            Shape::Mistral7B => "mistral-7b",
            Shape::Llama2_7B => "llama2-7b",
            Shape::Gemma2B => "gemma-2b",
            Shape::SmolLm2_135M => "smollm2-135m",
        }
    }

    /// The shape of that [`name`](Shape::name).
    pub fn from_name(name: &str) -> Option<Shape> {
        Shape::ALL.into_iter().find(|shape| shape.name() == name)
    }

    /// The published configuration, but for the context, which is 32,768 positions.
    ///
    /// # Errors
    /// None that occur: as [`ModelConfig::from_hugging_face`].
    pub fn config(self) -> Result<ModelConfig> {
        let mut config = ModelConfig::from_hugging_face(&self.hugging_face(), None)?;
        config.architecture.context = CONTEXT;
        Ok(config)
    }

    /// What the model's `config.json` says of sizes.
    fn hugging_face(self) -> Value {
        let of = |kind: &str, sizes: [usize; 7], tied: bool| {
            let [hidden, intermediate, layers, heads, kv_heads, head_dim, vocabulary] = sizes;
            json!({
                "model_type": kind, "hidden_size": hidden, "intermediate_size": intermediate,
                "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
                "head_dim": head_dim, "vocab_size": vocabulary, "tie_word_embeddings": tied, "sliding_window": null,
            })
        };
        match self {
            Shape::TinyLlama1_1B => of("llama", [2048, 5632, 22, 32, 4, 64, 32_000], false),
            Shape::Mistral7B => of("mistral", [4096, 14_336, 32, 32, 8, 128, 32_000], false),
            Shape::Llama2_7B => of("llama", [4096, 11_008, 32, 32, 32, 128, 32_000], false),
            Shape::Gemma2B => of("gemma", [2048, 16_384, 18, 8, 1, 256, 256_000], true),
            Shape::SmolLm2_135M => of("llama", [576, 1536, 30, 9, 3, 64, 49_152], true),
        }
    }
}

/// One block with this attention and next to nothing else (32 hidden columns): for timing it.
///
/// # Errors
/// As [`ModelConfig::from_hugging_face`], for numbers of heads that don't fit each other.
pub fn attention_config(heads: usize, kv_heads: usize, head_dim: usize, context: usize) -> Result<ModelConfig> {
    let json = json!({
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "vocab_size": 32,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim,
        "max_position_embeddings": context,
    });
    ModelConfig::from_hugging_face(&json, None)
}

/// The numbers of a synthetic model, which [`Model`](crate::model::Model) borrows from.
#[derive(Debug)]
pub(crate) struct Synthetic {
    config: ModelConfig,
    matrices: HashMap<String, Part>,
    memory: Pages,
    /// `[hidden]`, shared by all norms.
    norm: Vec<f32>,
}

/// Where one matrix lies.
#[derive(Debug)]
struct Part {
    assignment: Assignment,
    layout: Layout,
    panels: Range<usize>,
    row_scales: Range<usize>,
}

impl Synthetic {
    /// Weights for `config` as `recipe` would have them.
    ///
    /// # Errors
    /// As [`Recipe::assign`]; [`Error::Resources`] if there is not enough memory.
    pub(crate) fn new(config: ModelConfig, recipe: &Recipe) -> Result<Synthetic> {
        let mut parts = Vec::new();
        let mut end = 0;
        for assignment in recipe.assign(&config)? {
            let (codec, group) = (assignment.scheme.codec, assignment.scheme.group);
            let layout = Layout::new(assignment.rows, assignment.cols, codec, group)
                .map_err(Error::core(assignment.name.as_str()))?;
            let panels = end..end + layout.panels_bytes();
            let row_scales = panels.end..panels.end + 4 * layout.padded_rows();
            end = row_scales.end.next_multiple_of(ALIGN);
            parts.push(Part { assignment, layout, panels, row_scales });
        }
        let mut memory = Pages::new(end, "the synthetic model")?;
        fill(&mut memory);
        for part in &parts {
            let (scales, padding) = memory[part.row_scales.clone()].split_at_mut(4 * part.layout.rows());
            scales.as_chunks_mut::<4>().0.fill(part.row_scale().to_le_bytes());
            padding.fill(0);
        }
        let gain = if config.architecture.norm_plus_one { 0.0 } else { 1.0 };
        let norm = vec![gain; config.architecture.hidden];
        let matrices = parts.into_iter().map(|part| (part.assignment.name.clone(), part)).collect();
        Ok(Synthetic { config, matrices, memory, norm })
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub(crate) fn matrix(&self, name: &str) -> Result<Option<Matrix<'_>>> {
        let Some(part) = self.matrices.get(name) else { return Ok(None) };
        // Always a view: both start at multiples of 4.
        let row_scales = values::<f32>(&self.memory[part.row_scales.clone()]).unwrap_or_default();
        let matrix =
            QMatrix::new(part.layout, &self.memory[part.panels.clone()], row_scales).map_err(Error::core(name))?;
        Ok(Some(Matrix::Quantized(matrix, part.assignment.activation)))
    }

    pub(crate) fn norm(&self) -> &[f32] {
        &self.norm
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.matrices.values().map(Part::bytes).sum()
    }

    pub(crate) fn bits_per_weight_linear(&self) -> f64 {
        let linear =
            self.matrices.values().filter(|part| !matches!(part.assignment.role, Role::Embedding | Role::Head));
        let (bytes, weights) = linear.fold((0, 0), |(bytes, weights), part| {
            (bytes + part.bytes(), weights + part.assignment.rows * part.assignment.cols)
        });
        bytes as f64 * 8.0 / weights as f64
    }
}

impl Part {
    /// 1/√columns over the size of `sub_scale · level`: outputs are as large as inputs. A transformed input is larger by
    /// the square root of the transform's length.
    fn row_scale(&self) -> f32 {
        let levels = self.layout.codec().levels();
        let square =
            |values: &[i8]| values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() / values.len() as f64;
        let sub_scales: Vec<i8> = (i8::MIN..=i8::MAX).collect();
        let transformed = if self.assignment.activation.transform == Transform::Hadamard { 256.0 } else { 1.0 };
        let cols = self.layout.cols() as f64;
        (1.0 / (square(levels) * square(&sub_scales) * cols * transformed).sqrt()) as f32
    }

    fn bytes(&self) -> u64 {
        (self.panels.len() + self.row_scales.len()) as u64
    }
}

/// Random bytes, the same every time (SplitMix64, eight at a step).
pub(crate) fn fill(bytes: &mut [u8]) {
    let mut state = 0u64;
    for word in bytes.as_chunks_mut::<8>().0 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        *word = (mixed ^ mixed >> 31).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Engine, EngineOptions, Session},
        model::Model,
        quantize::Scheme,
    };
    use qint_core::{codec::Codec, llama::KvKind};

    #[test]
    fn names_and_weights_are_the_published_ones() {
        let millions = [1100, 7242, 6738, 2506, 135];
        for (shape, millions) in Shape::ALL.into_iter().zip(millions) {
            assert_eq!(Shape::from_name(shape.name()), Some(shape));
            let config = shape.config().unwrap();
            let weights: usize = config.expected_tensors().iter().map(|tensor| tensor.rows * tensor.cols).sum();
            assert_eq!((weights as f64 / 1e6).round() as usize, millions, "{}", shape.name());
            assert_eq!(config.architecture.context, CONTEXT);
        }
    }

    #[test]
    fn activations_stay_of_order_one() {
        for codec in [Codec::Q8, Codec::Q4, Codec::Q1] {
            let model = Model::synthetic(Shape::SmolLm2_135M, &Recipe::new(Scheme::of(codec))).unwrap();
            let mut engine = Engine::with_options(EngineOptions { threads: Some(1), ..Default::default() }).unwrap();
            let mut session = Session::new(model.weights().config(), KvKind::F16, 4).unwrap();
            let logits = engine.prompt(model.weights(), &mut session, &[1, 2, 3]).unwrap();
            let rms = (logits.iter().map(|x| x * x).sum::<f32>() / logits.len() as f32).sqrt();
            assert!((0.2..5.0).contains(&rms), "{} {rms}", codec.name());
        }
    }

    #[test]
    fn matrices_are_what_the_recipe_says() {
        let mut recipe = Recipe::new(Scheme::of(Codec::Q4));
        recipe.embedding_and_head = Scheme::of(Codec::Q2);
        let config = Shape::SmolLm2_135M.config().unwrap();
        let synthetic = Synthetic::new(config.clone(), &recipe).unwrap();
        for assignment in recipe.assign(&config).unwrap() {
            let Ok(Some(Matrix::Quantized(matrix, activation))) = synthetic.matrix(&assignment.name) else { panic!() };
            assert_eq!((matrix.layout().rows(), matrix.layout().cols()), (assignment.rows, assignment.cols));
            assert_eq!((matrix.layout().codec(), activation), (assignment.scheme.codec, assignment.activation));
        }
        assert!((4.25..4.4).contains(&synthetic.bits_per_weight_linear()));
    }
}
