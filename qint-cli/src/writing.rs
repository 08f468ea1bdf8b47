//! What `run`, `chat` and `demo` share: a model that writes, and how much room it is given.
use crate::{
    args::{EngineArguments, GenerateArguments, SampleArguments},
    environment,
    errors::{Failure, Result},
    loaded::Loaded,
    output::Output,
    signals::Interrupt,
};
use qint_std::{
    chat::{ChatTemplate, Message},
    engine::{Engine, Session},
    generate::{GenerateOptions, Generated, Reason, Request, generate},
    sample::SamplerSettings,
    tokenizer::Tokenizer,
};
use serde_json::{Value, json};
use std::{ops::ControlFlow, path::Path};

/// New tokens of one answer unless told otherwise.
const DEFAULT_PREDICT: usize = 256;

/// A model with everything that writing needs.
pub(crate) struct Scribe {
    pub(crate) loaded: Loaded,
    pub(crate) tokenizer: Tokenizer,
    /// `None` if the model has none.
    pub(crate) template: Option<ChatTemplate>,
    pub(crate) engine: Engine,
}

/// Positions that a session gets, and tokens that may be written into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) capacity: usize,
    pub(crate) predict: usize,
}

impl Scribe {
    /// Opens the model; `raw` leaves its template alone, whatever it is.
    pub(crate) fn open(path: &Path, raw: bool, arguments: &EngineArguments, output: &Output) -> Result<Scribe> {
        let loaded = Loaded::open(path, arguments)?;
        let engine = arguments.execution.engine(output)?;
        Scribe::new(loaded, engine, raw)
    }

    pub(crate) fn new(loaded: Loaded, engine: Engine, raw: bool) -> Result<Scribe> {
        let tokenizer = loaded.tokenizer()?;
        let template = if raw { None } else { loaded.template(&tokenizer)? };
        Ok(Scribe { loaded, tokenizer, template, engine })
    }

    /// The tokens of a single prompt: rendered as a user's message if there is a template, else as it is.
    pub(crate) fn prompt(&self, system: Option<&str>, text: &str) -> Result<Vec<u32>> {
        let Some(template) = &self.template else {
            if system.is_some() {
                let what = format!("--system with {}, which has no chat template,", self.loaded.name());
                return Err(qint_std::Error::unsupported(what, "write it into the prompt").into());
            }
            return Ok(self.tokenizer.encode(text, true)?);
        };
        let mut messages: Vec<Message> = system.map(|system| Message::new("system", system)).into_iter().collect();
        messages.push(Message::new("user", text));
        self.conversation(template, &messages)
    }

    /// The tokens of a conversation whose next message is the model's.
    pub(crate) fn conversation(&self, template: &ChatTemplate, messages: &[Message]) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode(&template.render(messages, true)?, false)?)
    }

    /// Positions that the model and the arguments allow.
    pub(crate) fn context(&self, arguments: &GenerateArguments) -> Result<usize> {
        let limit = self.loaded.architecture().context;
        match arguments.context {
            Some(asked) if asked.get() > limit => {
                Err(Failure::Usage(format!("-c {asked} is more than the model's context of {limit}")))
            }
            Some(asked) => Ok(asked.get()),
            None => Ok(limit),
        }
    }

    /// The room for a prompt of `tokens` tokens.
    pub(crate) fn room(&self, tokens: usize, arguments: &GenerateArguments) -> Result<Room> {
        let room = Room::new(tokens, self.context(arguments)?, arguments.predict.map(usize::from))?;
        let capacity = arguments.context.map_or(room.capacity, usize::from);
        Ok(Room { capacity, ..room })
    }

    /// Memory for `count` sequences at once.
    pub(crate) fn sessions(&self, capacities: &[usize], arguments: &GenerateArguments) -> Result<Vec<Session>> {
        let (config, kind) = (self.loaded.architecture(), arguments.kv.kind());
        let mut needed = 0u64;
        for &capacity in capacities {
            needed = needed.saturating_add(Session::bytes(config, kind, capacity)?);
        }
        if let Some(available) = environment::memory_left().filter(|&available| needed > available) {
            let what = format!("the KV cache of {} positions", capacities.iter().sum::<usize>());
            return Err(qint_std::Error::Resources { what, needed, available }.into());
        }
        let session = |&capacity: &usize| Ok(Session::new(config, kind, capacity)?);
        capacities.iter().map(session).collect()
    }

    /// How to write, and when to stop.
    pub(crate) fn options(
        &self,
        predict: usize,
        generate: &GenerateArguments,
        sample: &SampleArguments,
    ) -> GenerateOptions {
        GenerateOptions {
            max_tokens: Some(predict),
            sampler: sample.settings(),
            stop: generate.stop.clone(),
            end_tokens: self.loaded.config().eos.clone(),
            ignore_end: generate.ignore_eos,
        }
    }

    /// Writes on from `prompt`, and hands every piece of text to `show` as it is made.
    pub(crate) fn write(
        &mut self,
        session: &mut Session,
        prompt: &[u32],
        options: &GenerateOptions,
        show: &mut dyn FnMut(&str) -> Result<()>,
        interrupt: &Interrupt,
    ) -> Result<Generated> {
        let mut failure = None;
        let mut on_text = |text: &str| match show(text) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        };
        let request = Request { session, prompt, options };
        let weights = self.loaded.weights();
        let flag = interrupt.flag();
        let generated = generate(&mut self.engine, weights, &self.tokenizer, request, &mut on_text, flag)?;
        failure.map_or(Ok(generated), Err)
    }
}

