//! The words of a recipe: codecs, patterns over tensor names, and the rules made of them, as text and back.
use crate::{Error, Result, limits};
use qint_core::{
    activation::{ActivationBlock, ActivationFormat, Transform},
    codec::{Codec, Group},
};
use std::{fmt, str::FromStr};

/// A codec and its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scheme {
    /// How a code becomes a level.
    pub codec: Codec,
    /// Columns that share a sub-scale.
    pub group: Group,
}

/// A glob over tensor names: `*` stands for any characters, `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// Tensors that get another codec: `PATTERN=CODEC[:gGROUP]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which tensors.
    pub pattern: Pattern,
    /// What they get.
    pub scheme: Scheme,
}

/// Matrices whose input is prepared in another way: `PATTERN=none|hadamard[:bBLOCK]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationRule {
    /// Which matrices.
    pub pattern: Pattern,
    /// What their input gets.
    pub format: ActivationFormat,
}

impl Scheme {
    /// `codec` with its default group.
    pub const fn of(codec: Codec) -> Scheme {
        Scheme { codec, group: codec.default_group() }
    }
}

impl Pattern {
    /// Whether `name` as a whole matches.
    pub fn matches(&self, name: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        // reached[i]: the first i characters of the pattern match the characters of the name read so far.
        let mut reached = vec![false; pattern.len() + 1];
        reached[0] = true;
        skip_stars(&pattern, &mut reached);
        for character in name.chars() {
            let mut next = vec![false; pattern.len() + 1];
            for (i, expected) in pattern.iter().enumerate() {
                if reached[i] && (*expected == '?' || *expected == character) {
                    next[i + 1] = true;
                }
                next[i] |= reached[i] && *expected == '*';
            }
            skip_stars(&pattern, &mut next);
            reached = next;
        }
        reached[pattern.len()]
    }
}

/// A star also stands for nothing.
fn skip_stars(pattern: &[char], reached: &mut [bool]) {
    for i in 0..pattern.len() {
        reached[i + 1] |= reached[i] && pattern[i] == '*';
    }
}

impl FromStr for Scheme {
    type Err = Error;

    /// Reads `CODEC[:gGROUP]`.
    fn from_str(text: &str) -> Result<Scheme> {
        let (codec, group) = text.split_once(':').map_or((text, None), |(codec, group)| (codec, Some(group)));
        let wrong = || Error::Argument {
            what: "the codec",
            given: format!("'{text}'"),
            allowed: "one of q8, q4, q4-linear, q2, q2-linear, q1, with :g32, :g64 or :g128 if wanted".into(),
        };
        let codec = Codec::from_name(codec).ok_or_else(wrong)?;
        let group = match group {
            None => codec.default_group(),
            Some(group) => parse_prefixed(group, 'g').and_then(Group::from_cols).ok_or_else(wrong)?,
        };
        Ok(Scheme { codec, group })
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Pattern> {
        if text.is_empty() || text.len() > limits::NAME_BYTES {
            return Err(Error::Argument {
                what: "the rule's pattern",
                given: format!("{} bytes long", text.len()),
                allowed: format!("1 to {} bytes", limits::NAME_BYTES),
            });
        }
        Ok(Pattern(text.to_owned()))
    }
}

impl FromStr for Rule {
    type Err = Error;

    /// Reads `PATTERN=CODEC[:gGROUP]`.
    fn from_str(text: &str) -> Result<Rule> {
        let (pattern, scheme) = split_rule(text, "PATTERN=CODEC[:gGROUP]")?;
        Ok(Rule { pattern: pattern.parse()?, scheme: scheme.parse()? })
    }
}

impl FromStr for ActivationRule {
    type Err = Error;

    /// Reads `PATTERN=none|hadamard[:bBLOCK]`.
    fn from_str(text: &str) -> Result<ActivationRule> {
        let (pattern, format) = split_rule(text, "PATTERN=none|hadamard[:bBLOCK]")?;
        Ok(ActivationRule { pattern: pattern.parse()?, format: parse_activation(format)? })
    }
}

/// Reads `none` or `hadamard`, with `:b256`, `:b512` or `:b1024` if wanted.
///
/// # Errors
/// [`Error::Argument`].
pub fn parse_activation(text: &str) -> Result<ActivationFormat> {
    let (transform, block) = text.split_once(':').map_or((text, None), |(name, block)| (name, Some(block)));
    let wrong = || Error::Argument {
        what: "the activation format",
        given: format!("'{text}'"),
        allowed: "none or hadamard, with :b256, :b512 or :b1024 if wanted".into(),
    };
    let transform = transform_from_name(transform).ok_or_else(wrong)?;
    let block = match block {
        None => ActivationFormat::DEFAULT.block,
        Some(block) => parse_prefixed(block, 'b').and_then(ActivationBlock::from_cols).ok_or_else(wrong)?,
    };
    Ok(ActivationFormat { transform, block })
}

/// The word for a transform in files and on the command line.
pub const fn transform_name(transform: Transform) -> &'static str {
    match transform {
        Transform::None => "none",
        Transform::Hadamard => "hadamard",
    }
}

/// The transform of that [`transform_name`].
pub fn transform_from_name(name: &str) -> Option<Transform> {
    [Transform::None, Transform::Hadamard].into_iter().find(|transform| transform_name(*transform) == name)
}

fn parse_prefixed(text: &str, prefix: char) -> Option<usize> {
    text.strip_prefix(prefix)?.parse().ok()
}

fn split_rule<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str)> {
    text.rsplit_once('=').ok_or_else(|| Error::Argument {
        what: "the rule",
        given: format!("'{text}'"),
        allowed: format!("it has the form {form}"),
    })
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:g{}", self.codec.name(), self.group.cols())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pattern, self.scheme)
    }
}

impl fmt::Display for ActivationRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pattern, show_activation(self.format))
    }
}

/// The inverse of [`parse_activation`].
pub fn show_activation(format: ActivationFormat) -> String {
    format!("{}:b{}", transform_name(format.transform), format.block.cols())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, matches) in [
            ("*", "", true),
            ("?", "", false),
            ("model.*.weight", "model.layers.0.mlp.up_proj.weight", true),
            ("model.*.weight", "model.layers.0.mlp.up_proj.bias", false),
            ("*.?.*", "layers.1.x", true),
            ("*.?.*", "layers.12.x", false),
            ("a*b*c", "abbbc", true),
            ("a*b*c", "acb", false),
            ("**x", "x", true),
        ] {
            assert_eq!(pattern.parse::<Pattern>().unwrap().matches(name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn text_and_back() {
        for text in ["*.down_proj.weight=q2-linear:g128", "a=b=q8:g32"] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        assert_eq!("x=q2".parse::<Rule>().unwrap().to_string(), "x=q2:g64");
        assert_eq!("x=none".parse::<ActivationRule>().unwrap().to_string(), "x=none:b256");
        for wrong in ["x", "=q4", "x=q5", "x=q4:32", "x=q4:g48", "x=q4:g32:g32", "x="] {
            assert!(wrong.parse::<Rule>().is_err(), "{wrong}");
        }
        for wrong in ["x=hadamard:256", "x=fft", "x=none:b0"] {
            assert!(wrong.parse::<ActivationRule>().is_err(), "{wrong}");
        }
    }
}
