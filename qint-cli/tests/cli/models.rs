//! Models that the tests use: the bundled checkpoint, and containers made of it.
use super::command::{qint, repository};
use std::{fs, path::PathBuf, sync::OnceLock};

/// The bundled checkpoint.
pub(crate) fn bundled() -> PathBuf {
    repository("qint-std/bundled")
}

/// The text that comes with it.
pub(crate) fn evaluation() -> PathBuf {
    repository("qint-std/bundled/evaluation.txt")
}

/// The bundled model at 4 bits, made once.
pub(crate) fn container() -> PathBuf {
    static CONTAINER: OnceLock<PathBuf> = OnceLock::new();
    CONTAINER.get_or_init(|| convert(&bundled(), "bundled-q4")).clone()
}

/// The bundled model with a chat template, as a checkpoint, made once.
pub(crate) fn with_template() -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| copy_with_template("chat", TEMPLATE)).clone()
}

const TEMPLATE: &str = "{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}\
    {% if add_generation_prompt %}[assistant]{% endif %}";

/// A copy of the bundled checkpoint with that chat template.
pub(crate) fn copy_with_template(name: &str, template: &str) -> PathBuf {
    let directory = scratch(name);
    for file in ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(bundled().join(file), directory.join(file)).expect("a copy");
    }
    fs::write(directory.join("chat_template.jinja"), template).expect("a template");
    directory
}

/// A container with a chat template and room for a hundred thousand tokens: it writes until it is stopped.
pub(crate) fn endless(name: &str) -> PathBuf {
    let directory = copy_with_template(name, TEMPLATE);
    let path = directory.join("config.json");
    let config = fs::read_to_string(&path).expect("the configuration");
    fs::write(path, config.replace("\"max_position_embeddings\": 512", "\"max_position_embeddings\": 100000"))
        .expect("the configuration");
    convert(&directory, &format!("{name}-container"))
}

/// An empty directory that later runs replace.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("qint-cli-{name}"));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory");
    directory
}

fn convert(source: &PathBuf, name: &str) -> PathBuf {
    let target = scratch(name).join("model.qint.safetensors");
    let status = qint(["convert", "-q"]).arg(source).arg("-o").arg(&target).status().expect("qint starts");
    assert!(status.success());
    target
}
