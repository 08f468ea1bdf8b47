//! `config.json` and `generation_config.json` of a Hugging Face checkpoint → [`ModelConfig`].
//!
//! Reads the classic layout (`rope_theta`, `rope_scaling`, `torch_dtype`) and that of transformers 5 (`rope_parameters`,
//! `dtype`). A missing field means what it means in transformers' configuration class of that family. Whatever the forward
//! pass does not do is refused by the name that the file gives it, before any weight is read.
use super::{ModelConfig, object::Object};
use crate::{Error, Result, limits::shown};
use qint_core::llama::{Activation, Config, RopeScaling};
use serde_json::Value;

const WHAT: &str = "config.json";

/// What a missing field means in one family.
struct Family {
    name: &'static str,
    kv_heads: Option<usize>,
    head_dim: Option<usize>,
    context: usize,
    sliding_window: Option<usize>,
    tied_head: bool,
}

const LLAMA: Family =
    Family { name: "llama", kv_heads: None, head_dim: None, context: 2048, sliding_window: None, tied_head: false };
const MISTRAL: Family =
    Family { name: "mistral", kv_heads: Some(8), context: 131_072, sliding_window: Some(4096), ..LLAMA };
const GEMMA: Family =
    Family { name: "gemma", kv_heads: Some(16), head_dim: Some(256), context: 8192, tied_head: true, ..LLAMA };

impl ModelConfig {
    /// Reads the content of `config.json` and, where there is one, of `generation_config.json`.
    ///
    /// The end tokens are those of both files, the generation file's first.
    ///
    /// # Errors
    /// `Unsupported` for another architecture or an option that the forward pass does not have, `Malformed` for missing or
    /// wrong fields, `Core` for sizes that [`Config::check`] refuses.
    pub fn from_hugging_face(config: &Value, generation: Option<&Value>) -> Result<ModelConfig> {
        let object = Object::new(WHAT, config)?;
        let family = family(&object)?;
        refuse_unsupported(&object)?;
        let (bos, eos) = special_tokens(&object, generation)?;
        let config = ModelConfig {
            family: family.name.into(),
            architecture: architecture(&object, family)?,
            tied_head: object.flag("tie_word_embeddings")?.unwrap_or(family.tied_head),
            bos,
            eos,
        };
        config.check(WHAT)?;
        Ok(config)
    }
}

