//! [`ModelConfig`] ⇄ the JSON object that manifests keep. Reading checks every number and refuses unknown keys: a file
//! with an option that this version does not know would compute something else.
use super::{ModelConfig, object::Object};
use crate::{Error, Result, limits};
use qint_core::llama::{Activation, Config, RopeScaling};
use serde_json::{Value, json};

const WHAT: &str = "the manifest's model configuration";
const KEYS: [&str; 19] = [
    "family",
    "hidden",
    "intermediate",
    "layers",
    "heads",
    "kv_heads",
    "head_dim",
    "vocabulary",
    "context",
    "norm_epsilon",
    "rope_theta",
    "rope_scaling",
    "sliding_window",
    "activation",
    "norm_plus_one",
    "embedding_scale",
    "tied_head",
    "bos",
    "eos",
];

impl ModelConfig {
    /// The form that a manifest keeps. f32 numbers are written exactly, as f64.
    pub fn to_json(&self) -> Value {
        let c = &self.architecture;
        json!({
            "family": self.family,
            "hidden": c.hidden,
            "intermediate": c.intermediate,
            "layers": c.layers,
            "heads": c.heads,
            "kv_heads": c.kv_heads,
            "head_dim": c.head_dim,
            "vocabulary": c.vocabulary,
            "context": c.context,
            "norm_epsilon": f64::from(c.norm_epsilon),
            "rope_theta": c.rope_theta,
            "rope_scaling": rope_scaling_to_json(c.rope_scaling),
            "sliding_window": c.sliding_window,
            "activation": match c.activation {
                Activation::Silu => "silu",
                Activation::GeluTanh => "gelu-tanh",
            },
            "norm_plus_one": c.norm_plus_one,
            "embedding_scale": f64::from(c.embedding_scale),
            "tied_head": self.tied_head,
            "bos": self.bos,
            "eos": self.eos,
        })
    }

    /// Reads what [`ModelConfig::to_json`] wrote.
    ///
    /// # Errors
    /// `Malformed` for missing or wrong values, `Core` for sizes and numbers that [`Config::check`] refuses, `Unsupported`
    /// for keys, activations and rope scalings of a later version.
    pub fn from_json(value: &Value) -> Result<ModelConfig> {
        let object = Object::new(WHAT, value)?;
        if let Some(unknown) = object.keys().find(|key| !KEYS.contains(key)) {
            return Err(later(format!("the model option {}", limits::shown(unknown))));
        }
        let family = object.need("family", object.text("family")?)?;
        if family.is_empty() || family.len() > limits::NAME_BYTES {
            return Err(Error::malformed(WHAT, format!("family has {} bytes", family.len())));
        }
        let config = ModelConfig {
            family: family.to_owned(),
            architecture: architecture(&object)?,
            tied_head: object.need("tied_head", object.flag("tied_head")?)?,
            bos: object.token("bos")?,
            eos: object.tokens("eos")?,
        };
        config.check(WHAT)?;
        Ok(config)
    }
}

fn architecture(object: &Object<'_>) -> Result<Config> {
    let size = |key| object.need(key, object.size(key)?);
    let number = |key| object.need(key, object.number(key)?);
    Ok(Config {
        hidden: size("hidden")?,
        intermediate: size("intermediate")?,
        layers: size("layers")?,
        heads: size("heads")?,
        kv_heads: size("kv_heads")?,
        head_dim: size("head_dim")?,
        vocabulary: size("vocabulary")?,
        context: size("context")?,
        norm_epsilon: number("norm_epsilon")? as f32,
        rope_theta: number("rope_theta")?,
        rope_scaling: rope_scaling(object)?,
        sliding_window: object.size("sliding_window")?,
        activation: match object.need("activation", object.text("activation")?)? {
            "silu" => Activation::Silu,
            "gelu-tanh" => Activation::GeluTanh,
            other => return Err(later(format!("the activation {}", limits::shown(other)))),
        },
        norm_plus_one: object.need("norm_plus_one", object.flag("norm_plus_one")?)?,
        embedding_scale: number("embedding_scale")? as f32,
    })
}

