//! Many prompts from a file: JSON lines in, JSON lines out, in the same order.
use super::Arguments;
use crate::{
    commands::eval::merged,
    errors::{Failure, Result},
    input,
    loaded::Loaded,
    output::Output,
    progress::Progress,
    signals::Interrupt,
    writing::{Scribe, figures},
};
use qint_std::generate::{GenerateOptions, Generated, Request, generate_batch};
use serde_json::{Value, json};
use std::{ops::ControlFlow, path::Path};

pub(super) fn run(arguments: &Arguments, list: &Path, output: &mut Output) -> Result<()> {
    let prompts = parse(&input::text(list)?, list)?;
    let mut scribe = Scribe::open(arguments.model.path(), arguments.prompt.raw, &arguments.engine, output)?;
    let jobs = prompts.iter().map(|prompt| Job::new(prompt, &scribe, arguments)).collect::<Result<Vec<_>>>()?;
    let interrupt = Interrupt::watch();
    let mut results = Vec::new();
    for (done, jobs) in jobs.chunks(arguments.prompt.batch.get()).enumerate() {
        Progress::new(output, "answering").tell(
            (done * arguments.prompt.batch.get()) as u64,
            prompts.len() as u64,
            "prompts",
        );
        let answers = answer(&mut scribe, jobs, arguments, &interrupt)?;
        if interrupt.is_pressed() {
            return Err(Failure::Interrupted);
        }
        for (job, generated) in jobs.iter().zip(&answers) {
            let result = merged(json!({"id": job.prompt.id, "prompt": job.prompt.text}), figures(generated));
            if output.is_json() {
                results.push(result);
            } else {
                output.line(&result.to_string())?;
            }
        }
        output.flush()?;
    }
    if output.is_json() {
        let fields = json!({"model": scribe.loaded.name(), "results": results});
        output.document("run", Loaded::used(&scribe.engine), fields)?;
    }
    Ok(())
}

/// One line of the file.
struct Prompt {
    id: Value,
    text: String,
    system: Option<String>,
}

/// A prompt that is ready to be answered: everything that can be refused was checked.
struct Job<'a> {
    prompt: &'a Prompt,
    tokens: Vec<u32>,
    capacity: usize,
    options: GenerateOptions,
}

impl<'a> Job<'a> {
    fn new(prompt: &'a Prompt, scribe: &Scribe, arguments: &Arguments) -> Result<Job<'a>> {
        let system = prompt.system.as_deref().or(arguments.prompt.system.as_deref());
        let tokens = scribe.prompt(system, &prompt.text)?;
        let room = scribe.room(tokens.len(), &arguments.generate)?;
        let options = scribe.options(room.predict, &arguments.generate, &arguments.sample);
        Ok(Job { prompt, tokens, capacity: room.capacity, options })
    }
}

fn answer(
    scribe: &mut Scribe,
    jobs: &[Job<'_>],
    arguments: &Arguments,
    interrupt: &Interrupt,
) -> Result<Vec<Generated>> {
    let capacities: Vec<usize> = jobs.iter().map(|job| job.capacity).collect();
    let mut sessions = scribe.sessions(&capacities, &arguments.generate)?;
    let request = |(session, job)| {
        let Job { tokens, options, .. }: &Job<'_> = job;
        Request { session, prompt: tokens, options }
    };
    let mut requests: Vec<Request<'_>> = sessions.iter_mut().zip(jobs).map(request).collect();
    let mut go_on = |_: usize, _: &str| ControlFlow::Continue(());
    let (weights, tokenizer) = (scribe.loaded.weights(), &scribe.tokenizer);
    Ok(generate_batch(&mut scribe.engine, weights, tokenizer, &mut requests, &mut go_on, interrupt.flag())?)
}

fn parse(text: &str, list: &Path) -> Result<Vec<Prompt>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let wrong = |index: usize, why: &str| Failure::Malformed(format!("{}, line {}: {why}", list.display(), index + 1));
    let prompt = |(index, line): (usize, &str)| {
        let value: Value = serde_json::from_str(line).map_err(|error| wrong(index, &error.to_string()))?;
        let (text, id) = match &value {
            Value::String(text) => (Some(text.as_str()), Value::from(index)),
            other => (other["prompt"].as_str(), other.get("id").cloned().unwrap_or(Value::from(index))),
        };
        let system = value.get("system").and_then(Value::as_str).map(str::to_string);
        match text {
            Some("") => Err(wrong(index, "the prompt is empty")),
            Some(text) => Ok(Prompt { id, text: text.to_string(), system }),
            None => Err(wrong(index, "a string, or an object with a string `prompt`, is needed")),
        }
    };
    lines.map(prompt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_strings_or_objects() {
        let prompts = parse("\"a\"\n\n{\"prompt\": \"b\", \"id\": \"x\"}\n", Path::new("list")).unwrap();
        let shown: Vec<_> = prompts.iter().map(|prompt| (prompt.text.as_str(), prompt.id.clone())).collect();
        assert_eq!(shown, [("a", json!(0)), ("b", json!("x"))]);
        for line in ["x", "1", "{}", "\"\""] {
            assert!(matches!(parse(line, Path::new("list")), Err(Failure::Malformed(_))), "{line}");
        }
    }
}
