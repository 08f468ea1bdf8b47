//! Conversations into prompts, by the Jinja template that a model was trained with, set up as transformers does it.
//!
//! | transformers | here |
//! |---|---|
//! | `trim_blocks`, `lstrip_blocks`, no HTML escaping, loop controls | the same |
//! | `raise_exception`, `strftime_now`, `tojson` | `functions` |
//! | methods of Python's strings, lists and dicts | minijinja-contrib's `pycompat` |
//! | `{% generation %}` blocks | render as their content |
//! | `tools`, `documents` | none, unless given to [`ChatTemplate::render_variables`] |
//!
//! A template comes from a model file, so it is not trusted: it has a budget of steps and of memory, no files, and what it
//! panics on is caught. The rendered text contains its special tokens as text; encode it without adding them again
//! ([`Tokenizer::encode`](crate::tokenizer::Tokenizer::encode) with `special` false).
mod functions;

use crate::{Error, Result, limits::CHAT_TEMPLATE_BYTES};
use jiff::Zoned;
use minijinja::{Environment, ErrorKind, syntax::SyntaxConfig};
use serde_json::{Map, Value, json};
use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

const WHAT: &str = "the chat template";
const NAME: &str = "chat_template.jinja";
/// Steps that any conversation may take; one also stands for 64 bytes of memory, so this allows 16 MB.
const BASE_STEPS: u64 = 250_000;
/// Further steps for each byte of the conversation. Published templates copy a text about ten times.
const STEPS_PER_BYTE: u64 = 2;
/// Steps that none may take more.
const MAX_STEPS: u64 = 2_000_000;
/// Parsing and printing recurse: once for each sign of `- - - 1`, or for each list inside a list, and steps bound the depth
/// of lists. Only what is used of it costs memory.
const STACK: usize = 128 << 20;
/// Steps don't count everything: printing a list that contains another one twice, forty levels deep, is one step. Such a
/// thread is left behind after this long.
const PATIENCE: Duration = Duration::from_secs(5);
const OVER_BUDGET: &str = "it does not render within a step budget";

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, or what else the template knows.
    pub role: String,
    /// What was said.
    pub content: String,
}

impl Message {
    /// A turn.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into() }
    }
}

/// A compiled chat template.
///
/// ```
/// use qint_std::chat::{ChatTemplate, Message};
/// # fn main() -> qint_std::Result<()> {
/// let text = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content | trim }}\n{% endfor %}\
///             {% if add_generation_prompt %}[assistant]{% endif %}";
/// let template = ChatTemplate::new(text, "<s>", "</s>")?;
/// let prompt = template.render(&[Message::new("user", " Hello! ")], true)?;
/// assert_eq!(prompt, "<s>[user] Hello!\n[assistant]");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// Compiles a template. `bos_token` and `eos_token` are the texts of these tokens, empty where a model has none.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is too long or not Jinja.
    pub fn new(template: &str, bos_token: &str, eos_token: &str) -> Result<ChatTemplate> {
        ChatTemplate::with_clock(template, bos_token, eos_token, Zoned::now)
    }

    /// The prompt for a conversation. `add_generation_prompt` begins the assistant's next turn.
    ///
    /// # Errors
    /// As [`render_variables`](ChatTemplate::render_variables).
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let mut variables = Map::new();
        variables.insert("messages".into(), json!(messages));
        variables.insert("add_generation_prompt".into(), json!(add_generation_prompt));
        self.render_variables(variables)
    }

    /// The prompt for everything that a template may be given: `messages` in any shape, `tools`, `enable_thinking`, …
    ///
    /// # Errors
    /// [`Error::Argument`] if the template refuses the conversation, [`Error::Malformed`] if it fails or takes too many
    /// steps.
    pub fn render_variables(&self, mut variables: Map<String, Value>) -> Result<String> {
        for (name, value) in [
            ("tools", Value::Null),
            ("documents", Value::Null),
            ("bos_token", json!(self.bos_token)),
            ("eos_token", json!(self.eos_token)),
        ] {
            variables.entry(name).or_insert(value);
        }
        let mut environment = self.environment.clone();
        let steps = BASE_STEPS + STEPS_PER_BYTE * bytes(&variables);
        environment.set_fuel(Some(steps.min(MAX_STEPS)));
        guarded(move || {
            let context = minijinja::Value::from(minijinja::value::Serde(&variables));
            environment.get_template(NAME)?.render(context)
        })
    }

    fn with_clock(
        template: &str,
        bos_token: &str,
        eos_token: &str,
        clock: impl Fn() -> Zoned + Send + Sync + 'static,
    ) -> Result<ChatTemplate> {
        if template.len() as u64 > CHAT_TEMPLATE_BYTES {
            let why = format!("it has {} bytes, at most {CHAT_TEMPLATE_BYTES} are read", template.len());
            return Err(Error::malformed(WHAT, why));
        }
        let template = without_generation_tags(template);
        let environment = guarded(move || {
            let mut environment = Environment::new();
            environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
            environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
            environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
            functions::add(&mut environment, clock);
            environment.add_template_owned(NAME, template)?;
            Ok(environment)
        })?;
        Ok(ChatTemplate { environment, bos_token: bos_token.into(), eos_token: eos_token.into() })
    }
}

