use super::*;
use crate::{
    bundled, chat::ChatTemplate, chat::Message, engine::EngineOptions, error::Class, mapping::Loading, model::Model,
};
use qint_core::llama::KvKind;
use std::{io::Write, path::Path};

struct Loaded {
    model: Model,
    tokenizer: Tokenizer,
}

fn open(path: &Path) -> Loaded {
    let model = Model::open(path, Loading::Map).unwrap();
    let config = model.asset("tokenizer_config.json");
    let tokenizer = Tokenizer::from_files(&model.asset("tokenizer.json").unwrap(), config.as_deref()).unwrap();
    Loaded { model, tokenizer }
}

fn bundled() -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    bundled::write_to(directory.path()).unwrap();
    open(directory.path())
}

fn engine(threads: usize, chunk: usize) -> Engine {
    Engine::with_options(EngineOptions { threads: Some(threads), chunk, ..EngineOptions::default() }).unwrap()
}

fn greedy(max_tokens: usize) -> GenerateOptions {
    GenerateOptions { max_tokens: Some(max_tokens), sampler: SamplerSettings::greedy(), ..GenerateOptions::default() }
}

impl Loaded {
    fn ids(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text, true).unwrap()
    }

    fn session(&self, capacity: usize) -> Session {
        Session::new(&self.model.config().architecture, KvKind::F16, capacity).unwrap()
    }

    fn generate(&self, engine: &mut Engine, prompt: &str, options: &GenerateOptions) -> Generated {
        let mut shown = String::new();
        let mut session = self.session(200);
        let prompt = self.ids(prompt);
        let request = Request { session: &mut session, prompt: &prompt, options };
        let mut on_text = |text: &str| {
            shown.push_str(text);
            ControlFlow::Continue(())
        };
        let cancel = AtomicBool::new(false);
        let generated =
            generate(engine, self.model.weights(), &self.tokenizer, request, &mut on_text, &cancel).unwrap();
        assert_eq!(shown, generated.text);
        assert_eq!(generated.prompt_tokens, prompt.len());
        generated
    }
}

fn untimed(generated: &Generated) -> Generated {
    Generated { prompt_time: Duration::ZERO, decode_time: Duration::ZERO, ..generated.clone() }
}

#[test]
fn text_is_the_decoding_of_the_ids() {
    let loaded = bundled();
    let generated = loaded.generate(&mut engine(1, 256), "Shall I", &greedy(40));
    assert_eq!(generated.reason, Reason::Length);
    assert_eq!(generated.ids.len(), 40);
    // It goes on after the prompt, so a space at its beginning is not lost.
    let all = [loaded.ids("Shall I"), generated.ids.clone()].concat();
    assert_eq!(loaded.tokenizer.decode(&all, true).unwrap(), format!("Shall I{}", generated.text));
}

#[test]
fn threads_and_chunks_change_nothing() {
    let loaded = bundled();
    let options = GenerateOptions { max_tokens: Some(30), ..GenerateOptions::default() };
    let prompt = "Shall I compare thee to a summer's day?";
    let expected = untimed(&loaded.generate(&mut engine(1, 256), prompt, &options));
    for (threads, chunk) in [(1, 1), (2, 3), (3, 256)] {
        let other = loaded.generate(&mut engine(threads, chunk), prompt, &options);
        assert_eq!(untimed(&other), expected, "{threads} threads, chunks of {chunk}");
    }
}

