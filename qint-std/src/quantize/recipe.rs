//! What becomes of each tensor: codecs by rules over Hugging Face names, activation formats by input.
//!
//! Matrices that share an input (Q, K, V; gate, up) must share its activation format; a recipe that tears them apart is
//! refused. A tied embedding is the head at the same time and is stored for the head's input. An untied embedding is only
//! looked up and stays as it is.
use super::rule::{ActivationRule, Rule, Scheme};
use crate::{
    Error, Result,
    config::{ModelConfig, Role},
};
use qint_core::{
    activation::{ActivationFormat, Transform},
    codec::Codec,
};
use std::collections::HashMap;

/// How a model is quantized. Of several rules that match, the last one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Matrices that no rule names, but for embedding and head.
    pub default: Scheme,
    /// Embedding and head, unless a rule names them.
    pub embedding_and_head: Scheme,
    /// Exceptions, weakest first.
    pub rules: Vec<Rule>,
    /// Inputs that no rule names.
    pub activation: ActivationFormat,
    /// Exceptions, weakest first.
    pub activation_rules: Vec<ActivationRule>,
}

/// What one matrix of a model gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Its Hugging Face name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Codec and group.
    pub scheme: Scheme,
    /// How its input is prepared.
    pub activation: ActivationFormat,
}

impl Recipe {
    /// `scheme` for all linear layers, q8 for embedding and head, activation blocks of 256, the Hadamard transform for all
    /// inputs; but for those of a q4 MLP, whose weights lose less as they are (docs/decisions/0003-transform-of-q4.md).
    pub fn new(scheme: Scheme) -> Recipe {
        let plain_mlp = (scheme.codec == Codec::Q4).then(|| "*.mlp.*=none:b256".parse().ok()).flatten();
        Recipe {
            default: scheme,
            embedding_and_head: Scheme::of(Codec::Q8),
            rules: Vec::new(),
            activation: ActivationFormat::DEFAULT,
            activation_rules: plain_mlp.into_iter().collect(),
        }
    }

    /// `activation` for all inputs, instead of what [`Recipe::new`] chose.
    pub fn with_activation(self, activation: ActivationFormat) -> Recipe {
        Recipe { activation, activation_rules: Vec::new(), ..self }
    }

    /// What every matrix of a model gets, in the model's order.
    ///
    /// # Errors
    /// [`Error::Argument`] if a rule names no matrix, or if matrices that share an input would differ in its format.
    ///
    /// # Examples
    /// ```
    /// use qint_core::codec::Codec;
    /// use qint_std::quantize::{Recipe, Scheme};
    /// # fn main() -> qint_std::Result<()> {
    /// let mut recipe = Recipe::new(Scheme::of(Codec::Q4));
    /// recipe.rules.push("*.down_proj.weight=q8:g64".parse()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn assign(&self, config: &ModelConfig) -> Result<Vec<Assignment>> {
        let assignments: Vec<_> = config
            .expected_tensors()
            .into_iter()
            .filter(|tensor| !tensor.role.is_norm())
            .map(|tensor| Assignment {
                scheme: self.scheme(&tensor.name, tensor.role),
                activation: self.activation(&tensor.name, tensor.role, config.tied_head),
                name: tensor.name,
                role: tensor.role,
                rows: tensor.rows,
                cols: tensor.cols,
            })
            .collect();
        self.check_patterns(&assignments)?;
        check_shared_inputs(&assignments)?;
        Ok(assignments)
    }

    /// A rule that names nothing is a typing error.
    fn check_patterns(&self, assignments: &[Assignment]) -> Result<()> {
        let patterns = self.rules.iter().map(|rule| &rule.pattern);
        for pattern in patterns.chain(self.activation_rules.iter().map(|rule| &rule.pattern)) {
            if !assignments.iter().any(|assignment| pattern.matches(&assignment.name)) {
                let example = assignments.get(1).map_or("", |assignment| &assignment.name);
                return Err(Error::Argument {
                    what: "the rule's pattern",
                    given: format!("'{pattern}'"),
                    allowed: format!("it must match the name of a matrix, for example {example}"),
                });
            }
        }
        Ok(())
    }

    fn scheme(&self, name: &str, role: Role) -> Scheme {
        let otherwise =
            if matches!(role, Role::Embedding | Role::Head) { self.embedding_and_head } else { self.default };
        self.rules.iter().rfind(|rule| rule.pattern.matches(name)).map_or(otherwise, |rule| rule.scheme)
    }

    fn activation(&self, name: &str, role: Role, tied_head: bool) -> ActivationFormat {
        if role == Role::Embedding && !tied_head {
            return ActivationFormat { transform: Transform::None, ..self.activation };
        }
        let rule = self.activation_rules.iter().rfind(|rule| rule.pattern.matches(name));
        rule.map_or(self.activation, |rule| rule.format)
    }
}

