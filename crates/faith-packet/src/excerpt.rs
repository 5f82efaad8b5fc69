//! What an error shows of the text it refuses: enough to find it, however long it is.

/// More characters than any address, prefix or keyword has.
const LONGEST: usize = 64;

/// The beginning of `text`, with an ellipsis where more was cut off.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(LONGEST).and_then(|(end, _)| text.get(..end)) {
        Some(beginning) => format!("{beginning}…"),
        None => text.to_owned(),
    }
}
