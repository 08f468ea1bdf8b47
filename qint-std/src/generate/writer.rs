//! One sequence that is being written: from a row of logits to the next token, to text, to the decision to go on.
use super::{GenerateOptions, Generated, Reason, Request, stop::StopFilter};
use crate::{
    Error, Result,
    engine::Session,
    sample::Sampler,
    tokenizer::{TextStream, Tokenizer},
};
use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

type OnText<'a> = &'a mut dyn FnMut(&str) -> ControlFlow<()>;

pub(super) struct Writer<'a> {
    options: &'a GenerateOptions,
    sampler: Sampler,
    stream: TextStream<'a>,
    filter: StopFilter<'a>,
    /// The prompt, then what was written.
    history: Vec<u32>,
    prompt_tokens: usize,
    text: String,
    reason: Option<Reason>,
    prompt_time: Duration,
    started: Instant,
    decode_time: Duration,
}

impl<'a> Writer<'a> {
    /// Checks everything about a request that can be checked before computing.
    pub(super) fn new(tokenizer: &'a Tokenizer, request: &Request<'a>) -> Result<Writer<'a>> {
        if request.prompt.is_empty() {
            let allowed = "at least one token is needed".into();
            return Err(Error::Argument { what: "the prompt", given: "empty".into(), allowed });
        }
        request.session.expect_room(request.prompt.len())?;
        Ok(Writer {
            options: request.options,
            sampler: Sampler::new(request.options.sampler)?,
            stream: tokenizer.stream(true).after(request.prompt)?,
            filter: StopFilter::new(&request.options.stop)?,
            history: request.prompt.to_vec(),
            prompt_tokens: request.prompt.len(),
            text: String::new(),
            reason: None,
            prompt_time: Duration::ZERO,
            started: Instant::now(),
            decode_time: Duration::ZERO,
        })
    }

    /// The prompt has been read, in `prompt_time`.
    pub(super) fn begin(&mut self, prompt_time: Duration) {
        self.prompt_time = prompt_time;
        self.started = Instant::now();
    }

    pub(super) fn is_writing(&self) -> bool {
        self.reason.is_none()
    }

    /// The token to pass through the model next, while writing.
    pub(super) fn next(&self) -> Option<&u32> {
        self.history.last().filter(|_| self.is_writing())
    }

    /// Ends the generation, if it has not ended.
    pub(super) fn end(&mut self, reason: Reason) {
        if self.reason.is_none() {
            self.reason = Some(reason);
            self.decode_time = self.started.elapsed();
        }
    }

    /// Draws and writes the next token.
    pub(super) fn step(&mut self, logits: &[f32], session: &Session, on_text: OnText<'_>) -> Result<()> {
        if self.options.max_tokens == Some(0) {
            self.end(Reason::Length);
            return Ok(());
        }
        let id = self.sampler.sample(logits, &self.history)?;
        if !self.options.ignore_end && self.options.end_tokens.contains(&id) {
            self.end(Reason::EndToken);
            return Ok(());
        }
        self.history.push(id);
        if let Some(text) = self.stream.push(id)? {
            self.show(&text, on_text);
        }
        if self.options.max_tokens == Some(self.history.len() - self.prompt_tokens) {
            self.end(Reason::Length);
        } else if session.len() >= session.capacity() {
            self.end(Reason::Context);
        }
        Ok(())
    }

    /// Shows what was held back, and returns everything.
    pub(super) fn finish(mut self, on_text: OnText<'_>) -> Result<Generated> {
        self.end(Reason::Cancelled);
        if !matches!(self.reason, Some(Reason::Stop)) {
            let rest = self.stream.finish()?.unwrap_or_default();
            // A stop string may be completed by text that waited for more bytes: then it is one.
            if self.show(&rest, on_text) {
                self.reason = Some(Reason::Stop);
            } else {
                let held = self.filter.finish();
                self.print(&held, on_text);
            }
        }
        Ok(Generated {
            text: self.text,
            ids: self.history.split_off(self.prompt_tokens),
            reason: self.reason.unwrap_or(Reason::Cancelled),
            prompt_tokens: self.prompt_tokens,
            prompt_time: self.prompt_time,
            decode_time: self.decode_time,
        })
    }

    /// Lets `text` pass as far as no stop string can begin in it; whether one was found.
    fn show(&mut self, text: &str, on_text: OnText<'_>) -> bool {
        let (free, stopped) = self.filter.push(text);
        self.print(&free, on_text);
        if stopped {
            self.end(Reason::Stop);
        }
        stopped
    }

    fn print(&mut self, text: &str, on_text: OnText<'_>) {
        self.text.push_str(text);
        if !text.is_empty() && on_text(text).is_break() {
            self.end(Reason::Cancelled);
        }
    }
}
