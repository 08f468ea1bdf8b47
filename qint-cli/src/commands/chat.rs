//! `qint chat`: a conversation, line by line.
//!
//! Every turn renders the whole conversation with the model's template; what the session holds of it already is kept, and
//! only the rest goes through the model.
use crate::{
    args::{EngineArguments, GenerateArguments, ModelArgument, SampleArguments},
    errors::{Failure, Result},
    input,
    loaded::Loaded,
    output::Output,
    signals::Interrupt,
    writing::{Scribe, reason_name},
};
use clap::Args;
use qint_std::{
    chat::{ChatTemplate, Message},
    engine::Session,
    generate::{Generated, Reason},
};
use serde_json::json;
use std::io::{self, IsTerminal};

const EXAMPLES: &str = "\
Examples:
  qint chat model.qint.safetensors
  printf 'Hello\\nAnd goodbye\\n' | qint chat model.qint.safetensors -q

A line that begins with / is a command: /exit ends, /reset forgets the conversation, /system TEXT sets the system message
and forgets the conversation. Ctrl-C stops an answer; at the prompt, or twice, it ends the program.";

/// Positions of the context unless told otherwise.
const DEFAULT_CONTEXT: usize = 8192;

/// Talk with a model that has a chat template
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// The system message
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    generate: GenerateArguments,
    #[command(flatten)]
    sample: SampleArguments,
    #[command(flatten)]
    engine: EngineArguments,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let mut scribe = Scribe::open(arguments.model.path(), false, &arguments.engine, output)?;
    let Some(template) = scribe.template.take() else {
        let what = format!("a chat with {}, which has no chat template,", scribe.loaded.name());
        return Err(qint_std::Error::unsupported(what, "`qint run` continues a text").into());
    };
    let mut context = scribe.context(&arguments.generate)?;
    if arguments.generate.context.is_none() && context > DEFAULT_CONTEXT {
        output.note(&format!("context {DEFAULT_CONTEXT} of the model's {context}; -c sets another"));
        context = DEFAULT_CONTEXT;
    }
    let session = scribe.sessions(&[context], &arguments.generate)?.remove(0);
    let mut chat = Chat { arguments, scribe, template, session, held: Vec::new(), messages: Vec::new() };
    chat.reset(arguments.system.as_deref());
    let interactive = io::stdin().is_terminal();
    loop {
        if interactive {
            output.ask("> ");
        }
        let Some(line) = input::line()? else { break };
        match chat.obey(line.trim(), output) {
            Ok(true) => {}
            Ok(false) => break,
            Err(failure) if interactive && !failure.is_output() => output.note(&format!("{failure}")),
            Err(failure) => return Err(failure),
        }
    }
    if output.is_json() {
        let fields = json!({"model": chat.scribe.loaded.name(), "messages": chat.messages});
        output.document("chat", Loaded::used(&chat.scribe.engine), fields)?;
    }
    Ok(())
}

struct Chat<'a> {
    arguments: &'a Arguments,
    scribe: Scribe,
    template: ChatTemplate,
    session: Session,
    /// The tokens that `session` holds.
    held: Vec<u32>,
    messages: Vec<Message>,
}

impl Chat<'_> {
    /// Does what a line asks for; false ends the conversation.
    fn obey(&mut self, line: &str, output: &mut Output) -> Result<bool> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word {
            "" => {}
            "/exit" => return Ok(false),
            "/reset" => {
                let system = self.messages.first().filter(|message| message.role == "system");
                let system = system.map(|message| message.content.clone());
                self.reset(system.as_deref());
            }
            "/system" => self.reset(Some(rest.trim()).filter(|text| !text.is_empty())),
            _ if word.starts_with('/') => {
                let why = format!("there is no {word}; there are /exit, /reset and /system TEXT");
                return Err(Failure::Usage(why));
            }
            _ => self.answer(line, output)?,
        }
        Ok(true)
    }

    fn reset(&mut self, system: Option<&str>) {
        self.messages = system.map(|text| Message::new("system", text)).into_iter().collect();
    }

    /// One turn. If it fails, it has not happened.
    fn answer(&mut self, line: &str, output: &mut Output) -> Result<()> {
        self.messages.push(Message::new("user", line));
        match self.write(output) {
            Ok(generated) => {
                self.messages.push(Message::new("assistant", generated.text.trim()));
                if matches!(generated.reason, Reason::Length | Reason::Context | Reason::Cancelled) {
                    output.note(&format!("(stopped: {})", reason_name(generated.reason)));
                }
                Ok(())
            }
            Err(failure) => {
                self.messages.pop();
                Err(failure)
            }
        }
    }

    fn write(&mut self, output: &mut Output) -> Result<Generated> {
        let tokens = self.scribe.conversation(&self.template, &self.messages)?;
        let capacity = self.session.capacity();
        if tokens.len() >= capacity {
            let length = tokens.len();
            let why = format!("the conversation has {length} tokens, the context {capacity}; /reset forgets it");
            return Err(Failure::Usage(why));
        }
        let left = capacity - tokens.len();
        let predict = self.arguments.generate.predict.map_or(left, |predict| predict.get().min(left));
        let options = self.scribe.options(predict, &self.arguments.generate, &self.arguments.sample);
        // At least one token goes through the model, so that there are logits.
        let same = self.held.iter().zip(&tokens).take_while(|(a, b)| a == b).count().min(tokens.len() - 1);
        self.session.truncate(same);
        self.held.truncate(same);
        let json = output.is_json();
        let interrupt = Interrupt::watch();
        let mut show = |piece: &str| if json { Ok(()) } else { output.stream(piece) };
        let result = self.scribe.write(&mut self.session, &tokens[same..], &options, &mut show, &interrupt);
        let generated = result.inspect_err(|_| self.session.truncate(same))?;
        self.held = tokens;
        self.held.extend(&generated.ids);
        self.held.truncate(self.session.len());
        if !json {
            output.stream("\n")?;
        }
        Ok(generated)
    }
}
