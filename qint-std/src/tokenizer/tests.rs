use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use std::{path::PathBuf, sync::OnceLock};

const FOLDERS: [&str; 4] = ["llama2", "gemma", "smollm2", "llama3"];

#[derive(Deserialize)]
struct Golden {
    texts: Vec<TextCase>,
    decodes: Vec<DecodeCase>,
    prefixes: Vec<PrefixCase>,
}

#[derive(Deserialize)]
struct TextCase {
    text: String,
    ids: Vec<u32>,
    ids_bare: Vec<u32>,
    decoded: String,
    decoded_all: String,
}

#[derive(Deserialize)]
struct DecodeCase {
    ids: Vec<u32>,
    decoded: String,
    decoded_all: String,
}

#[derive(Deserialize)]
struct PrefixCase {
    text: String,
    ids: Vec<u32>,
    decoded: Vec<String>,
}

fn file(folder: &str, name: &str) -> Vec<u8> {
    let goldens = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/tokenizer");
    std::fs::read(goldens.join(folder).join(name)).unwrap()
}

fn tokenizer(folder: &str) -> Tokenizer {
    Tokenizer::from_bytes(&file(folder, "tokenizer.json")).unwrap()
}

fn golden(folder: &str) -> Golden {
    serde_json::from_slice(&file(folder, "golden.json")).unwrap()
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32], skip_special: bool) -> String {
    let mut stream = tokenizer.stream(skip_special);
    let mut text = String::new();
    for &id in ids {
        text.extend(stream.push(id).unwrap());
    }
    text.extend(stream.finish().unwrap());
    text
}

#[test]
fn texts_become_the_golden_ids() {
    for folder in FOLDERS {
        let tokenizer = tokenizer(folder);
        for case in golden(folder).texts {
            assert_eq!(tokenizer.encode(&case.text, true).unwrap(), case.ids, "{folder}: {:?}", case.text);
            assert_eq!(tokenizer.encode(&case.text, false).unwrap(), case.ids_bare, "{folder}: {:?}", case.text);
            assert_eq!(tokenizer.decode(&case.ids, true).unwrap(), case.decoded, "{folder}: {:?}", case.text);
            assert_eq!(tokenizer.decode(&case.ids, false).unwrap(), case.decoded_all, "{folder}: {:?}", case.text);
            assert_eq!(streamed(&tokenizer, &case.ids, true), case.decoded, "{folder}: {:?}", case.text);
            assert_eq!(streamed(&tokenizer, &case.ids, false), case.decoded_all, "{folder}: {:?}", case.text);
        }
    }
}

#[test]
fn odd_ids_become_the_golden_texts() {
    for folder in FOLDERS {
        let tokenizer = tokenizer(folder);
        for case in golden(folder).decodes {
            assert_eq!(tokenizer.decode(&case.ids, true).unwrap(), case.decoded, "{folder}: {:?}", case.ids);
            assert_eq!(tokenizer.decode(&case.ids, false).unwrap(), case.decoded_all, "{folder}: {:?}", case.ids);
            assert_eq!(streamed(&tokenizer, &case.ids, true), case.decoded, "{folder}: {:?}", case.ids);
            assert_eq!(streamed(&tokenizer, &case.ids, false), case.decoded_all, "{folder}: {:?}", case.ids);
        }
    }
}

#[test]
fn a_stream_never_shows_what_changes_later() {
    for folder in FOLDERS {
        let tokenizer = tokenizer(folder);
        for case in golden(folder).prefixes {
            let whole = case.decoded.last().unwrap();
            let mut stream = tokenizer.stream(true);
            let mut text = String::new();
            for &id in &case.ids {
                text.extend(stream.push(id).unwrap());
                assert!(whole.starts_with(&text), "{folder}: {:?} shows {text:?}", case.text);
            }
            text.extend(stream.finish().unwrap());
            assert_eq!(&text, whole, "{folder}");
        }
    }
}

#[test]
fn every_golden_decoder_streams() {
    for folder in FOLDERS {
        let tokenizer = tokenizer(folder);
        assert!(!matches!(tokenizer.streaming, Streaming::AtTheEnd), "{folder}");
        let ids = tokenizer.encode("the engine counted in whole numbers", false).unwrap();
        let mut stream = tokenizer.stream(true);
        let shown: String = ids.iter().filter_map(|&id| stream.push(id).unwrap()).collect();
        assert_eq!(shown, "the engine counted in whole numbers", "{folder}: nothing is held back");
    }
}

#[test]
fn half_characters_do_not_pile_up() {
    let tokenizer = tokenizer("smollm2");
    let half = tokenizer.token_id("\u{00F0}").unwrap(); // byte F0, which begins a character of four bytes
    let mut stream = tokenizer.stream(true);
    for _ in 0..1000 {
        stream.push(half).unwrap();
        assert!(stream.waiting.len() <= stream::PATIENCE + 1, "{} ids wait", stream.waiting.len());
    }
}

#[test]
fn a_reused_stream_begins_anew() {
    let tokenizer = tokenizer("llama2");
    let ids = tokenizer.encode(" the engine", true).unwrap();
    let mut stream = tokenizer.stream(true);
    for _ in 0..2 {
        let mut text: String = ids.iter().filter_map(|&id| stream.push(id).unwrap()).collect();
        text.extend(stream.finish().unwrap());
        assert_eq!(text, " the engine");
    }
}

