use super::*;
use crate::error::Class;
use std::path::PathBuf;

const FOLDERS: [&str; 6] = ["smollm2", "llama2", "mistral", "gemma", "llama3", "smollm3"];

fn file(folder: &str, name: &str) -> String {
    let goldens = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/chat");
    std::fs::read_to_string(goldens.join(folder).join(name)).unwrap()
}

fn template(text: &str) -> ChatTemplate {
    ChatTemplate::new(text, "<s>", "</s>").unwrap()
}

fn hello() -> Vec<Message> {
    vec![Message::new("user", "Hello!")]
}

fn rendered(text: &str) -> Result<String> {
    template(text).render(&hello(), true)
}

#[test]
fn golden_conversations_render_the_same() {
    let mut cases = 0;
    for folder in FOLDERS {
        let golden: Value = serde_json::from_str(&file(folder, "golden.json")).unwrap();
        let now: jiff::civil::DateTime = golden["now"].as_str().unwrap().parse().unwrap();
        let clock = move || now.to_zoned(jiff::tz::TimeZone::UTC).unwrap();
        let template = ChatTemplate::with_clock(&file(folder, "chat_template.jinja"), "", "", clock).unwrap();
        for case in golden["cases"].as_array().unwrap() {
            let result = template.render_variables(case["variables"].as_object().unwrap().clone());
            match result {
                Ok(text) => assert_eq!(Some(text.as_str()), case["rendered"].as_str(), "{folder}: {case}"),
                Err(Error::Argument { allowed, .. }) => {
                    assert_eq!(Some(allowed.as_str()), case["error"].as_str(), "{folder}: {case}");
                }
                Err(error) => panic!("{folder}: {error}, {case}"),
            }
            cases += 1;
        }
    }
    assert_eq!(cases, 105);
}

#[test]
fn messages_and_tokens_are_variables() {
    let text = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m['content'] }}{{ eos_token }}{% endfor %}\n";
    assert_eq!(rendered(text).unwrap(), "<s>user: Hello!</s>");
    assert_eq!(rendered("{{ tools }} {{ documents is none }} {{ add_generation_prompt }}").unwrap(), "None True True");
}

#[test]
fn json_is_written_as_python_writes_it() {
    let value = r#"{"b": [1, 2.5, none, true], "a": {"<é>": "'\""}, "e": [], "f": {}}"#;
    let line = r#"{"b": [1, 2.5, null, true], "a": {"<é>": "'\""}, "e": [], "f": {}}"#;
    assert_eq!(rendered(&format!("{{{{ {value} | tojson }}}}")).unwrap(), line);
    let lines = "{\n  \"b\": [\n    1,\n    2.5,\n    null,\n    true\n  ],\n  \"a\": {\n    \"<é>\": \"'\\\"\"\n  },\n  \
                 \"e\": [],\n  \"f\": {}\n}";
    assert_eq!(rendered(&format!("{{{{ {value} | tojson(indent=2) }}}}")).unwrap(), lines);
    assert_eq!(rendered(&format!("{{{{ {value} | tojson(2) }}}}")).unwrap(), lines);
    assert_eq!(rendered("{{ 'é<' | tojson(ensure_ascii=False) }}").unwrap(), "\"é<\"");
}

#[test]
fn refusals_carry_the_text_of_the_template() {
    let error = rendered("{{ raise_exception('Not like this') }}").unwrap_err();
    assert_eq!(error.class(), Class::Usage);
    assert_eq!(error.to_string(), "the conversation is refused by the chat template; Not like this");
    let nested = "{% macro no() %}{{ raise_exception('Inside') }}{% endmacro %}{{ no() }}";
    assert!(rendered(nested).unwrap_err().to_string().ends_with("Inside"));
}

#[test]
fn endless_work_runs_out_of_steps() {
    for text in [
        "{% for i in range(100000) %}{% for i in range(100000) %}x{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{{ 'x' * 100000000 }}",
        "{% set ns = namespace(x='aaaa') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
        "{% for i in range(100000) %}{{ messages | tojson }}{% endfor %}",
        "{{ 'x'.replace('', 'y' * 1000).replace('', 'y' * 1000).replace('y', 'z' * 100000) }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ 'a'.join(range(99999999)) }}",
        "{{ strftime_now('%Y' * 10000000) }}",
    ] {
        let error = rendered(text).expect_err(text);
        assert_eq!(error.class(), Class::Malformed, "{text}: {error}");
    }
    let error =
        rendered("{% for i in range(100000) %}{% for i in range(100000) %}x{% endfor %}{% endfor %}").unwrap_err();
    assert!(error.to_string().contains("does not render within a step budget"), "{error}");
}

#[test]
fn deep_values_do_not_exhaust_the_stack() {
    let deep = "{% set ns = namespace(x=[]) %}{% for i in range(24000) %}{% set ns.x = [ns.x] %}{% endfor %}";
    for end in ["", "{{ ns.x | tojson }}", "{{ ns.x }}", "{{ ns.x == [ns.x] }}", "{{ ns.x | string | length }}"] {
        let _ = rendered(&format!("{deep}{end}"));
    }
    for (open, close) in [("(", ")"), ("[", "]"), ("not ", ""), ("-", ""), ("1+", ""), ("{'a':", "}")] {
        let (open, close) = (open.repeat(60_000 / open.len()), close.repeat(60_000 / open.len()));
        let _ = ChatTemplate::new(&format!("{{{{ {open}1{close} }}}}"), "", "");
    }
    let blocks = "{% if true %}".repeat(2_000) + &"{% endif %}".repeat(2_000);
    let _ = ChatTemplate::new(&blocks, "", "");
}

#[test]
fn long_conversations_render() {
    let long = "lorem ipsum\n".repeat(100_000);
    let messages: Vec<Message> =
        (0..400).map(|i| Message::new(if i % 2 == 0 { "user" } else { "assistant" }, &long[..i * 64])).collect();
    for folder in FOLDERS {
        let template = ChatTemplate::new(&file(folder, "chat_template.jinja"), "<s>", "</s>").unwrap();
        let text = template.render(&messages, true).unwrap_or_else(|error| panic!("{folder}: {error}"));
        assert!(text.len() > 4_000_000, "{folder}");
        assert!(template.render(&[Message::new("user", long.as_str())], true).unwrap().len() > 1_100_000, "{folder}");
    }
}

#[test]
fn broken_templates_are_errors() {
    for text in ["{% if %}", "{{ 'x", "{% generation %}", "{{ nothing.here }}", "{% include 'x' %}", "{{ 1 / 0 }}"] {
        let result = ChatTemplate::new(text, "", "").and_then(|template| template.render(&hello(), true));
        assert_eq!(result.expect_err(text).class(), Class::Malformed, "{text}");
    }
    let long = "x".repeat(CHAT_TEMPLATE_BYTES as usize + 1);
    assert_eq!(ChatTemplate::new(&long, "", "").unwrap_err().class(), Class::Malformed);
}

#[test]
fn generation_tags_keep_their_whitespace_control() {
    let text = "a {%- generation -%} b {% endgeneration %}\nc {% if true %}\nd{% endif %}";
    assert_eq!(
        rendered(text).unwrap(),
        rendered("a {%- if true -%} b {% endif %}\nc {% if true %}\nd{% endif %}").unwrap()
    );
    assert_eq!(without_generation_tags("{% x %} generation {% generation"), "{% x %} generation {% if true");
}
