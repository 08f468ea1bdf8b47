//! Pieces as the bytes that they stand for inside a text, for programs that only have to show tokens.
use super::{
    Tokenizer,
    stream::{Streaming, byte_of},
};
use crate::{Error, Result};

/// A vocabulary as bytes: putting the pieces of a text one after the other gives the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// By id; empty for special tokens and for ids that don't exist.
    pub bytes: Vec<Vec<u8>>,
    /// One space at the beginning of a text is not part of it.
    pub strips_space: bool,
}

impl Tokenizer {
    /// The pieces of the ids below `vocabulary`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the decoder looks at more than a piece; as [`Tokenizer::decode`].
    ///
    /// ```
    /// use qint_std::{bundled, tokenizer::Tokenizer};
    /// # fn main() -> qint_std::Result<()> {
    /// # let file = |name| bundled::FILES.iter().find(|file| file.0 == name).expect("a file of the model").1;
    /// let tokenizer = Tokenizer::from_bytes(file("tokenizer.json"))?;
    /// let pieces = tokenizer.pieces(768)?;
    /// let ids = tokenizer.encode("Thou art – more lovely", false)?;
    /// let bytes: Vec<u8> = ids.iter().flat_map(|id| pieces.bytes[*id as usize].clone()).collect();
    /// assert_eq!(bytes, "Thou art – more lovely".as_bytes());
    /// # Ok(())
    /// # }
    /// ```
    pub fn pieces(&self, vocabulary: usize) -> Result<Pieces> {
        let bytes: Vec<Vec<u8>> = (0..vocabulary as u32).map(|id| self.piece_bytes(id)).collect::<Result<_>>()?;
        let spaced = bytes.iter().position(|piece| piece.len() > 1 && piece.is_ascii() && piece[0] == b' ');
        let strips_space = match spaced {
            Some(id) => !self.decode(&[id as u32], false)?.starts_with(' '),
            None => false,
        };
        Ok(Pieces { bytes, strips_space })
    }

    fn piece_bytes(&self, id: u32) -> Result<Vec<u8>> {
        let Some(piece) = self.piece(id).filter(|_| !self.is_special(id)) else { return Ok(Vec::new()) };
        match self.streaming {
            Streaming::Bytes { anchor } => match byte_of(&piece) {
                Some(byte) => Ok(vec![byte]),
                // The anchor decodes to one ASCII letter.
                None => Ok(self.decode(&[anchor, id], false)?.into_bytes().split_off(1)),
            },
            Streaming::ByteLevel { .. } => Ok(byte_level(&piece)),
            Streaming::AtTheEnd => {
                Err(Error::unsupported("a tokenizer whose decoder looks at a whole text", "flash images can't hold it"))
            }
        }
    }
}

/// GPT-2's spelling of bytes: printable ones of Latin-1 stand for themselves, the others follow from U+0100 on, in order.
fn byte_level(piece: &str) -> Vec<u8> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let byte = |character: char| match u8::try_from(character) {
        Ok(byte) => Some(byte).filter(|byte| printable(*byte)),
        Err(_) => (0..=u8::MAX).filter(|byte| !printable(*byte)).nth(character as usize - 256),
    };
    // A piece with any other character is an added token, which is spelled as it is shown.
    piece.chars().map(byte).collect::<Option<Vec<u8>>>().unwrap_or_else(|| piece.into())
}

#[cfg(test)]
mod tests {
    use super::byte_level;

    #[test]
    fn all_bytes_have_a_spelling() {
        assert_eq!(byte_level("Ġthe"), b" the");
        assert_eq!(byte_level("Ċ"), b"\n");
        assert_eq!(byte_level("ĀÃ©Ń"), [0, 0xc3, 0xa9, 0xad]);
        assert_eq!(byte_level("→"), "→".as_bytes());
        assert_eq!(byte_level("é →"), "é →".as_bytes());
    }
}