impl Room {
    fn new(tokens: usize, context: usize, predict: Option<usize>) -> Result<Room> {
        let left = context.saturating_sub(tokens);
        let predict = match predict {
            _ if left == 0 => {
                let why = format!("the prompt has {tokens} tokens, the context {context}; shorten it or raise -c");
                return Err(Failure::Usage(why));
            }
            Some(predict) if predict > left => {
                let why =
                    format!("the prompt's {tokens} tokens and -n {predict} are more than the context of {context}");
                return Err(Failure::Usage(why));
            }
            Some(predict) => predict,
            None => left.min(DEFAULT_PREDICT),
        };
        Ok(Room { capacity: tokens + predict, predict })
    }
}

impl SampleArguments {
    fn settings(&self) -> SamplerSettings {
        SamplerSettings {
            temperature: self.temp,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repeat_penalty: self.repeat_penalty,
            repeat_last_n: self.repeat_last_n,
            seed: self.seed,
        }
    }
}

/// The word for a reason in documents.
pub(crate) fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::EndToken => "end",
        Reason::Stop => "stop",
        Reason::Length => "length",
        Reason::Context => "context",
        Reason::Cancelled => "interrupted",
    }
}

/// One line about a generation.
pub(crate) fn statistics(generated: &Generated) -> String {
    let Generated { ids, prompt_tokens, prompt_time, decode_time, reason, .. } = generated;
    let reason = match reason {
        Reason::EndToken => "the model ended",
        Reason::Stop => "a stop text was found",
        Reason::Length => "-n was reached",
        Reason::Context => "the context is full",
        Reason::Cancelled => "interrupted",
    };
    let (prompt, decode) = (prompt_time.as_secs_f64(), decode_time.as_secs_f64());
    let written = ids.len();
    format!(
        "prompt {prompt_tokens} tokens in {prompt:.2} s ({:.1}/s); {written} written in {decode:.2} s ({:.1}/s); {reason}",
        rate(*prompt_tokens, prompt),
        rate(written, decode)
    )
}

/// The same for a document.
pub(crate) fn figures(generated: &Generated) -> Value {
    let (prompt, decode) = (generated.prompt_time.as_secs_f64(), generated.decode_time.as_secs_f64());
    json!({
        "text": generated.text,
        "reason": reason_name(generated.reason),
        "prompt_tokens": generated.prompt_tokens,
        "tokens": generated.ids.len(),
        "prompt_seconds": prompt,
        "seconds": decode,
        "tokens_per_second": rate(generated.ids.len(), decode),
    })
}

fn rate(count: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_what_is_needed_and_never_less_than_asked_for() {
        assert_eq!(Room::new(10, 512, None).unwrap(), Room { capacity: 266, predict: 256 });
        assert_eq!(Room::new(500, 512, None).unwrap(), Room { capacity: 512, predict: 12 });
        assert_eq!(Room::new(500, 512, Some(12)).unwrap(), Room { capacity: 512, predict: 12 });
        assert!(matches!(Room::new(500, 512, Some(13)), Err(Failure::Usage(_))));
        assert!(matches!(Room::new(512, 512, None), Err(Failure::Usage(_))));
    }
}
