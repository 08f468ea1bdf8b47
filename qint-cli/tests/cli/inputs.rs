//! Inputs that are missing, broken or of another kind: which exit code, and that the sentence says what to do.
use super::{
    command::{Ended, qint, run_with_input},
    models::{bundled, container, evaluation, scratch},
};
use std::{fs, path::Path};

/// `qint WORDS PATH`.
fn on(words: &str, path: &Path) -> Ended {
    Ended::new(&qint(words.split_whitespace()).arg(path).output().expect("qint starts"))
}

#[test]
fn models_that_are_not_there_or_no_files() {
    let directory = scratch("not-there");
    for command in ["inspect", "tokenize -p x -m", "bench -p 1 -n 1 -m", "run -p x -m", "eval ppl -f x -m"] {
        if command != "eval ppl -f x -m" {
            on(command, &directory.join("absent")).refused(4, "no such file");
            on(command, &directory).refused(4, "config.json");
        } else {
            on(command, &directory.join("absent")).refused(4, "no such file");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_model_and_nobody_waits_for_it() {
    let pipe = scratch("pipe").join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    on("inspect", &pipe).refused(4, "pipe");
    on("run -p x -m", &pipe).refused(4, "pipe");
}

#[test]
fn broken_files_are_malformed() {
    let directory = scratch("broken");
    let bytes = fs::read(container()).expect("the container");
    for (name, content) in
        [("empty", &b""[..]), ("words", b"hello"), ("cut", &bytes[..5000]), ("short", &bytes[..bytes.len() - 1])]
    {
        let path = directory.join(name);
        fs::write(&path, content).expect("a file");
        on("inspect", &path).refused(5, "malformed");
        on("tokenize -p x -m", &path).refused(5, "malformed");
    }
}

#[test]
fn a_safetensors_file_of_another_kind_says_what_to_name() {
    let weights = bundled().join("model.safetensors");
    on("inspect", &weights).refused(6, "name the directory");
    on("run -p x -m", &weights).refused(6, "name the directory");
    on("convert -o /tmp/never", &container()).refused(6, "not converted again");
}

#[test]
fn a_changed_weight_is_found_by_verify_only() {
    let directory = scratch("changed");
    let mut bytes = fs::read(container()).expect("the container");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let path = directory.join("changed.qint.safetensors");
    fs::write(&path, bytes).expect("a file");
    on("inspect", &path).fine();
    on("inspect --verify", &path).refused(5, "SHA-256");
    on("inspect --verify", &container()).fine();
}

#[test]
fn pickles_and_sentencepiece_are_unsupported_with_a_way_out() {
    let directory = scratch("pickle");
    fs::copy(bundled().join("config.json"), directory.join("config.json")).expect("a copy");
    fs::write(directory.join("pytorch_model.bin"), "x").expect("a file");
    on("inspect", &directory).refused(6, "safe_serialization");
    on("inspect", &directory.join("pytorch_model.bin")).refused(6, "safe_serialization");
    on("run -p x -m", &directory.join("pytorch_model.bin")).refused(6, "safe_serialization");
    let directory = scratch("sentencepiece");
    for file in ["config.json", "model.safetensors"] {
        fs::copy(bundled().join(file), directory.join(file)).expect("a copy");
    }
    fs::write(directory.join("tokenizer.model"), "x").expect("a file");
    on("inspect", &directory).refused(6, "AutoTokenizer");
}

#[test]
fn texts_to_score() {
    let words = format!("eval ppl {} -f", container().display());
    on(&words, Path::new("/absent")).refused(4, "no such file");
    let directory = scratch("texts");
    on(&words, &directory).refused(4, "directory");
    for (name, content, code, says) in [("short", &b"few words"[..], 2, "512"), ("latin1", b"caf\xe9", 5, "UTF-8")] {
        fs::write(directory.join(name), content).expect("a file");
        on(&words, &directory.join(name)).refused(code, says);
    }
    on(&format!("{words} {} --window", evaluation().display()), Path::new("1024")).refused(2, "context of 512");
}

#[test]
fn texts_to_tokenize() {
    let words = format!("tokenize {} -p -", container().display());
    run_with_input(&words, b"").refused(5, "empty");
    run_with_input(&words, b"caf\xe9").refused(5, "UTF-8");
    let ids = run_with_input(&words, "Shall I compare thee…\n".as_bytes()).fine().stdout.clone();
    let back = run_with_input(&format!("{words} --decode"), ids.as_bytes()).fine().stdout.clone();
    assert_eq!(back, "<s>Shall I compare thee…");
    run_with_input(&format!("{words} --decode"), b"1 2 x").refused(5, "`x`");
    run_with_input(&format!("{words} --decode"), b"99999").refused(5, "99999");
}

#[cfg(unix)]
#[test]
fn a_prompt_that_is_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let prompt = std::ffi::OsStr::from_bytes(b"caf\xe9");
    let mut command = qint(["tokenize", "-p"]);
    command.arg(prompt).arg(container());
    Ended::new(&command.output().expect("qint starts")).refused(5, "UTF-8");
}
