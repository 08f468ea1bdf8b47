//! The architecture of one model, as numbers.

/// Everything that tells one Llama-family model from another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width between the MLP's two halves.
    pub intermediate: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head; even. `heads · head_dim` need not be `hidden`.
    pub head_dim: usize,
    /// Token ids are below this.
    pub vocabulary: usize,
    /// Positions the model was made for.
    pub context: usize,
    /// Added to the mean square in RMSNorm.
    pub norm_epsilon: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are stretched.
    pub rope_scaling: RopeScaling,
    /// Position i sees the positions j with i − window < j ≤ i.
    pub sliding_window: Option<usize>,
    /// The gate's activation.
    pub activation: Activation,
    /// Norm gains are stored as w and used as 1 + w (Gemma).
    pub norm_plus_one: bool,
    /// Embedding rows are multiplied with this (Gemma: √hidden).
    pub embedding_scale: f32,
}

/// The activation between the MLP's halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x · sigmoid(x).
    Silu,
    /// GELU in its tanh form.
    GeluTanh,
}

/// How rotary frequencies are changed for a longer context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3: low frequencies divided by `factor`, high ones kept, a ramp between.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Wavelengths above `original_context / low_frequency` are low frequencies.
        low_frequency: f64,
        /// Wavelengths below `original_context / high_frequency` are high frequencies.
        high_frequency: f64,
        /// Context before the stretch.
        original_context: f64,
    },
}
