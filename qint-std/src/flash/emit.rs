//! An image as source code: one array at a multiple of 64 that the compiler puts into flash, and the sizes of the buffers.
use crate::{Error, Result, mapping::Mapping};
use qint_core::{
    flash::FlashImage,
    llama::{KvPlan, Plan, PlanRequest},
};

/// Rust: `MODEL: &[u8]` and constants, to be included in a module.
///
/// # Errors
/// [`Error::Malformed`] if `image` is none.
pub fn rust(image: &[u8]) -> Result<String> {
    let mut text = String::from("// Made by `qint export --target flash --emit rust`.\n");
    for (name, value, what) in sizes(image)? {
        text += &format!("/// {what}\npub const {name}: usize = {value};\n");
    }
    text += "/// The image, for `FlashImage::from_bytes`.\npub static MODEL: &[u8] = &IMAGE.0;\n";
    text += &format!("#[repr(C, align(64))]\nstruct Image([u8; {}]);\nstatic IMAGE: Image = Image(*b\"", image.len());
    for line in image.chunks(32) {
        text += "\\\n";
        line.iter().for_each(|byte| text += &format!("\\x{byte:02x}"));
    }
    text += "\");\n";
    Ok(text)
}

/// C11 or C++17: `qint_model`, its length and macros.
///
/// # Errors
/// [`Error::Malformed`] if `image` is none.
pub fn c(image: &[u8]) -> Result<String> {
    let mut text =
        String::from("/* Made by `qint export --target flash --emit c`. */\n#pragma once\n#include <stdint.h>\n");
    for (name, value, what) in sizes(image)? {
        text += &format!("#define QINT_MODEL_{name} {value}u /* {what} */\n");
    }
    text += "#ifdef __cplusplus\nalignas(64)\n#else\n_Alignas(64)\n#endif\n";
    text += &format!("static const uint8_t qint_model[{}] = {{\n", image.len());
    for line in image.chunks(32) {
        line.iter().for_each(|byte| text += &format!("{byte},"));
        text.push('\n');
    }
    text += "};\n";
    Ok(text)
}

/// The lengths of everything that firmware reserves, in elements.
fn sizes(image: &[u8]) -> Result<[(&'static str, usize, &'static str); 10]> {
    let wrong = |error: &dyn std::fmt::Display| Error::malformed("the flash image", error.to_string());
    let aligned = Mapping::copy(image, "the flash image")?;
    let image = FlashImage::from_bytes(&aligned).map_err(|error| wrong(&error))?;
    let (config, header) = (image.config(), image.header());
    let plan = Plan::new(config, PlanRequest { tokens: 1 }).map_err(|error| wrong(&error))?;
    let kv = KvPlan::new(header.kv, header.capacity, config).map_err(|error| wrong(&error))?;
    Ok([
        ("LAYERS", config.layers, "Transformer blocks."),
        ("VOCABULARY", config.vocabulary, "Tokens; the length of the logits."),
        ("CAPACITY", header.capacity, "Positions of the KV cache."),
        ("KV_BITS", 8 * header.kv.bytes(), "Bits of a number of the KV cache: 8, 16 or 32."),
        ("KV_VALUES", kv.values, "Numbers of the KV cache."),
        ("KV_SCALES", kv.scales, "f32 scales of the KV cache."),
        ("FLOATS", plan.floats, "f32 of the workspace for one token."),
        ("CODES", plan.codes, "i8 of the workspace for one token."),
        ("SUMS", plan.sums, "i32 of the workspace for one token."),
        ("HIDDEN", config.hidden, "Width of the residual stream."),
    ])
}
