//! The tensors that a model of some [`ModelConfig`] consists of: names, roles and shapes.
use super::ModelConfig;

/// One tensor that a model of some [`ModelConfig`] consists of, under its Hugging Face name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedTensor {
    /// For example `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Rows; 1 for a norm.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// What a tensor is for. Layers count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of qint_core::llama::Layer")]
pub enum Role {
    Embedding,
    AttentionNorm(usize),
    Q(usize),
    K(usize),
    V(usize),
    O(usize),
    MlpNorm(usize),
    Gate(usize),
    Up(usize),
    Down(usize),
    FinalNorm,
    Head,
}

impl ModelConfig {
    /// Every tensor of the model: embedding, layers in order, final norm, head (absent if tied).
    ///
    /// # Examples
    /// ```
    /// # fn main() -> qint_std::Result<()> {
    /// use qint_std::config::ModelConfig;
    /// let json = serde_json::json!({"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 128,
    ///     "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100});
    /// let config = ModelConfig::from_hugging_face(&json, None)?;
    /// let tensors = config.expected_tensors();
    /// assert_eq!(tensors.len(), 1 + 2 * 9 + 2);
    /// assert_eq!((tensors[2].name.as_str(), tensors[2].rows), ("model.layers.0.self_attn.q_proj.weight", 64));
    /// # Ok(())
    /// # }
    /// ```
    pub fn expected_tensors(&self) -> Vec<ExpectedTensor> {
        let mut roles = vec![Role::Embedding];
        roles.extend((0..self.architecture.layers).flat_map(layer_roles));
        roles.push(Role::FinalNorm);
        if !self.tied_head {
            roles.push(Role::Head);
        }
        roles.into_iter().map(|role| self.expected(role)).collect()
    }

    fn expected(&self, role: Role) -> ExpectedTensor {
        let c = &self.architecture;
        let (rows, cols) = match role {
            Role::Embedding | Role::Head => (c.vocabulary, c.hidden),
            Role::AttentionNorm(_) | Role::MlpNorm(_) | Role::FinalNorm => (1, c.hidden),
            Role::Q(_) => (c.q_dim(), c.hidden),
            Role::K(_) | Role::V(_) => (c.kv_dim(), c.hidden),
            Role::O(_) => (c.hidden, c.q_dim()),
            Role::Gate(_) | Role::Up(_) => (c.intermediate, c.hidden),
            Role::Down(_) => (c.hidden, c.intermediate),
        };
        ExpectedTensor { name: role.name(), role, rows, cols }
    }
}

impl Role {
    /// The Hugging Face name of the tensor with this role.
    pub fn name(self) -> String {
        let (layer, part) = match self {
            Role::Embedding => return "model.embed_tokens.weight".into(),
            Role::FinalNorm => return "model.norm.weight".into(),
            Role::Head => return "lm_head.weight".into(),
            Role::AttentionNorm(layer) => (layer, "input_layernorm"),
            Role::Q(layer) => (layer, "self_attn.q_proj"),
            Role::K(layer) => (layer, "self_attn.k_proj"),
            Role::V(layer) => (layer, "self_attn.v_proj"),
            Role::O(layer) => (layer, "self_attn.o_proj"),
            Role::MlpNorm(layer) => (layer, "post_attention_layernorm"),
            Role::Gate(layer) => (layer, "mlp.gate_proj"),
            Role::Up(layer) => (layer, "mlp.up_proj"),
            Role::Down(layer) => (layer, "mlp.down_proj"),
        };
        format!("model.layers.{layer}.{part}.weight")
    }

    /// Whether it is a vector of norm gains: stored with one dimension and never quantized.
    pub const fn is_norm(self) -> bool {
        matches!(self, Role::AttentionNorm(_) | Role::MlpNorm(_) | Role::FinalNorm)
    }
}

fn layer_roles(layer: usize) -> [Role; 9] {
    [
        Role::AttentionNorm(layer),
        Role::Q(layer),
        Role::K(layer),
        Role::V(layer),
        Role::O(layer),
        Role::MlpNorm(layer),
        Role::Gate(layer),
        Role::Up(layer),
        Role::Down(layer),
    ]
}
