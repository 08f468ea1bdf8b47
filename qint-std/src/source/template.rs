//! The chat template of a checkpoint, from the three places where Hugging Face has kept it.
//!
//! `chat_template.jinja` wins, as in transformers; then `tokenizer_config.json`, where the field is a string or a list of
//! named templates of which `default` is taken; then `chat_template.json`.
use super::files::{is_file, open_bounded, parse_json};
use crate::{Error, Result, limits};
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use std::{fmt, path::Path};

/// The template's text, if the directory has one.
pub(super) fn find(directory: &Path) -> Result<Option<Vec<u8>>> {
    let path = directory.join("chat_template.jinja");
    if is_file(&path) {
        return Ok(Some(open_bounded(&path, limits::CHAT_TEMPLATE_BYTES)?.to_vec()));
    }
    for (name, limit) in [
        ("tokenizer_config.json", limits::TOKENIZER_CONFIG_BYTES),
        ("chat_template.json", 2 * limits::CHAT_TEMPLATE_BYTES),
    ] {
        let path = directory.join(name);
        if !is_file(&path) {
            continue;
        }
        let holder: Holder = parse_json(&path, &open_bounded(&path, limit)?)?;
        if let Some(Template(Some(text))) = holder.chat_template {
            return check_length(&path, text).map(Some);
        }
    }
    Ok(None)
}

fn check_length(path: &Path, text: String) -> Result<Vec<u8>> {
    if text.len() as u64 <= limits::CHAT_TEMPLATE_BYTES {
        return Ok(text.into_bytes());
    }
    let why =
        format!("its chat template has {} bytes, at most {} are allowed", text.len(), limits::CHAT_TEMPLATE_BYTES);
    Err(Error::malformed(path.display().to_string(), why))
}

/// A file with the field; everything else in it is skipped without being kept.
#[derive(serde::Deserialize)]
struct Holder {
    chat_template: Option<Template>,
}

/// The one template to use, if there is one.
struct Template(Option<String>);

#[derive(serde::Deserialize)]
struct Named {
    name: String,
    template: String,
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Template, D::Error> {
        deserializer.deserialize_any(TemplateVisitor)
    }
}

struct TemplateVisitor;

impl<'de> Visitor<'de> for TemplateVisitor {
    type Value = Template;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a chat template or a list of {name, template}")
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Template, E> {
        Ok(Template(Some(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Template, A::Error> {
        let mut found = None;
        while let Some(named) = list.next_element::<Named>()? {
            if named.name == "default" {
                found = Some(named.template);
                break;
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Template(found))
    }
}
