//! Containers by a second hand: header and manifest taken apart, changed, and put together again with the right hashes.
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A container in three parts. The manifest's hash is made anew when they are joined.
#[derive(Clone)]
pub(crate) struct Forged {
    /// The header without the manifest and its hash.
    pub(crate) header: Value,
    /// The manifest's text.
    pub(crate) manifest: String,
    pub(crate) data: Vec<u8>,
}

impl Forged {
    pub(crate) fn new(container: &[u8]) -> Forged {
        let length = header_length(container);
        let mut header: Value = serde_json::from_slice(&container[8..8 + length]).unwrap();
        let manifest = header["__metadata__"]["qint.manifest"].take().as_str().unwrap().to_owned();
        Forged { header, manifest, data: container[8 + length..].to_vec() }
    }

    pub(crate) fn manifest_json(&self) -> Value {
        serde_json::from_str(&self.manifest).unwrap()
    }

    pub(crate) fn join(&self) -> Vec<u8> {
        let mut header = self.header.clone();
        header["__metadata__"]["qint.manifest"] = self.manifest.as_str().into();
        header["__metadata__"]["qint.manifest_sha256"] = hex(self.manifest.as_bytes()).into();
        let mut json = serde_json::to_vec(&header).unwrap();
        json.resize((8 + json.len()).next_multiple_of(4096) - 8, b' ');
        [&(json.len() as u64).to_le_bytes()[..], &json, &self.data].concat()
    }

    /// The text of the manifest and of the header as one list of places to change.
    pub(crate) fn edit(&mut self, edit: impl FnOnce(&mut Value, &mut Value)) {
        let mut manifest = self.manifest_json();
        edit(&mut self.header, &mut manifest);
        self.manifest = manifest.to_string();
    }
}

pub(crate) fn header_length(container: &[u8]) -> usize {
    u64::from_le_bytes(container[..8].try_into().unwrap()) as usize
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every value inside `value`, by a path of keys and positions.
pub(crate) fn paths(value: &Value) -> Vec<String> {
    let mut all = vec![String::new()];
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(list) => list.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        all.extend(paths(child).into_iter().map(|path| format!("/{key}{path}")));
    }
    all
}
