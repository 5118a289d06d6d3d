//! JSON as PHP writes it. A signature covers the bytes, so that a receiver that reads and re-writes a body before it checks must fail
//! here as it would fail in production.

use serde_json::Value;

/// The value as PHP's `json_encode` writes it as it stands: `/` as `\/`, everything outside ASCII as `\uxxxx` in lower case.
#[must_use]
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = String::new();
    write(value, &mut out);
    out.into_bytes()
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => string(text, out),
        Value::Array(items) => {
            list(['[', ']'], items, out, write);
        }
        Value::Object(members) => list(['{', '}'], members, out, |(name, value), out| {
            string(name, out);
            out.push(':');
            write(value, out);
        }),
    }
}

fn list<T>(
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    out: &mut String,
    each: impl Fn(T, &mut String),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        each(item, out);
    }
    out.push(close);
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' => out.push_str("\\/"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='\u{7f}' => out.push(character),
            _ => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What `php -r 'echo json_encode([...]);'` prints.
    #[test]
    fn it_escapes_as_php_does() {
        let value = json!({"url": "https://a/b", "é": "É😀\u{7f}", "c": "\"\\\u{8}\u{c}\n\r\t\u{1}", "n": [1, -2.5, null, true, {}, []]});
        assert_eq!(
            String::from_utf8(encode(&value)).unwrap(),
            r#"{"url":"https:\/\/a\/b","\u00e9":"\u00c9\ud83d\ude00"#.to_owned()
                + "\u{7f}"
                + r#"","c":"\"\\\b\f\n\r\t\u0001","n":[1,-2.5,null,true,{},[]]}"#
        );
    }

    #[test]
    fn what_it_writes_reads_back_as_the_same_value() {
        let value = json!({"a/b": ["ü€𝄞", "\u{1f}", "plain"], "deep": {"x": {"y": [[]]}}});
        assert_eq!(serde_json::from_slice::<Value>(&encode(&value)).unwrap(), value);
    }
}
