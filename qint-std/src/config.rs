//! A model's architecture and special tokens, from any source, in the form that the manifest keeps.
//!
//! [`ModelConfig::from_hugging_face`] reads a checkpoint's `config.json`, [`ModelConfig::from_json`] what
//! [`ModelConfig::to_json`] wrote into a manifest. Both return only what [`Config::check`] accepts.
mod hf;
mod json;
mod object;
mod tensors;

use crate::{Error, Result, limits};
use qint_core::llama::Config;
pub use tensors::{ExpectedTensor, Role};

/// What is known about a model besides its weights and its tokenizer.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family as Hugging Face names it: `llama`, `mistral`, `gemma`.
    pub family: String,
    /// Sizes and options of the forward pass.
    pub architecture: Config,
    /// The head is the embedding matrix.
    pub tied_head: bool,
    /// Token that starts a text.
    pub bos: Option<u32>,
    /// Tokens that end a generation.
    pub eos: Vec<u32>,
}

impl ModelConfig {
    /// Refuses sizes, numbers and token ids that no pass could use. `what` names the file in the error.
    pub(crate) fn check(&self, what: &str) -> Result<()> {
        self.architecture.check().map_err(Error::core(what))?;
        if self.eos.len() > limits::END_TOKENS {
            let why = format!("{} end tokens, at most {} are allowed", self.eos.len(), limits::END_TOKENS);
            return Err(Error::malformed(what, why));
        }
        for &id in self.bos.iter().chain(&self.eos) {
            if id as usize >= self.architecture.vocabulary {
                let why = format!("special token {id} is outside the vocabulary of {}", self.architecture.vocabulary);
                return Err(Error::malformed(what, why));
            }
        }
        Ok(())
    }
}
