//! The way of a model into a container and back: bytes, hostile files, interrupted conversions.
//!
//! `QINT_LONG_TESTS=1` runs the whole of what is sampled otherwise. `QINT_REFERENCE` names a checkpoint of SmolLM2-135M.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "these are tests")]
mod convert;
mod flash_source;
mod forge;
mod hostile;
mod interrupted;
mod model;
#[path = "../shared/mod.rs"]
mod shared;
mod support;