#[test]
fn a_batch_gives_what_single_runs_give() {
    let loaded = bundled();
    let mut engine = engine(2, 5);
    let sampled = |seed| SamplerSettings { seed, repeat_penalty: 1.1, ..SamplerSettings::default() };
    let cases = [
        ("Shall I", greedy(25)),
        ("When", GenerateOptions { max_tokens: Some(7), sampler: sampled(1), ..GenerateOptions::default() }),
        ("From fairest creatures we desire", GenerateOptions { sampler: sampled(2), ..greedy(60) }),
        ("O", GenerateOptions { stop: vec!["e".into(), "th".into()], ..greedy(60) }),
    ];
    let single: Vec<Generated> =
        cases.iter().map(|(prompt, options)| loaded.generate(&mut engine, prompt, options)).collect();

    let prompts: Vec<Vec<u32>> = cases.iter().map(|(prompt, _)| loaded.ids(prompt)).collect();
    let mut sessions: Vec<Session> = cases.iter().map(|_| loaded.session(200)).collect();
    let mut requests: Vec<Request<'_>> = (sessions.iter_mut().zip(&prompts).zip(&cases))
        .map(|((session, prompt), (_, options))| Request { session, prompt, options })
        .collect();
    let mut shown = vec![String::new(); cases.len()];
    let mut on_text = |index: usize, text: &str| {
        shown[index].push_str(text);
        ControlFlow::Continue(())
    };
    let (weights, cancel) = (loaded.model.weights(), AtomicBool::new(false));
    let batch = generate_batch(&mut engine, weights, &loaded.tokenizer, &mut requests, &mut on_text, &cancel).unwrap();
    assert_eq!(batch.iter().map(untimed).collect::<Vec<_>>(), single.iter().map(untimed).collect::<Vec<_>>());
    assert_eq!(shown, single.iter().map(|generated| generated.text.clone()).collect::<Vec<_>>());
}

#[test]
fn stop_strings_end_the_text_before_them() {
    let loaded = bundled();
    let mut engine = engine(1, 256);
    let free = loaded.generate(&mut engine, "Shall I", &greedy(40)).text;
    let letters: Vec<(usize, char)> = free.char_indices().collect();
    for window in letters.windows(9).step_by(5) {
        let stop = free[window[0].0..window[8].0].to_owned();
        let expected = &free[..free.find(&stop).unwrap()];
        let options = GenerateOptions { stop: vec!["never written".into(), stop.clone()], ..greedy(40) };
        let stopped = loaded.generate(&mut engine, "Shall I", &options);
        assert_eq!((stopped.text.as_str(), stopped.reason), (expected, Reason::Stop), "{stop:?}");
    }
}

#[test]
fn end_tokens_end_unless_ignored() {
    let loaded = bundled();
    let mut engine = engine(1, 256);
    let free = loaded.generate(&mut engine, "Shall I", &greedy(20));
    let end = free.ids[9];
    let first = free.ids.iter().position(|&id| id == end).unwrap();
    let options = GenerateOptions { end_tokens: vec![end], ..greedy(20) };
    let ended = loaded.generate(&mut engine, "Shall I", &options);
    assert_eq!((ended.ids.as_slice(), ended.reason), (&free.ids[..first], Reason::EndToken));
    let ignoring = GenerateOptions { ignore_end: true, ..options };
    assert_eq!(loaded.generate(&mut engine, "Shall I", &ignoring).ids, free.ids);
}

#[test]
fn a_full_session_ends_the_text() {
    let loaded = bundled();
    let prompt = loaded.ids("Shall I");
    let options = GenerateOptions { ignore_end: true, max_tokens: None, ..greedy(0) };
    let mut session = loaded.session(prompt.len() + 5);
    let request = Request { session: &mut session, prompt: &prompt, options: &options };
    let (mut engine, cancel) = (engine(1, 256), AtomicBool::new(false));
    let mut go_on = |_: &str| ControlFlow::Continue(());
    let full = generate(&mut engine, loaded.model.weights(), &loaded.tokenizer, request, &mut go_on, &cancel).unwrap();
    assert_eq!((full.reason, full.ids.len()), (Reason::Context, 6));
    assert_eq!(session.len(), session.capacity());

    let request = Request { session: &mut session, prompt: &prompt, options: &options };
    let error =
        generate(&mut engine, loaded.model.weights(), &loaded.tokenizer, request, &mut go_on, &cancel).unwrap_err();
    assert_eq!(error.class(), Class::Usage, "{error}");
    assert_eq!(session.len(), session.capacity());
}