fn family(object: &Object<'_>) -> Result<&'static Family> {
    let by_class = match object.value("architectures") {
        None => None,
        Some(Value::Array(list)) => list.first().and_then(Value::as_str),
        Some(_) => return Err(Error::malformed(WHAT, "architectures is not a list of names")),
    };
    let by_type = object.text("model_type")?;
    match (by_class, by_type) {
        (Some("LlamaForCausalLM"), _) | (None, Some("llama")) => Ok(&LLAMA),
        (Some("MistralForCausalLM"), _) | (None, Some("mistral")) => Ok(&MISTRAL),
        (Some("GemmaForCausalLM"), _) | (None, Some("gemma")) => Ok(&GEMMA),
        (Some(other), _) | (None, Some(other)) => Err(Error::unsupported(
            format!("the architecture {}", shown(other)),
            "supported are LlamaForCausalLM, MistralForCausalLM and GemmaForCausalLM",
        )),
        (None, None) => Err(Error::malformed(WHAT, "architectures and model_type are missing")),
    }
}

fn refuse_unsupported(object: &Object<'_>) -> Result<()> {
    if object.value("quantization_config").is_some() {
        let way_out = "take the checkpoint before it was quantized";
        return Err(Error::unsupported("a checkpoint that is quantized already (quantization_config)", way_out));
    }
    for key in ["attention_bias", "mlp_bias", "rope_interleaved", "use_bidirectional_attention"] {
        if object.flag(key)? == Some(true) {
            return Err(Error::unsupported(format!("{key}: true"), ""));
        }
    }
    refuse_partial_rotary(object)
}

fn refuse_partial_rotary(object: &Object<'_>) -> Result<()> {
    match object.number("partial_rotary_factor")? {
        Some(factor) if factor != 1.0 => Err(Error::unsupported(format!("partial_rotary_factor {factor}"), "")),
        _ => Ok(()),
    }
}

fn architecture(object: &Object<'_>, family: &Family) -> Result<Config> {
    let size = |key| object.need(key, object.size(key)?);
    let (hidden, heads) = (size("hidden_size")?, size("num_attention_heads")?);
    let kv_heads = match family.kv_heads {
        Some(default) if !object.has("num_key_value_heads") => default,
        _ => object.size("num_key_value_heads")?.unwrap_or(heads),
    };
    let gemma = family.name == GEMMA.name;
    let context = object.size("max_position_embeddings")?.unwrap_or(family.context);
    Ok(Config {
        hidden,
        intermediate: size("intermediate_size")?,
        layers: size("num_hidden_layers")?,
        heads,
        kv_heads,
        head_dim: head_dim(object, family, hidden, heads)?,
        vocabulary: size("vocab_size")?,
        context,
        norm_epsilon: object.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
        rope_theta: rope_theta(object)?,
        rope_scaling: rope_scaling(object)?,
        sliding_window: sliding_window(object, family)?,
        activation: activation(object, gemma)?,
        norm_plus_one: gemma,
        embedding_scale: if gemma { (hidden as f64).sqrt() as f32 } else { 1.0 },
    })
}

fn head_dim(object: &Object<'_>, family: &Family, hidden: usize, heads: usize) -> Result<usize> {
    if let Some(given) = object.size("head_dim")?.or(family.head_dim) {
        return Ok(given);
    }
    match hidden.checked_rem(heads) {
        Some(0) => Ok(hidden / heads),
        _ => Err(Error::malformed(WHAT, format!("{heads} attention heads do not divide the hidden size {hidden}"))),
    }
}

/// `null` is no window; a missing field is the family's. `layer_types` may only repeat what that says.
fn sliding_window(object: &Object<'_>, family: &Family) -> Result<Option<usize>> {
    let window = match family.sliding_window {
        None => None,
        Some(default) if !object.has("sliding_window") => Some(default),
        Some(_) => object.size("sliding_window")?,
    };
    let Some(types) = object.value("layer_types") else { return Ok(window) };
    let expected = if window.is_some() { "sliding_attention" } else { "full_attention" };
    match types.as_array().and_then(|types| types.iter().find(|kind| kind.as_str() != Some(expected))) {
        None if types.is_array() => Ok(window),
        Some(Value::String(other)) => {
            let what = format!("layer_types with {} where all layers have {expected}", shown(other));
            Err(Error::unsupported(what, ""))
        }
        _ => Err(Error::malformed(WHAT, "layer_types is not a list of names")),
    }
}

/// Gemma: `hidden_activation` decides, and where it is missing the tanh form is meant, whatever `hidden_act` says.
fn activation(object: &Object<'_>, gemma: bool) -> Result<Activation> {
    let (key, default) = if gemma { ("hidden_activation", "gelu_pytorch_tanh") } else { ("hidden_act", "silu") };
    match object.text(key)?.unwrap_or(default) {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu_pytorch_tanh" | "gelu_new" => Ok(Activation::GeluTanh),
        other => Err(Error::unsupported(
            format!("the activation {} ({key})", shown(other)),
            "supported are silu and gelu_pytorch_tanh",
        )),
    }
}

fn rope_theta(object: &Object<'_>) -> Result<f64> {
    let mut theta = None;
    for holder in ["rope_parameters", "rope_scaling"] {
        if let Some(rope) = object.object(holder)? {
            theta = theta.or(rope.number("rope_theta")?);
        }
    }
    Ok(theta.or(object.number("rope_theta")?).unwrap_or(10_000.0))
}

/// As in transformers, `rope_scaling` counts where both fields are there.
fn rope_scaling(object: &Object<'_>) -> Result<RopeScaling> {
    let rope = match object.object("rope_scaling")? {
        Some(rope) => rope,
        None => match object.object("rope_parameters")? {
            Some(rope) => rope,
            None => return Ok(RopeScaling::None),
        },
    };
    if rope.keys().any(|key| key == "full_attention" || key == "sliding_attention") {
        return Err(Error::unsupported("rope_parameters that differ between layers", ""));
    }
    refuse_partial_rotary(&rope)?;
    let number = |key| rope.need(key, rope.number(key)?);
    match rope.text("rope_type")?.or(rope.text("type")?).unwrap_or("default") {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: number("factor")? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: number("factor")?,
            low_frequency: number("low_freq_factor")?,
            high_frequency: number("high_freq_factor")?,
            original_context: match object.number("original_max_position_embeddings")? {
                Some(original) if !rope.has("original_max_position_embeddings") => original,
                _ => number("original_max_position_embeddings")?,
            },
        }),
        other => Err(Error::unsupported(
            format!("the rope type {}", shown(other)),
            "supported are default, linear and llama3",
        )),
    }
}

fn special_tokens(config: &Object<'_>, generation: Option<&Value>) -> Result<(Option<u32>, Vec<u32>)> {
    let (mut bos, mut eos) = (None, Vec::new());
    if let Some(generation) = generation {
        let generation = Object::new("generation_config.json", generation)?;
        bos = generation.token("bos_token_id")?;
        eos = generation.tokens("eos_token_id")?;
    }
    for id in config.tokens("eos_token_id")? {
        if !eos.contains(&id) {
            eos.push(id);
        }
    }
    Ok((bos.or(config.token("bos_token_id")?), eos))
}