#[test]
fn a_continued_text_keeps_its_space() {
    let tokenizer = tokenizer("llama2");
    let (prompt, more) = (tokenizer.encode("the", true).unwrap(), tokenizer.encode("engine", false).unwrap());
    let continued =
        |mut stream: TextStream<'_>| more.iter().filter_map(|&id| stream.push(id).unwrap()).collect::<String>();
    assert_eq!(continued(tokenizer.stream(true).after(&prompt).unwrap()), " engine");
    assert_eq!(continued(tokenizer.stream(true).after(&prompt[..1]).unwrap()), "engine", "after a start token only");
    assert_eq!(continued(tokenizer.stream(true)), "engine");
}

#[test]
fn the_start_token_comes_from_the_configuration_too() {
    let mut json: serde_json::Value = serde_json::from_slice(&file("llama2", "tokenizer.json")).unwrap();
    let config = br#"{"add_bos_token": true, "bos_token": "<s>"}"#;
    let framed = Tokenizer::from_files(json.to_string().as_bytes(), Some(config)).unwrap();
    json["post_processor"] = serde_json::Value::Null;
    let bare = Tokenizer::from_files(json.to_string().as_bytes(), Some(config)).unwrap();
    let expected = tokenizer("llama2").encode("the engine", true).unwrap();
    assert_eq!(framed.encode("the engine", true).unwrap(), expected);
    assert_eq!(bare.encode("the engine", true).unwrap(), expected);
    assert_eq!(bare.encode("the engine", false).unwrap(), expected[1..]);
    let none = Tokenizer::from_files(json.to_string().as_bytes(), None).unwrap();
    assert_eq!(none.encode("the engine", true).unwrap(), expected[1..]);
}

#[test]
fn pieces_and_ids_agree() {
    let tokenizer = tokenizer("llama3");
    let start = tokenizer.token_id("<|begin_of_text|>").unwrap();
    assert_eq!(tokenizer.piece(start).as_deref(), Some("<|begin_of_text|>"));
    assert!(tokenizer.is_special(start) && !tokenizer.is_special(0));
    assert_eq!(tokenizer.piece(u32::MAX), None);
    assert_eq!(tokenizer.token_id("no such piece"), None);
    let found = (0..tokenizer.vocabulary() as u32).filter(|&id| tokenizer.piece(id).is_some()).count();
    assert_eq!(found, tokenizer.vocabulary());
}

#[test]
fn truncation_and_padding_of_the_file_are_ignored() {
    let mut json: serde_json::Value = serde_json::from_slice(&file("llama2", "tokenizer.json")).unwrap();
    json["truncation"] =
        serde_json::json!({"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0});
    json["padding"] = serde_json::json!({"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"});
    let cut = Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap();
    let text = "the engine counted in whole numbers";
    assert_eq!(cut.encode(text, true).unwrap(), tokenizer("llama2").encode(text, true).unwrap());
}

#[test]
fn explosive_replacements_are_refused() {
    let mut json: serde_json::Value = serde_json::from_slice(&file("gemma", "tokenizer.json")).unwrap();
    let double = serde_json::json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    json["normalizer"] = serde_json::json!({"type": "Sequence", "normalizers": vec![double; 40]});
    let error = Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().contains("times as long"), "{error}");
}

#[test]
fn an_unknown_decoder_streams_at_the_end() {
    let mut json: serde_json::Value = serde_json::from_slice(&file("llama2", "tokenizer.json")).unwrap();
    json["decoder"] = serde_json::json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
    let tokenizer = Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap();
    let ids = tokenizer.encode("the engine , counted", false).unwrap();
    assert_eq!(streamed(&tokenizer, &ids, true), tokenizer.decode(&ids, true).unwrap());
}

#[test]
fn damaged_files_are_errors_not_panics() {
    let mut seed = 1u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for folder in FOLDERS {
        let intact = file(folder, "tokenizer.json");
        for _ in 0..150 {
            let mut bytes = intact.clone();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = random(256) as u8,
                    1 => bytes.truncate(at.max(1)),
                    2 => drop(bytes.splice(at..at, *b"9")),
                    _ => drop(bytes.drain(at..(at + 1 + random(40)).min(bytes.len()))),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            if let Ok(tokenizer) = Tokenizer::from_bytes(&bytes) {
                let ids = tokenizer.encode("  The engine\n<s> 12 é🙂", true).unwrap_or_default();
                let _ = tokenizer.decode(&ids, true);
            }
        }
    }
}

fn all() -> &'static [Tokenizer] {
    static ALL: OnceLock<Vec<Tokenizer>> = OnceLock::new();
    ALL.get_or_init(|| FOLDERS.iter().map(|folder| tokenizer(folder)).collect())
}

/// Ids with long runs of bytes and of special tokens, which are where it gets difficult.
fn ids() -> impl Strategy<Value = Vec<u32>> {
    let id = prop_oneof![0u32..10, 3u32..262, 128u32..262, 0u32..500];
    prop::collection::vec(id, 0..40)
}

proptest! {
    #[test]
    fn streams_equal_decoding_at_once(ids in ids(), which in 0usize..4, skip_special: bool) {
        let tokenizer = &all()[which];
        prop_assert_eq!(streamed(tokenizer, &ids, skip_special), tokenizer.decode(&ids, skip_special).unwrap());
    }

    #[test]
    fn any_text_survives(text in "\\PC{0,60}|[ \n\ta-z🙂é]{0,60}", which in 2usize..4) {
        let tokenizer = &all()[which];
        let ids = tokenizer.encode(&text, false).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
}
