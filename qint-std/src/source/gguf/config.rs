//! The metadata of a GGUF file → [`ModelConfig`]. Options that the forward pass does not have are refused by their key.
use super::{
    metadata::{Kind, Metadata},
    parse::malformed,
    rope,
    tensors::Layout,
};
use crate::{Error, Result, config::ModelConfig, limits::shown};
use qint_core::llama::{Activation, Config, RopeScaling};

/// Tokens that end a turn in the supported families. Older files name only the token that ends a text.
const TURN_ENDS: [&[u8]; 3] = [b"<end_of_turn>", b"<|eot_id|>", b"<|eom_id|>"];

/// Reads architecture and special tokens.
pub(super) fn read(metadata: &Metadata<'_>, layout: &Layout) -> Result<ModelConfig> {
    let family = metadata.need("general.architecture", metadata.text("general.architecture")?)?;
    if !matches!(family, "llama" | "gemma") {
        let what = format!("the GGUF architecture {}", shown(family));
        return Err(Error::unsupported(what, "supported are llama (which includes Mistral) and gemma"));
    }
    let fields = Fields { metadata, family };
    fields.refuse_unsupported()?;
    let config = ModelConfig {
        family: family.into(),
        architecture: architecture(&fields, layout)?,
        tied_head: !layout.has_head(),
        bos: metadata.token("tokenizer.ggml.bos_token_id")?,
        eos: end_tokens(metadata)?,
    };
    config.check("the GGUF file")?;
    Ok(config)
}

/// The keys that begin with the architecture's name.
struct Fields<'a> {
    metadata: &'a Metadata<'a>,
    family: &'a str,
}

impl Fields<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.family)
    }

    fn size(&self, name: &str) -> Result<Option<usize>> {
        self.metadata.size(&self.key(name))
    }

    fn need_size(&self, name: &str) -> Result<usize> {
        self.metadata.need(&self.key(name), self.size(name)?)
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        self.metadata.number(&self.key(name))
    }

    fn refuse_unsupported(&self) -> Result<()> {
        let refuse = |name: &str| Err(Error::unsupported(format!("the GGUF key {}", self.key(name)), ""));
        if self.size("expert_count")?.is_some_and(|count| count > 0) {
            return Err(Error::unsupported(format!("a mixture of experts ({})", self.key("expert_count")), ""));
        }
        if self.metadata.flag(&self.key("attention.causal"))? == Some(false) {
            return refuse("attention.causal = false");
        }
        for name in ["attention.scale", "residual_scale", "logit_scale", "embedding_scale"] {
            if self.number(name)?.is_some_and(|scale| scale != 0.0 && scale != 1.0) {
                return refuse(name);
            }
        }
        Ok(())
    }
}

fn architecture(fields: &Fields<'_>, layout: &Layout) -> Result<Config> {
    let (hidden, heads) = (fields.need_size("embedding_length")?, fields.need_size("attention.head_count")?);
    let head_dim = head_dim(fields, hidden, heads)?;
    let gemma = fields.family == "gemma";
    let epsilon = "attention.layer_norm_rms_epsilon";
    let rope_theta = fields.number("rope.freq_base")?.unwrap_or(10_000.0);
    Ok(Config {
        hidden,
        intermediate: fields.need_size("feed_forward_length")?,
        layers: fields.need_size("block_count")?,
        heads,
        kv_heads: fields.size("attention.head_count_kv")?.unwrap_or(heads),
        head_dim,
        vocabulary: layout.vocabulary()?,
        context: fields.need_size("context_length")?,
        norm_epsilon: fields.metadata.need(&fields.key(epsilon), fields.number(epsilon)?)? as f32,
        rope_theta,
        rope_scaling: rope_scaling(fields, layout, rope_theta, head_dim)?,
        sliding_window: fields.size("attention.sliding_window")?.filter(|&window| window > 0),
        activation: if gemma { Activation::GeluTanh } else { Activation::Silu },
        norm_plus_one: false,
        embedding_scale: if gemma { (hidden as f64).sqrt() as f32 } else { 1.0 },
    })
}

fn head_dim(fields: &Fields<'_>, hidden: usize, heads: usize) -> Result<usize> {
    let head_dim = match fields.size("attention.key_length")? {
        Some(given) => given,
        None if heads > 0 && hidden.is_multiple_of(heads) => hidden / heads,
        None => return Err(malformed(format!("{heads} attention heads do not divide the hidden size {hidden}"))),
    };
    for name in ["attention.value_length", "rope.dimension_count"] {
        if let Some(other) = fields.size(name)?.filter(|&other| other != head_dim) {
            let what = format!("{} = {other} beside a head dimension of {head_dim}", fields.key(name));
            return Err(Error::unsupported(what, ""));
        }
    }
    Ok(head_dim)
}

fn rope_scaling(fields: &Fields<'_>, layout: &Layout, theta: f64, head_dim: usize) -> Result<RopeScaling> {
    let linear = match fields.metadata.text(&fields.key("rope.scaling.type"))? {
        Some("linear") => fields.number("rope.scaling.factor")?,
        None => fields.number("rope.scaling.factor")?.or(fields.number("rope.scale_linear")?),
        Some("none") => None,
        Some(other) => {
            return Err(Error::unsupported(format!("the rope scaling {}", shown(other)), "linear and llama3 are"));
        }
    };
    let linear = linear.filter(|&factor| factor != 1.0 && factor != 0.0);
    match (&layout.rope_factors, linear) {
        (None, None) => Ok(RopeScaling::None),
        (None, Some(factor)) => Ok(RopeScaling::Linear { factor }),
        (Some(factors), None) => rope::from_factors(factors, theta, head_dim),
        (Some(_), Some(_)) => Err(Error::unsupported("rope_freqs.weight together with linear rope scaling", "")),
    }
}

fn end_tokens(metadata: &Metadata<'_>) -> Result<Vec<u32>> {
    let mut ends = Vec::new();
    for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
        ends.extend(metadata.token(&format!("tokenizer.ggml.{key}"))?);
    }
    if let Some(tokens) = metadata.array("tokenizer.ggml.tokens", &[Kind::Text])? {
        let named = tokens.strings().zip(0..).filter(|(token, _)| TURN_ENDS.contains(token));
        ends.extend(named.map(|(_, id): (&[u8], u32)| id).take(TURN_ENDS.len()));
    }
    let mut seen = std::collections::HashSet::new();
    ends.retain(|id| seen.insert(*id));
    Ok(ends)
}
