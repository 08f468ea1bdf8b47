//! What real models say, from directories, from a GGUF file and from containers.
use super::{engine, quantized};
use qint_core::{codec::Codec, llama::KvKind};
use qint_std::{
    chat::{ChatTemplate, Message},
    engine::Session,
    generate::{GenerateOptions, Request, generate},
    mapping::Loading,
    model::Model,
    sample::SamplerSettings,
    tokenizer::Tokenizer,
};
use qint_tests::models;
use std::{ops::ControlFlow, sync::atomic::AtomicBool};

fn tokenizer(model: &Model) -> Tokenizer {
    let json = model.asset("tokenizer.json").expect("a tokenizer");
    Tokenizer::from_files(&json, model.asset("tokenizer_config.json").as_deref()).expect("it parses")
}

fn greedy(model: &Model, prompt: &[u32], count: usize) -> String {
    let options = GenerateOptions {
        max_tokens: Some(count),
        sampler: SamplerSettings { temperature: 0.0, ..SamplerSettings::default() },
        end_tokens: model.config().eos.clone(),
        ..GenerateOptions::default()
    };
    let config = model.weights().config();
    let mut session = Session::new(config, KvKind::F16, prompt.len() + count).expect("memory");
    let request = Request { session: &mut session, prompt, options: &options };
    let mut ignore = |_: &str| ControlFlow::Continue(());
    let (tokenizer, cancel) = (tokenizer(model), AtomicBool::new(false));
    generate(&mut engine(), model.weights(), &tokenizer, request, &mut ignore, &cancel).expect("it writes").text
}

fn answer(model: &Model, question: &str) -> String {
    let tokenizer = tokenizer(model);
    let template = String::from_utf8(model.asset("chat_template.jinja").expect("a template").into_owned());
    let piece = |id: Option<u32>| id.and_then(|id| tokenizer.piece(id)).unwrap_or_default();
    let (bos, eos) = (piece(model.config().bos), piece(model.config().eos.first().copied()));
    let template = ChatTemplate::new(&template.expect("UTF-8"), &bos, &eos).expect("it parses");
    let text = template.render(&[Message { role: "user".into(), content: question.into() }], true).expect("it renders");
    greedy(model, &tokenizer.encode(&text, false).expect("ids"), 24)
}

const QUESTION: &str = "What is the capital of France?";
const ANSWER: &str = "The capital of France is Paris.";

#[test]
fn the_reference_knows_the_capital_of_france_dense_and_from_a_4_bit_file() {
    let Some(path) = models::path("QINT_REFERENCE", "Paris") else { return };
    assert_eq!(answer(&Model::open(&path, Loading::Map).expect("it opens"), QUESTION), ANSWER);
    let found = answer(&quantized(&path, Codec::Q4), QUESTION);
    assert!(found.contains("Paris"), "{found:?}");
}

#[test]
fn a_gguf_file_answers_the_same_and_has_the_same_tokenizer() {
    let Some(path) = models::path("QINT_GGUF", "GGUF answer") else { return };
    let model = Model::open(&path, Loading::Map).expect("it opens");
    assert_eq!(answer(&model, QUESTION), ANSWER);
    let found = answer(&quantized(&path, Codec::Q4), QUESTION);
    assert!(found.contains("Paris"), "{found:?}");
}

#[test]
fn stories_are_the_same_text_in_f32_and_q8() {
    const START: &str = "Once upon a time, there was a little";
    let Some(path) = models::path("QINT_STORIES", "stories") else { return };
    let dense = Model::open(&path, Loading::Map).expect("it opens");
    let prompt = tokenizer(&dense).encode(START, true).expect("ids");
    let text = greedy(&dense, &prompt, 100);
    assert!(text.starts_with(" girl named Lily. She loved to play outside in the park."), "{text:?}");
    assert_eq!(greedy(&quantized(&path, Codec::Q8), &prompt, 100), text);
}
