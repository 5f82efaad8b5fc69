//! Shortens the text that an error quotes: enough remains to find it.

/// In characters: more than any address, prefix or keyword has.
const LONGEST: usize = 64;

/// The beginning of `text`, with an ellipsis if the rest was cut off.
#[must_use]
pub fn excerpt(text: &str) -> String {
    match text.char_indices().nth(LONGEST).and_then(|(end, _)| text.get(..end)) {
        Some(beginning) => format!("{beginning}…"),
        None => text.to_owned(),
    }
}
