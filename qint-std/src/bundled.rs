//! The model that comes with this crate, so that examples, tests and `qint demo` have one without downloading anything.
//!
//! It is a Hugging Face checkpoint of a million weights; docs/bundled-model.md says how it was made.
use crate::{Error, Result};
use std::{fs, path::Path};

/// The checkpoint's files: names and bytes.
pub const FILES: [(&str, &[u8]); 5] = [
    ("config.json", include_bytes!("../bundled/config.json")),
    ("generation_config.json", include_bytes!("../bundled/generation_config.json")),
    ("model.safetensors", include_bytes!("../bundled/model.safetensors")),
    ("tokenizer.json", include_bytes!("../bundled/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../bundled/tokenizer_config.json")),
];

/// Ten of Shakespeare's sonnets, to score the model on.
pub const EVALUATION: &str = include_str!("../bundled/evaluation.txt");

/// Ten other sonnets, for quantizers that look at activations.
pub const CALIBRATION: &str = include_str!("../bundled/calibration.txt");

/// Writes the checkpoint into `directory`, which exists; files of the same names are replaced.
///
/// # Errors
/// [`Error::Io`].
///
/// ```
/// # fn main() -> qint_std::Result<()> {
/// let directory = tempfile::tempdir().expect("a temporary directory");
/// qint_std::bundled::write_to(directory.path())?;
/// assert!(directory.path().join("config.json").is_file());
/// # Ok(())
/// # }
/// ```
pub fn write_to(directory: &Path) -> Result<()> {
    for (name, bytes) in FILES {
        let path = directory.join(name);
        fs::write(&path, bytes).map_err(Error::io(&path))?;
    }
    Ok(())
}