fn rope_scaling_to_json(scaling: RopeScaling) -> Value {
    match scaling {
        RopeScaling::None => Value::Null,
        RopeScaling::Linear { factor } => json!({"type": "linear", "factor": factor}),
        RopeScaling::Llama3 { factor, low_frequency, high_frequency, original_context } => json!({
            "type": "llama3",
            "factor": factor,
            "low_frequency": low_frequency,
            "high_frequency": high_frequency,
            "original_context": original_context,
        }),
    }
}

fn rope_scaling(object: &Object<'_>) -> Result<RopeScaling> {
    let Some(scaling) = object.object("rope_scaling")? else { return Ok(RopeScaling::None) };
    let number = |key| scaling.need(key, scaling.number(key)?);
    match scaling.need("type", scaling.text("type")?)? {
        "linear" => Ok(RopeScaling::Linear { factor: number("factor")? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: number("factor")?,
            low_frequency: number("low_frequency")?,
            high_frequency: number("high_frequency")?,
            original_context: number("original_context")?,
        }),
        other => Err(later(format!("the rope scaling {}", limits::shown(other)))),
    }
}

fn later(what: String) -> Error {
    Error::unsupported(what, "the file was made by a later version of qint: update qint")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> ModelConfig {
        ModelConfig {
            family: "llama".into(),
            architecture: Config {
                hidden: 80,
                intermediate: 124,
                layers: 2,
                heads: 4,
                kv_heads: 2,
                head_dim: 20,
                vocabulary: 197,
                context: 512,
                norm_epsilon: 1e-5,
                rope_theta: 500_000.0,
                rope_scaling: RopeScaling::Llama3 {
                    factor: 8.0,
                    low_frequency: 1.0,
                    high_frequency: 4.0,
                    original_context: 64.0,
                },
                sliding_window: Some(12),
                activation: Activation::GeluTanh,
                norm_plus_one: true,
                embedding_scale: 80f32.sqrt(),
            },
            tied_head: true,
            bos: Some(1),
            eos: vec![2, 3],
        }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let mut config = example();
        for scaling in [config.architecture.rope_scaling, RopeScaling::None, RopeScaling::Linear { factor: 1.0 / 3.0 }]
        {
            config.architecture.rope_scaling = scaling;
            let text = serde_json::to_string(&config.to_json()).unwrap();
            assert_eq!(ModelConfig::from_json(&serde_json::from_str(&text).unwrap()).unwrap(), config);
        }
        let json = config.to_json();
        assert!(json.as_object().unwrap().keys().eq(KEYS.iter()));
    }

    #[test]
    fn refuses_every_broken_field() {
        let good = example().to_json();
        let wrong = [json!(-1), json!("x"), json!([]), json!({}), json!(1.5e300), json!(0.5), json!(true), Value::Null];
        for key in KEYS.iter().filter(|key| !["rope_scaling", "sliding_window", "bos", "eos"].contains(key)) {
            let refused = wrong.iter().filter(|value| {
                let mut bad = good.clone();
                bad[*key] = (*value).clone();
                ModelConfig::from_json(&bad).is_err()
            });
            assert!(refused.count() >= 5, "{key}");
        }
        for (key, value) in [
            ("layers", json!(100_000)),
            ("head_dim", json!(19)),
            ("kv_heads", json!(3)),
            ("context", json!(u64::MAX)),
            ("sliding_window", json!(0)),
            ("bos", json!(197)),
            ("eos", json!([197])),
            ("eos", json!(vec![1; 65])),
            ("norm_epsilon", json!(0.0)),
            ("activation", json!("relu")),
            ("rope_scaling", json!({"type": "yarn"})),
            ("rope_scaling", json!({"type": "linear"})),
            ("surprise", json!(1)),
        ] {
            let mut bad = good.clone();
            bad[key] = value.clone();
            assert!(ModelConfig::from_json(&bad).is_err(), "{key} {value}");
        }
    }
}
