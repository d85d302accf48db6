//! JSON's values as YAML: block style, and quotes wherever a plain text could be read otherwise.

use std::fmt::Write;

use serde_json::Value;

/// The text, with a line's end.
#[must_use]
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Array(items) if !items.is_empty() => list(&mut text, items, 0),
        Value::Object(fields) if !fields.is_empty() => map(&mut text, fields, 0, false),
        other => {
            text.push_str(&scalar(other));
            text.push('\n');
        }
    }
    text
}

fn list(text: &mut String, items: &[Value], indent: usize) {
    for item in items {
        text.push_str(&" ".repeat(indent));
        match item {
            Value::Object(fields) if !fields.is_empty() => {
                text.push_str("- ");
                map(text, fields, indent + 2, true);
            }
            Value::Array(inner) if !inner.is_empty() => {
                text.push_str("-\n");
                list(text, inner, indent + 2);
            }
            // Writing to a string cannot fail.
            other => drop(writeln!(text, "- {}", scalar(other))),
        }
    }
}

/// `begun`: the first line is indented already, behind a dash.
fn map(text: &mut String, fields: &serde_json::Map<String, Value>, indent: usize, begun: bool) {
    for (index, (key, value)) in fields.iter().enumerate() {
        if index > 0 || !begun {
            text.push_str(&" ".repeat(indent));
        }
        text.push_str(&string(key));
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push_str(":\n");
                map(text, inner, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push_str(":\n");
                list(text, items, indent);
            }
            other => drop(writeln!(text, ": {}", scalar(other))),
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        // Empty lists and maps, numbers, null: YAML reads JSON's.
        other => other.to_string(),
    }
}

fn string(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    let begins = text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '/');
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if begins && !word && text.chars().all(plain) {
        return text.to_owned();
    }
    // A JSON string is a YAML string in double quotes.
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_keep_their_types() {
        let value = json!([
            {
                "name": "amr-07",
                "labels": { "site": "osaka", "on": "yes", "rack": "1e3" },
                "homes": ["m1", "m2"],
                "none": null,
                "empty": {},
                "nested": [[1, 2], []],
                "text": "a: b # c\n\u{1b}",
            },
            "- dash",
            1.5,
        ]);
        let expect = "\
- empty: {}
  homes:
  - m1
  - m2
  labels:
    \"on\": \"yes\"
    rack: \"1e3\"
    site: osaka
  name: amr-07
  nested:
  -
    - 1
    - 2
  - []
  none: null
  text: \"a: b # c\\n\\u001b\"
- \"- dash\"
- 1.5
";
        assert_eq!(text(&value), expect);
        assert_eq!(text(&json!([])), "[]\n");
    }
}
