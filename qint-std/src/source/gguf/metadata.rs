//! The metadata of a GGUF file: typed access by key, with errors that name the key. Nothing is copied.
use super::parse::malformed;
use crate::{Error, Result, limits::shown};
use std::collections::HashMap;

/// Key/value pairs.
#[derive(Default)]
pub(super) struct Metadata<'a>(HashMap<&'a str, Value<'a>>);

/// One value.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Unsigned(u64),
    Signed(i64),
    Number(f64),
    Flag(bool),
    Text(&'a [u8]),
    Array(Array<'a>),
}

/// Elements of one kind, still as bytes.
#[derive(Clone, Copy)]
pub(super) struct Array<'a> {
    pub(super) kind: Kind,
    pub(super) count: usize,
    pub(super) bytes: &'a [u8],
}

/// The kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Flag,
    Text,
    Array,
    U64,
    I64,
    F64,
}

const KINDS: [Kind; 13] = [
    Kind::U8,
    Kind::I8,
    Kind::U16,
    Kind::I16,
    Kind::U32,
    Kind::I32,
    Kind::F32,
    Kind::Flag,
    Kind::Text,
    Kind::Array,
    Kind::U64,
    Kind::I64,
    Kind::F64,
];

impl Kind {
    pub(super) fn from_number(number: u32) -> Option<Kind> {
        KINDS.get(number as usize).copied()
    }

    /// Bytes of one value, if they are always the same number.
    pub(super) const fn size(self) -> Option<usize> {
        match self {
            Kind::U8 | Kind::I8 | Kind::Flag => Some(1),
            Kind::U16 | Kind::I16 => Some(2),
            Kind::U32 | Kind::I32 | Kind::F32 => Some(4),
            Kind::U64 | Kind::I64 | Kind::F64 => Some(8),
            Kind::Text | Kind::Array => None,
        }
    }

    /// The scalar in `bytes` (of this kind's size).
    pub(super) fn scalar<'a>(self, bytes: &[u8]) -> Value<'a> {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        let bits = u64::from_le_bytes(padded);
        match self {
            Kind::I8 => Value::Signed(i64::from(bits as u8 as i8)),
            Kind::I16 => Value::Signed(i64::from(bits as u16 as i16)),
            Kind::I32 => Value::Signed(i64::from(bits as u32 as i32)),
            Kind::I64 => Value::Signed(bits as i64),
            Kind::F32 => Value::Number(f64::from(f32::from_bits(bits as u32))),
            Kind::F64 => Value::Number(f64::from_bits(bits)),
            Kind::Flag => Value::Flag(bits != 0),
            _ => Value::Unsigned(bits),
        }
    }
}

impl Value<'_> {
    fn as_unsigned(self) -> Option<u64> {
        match self {
            Value::Unsigned(value) => Some(value),
            Value::Signed(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }
}

impl<'a> Metadata<'a> {
    pub(super) fn insert(&mut self, key: &'a str, value: Value<'a>) -> Result<()> {
        match self.0.insert(key, value) {
            None => Ok(()),
            Some(_) => Err(malformed(format!("the key {} is there twice", shown(key)))),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.read(key, "a string", |value| match value {
            Value::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        })
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.read(key, "true or false", |value| match value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        })
    }

    /// A whole number. An array under such a key gives each layer its own: no model of the supported families does.
    pub(super) fn size(&self, key: &str) -> Result<Option<usize>> {
        if let Some(Value::Array(_)) = self.0.get(key) {
            return Err(Error::unsupported(format!("{key} that differs between layers"), ""));
        }
        self.read(key, "a whole number", |value| usize::try_from(value.as_unsigned()?).ok())
    }

    pub(super) fn token(&self, key: &str) -> Result<Option<u32>> {
        self.read(key, "a token id", |value| u32::try_from(value.as_unsigned()?).ok())
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        let number = |value| match value {
            Value::Number(number) => Some(number),
            Value::Unsigned(number) => Some(number as f64),
            Value::Signed(number) => Some(number as f64),
            _ => None,
        };
        self.read(key, "a finite number", |value| number(value).filter(|number| number.is_finite()))
    }

    pub(super) fn array(&self, key: &str, kinds: &[Kind]) -> Result<Option<Array<'a>>> {
        self.read(key, "an array of the right kind", |value| match value {
            Value::Array(array) if kinds.contains(&array.kind) => Some(array),
            _ => None,
        })
    }

    /// `found`, or the error that `key` is missing.
    pub(super) fn need<T>(&self, key: &str, found: Option<T>) -> Result<T> {
        found.ok_or_else(|| malformed(format!("{key} is missing")))
    }

    fn read<T>(&self, key: &str, kind: &str, read: impl FnOnce(Value<'a>) -> Option<T>) -> Result<Option<T>> {
        let Some(&value) = self.0.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| malformed(format!("{key} is not {kind}")))
    }
}

impl<'a> Array<'a> {
    /// The strings of an array of strings. (The parser has walked over them: they are complete.)
    pub(super) fn strings(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<8>()?;
            let (string, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            rest = after;
            Some(string)
        })
        .take(self.count)
    }

    /// Element `index` of an array of scalars.
    pub(super) fn scalar(self, index: usize) -> Option<Value<'a>> {
        let size = self.kind.size()?;
        let start = index.checked_mul(size)?;
        Some(self.kind.scalar(self.bytes.get(start..start.checked_add(size)?)?))
    }
}