#[test]
fn cancelling_keeps_what_there_is() {
    let loaded = bundled();
    let mut engine = engine(1, 256);
    let (prompt, options) = (loaded.ids("Shall I"), greedy(40));
    let mut run = |cancel: bool, texts: usize| {
        let mut session = loaded.session(100);
        let mut left = texts;
        let request = Request { session: &mut session, prompt: &prompt, options: &options };
        let mut on_text = |_: &str| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let (weights, cancel) = (loaded.model.weights(), AtomicBool::new(cancel));
        generate(&mut engine, weights, &loaded.tokenizer, request, &mut on_text, &cancel).unwrap()
    };
    let none = run(true, usize::MAX);
    assert_eq!((none.reason, none.text.as_str(), none.ids.len()), (Reason::Cancelled, "", 0));
    let some = run(false, 3);
    assert_eq!(some.reason, Reason::Cancelled);
    assert!(!some.text.is_empty() && some.ids.len() < 40);
}

#[test]
fn bad_requests_are_refused_before_anything_is_computed() {
    let loaded = bundled();
    let mut engine = engine(1, 256);
    let stop = GenerateOptions { stop: vec![String::new()], ..greedy(1) };
    let settings = SamplerSettings { temperature: f32::NAN, ..SamplerSettings::default() };
    let sampler = GenerateOptions { sampler: settings, ..greedy(1) };
    for (prompt, options) in [(vec![], greedy(1)), (vec![1], stop), (vec![1], sampler), (vec![1; 51], greedy(1))] {
        let mut session = loaded.session(50);
        let request = Request { session: &mut session, prompt: &prompt, options: &options };
        let mut go_on = |_: &str| ControlFlow::Continue(());
        let (weights, cancel) = (loaded.model.weights(), AtomicBool::new(false));
        let error = generate(&mut engine, weights, &loaded.tokenizer, request, &mut go_on, &cancel).unwrap_err();
        assert_eq!(error.class(), Class::Usage, "{error}");
        assert!(session.is_empty());
    }
}

#[test]
fn no_tokens_are_no_text() {
    let loaded = bundled();
    let nothing = loaded.generate(&mut engine(1, 256), "Shall I", &greedy(0));
    assert_eq!((nothing.reason, nothing.ids.len(), nothing.text.as_str()), (Reason::Length, 0, ""));
}

/// The checkpoint in a directory that an environment variable names; says so if there is none.
fn named_by(variable: &str) -> Option<Loaded> {
    let directory = std::env::var_os(variable);
    if directory.is_none() {
        // Not println: the test harness would swallow it.
        let _ = writeln!(std::io::stderr(), "SKIP: {variable} does not name a checkpoint's directory");
    }
    directory.map(|directory| open(directory.as_ref()))
}

#[test]
fn stories_are_told_as_in_llama2_c() {
    let Some(loaded) = named_by("QINT_STORIES") else { return };
    let prompt = "Once upon a time, there was a little";
    let story = loaded.generate(&mut engine(2, 256), prompt, &greedy(60)).text;
    let expected = " girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She wanted \
                    to play with it, but it was too high.";
    assert!(story.starts_with(expected), "{story:?}");
}

#[test]
fn smollm2_knows_the_capital_of_france() {
    let Some(loaded) = named_by("QINT_REFERENCE") else { return };
    let template = String::from_utf8(loaded.model.asset("chat_template.jinja").unwrap().into_owned()).unwrap();
    let config = loaded.model.config();
    let piece = |id: Option<u32>| id.and_then(|id| loaded.tokenizer.piece(id)).unwrap_or_default();
    let template = ChatTemplate::new(&template, &piece(config.bos), &piece(config.eos.first().copied())).unwrap();
    let prompt = template.render(&[Message::new("user", "What is the capital of France?")], true).unwrap();
    let prompt = loaded.tokenizer.encode(&prompt, false).unwrap();
    let options = GenerateOptions { end_tokens: config.eos.clone(), ..greedy(40) };
    let mut session = loaded.session(200);
    let request = Request { session: &mut session, prompt: &prompt, options: &options };
    let mut go_on = |_: &str| ControlFlow::Continue(());
    let cancel = AtomicBool::new(false);
    let weights = loaded.model.weights();
    let answer = generate(&mut engine(2, 256), weights, &loaded.tokenizer, request, &mut go_on, &cancel).unwrap();
    assert_eq!((answer.text.as_str(), answer.reason), ("The capital of France is Paris.", Reason::EndToken));
    println!("{answer:?}");
}
