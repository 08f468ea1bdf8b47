//! `qint export --target flash`: what the model takes is said first; then a checkpoint is quantized to fit, and the image
//! written, as bytes or as source code.
use super::Arguments;
use crate::{
    args::Kv,
    errors::{Failure, Result},
    output::{Output, thousands},
    signals::Interrupt,
};
use clap::{Args, ValueEnum};
use qint_std::{
    Error,
    atomic_file::AtomicFile,
    container::Container,
    convert,
    flash::{self, Budget, Choice, Needs, Shape},
    mapping::Loading,
    model::is_source,
    quantize::{Recipe, Scheme},
    source::{self, Source},
};
use serde_json::json;
use std::{io::Write, num::NonZeroUsize, path::Path};

/// Positions unless told otherwise.
const DEFAULT_CONTEXT: usize = 128;

/// What a flash image is made for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Flash image")]
pub(crate) struct FlashArguments {
    /// The form: bytes (usually NAME.qfw), or source code with the bytes in an array [default: bin]
    #[arg(long, value_enum)]
    emit: Option<Emit>,
    /// Flash there is for the image, such as 262144 or 256K; the best codec that fits is taken [default: q4-linear]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    flash: Option<u64>,
    /// RAM there is for keys, values, workspace and logits; the best KV cache that fits is taken [default: i8]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    ram: Option<u64>,
    /// Positions [default: 128, or what the model was made for if that is less]
    #[arg(long, value_name = "N")]
    context: Option<NonZeroUsize>,
    /// Codec of the linear layers, instead of a choice; a container stays as it is
    #[arg(long, value_name = "CODEC[:gN]")]
    codec: Option<Scheme>,
    /// How keys and values are kept, instead of a choice
    #[arg(long, value_enum)]
    kv: Option<Kv>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Emit {
    Bin,
    Rust,
    C,
}

impl FlashArguments {
    /// Whether one of them was given.
    pub(super) fn any(&self) -> bool {
        let FlashArguments { emit, flash, ram, context, codec, kv } = self;
        emit.is_some() || flash.is_some() || ram.is_some() || context.is_some() || codec.is_some() || kv.is_some()
    }

    fn budget(&self) -> Budget {
        Budget { flash: self.flash, ram: self.ram }
    }
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let path = arguments.model.path();
    if is_source(path) {
        let source = source::open(path)?;
        let choice = choose(arguments, source.config(), source.asset("tokenizer.json").as_deref(), None, output)?;
        let recipe =
            choice.recipe.clone().unwrap_or_else(|| Recipe::new(Scheme::of(qint_core::codec::Codec::Q4Linear)));
        let container = quantize(&*source, &recipe, path)?;
        return write(arguments, &container, &choice, output);
    }
    if arguments.flash.codec.is_some() {
        let why = "a container is quantized already; export the checkpoint with --codec, or leave --codec out";
        return Err(Failure::Usage(why.into()));
    }
    let container = Container::open(path, Loading::Map)?;
    let manifest = container.manifest();
    let shapes: Vec<Shape> = manifest.matrices.iter().map(|matrix| (matrix.layout, matrix.activation)).collect();
    let choice = choose(arguments, &manifest.config, container.asset("tokenizer.json"), Some(&shapes), output)?;
    write(arguments, &container, &choice, output)
}

/// Chooses, and says what that takes.
fn choose(
    arguments: &Arguments,
    config: &qint_std::config::ModelConfig,
    tokenizer: Option<&[u8]>,
    quantized: Option<&[Shape]>,
    output: &Output,
) -> Result<Choice> {
    let FlashArguments { context, codec, kv, .. } = &arguments.flash;
    let limit = config.architecture.context;
    let capacity = context.map_or(DEFAULT_CONTEXT.min(limit), NonZeroUsize::get);
    if capacity > limit {
        return Err(Failure::Usage(format!("--context {capacity} is more than the model's context of {limit}")));
    }
    let pieces = flash::pieces(tokenizer, config.architecture.vocabulary)?;
    let wanted = (*codec, kv.map(Kv::kind));
    let choice = flash::choose(config, &pieces, quantized, wanted, capacity, arguments.flash.budget())?;
    let Needs { flash, kv, workspace, logits, layers } = choice.needs;
    output.note(&format!("flash  {} bytes: {}", thousands(flash), codec_name(&choice)));
    output.note(&format!(
        "RAM    {} bytes: {} KV ({}, {capacity} positions), {} workspace, {} logits, {} layers; stack and code come on top",
        thousands(choice.needs.ram()),
        thousands(kv),
        choice.session.kv.name(),
        thousands(workspace),
        thousands(logits),
        thousands(layers)
    ));
    Ok(choice)
}

fn codec_name(choice: &Choice) -> String {
    match &choice.recipe {
        Some(recipe) => format!("{}, embedding and head {}", recipe.default, recipe.embedding_and_head),
        None => "the codecs of the container".to_owned(),
    }
}

/// The checkpoint as a container in memory.
fn quantize(source: &dyn Source, recipe: &Recipe, path: &Path) -> Result<Container> {
    let scratch = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
    let file = scratch.path().join("model.qint.safetensors");
    let interrupt = Interrupt::watch();
    let description = path.display().to_string();
    let options = convert::Options { description: &description, cancel: Some(interrupt.flag()), ..Default::default() };
    convert::convert(source, recipe, &file, &options, &|_| {})?;
    Ok(Container::open(&file, Loading::Read)?)
}

fn write(arguments: &Arguments, container: &Container, choice: &Choice, output: &mut Output) -> Result<()> {
    let image = flash::image(container, choice.session)?;
    let emit = arguments.flash.emit.unwrap_or(Emit::Bin);
    let bytes = match emit {
        Emit::Bin => image,
        Emit::Rust => flash::emit::rust(&image)?.into_bytes(),
        Emit::C => flash::emit::c(&image)?.into_bytes(),
    };
    let mut file = AtomicFile::create(&arguments.output, arguments.force.force)?;
    file.write_all(&bytes).map_err(|source| Error::Io { path: arguments.output.clone(), source })?;
    file.commit()?;
    let written = arguments.output.display().to_string();
    if output.is_json() {
        let needs = choice.needs;
        let fields = json!({"output": written, "format": "flash", "bytes": bytes.len(), "codec": codec_name(choice),
            "kv": choice.session.kv.name(), "context": choice.session.capacity, "flash": needs.flash, "ram": needs.ram(),
            "ram_parts": {"kv": needs.kv, "workspace": needs.workspace, "logits": needs.logits, "layers": needs.layers}});
        return output.document("export", json!({}), fields);
    }
    output.note(&format!("{written}: {} bytes", thousands(bytes.len() as u64)));
    Ok(())
}

fn bytes(text: &str) -> std::result::Result<u64, &'static str> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1024),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.filter(|number| *number > 0).ok_or("it is a number of bytes, such as 262144, 256K or 1M")
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_units() {
        assert_eq!((bytes("1"), bytes("256K"), bytes("2m")), (Ok(1), Ok(262_144), Ok(2_097_152)));
        for wrong in ["", "K", "0", "-1", "1.5M", "99999999999999999999", "99999999999999999M", "1G"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
