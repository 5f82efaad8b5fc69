//! Facts as JSON (RFC 8259).

use std::borrow::Cow;
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

/// The fields of an object of JavaScript: names, and values as JSON. Stops where the text is no JSON.
pub(crate) fn fields(object: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = object.strip_prefix('{').unwrap_or_default();
    std::iter::from_fn(move || {
        let name = rest.strip_prefix('"')?;
        let (name, after) = name.split_once("\":")?;
        let (value, more) = after.split_at_checked(length_of_value(after)?)?;
        rest = more.get(1..)?;
        Some((name, value))
    })
}

/// The length of the value that a text begins with.
fn length_of_value(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b',' | b'}' | b']' if depth == 0 => return Some(at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A value of JSON as it reads best: a text without its quotes and escapes, any other value as it is.
pub(crate) fn plain_text(value: &str) -> Cow<'_, str> {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        None => Cow::Borrowed(value),
        Some(text) if !text.contains('\\') => Cow::Borrowed(text),
        Some(text) => Cow::Owned(unescape(text)),
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        out.push(match (character, character == '\\') {
            (_, false) => character,
            (_, true) => match rest.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('u') => {
                    let digits: String = rest.by_ref().take(4).collect();
                    let number = u32::from_str_radix(&digits, 16).ok();
                    // Half of a pair stands alone: JavaScript writes whole pairs as they are.
                    number.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
                }
                other => other.unwrap_or('\\'),
            },
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_can_be_read_again(value in any::<String>()) {
            let mut out = String::new();
            text(&mut out, &value);
            prop_assert!(!out.chars().any(char::is_control));
            prop_assert_eq!(length_of_value(&format!("{out},")), Some(out.len()));
            prop_assert_eq!(plain_text(&out), value);
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

    #[test]
    fn fields_of_an_object_are_read_one_by_one() {
        let object = r#"{"a":1,"b":"x\"},{","c":{"d":[1,{}]},"e":[],"f":null}"#;
        let read: Vec<_> = fields(object).collect();
        let expected =
            [("a", "1"), ("b", r#""x\"},{""#), ("c", r#"{"d":[1,{}]}"#), ("e", "[]"), ("f", "null")];
        assert_eq!(read, expected);
        assert_eq!(fields("{}").count(), 0);
        assert_eq!(fields("").count(), 0);
        assert_eq!(plain_text(r#""x\"},\u0041\ud800\n""#), "x\"},A\u{fffd}\n");
    }
}
