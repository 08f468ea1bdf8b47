//! The architecture of one model, as numbers.
use crate::{Error, layout::MAX_DIMENSION};

/// The largest number of transformer blocks.
pub const MAX_LAYERS: usize = 1024;
/// The largest width of a head.
pub const MAX_HEAD_DIM: usize = 512;
/// The largest context; positions below it are exact in f32.
pub const MAX_CONTEXT: usize = 1 << 24;

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

impl Config {
    /// Refuses what no pass could compute.
    ///
    /// # Errors
    /// [`Error::Dimension`] for a size of 0 or above its cap, [`Error::Mismatch`] if `kv_heads` does not divide `heads` or
    /// `head_dim` is odd, [`Error::Number`] for a number that is not finite or not positive.
    pub const fn check(&self) -> Result<(), Error> {
        if let Err(error) = self.check_dimensions() {
            return Err(error);
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let found = self.heads % self.kv_heads;
            return Err(Error::Mismatch { what: "heads modulo KV heads", found, expected: 0 });
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(Error::Mismatch { what: "head dimension modulo 2", found: 1, expected: 0 });
        }
        self.check_numbers()
    }

    /// Rows of Q: `heads · head_dim`.
    pub const fn q_dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Rows of K and of V: `kv_heads · head_dim`.
    pub const fn kv_dim(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    const fn check_dimensions(&self) -> Result<(), Error> {
        let heads = match MAX_DIMENSION.checked_div(self.head_dim) {
            Some(heads) => heads,
            None => MAX_DIMENSION,
        };
        let window = match self.sliding_window {
            Some(window) => window,
            None => 1,
        };
        let dimensions = [
            ("hidden size", self.hidden, MAX_DIMENSION),
            ("intermediate size", self.intermediate, MAX_DIMENSION),
            ("layers", self.layers, MAX_LAYERS),
            ("head dimension", self.head_dim, MAX_HEAD_DIM),
            ("heads", self.heads, heads),
            ("KV heads", self.kv_heads, self.heads),
            ("vocabulary", self.vocabulary, MAX_DIMENSION),
            ("context", self.context, MAX_CONTEXT),
            ("sliding window", window, usize::MAX),
        ];
        let mut index = 0;
        while index < dimensions.len() {
            let (what, given, limit) = dimensions[index];
            if given == 0 || given > limit {
                return Err(Error::Dimension { what, given, limit });
            }
            index += 1;
        }
        Ok(())
    }

    const fn check_numbers(&self) -> Result<(), Error> {
        let (factor, low, width, context) = match self.rope_scaling {
            RopeScaling::None => (1.0, 1.0, 1.0, 1.0),
            RopeScaling::Linear { factor } => (factor, 1.0, 1.0, 1.0),
            RopeScaling::Llama3 { factor, low_frequency, high_frequency, original_context } => {
                (factor, low_frequency, high_frequency - low_frequency, original_context)
            }
        };
        let numbers = [
            ("norm epsilon", self.norm_epsilon as f64),
            ("embedding scale", self.embedding_scale as f64),
            ("rope theta", self.rope_theta),
            ("rope scaling factor", factor),
            ("rope low frequency factor", low),
            ("rope high minus low frequency factor", width),
            ("rope original context", context),
        ];
        let mut index = 0;
        while index < numbers.len() {
            let (what, given) = numbers[index];
            if !(given > 0.0 && given.is_finite()) {
                return Err(Error::Number { what, given });
            }
            index += 1;
        }
        Ok(())
    }
}

pub(super) fn expect(what: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Mismatch { what, found, expected }) }
}
