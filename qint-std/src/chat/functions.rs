//! What transformers adds to Jinja: `raise_exception`, `strftime_now`, and its own `tojson`.
use jiff::Zoned;
use minijinja::{
    Environment, Error, ErrorKind, Output, State, Value,
    value::{Kwargs, ValueKind},
};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};
use std::{
    fmt,
    io::{self, Write},
};

/// Nesting that `tojson` writes. Python's own limit is about a thousand.
const MAX_DEPTH: usize = 128;
/// Spaces that `tojson` indents by at most.
const MAX_INDENT: usize = 32;
/// Bytes that one value is written in at most: a small list may contain another one many times over.
const MAX_VALUE_BYTES: usize = 4 << 20;

/// The text that a template gave to `raise_exception`.
#[derive(Debug)]
pub(super) struct Raised(pub(super) String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// Adds them. `clock` is what `strftime_now` reads.
pub(super) fn add(environment: &mut Environment<'static>, clock: impl Fn() -> Zoned + Send + Sync + 'static) {
    environment.add_function("raise_exception", |text: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, "refused").with_source(Raised(text)))
    });
    environment.add_function("strftime_now", move |format: &str| {
        jiff::fmt::strtime::format(format, &clock())
            .map_err(|error| Error::new(ErrorKind::InvalidOperation, "strftime_now").with_source(error))
    });
    environment.add_filter("tojson", to_json);
    environment.set_formatter(print_as_python);
}

/// `True`, `False`, `None`, where minijinja would print them in lower case.
fn print_as_python(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Bool => out.write_str(if value.is_true() { "True" } else { "False" }).map_err(Error::from),
        ValueKind::None => out.write_str("None").map_err(Error::from),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            let mut text = Bounded(Vec::new());
            let cut = write!(text, "{value}");
            state.consume_fuel(text.0.len() as u64 / 64)?;
            cut.map_err(|error| Error::new(ErrorKind::WriteFailure, "a list or a dict").with_source(error))?;
            out.write_str(&String::from_utf8_lossy(&text.0)).map_err(Error::from)
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// Python's `json.dumps(value, ensure_ascii=False, indent=indent)`.
fn to_json(state: &State<'_, '_>, value: &Value, indent: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let indent = indent.map_or_else(|| options.get::<Option<usize>>("indent"), |indent| Ok(Some(indent)))?;
    for ignored in ["ensure_ascii", "sort_keys", "separators"] {
        let _ = options.get::<Option<Value>>(ignored)?;
    }
    options.assert_all_used()?;
    let mut out = Bounded(Vec::new());
    let written = match indent {
        None => write(value, &mut out, Spaced),
        Some(indent) => {
            let indent = " ".repeat(indent.min(MAX_INDENT));
            write(value, &mut out, PrettyFormatter::with_indent(indent.as_bytes()))
        }
    };
    state.consume_fuel(out.0.len() as u64 / 64)?;
    written.map_err(|error| Error::new(ErrorKind::BadSerialization, "tojson").with_source(error))?;
    String::from_utf8(out.0).map_err(|error| Error::new(ErrorKind::BadSerialization, "tojson").with_source(error))
}

fn write(value: &Value, out: &mut Bounded, layout: impl Formatter) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, Shallow { layout, depth: 0 }))
}

/// A buffer that refuses to grow beyond [`MAX_VALUE_BYTES`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_VALUE_BYTES {
            return Err(io::Error::other(format!("more than {MAX_VALUE_BYTES} bytes for one value")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One line, with a space after commas and colons.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// Another layout, up to [`MAX_DEPTH`].
struct Shallow<F> {
    layout: F,
    depth: usize,
}

impl<F> Shallow<F> {
    fn deeper(&mut self) -> io::Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(io::Error::other(format!("nested deeper than {MAX_DEPTH}"))) } else { Ok(()) }
    }
}

impl<F: Formatter> Formatter for Shallow<F> {
    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.deeper()?;
        self.layout.begin_array(out)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        self.layout.end_array(out)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.layout.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.layout.end_array_value(out)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.deeper()?;
        self.layout.begin_object(out)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        self.layout.end_object(out)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.layout.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.layout.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.layout.end_object_value(out)
    }
}
