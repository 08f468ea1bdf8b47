//! MODEL becomes what computes: weights, tokenizer, chat template.
use crate::{
    args::EngineArguments,
    errors::{Failure, Result},
    output::Output,
};
use qint_core::llama::{Config, Weights};
use qint_std::{
    chat::ChatTemplate,
    config::ModelConfig,
    container::Container,
    engine::Engine,
    mapping::Loading,
    model::{Model, is_source},
    source,
    tokenizer::Tokenizer,
};
use serde_json::{Value, json};
use std::path::Path;

/// A container, checkpoint or GGUF file, ready to run.
pub(crate) struct Loaded {
    name: String,
    model: Model,
}

impl Loaded {
    pub(crate) fn open(path: &Path, arguments: &EngineArguments) -> Result<Loaded> {
        let loading = if arguments.no_mmap { Loading::Read } else { Loading::Map };
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Loaded { name, model: Model::open(path, loading)? })
    }

    /// A model that is open already.
    pub(crate) fn of_model(name: &str, model: Model) -> Loaded {
        Loaded { name: name.to_string(), model }
    }

    pub(crate) fn into_model(self) -> Model {
        self.model
    }

    /// The file's or directory's own name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn weights(&self) -> &Weights<'_> {
        self.model.weights()
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        self.model.config()
    }

    pub(crate) fn architecture(&self) -> &Config {
        &self.model.config().architecture
    }

    pub(crate) fn tokenizer(&self) -> Result<Tokenizer> {
        let config = self.model.asset("tokenizer_config.json");
        parse_tokenizer(self.model.asset("tokenizer.json").as_deref(), config.as_deref(), &self.name)
    }

    /// The chat template, if the model has one.
    pub(crate) fn template(&self, tokenizer: &Tokenizer) -> Result<Option<ChatTemplate>> {
        let Some(template) = self.model.asset("chat_template.jinja") else { return Ok(None) };
        let template = std::str::from_utf8(&template)
            .map_err(|_| Failure::Malformed("the chat template is not UTF-8; --raw does without it".to_string()))?;
        let special = self.special_tokens();
        let text = |key: &str, id: Option<u32>| {
            let declared = special.get(key).and_then(token_text);
            declared.or_else(|| id.and_then(|id| tokenizer.piece(id))).unwrap_or_default()
        };
        let (bos, eos) = (text("bos_token", self.config().bos), text("eos_token", self.config().eos.first().copied()));
        Ok(Some(ChatTemplate::new(template, &bos, &eos)?))
    }

    /// `tokenizer_config.json`, which spells the tokens that templates write.
    fn special_tokens(&self) -> Value {
        let json = self.model.asset("tokenizer_config.json");
        json.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
    }

    /// What a document says about execution.
    pub(crate) fn used(engine: &Engine) -> Value {
        json!({"backend": engine.backend().name(), "threads": engine.threads()})
    }

    /// What a document says about the model's size.
    pub(crate) fn sizes(&self) -> Value {
        json!({
            "model": self.name,
            "bytes": self.model.bytes(),
            "bits_per_weight": self.model.bits_per_weight(),
            "bits_per_weight_linear": self.model.bits_per_weight_linear(),
        })
    }

    /// The same as text.
    pub(crate) fn size_lines(&self, output: &mut Output) -> Result<()> {
        let (all, linear) = (self.model.bits_per_weight(), self.model.bits_per_weight_linear());
        output.line(&format!("bits per weight  {all:.3}, linear layers {linear:.3}"))
    }
}

/// The tokenizer of a model whose weights don't matter.
pub(crate) fn tokenizer(path: &Path) -> Result<Tokenizer> {
    let name = path.display().to_string();
    if is_source(path) {
        let source = source::open(path)?;
        let config = source.asset("tokenizer_config.json");
        parse_tokenizer(source.asset("tokenizer.json").as_deref(), config.as_deref(), &name)
    } else {
        let container = Container::open(path, Loading::Map)?;
        parse_tokenizer(container.asset("tokenizer.json"), container.asset("tokenizer_config.json"), &name)
    }
}

fn parse_tokenizer(json: Option<&[u8]>, config: Option<&[u8]>, name: &str) -> Result<Tokenizer> {
    let way_out = "put the model's tokenizer.json beside its config.json, and convert it again if it was converted";
    let missing = || qint_std::Error::unsupported(format!("{name} without a tokenizer.json"), way_out);
    Ok(Tokenizer::from_files(json.ok_or_else(missing)?, config)?)
}

/// A token as `tokenizer_config.json` spells it: a string, or an object with its content.
fn token_text(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_string)
}
