//! `run` and `chat`: where prompts come from, what is printed, and what is refused.
use super::{
    command::{Ended, qint, run, run_with_input},
    models::{bundled, container, copy_with_template, evaluation, scratch, with_template},
};
use std::fs;

/// `run` on the 4-bit model, greedily, 20 tokens.
fn greedy(more: &str) -> Ended {
    run(&format!("run {} --temp 0 -t 1 -n 20 -p ROMEO: {more}", container().display()))
}

#[test]
fn the_text_is_the_payload_and_statistics_are_not() {
    let ended = greedy("");
    assert!(ended.fine().stdout.starts_with("ROMEO:\n") && ended.stdout.ends_with('\n'), "{ended:?}");
    assert!(ended.stderr.contains("20 written"), "{ended:?}");
    let quiet = greedy("-q --no-display-prompt");
    assert_eq!(quiet.stderr, "");
    assert_eq!(format!("ROMEO:{}", quiet.stdout), ended.stdout);
    let document = greedy("--json").fine().json();
    assert_eq!(format!("ROMEO:{}\n", document["text"].as_str().expect("a text")), ended.stdout);
    assert_eq!((&document["schema"], &document["reason"]), (&"qint.run/1".into(), &"length".into()));
    assert_eq!(document["tokens"], 20);
}

#[test]
fn threads_backends_and_loading_change_nothing() {
    let expected = greedy("-q").stdout;
    for more in ["-t 2", "--backend portable", "--no-mmap", "-c 512", "--batch 1 --raw"] {
        let ended = greedy(&format!("-q {more}"));
        assert!(more.contains("--batch") || ended.fine().stdout == expected, "{more}: {ended:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let text = |seed| run(&format!("run {} -q -t 1 -n 40 -p ROMEO: --seed {seed}", container().display())).stdout;
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
}

#[test]
fn prompts_from_stdin_and_files() {
    let expected = greedy("-q").stdout;
    let words = format!("run {} -q --temp 0 -t 1 -n 20", container().display());
    assert_eq!(run_with_input(&format!("{words} -p -"), b"ROMEO:\n").fine().stdout, expected);
    let file = scratch("prompt").join("prompt.txt");
    fs::write(&file, "ROMEO:\n").expect("a file");
    assert_eq!(run(&format!("{words} -f {}", file.display())).fine().stdout, expected);
    run_with_input(&format!("{words} -p -"), b"").refused(5, "empty");
    run_with_input(&format!("{words} -p -"), b"\xff").refused(5, "UTF-8");
}

#[test]
fn a_context_that_is_too_long_is_refused_not_cut() {
    let words = format!("run {} -q -t 1", container().display());
    run(&format!("{words} -p x -c 513")).refused(2, "context of 512");
    run(&format!("{words} -p x -n 512")).refused(2, "context of 512");
    run(&format!("{words} -p x -n 10 -c 8")).refused(2, "context of 8");
    run(&format!("{words} -f {}", evaluation().display())).refused(2, "the context 512");
}

#[test]
fn stop_texts_end_a_text() {
    let text = greedy("-q --no-display-prompt").stdout;
    let word = text.split_whitespace().nth(2).expect("three words");
    let ended = greedy(&format!("--no-display-prompt --stop {word}"));
    assert_eq!(ended.fine().stdout.trim_end(), text.split(word).next().expect("a part").trim_end());
    assert!(ended.stderr.contains("stop text"), "{ended:?}");
}

#[test]
fn many_prompts_give_the_lines_of_single_runs() {
    let list = scratch("list").join("prompts.jsonl");
    fs::write(&list, "\"ROMEO:\"\n{\"prompt\": \"JULIET:\", \"id\": \"j\"}\n\"KING\"\n").expect("a file");
    let words = format!("run {} -q --temp 0 -t 1 -n 20 --prompts {}", container().display(), list.display());
    let one = run(&words).fine().stdout.clone();
    let texts = |lines: &str| -> Vec<serde_json::Value> {
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let two = run(&format!("{words} --batch 2")).fine().stdout.clone();
    let ids: Vec<_> = texts(&one).iter().map(|line| line["id"].to_string()).collect();
    assert_eq!(ids, ["0", "\"j\"", "2"]);
    for (one, two) in texts(&one).iter().zip(texts(&two)) {
        assert_eq!((&one["text"], &one["tokens"]), (&two["text"], &two["tokens"]));
    }
    assert_eq!(format!("ROMEO:{}\n", texts(&one)[0]["text"].as_str().expect("a text")), greedy("-q").stdout);
    assert_eq!(run(&format!("{words} --json")).fine().json()["results"].as_array().map(Vec::len), Some(3));
    fs::write(&list, "\"a\"\nnonsense\n").expect("a file");
    run(&words).refused(5, "line 2");
}

#[test]
fn a_template_is_used_unless_raw() {
    let words = format!("run {} --json -t 1 --temp 0 -n 5 -p Hello", with_template().display());
    let (rendered, raw) = (run(&words).fine().json(), run(&format!("{words} --raw")).fine().json());
    assert!(rendered["prompt_tokens"].as_u64() > raw["prompt_tokens"].as_u64());
    let system = run(&format!("{words} --system Briefly.")).fine().json();
    assert!(system["prompt_tokens"].as_u64() > rendered["prompt_tokens"].as_u64());
    run(&format!("run {} -p x --system y", container().display())).refused(6, "no chat template");
    run(&format!("{words} --raw --system x")).refused(2, "--system");
}

#[test]
fn templates_that_fail_name_themselves_and_raw_still_works() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    for (name, template, code, says) in [
        ("endless", endless, 5, "step budget"),
        ("broken", "{% for %}", 5, "template"),
        ("refuses", "{{ raise_exception('no system') }}", 2, "no system"),
    ] {
        let words = format!("run {} -q -t 1 -n 3 -p x", copy_with_template(name, template).display());
        run(&words).refused(code, says);
        run(&format!("{words} --raw")).fine();
    }
}

#[test]
fn a_chat_is_its_answers() {
    let words = format!("chat {} -q -t 1 --temp 0 -n 10", with_template().display());
    let ended = run_with_input(&words, b"Hello\n\n/reset\nHello\n/exit\nHello\n");
    assert_eq!(ended.stderr, "");
    let (first, second) = ended.fine().stdout.split_at(ended.stdout.len() / 2);
    assert_eq!(first, second, "the same question after /reset");
    let document = run_with_input(&format!("{words} --json"), b"/system Be brief.\nHello\nAnd?\n").fine().json();
    let roles: Vec<_> = document["messages"].as_array().expect("messages").iter().map(|m| m["role"].clone()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);
}

#[test]
fn what_a_chat_refuses() {
    run(&format!("chat {}", bundled().display())).refused(6, "no chat template");
    let words = format!("chat {} -q", with_template().display());
    run_with_input(&words, b"/frobnicate\n").refused(2, "/reset");
    run_with_input(&words, b"caf\xe9\n").refused(5, "UTF-8");
    run_with_input(&words, &fs::read(evaluation()).expect("the text").replace_line_feeds()).refused(2, "/reset");
}

/// One long line.
trait OneLine {
    fn replace_line_feeds(self) -> Vec<u8>;
}

impl OneLine for Vec<u8> {
    fn replace_line_feeds(mut self) -> Vec<u8> {
        self.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        self
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_ends_a_text() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let output = qint(["run", "-q", "-p", "x", "-n", "5"]).arg(container()).stdout(full).output();
    Ended::new(&output.expect("qint starts")).refused(8, "No space left");
}
