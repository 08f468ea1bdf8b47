//! Stop strings in a text that arrives in pieces. A piece's end is held back as long as it may be the beginning of a stop
//! string. The stop string that is complete first counts (of two that are complete together, the longer one), so the
//! result does not depend on the pieces.
use crate::{Error, Result};

pub(super) struct StopFilter<'a> {
    stops: &'a [String],
    held: String,
}

impl<'a> StopFilter<'a> {
    pub(super) fn new(stops: &'a [String]) -> Result<StopFilter<'a>> {
        if stops.iter().any(String::is_empty) {
            let allowed = "at least one character is needed".into();
            return Err(Error::Argument { what: "a stop string", given: "empty".into(), allowed });
        }
        Ok(StopFilter { stops, held: String::new() })
    }

    /// Takes more text. Returns what is certain to be before any stop string, and whether one was found.
    pub(super) fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        if let Some(start) = self.found() {
            self.held.truncate(start);
            return (std::mem::take(&mut self.held), true);
        }
        let kept = self.held.split_off(self.undecided());
        (std::mem::replace(&mut self.held, kept), false)
    }

    /// There is no more text: what was held back.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Where the stop string starts that ends first.
    fn found(&self) -> Option<usize> {
        let places = self.stops.iter().filter_map(|stop| self.held.find(stop).map(|start| (start + stop.len(), start)));
        places.min().map(|(_, start)| start)
    }

    /// Where the longest end of `held` starts that a stop string begins with.
    fn undecided(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let earliest = (self.held.len() + 1).saturating_sub(longest);
        let begins = |&start: &usize| self.stops.iter().any(|stop| stop.starts_with(&self.held[start..]));
        let starts = self.held.char_indices().map(|(start, _)| start).filter(|&start| start >= earliest);
        starts.take_while(|_| longest > 0).find(begins).unwrap_or(self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filtered(stops: &[String], pieces: &[&str]) -> (String, bool) {
        let mut filter = StopFilter::new(stops).unwrap();
        let mut out = String::new();
        for piece in pieces {
            let (text, stopped) = filter.push(piece);
            out.push_str(&text);
            if stopped {
                return (out, true);
            }
        }
        (out + &filter.finish(), false)
    }

    /// Character by character, the obvious way.
    fn expected(stops: &[String], text: &str) -> (String, bool) {
        let ends = text.char_indices().map(|(start, letter)| start + letter.len_utf8());
        let ending = |end: usize| stops.iter().filter(|stop| text[..end].ends_with(*stop)).map(String::len).max();
        match ends.filter_map(|end| ending(end).map(|len| end - len)).next() {
            Some(start) => (text[..start].to_owned(), true),
            None => (text.to_owned(), false),
        }
    }

    #[test]
    fn text_is_held_back_only_while_it_may_be_a_stop_string() {
        let stops = ["</s>".to_owned(), "\n\n".to_owned()];
        let mut filter = StopFilter::new(&stops).unwrap();
        assert_eq!(filter.push("one </"), ("one ".to_owned(), false));
        assert_eq!(filter.push("b>"), ("</b>".to_owned(), false));
        assert_eq!(filter.push("é\n"), ("é".to_owned(), false));
        assert_eq!(filter.push("\n!"), (String::new(), true));
    }

    #[test]
    fn nothing_is_held_back_without_stop_strings() {
        assert_eq!(StopFilter::new(&[]).unwrap().push("abc"), ("abc".to_owned(), false));
        assert!(StopFilter::new(&[String::new()]).is_err());
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            stops in prop::collection::vec("[abé]{1,4}", 0..4), text in "[abé]{0,24}", cuts in prop::collection::vec(0usize..50, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|&cut| text.is_char_boundary(cut)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            prop_assert_eq!(filtered(&stops, &pieces), expected(&stops, &text));
        }
    }
}
