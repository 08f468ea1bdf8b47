//! What several of these tests need: copies of golden directories, safetensors writing, paths from the environment.
use safetensors::{Dtype, tensor::TensorView};
use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) use crate::shared::{golden, long_tests, peak_of, skip};

/// A fresh directory with the files of a golden one.
pub(crate) fn copy_of(name: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in golden(name).read_dir().unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// One tensor to write.
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn read_safetensors(path: &Path) -> Vec<Tensor> {
    let bytes = fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.iter()
        .map(|(name, view)| Tensor {
            name: name.into(),
            dtype: view.dtype(),
            shape: view.shape().into(),
            bytes: view.data().into(),
        })
        .collect()
}

pub(crate) fn write_safetensors(path: &Path, tensors: &[Tensor]) {
    let views = tensors.iter().map(|t| (t.name.as_str(), TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A variable with a path, or a visible note that the test was skipped.
pub(crate) fn path_from_environment(variable: &str, test: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        skip(test, &format!("{variable} is not set"));
    }
    path
}