/// Runs `work` on a thread of its own, where neither deep recursion, a panic nor endless work does harm, and turns template
/// errors into this crate's.
fn guarded<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, minijinja::Error> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = mpsc::channel();
    let send = move || drop(sender.send(work().map_err(|error| explained(&error))));
    let builder = thread::Builder::new().name("chat template".into()).stack_size(STACK);
    builder.spawn(send).map_err(|_| Error::Resources {
        what: "the stack for a chat template".into(),
        needed: STACK as u64,
        available: 0,
    })?;
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|gone| match gone {
        RecvTimeoutError::Timeout => Err(Error::malformed(WHAT, OVER_BUDGET)),
        RecvTimeoutError::Disconnected => Err(Error::malformed(WHAT, "it makes the template library panic")),
    })
}

fn explained(error: &minijinja::Error) -> Error {
    let mut causes: Vec<&(dyn std::error::Error + 'static)> = vec![error];
    while let Some(cause) = causes.last().and_then(|last| last.source()) {
        causes.push(cause);
    }
    if let Some(functions::Raised(why)) = causes.iter().find_map(|cause| cause.downcast_ref()) {
        let given = "refused by the chat template".into();
        return Error::Argument { what: "the conversation", given, allowed: why.clone() };
    }
    let out_of_fuel = |error: &&minijinja::Error| error.kind() == ErrorKind::OutOfFuel;
    if causes.iter().filter_map(|cause| cause.downcast_ref()).any(|error| out_of_fuel(&error)) {
        return Error::malformed(WHAT, OVER_BUDGET);
    }
    let reasons: Vec<String> = causes.iter().map(ToString::to_string).collect();
    Error::malformed(WHAT, reasons.join(": "))
}

/// Turns `{% generation %}` into a block that Jinja knows and that does nothing, with the same whitespace control.
fn without_generation_tags(template: &str) -> String {
    let mut rest = template;
    let mut out = String::with_capacity(template.len());
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        out.push_str(before);
        match tag.trim_matches(['{', '%', '}', '-', '+', ' ', '\n', '\t']) {
            "generation" => out.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endif")),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out + rest
}

/// The bytes of all texts, and something for every value.
fn bytes(variables: &Map<String, Value>) -> u64 {
    fn of(value: &Value) -> u64 {
        match value {
            Value::String(text) => 64 + text.len() as u64,
            Value::Array(items) => 64 + items.iter().map(of).sum::<u64>(),
            Value::Object(items) => bytes(items),
            _ => 64,
        }
    }
    64 + variables.iter().map(|(key, value)| key.len() as u64 + of(value)).sum::<u64>()
}

#[cfg(test)]
mod tests;
