//! Facts as JSON (RFC 8259).

use std::fmt::{Display, Write as _};

/// Writes an object, field by field.
pub(crate) struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl<'a> Object<'a> {
    pub(crate) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    pub(crate) fn end(self) {
        self.out.push('}');
    }

    /// Begins a field, whose value the caller writes. `name` needs no escapes.
    pub(crate) fn field(&mut self, name: &str) -> &mut String {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        self.out
    }

    /// Adds a number, or another value whose text is JSON.
    pub(crate) fn plain(&mut self, name: &str, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.field(name), "{value}");
    }

    /// Adds a text that needs no escapes.
    pub(crate) fn word(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.field(name), "\"{value}\"");
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        text(self.field(name), value);
    }

    /// Adds the fields of an object of JavaScript, which is `{}` or has some.
    pub(crate) fn fields_of(&mut self, object: &str) {
        let fields = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        if fields.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(',');
        }
        self.out.push_str(fields);
    }
}

/// Writes a text in quotes.
pub(crate) fn text(out: &mut String, value: &str) {
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // Some readers take U+2028 and U+2029 for the end of a line.
            '\0'..='\u{1f}' | '\u{7f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a text of JSON, strictly: `None` if it is none.
    fn read(json: &str) -> Option<String> {
        let mut rest = json.strip_prefix('"')?.strip_suffix('"')?.chars();
        let mut text = String::new();
        while let Some(character) = rest.next() {
            match character {
                '\\' => match rest.next()? {
                    'n' => text.push('\n'),
                    'u' => {
                        let digits: String = rest.by_ref().take(4).collect();
                        text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                    }
                    escaped @ ('"' | '\\') => text.push(escaped),
                    _ => return None,
                },
                '"' | '\0'..='\u{1f}' => return None,
                _ => text.push(character),
            }
        }
        Some(text)
    }

    proptest! {
        #[test]
        fn a_text_can_be_read_again(value in any::<String>()) {
            let mut out = String::new();
            text(&mut out, &value);
            prop_assert_eq!(read(&out), Some(value));
        }
    }

    #[test]
    fn objects_have_commas_between_their_fields() {
        let object = |facts: &str| {
            let mut out = String::new();
            let mut object = Object::begin(&mut out);
            object.fields_of(facts);
            object.plain("number", 1);
            object.fields_of(facts);
            object.word("word", "two");
            object.end();
            out
        };
        assert_eq!(object("{}"), r#"{"number":1,"word":"two"}"#);
        assert_eq!(object(r#"{"a":{}}"#), r#"{"a":{},"number":1,"a":{},"word":"two"}"#);
    }
}
