//! What one scalar means, by YAML 1.2's core schema.

use regatta_protocol::config::value::{Float, Value};

use super::Mark;

/// A value that is neither a list nor a map, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// Its text, without quotes and escapes.
    pub text: String,
    /// Whether it may be something other than a text: it stands there without quotes.
    pub plain: bool,
    /// Where its first character stands; none where characters of the file are not those of the text.
    pub(super) flat_at: Option<Mark>,
}

impl Scalar {
    /// Where a character of the text stands, counted from 0; none where that cannot be said.
    #[must_use]
    pub fn mark_of(&self, index: usize) -> Option<Mark> {
        let start = self.flat_at?;
        Some(Mark {
            line: start.line,
            column: start.column + index,
        })
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The text, where it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.value() {
            Ok(Value::Text(_)) => Some(&self.text),
            _ => None,
        }
    }

    /// What it is, in words for a message.
    #[must_use]
    pub fn what(&self) -> String {
        let text = shortened(&self.text);
        match self.value() {
            Ok(Value::Null) => "nothing".to_owned(),
            Ok(Value::Bool(_)) => format!("{text} (true or false)"),
            Ok(Value::Int(_) | Value::Float(_)) | Err(_) => format!("{text} (a number)"),
            Ok(Value::Text(_) | Value::List(_) | Value::Map(_)) => format!("{text:?}"),
        }
    }

    /// What a program reads here.
    ///
    /// # Errors
    /// When it is a number that cannot be kept, or one that readers take differently.
    pub fn value(&self) -> Result<Value, String> {
        let text = self.text.as_str();
        if !self.plain {
            return Ok(Value::Text(text.to_owned()));
        }
        if self.is_null() {
            return Ok(Value::Null);
        }
        match text {
            "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return float(f64::INFINITY),
            "-.inf" | "-.Inf" | "-.INF" => return float(f64::NEG_INFINITY),
            ".nan" | ".NaN" | ".NAN" => return float(f64::NAN),
            _ => {}
        }
        if let Some(read) = integer(text) {
            return read;
        }
        if is_float(text) {
            let read: Result<f64, _> = text.parse();
            return match read {
                Ok(read) if read.is_finite() => float(read),
                _ => Err(format!(
                    "{text} is larger than a number can be; put it in quotes to keep it as a text"
                )),
            };
        }
        Ok(Value::Text(text.to_owned()))
    }
}

fn float(number: f64) -> Result<Value, String> {
    let kept = Float::new(number).map(Value::Float);
    kept.ok_or_else(|| ".nan is no number; leave it out, or put it in quotes".to_owned())
}

/// None where it does not look like a whole number.
fn integer(text: &str) -> Option<Result<Value, String>> {
    let large = || {
        format!(
            "{text} is beyond what a whole number can be ({} to {}); put it in quotes to keep it as a text",
            i64::MIN,
            i64::MAX
        )
    };
    let based = |digits: &str, base: u32| {
        let all = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base));
        let read = || i64::from_str_radix(digits, base).map(Value::Int);
        all.then(|| read().map_err(|_| large()))
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return based(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return based(digits, 8);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Some(Err(format!(
            "{text} begins with a zero, which some take for octal; put it in quotes, or write the number without it"
        )));
    }
    Some(text.parse().map(Value::Int).map_err(|_| large()))
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (number, exponent) = match rest.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (rest, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let number_fits = match number.split_once('.') {
        Some(("", after)) => !after.is_empty() && digits(after),
        Some((before, after)) => digits(before) && digits(after),
        None => !number.is_empty() && digits(number),
    };
    exponent_fits && number_fits
}

/// At most so much of a text as a message shows.
#[must_use]
pub fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let begin: String = text.chars().take(SHOWN).collect();
    format!("{begin}…")
}