/// The matrices that read the same input, as (layer, which of its inputs); `None` for those that are alone.
pub(crate) fn shared_input(role: Role) -> Option<(usize, &'static str)> {
    match role {
        Role::Q(layer) | Role::K(layer) | Role::V(layer) => Some((layer, "q, k and v")),
        Role::Gate(layer) | Role::Up(layer) => Some((layer, "gate and up")),
        _ => None,
    }
}

fn check_shared_inputs(assignments: &[Assignment]) -> Result<()> {
    let mut formats = HashMap::new();
    for assignment in assignments {
        let Some(input) = shared_input(assignment.role) else { continue };
        if *formats.entry(input).or_insert(assignment.activation) != assignment.activation {
            return Err(Error::Argument {
                what: "the activation format",
                given: format!("different for {} of layer {}", input.1, input.0),
                allowed: "matrices that share an input must agree".into(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tied: bool) -> ModelConfig {
        let json = serde_json::json!({"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 128,
            "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100, "tie_word_embeddings": tied});
        ModelConfig::from_hugging_face(&json, None).unwrap()
    }

    fn of<'a>(assignments: &'a [Assignment], part: &str) -> &'a Assignment {
        assignments.iter().find(|assignment| assignment.name.contains(part)).unwrap()
    }

    #[test]
    fn the_last_rule_counts() {
        let mut recipe = Recipe::new(Scheme::of(Codec::Q2));
        for rule in ["*.1.*=q4", "*.1.mlp.down_proj.weight=q8:g64", "lm_head.weight=q4:g128"] {
            recipe.rules.push(rule.parse().unwrap());
        }
        let assignments = recipe.assign(&config(false)).unwrap();
        assert_eq!(assignments.len(), 16);
        for (part, scheme) in [
            ("embed", "q8:g32"),
            ("layers.0.self_attn.q", "q2:g64"),
            ("layers.1.self_attn.q", "q4:g32"),
            ("1.mlp.down", "q8:g64"),
            ("lm_head", "q4:g128"),
        ] {
            assert_eq!(of(&assignments, part).scheme.to_string(), scheme);
        }
    }

    #[test]
    fn embeddings_are_transformed_only_as_heads() {
        let recipe = Recipe::new(Scheme::of(Codec::Q4));
        let embedding = |tied| of(&recipe.assign(&config(tied)).unwrap(), "embed").activation.transform;
        assert_eq!(embedding(true), Transform::Hadamard);
        assert_eq!(embedding(false), Transform::None);
    }

    #[test]
    fn shared_inputs_and_dead_rules_are_refused() {
        let assign = |rule: &str| {
            let mut recipe = Recipe::new(Scheme::of(Codec::Q4));
            recipe.activation_rules.push(rule.parse().unwrap());
            recipe.assign(&config(true))
        };
        assert!(assign("*.0.self_attn.q_proj.weight=none").is_err());
        assert!(assign("*.gate_proj.*=hadamard:b512").is_err());
        assert!(assign("*.nothing=none").is_err());
        let assignments = assign("*.0.self_attn.?_proj.weight=none").unwrap();
        assert_eq!(of(&assignments, "0.self_attn.k").activation.transform, Transform::None);
        assert_eq!(of(&assignments, "1.self_attn.k").activation.transform, Transform::Hadamard);
    }
}
