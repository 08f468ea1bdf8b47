//! What is measured: a model from a file, or a synthetic one of a published shape.
use crate::{args::EngineArguments, commands::convert::group, errors::Result, loaded::Loaded};
use clap::{Args, builder::PossibleValuesParser};
use qint_core::codec::Group;
use qint_std::{
    model::Model,
    quantize::{Recipe, Scheme},
    synthetic::Shape,
};
use std::{ffi::OsString, path::PathBuf};

/// How it is measured.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Tokens of the prompt, one test for each; 0 leaves the test out
    #[arg(short = 'p', long, value_name = "N,…", default_value = "512", value_delimiter = ',')]
    pub(crate) prompt: Vec<usize>,
    /// Tokens to generate, one test for each; 0 leaves the test out
    #[arg(short = 'n', long = "predict", value_name = "N,…", default_value = "128", value_delimiter = ',')]
    pub(crate) predict: Vec<usize>,
    /// Positions that are in the cache before a test
    #[arg(short, long, value_name = "N", default_value = "0")]
    pub(crate) depth: usize,
}

/// MODEL or `--shape`.
#[derive(Debug, Args)]
pub(crate) struct SubjectArguments {
    /// A .qint.safetensors file, a Hugging Face directory or a GGUF file
    #[arg(value_name = "MODEL", required_unless_present_any = ["model_option", "shape"])]
    model: Option<PathBuf>,
    /// The same as MODEL
    #[arg(short = 'm', long = "model", value_name = "MODEL", conflicts_with = "model")]
    model_option: Option<PathBuf>,
    /// Random weights of a published model's shape, made in memory, instead of MODEL
    #[arg(long, value_name = "SHAPE", conflicts_with_all = ["model", "model_option", "no_mmap"], requires = "codec")]
    #[arg(value_parser = PossibleValuesParser::new(Shape::ALL.map(Shape::name)), help_heading = "Synthetic model")]
    shape: Option<String>,
    /// Codec of the shape's matrices, as in `qint convert`
    #[arg(long, value_name = "CODEC", requires = "shape", help_heading = "Synthetic model")]
    codec: Option<Scheme>,
    /// Columns that share a sub-scale: 32, 64 or 128 [default: the codec's own]
    #[arg(long, value_name = "N", value_parser = group, requires = "shape", help_heading = "Synthetic model")]
    group: Option<Group>,
    /// Codec of embedding and head [default: that of the other matrices]
    #[arg(long, value_name = "CODEC", requires = "shape", help_heading = "Synthetic model")]
    head: Option<Scheme>,
}

impl SubjectArguments {
    /// The same as words of a command line.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = self.model.iter().chain(&self.model_option).map(OsString::from).collect();
        let options = [
            ("--shape", self.shape.clone()),
            ("--codec", self.codec.map(|codec| codec.to_string())),
            ("--group", self.group.map(|group| group.cols().to_string())),
            ("--head", self.head.map(|codec| codec.to_string())),
        ];
        for (name, value) in options {
            words.extend(value.into_iter().flat_map(|value| [name.into(), value.into()]));
        }
        words
    }

    pub(crate) fn open(&self, engine: &EngineArguments) -> Result<Loaded> {
        let shape = self.shape.as_deref().and_then(Shape::from_name);
        let (Some(shape), Some(codec)) = (shape, self.codec) else {
            // clap requires a model where there is no shape.
            let path = self.model.as_deref().or(self.model_option.as_deref()).unwrap_or("".as_ref());
            return Loaded::open(path, engine);
        };
        let scheme = Scheme { group: self.group.unwrap_or(codec.group), ..codec };
        let recipe = Recipe { embedding_and_head: self.head.unwrap_or(scheme), ..Recipe::new(scheme) };
        Ok(Loaded::of_model(shape.name(), Model::synthetic(shape, &recipe)?))
    }
}
