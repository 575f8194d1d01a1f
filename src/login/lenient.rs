//! Members of an answer that providers write differently from the standards, with one meaning all the same: a number as a
//! string, an empty string or null for what is absent. A value without such a meaning stays an error. Pure.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// Reads an optional text; null and the empty string count as absent.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.trim().is_empty()))
}

/// Reads an optional number of seconds, which may be text or have a fraction.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let number = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_f64(),
        _ => None,
    };
    match number {
        Some(number) if f64::is_finite(number) => Ok(Some(number)),
        _ => Err(de::Error::custom("it is not a number of seconds")),
    }
}

/// Reads a list of words; one text has them separated by spaces, and null counts as absent.
pub(crate) fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(text.split_whitespace().map(str::to_owned).collect()),
        Value::Array(items) => Ok(items
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()),
        _ => Err(de::Error::custom("it is not a list")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    struct Members {
        #[serde(default, deserialize_with = "text")]
        text: Option<String>,
        #[serde(default, deserialize_with = "seconds")]
        seconds: Option<f64>,
        #[serde(default, deserialize_with = "words")]
        words: Vec<String>,
    }

    fn read(json: Value) -> Result<Members, serde_json::Error> {
        serde_json::from_value(json)
    }

    #[test]
    fn a_number_may_be_text_and_the_absent_may_be_empty() {
        for (json, expected) in [
            (json!({}), None),
            (json!({ "seconds": null }), None),
            (json!({ "seconds": "" }), None),
            (json!({ "seconds": 900 }), Some(900.0)),
            (json!({ "seconds": 900.5 }), Some(900.5)),
            (json!({ "seconds": "900" }), Some(900.0)),
            (json!({ "seconds": " 900.0 " }), Some(900.0)),
        ] {
            assert_eq!(read(json.clone()).unwrap().seconds, expected, "{json}");
        }
        for bad in [
            json!("soon"),
            json!("NaN"),
            json!("inf"),
            json!([]),
            json!(true),
        ] {
            assert!(read(json!({ "seconds": bad })).is_err(), "{bad}");
        }
    }

    #[test]
    fn texts_and_lists_keep_their_types() {
        assert_eq!(read(json!({ "text": " " })).unwrap().text, None);
        assert_eq!(read(json!({ "text": null })).unwrap().text, None);
        assert_eq!(read(json!({ "text": "a" })).unwrap().text.unwrap(), "a");
        assert!(read(json!({ "text": 7 })).is_err());
        for list in [json!(["a", "b"]), json!("a b"), json!(["a", 7, "b"])] {
            assert_eq!(read(json!({ "words": list })).unwrap().words, ["a", "b"]);
        }
        assert!(read(json!({ "words": null })).unwrap().words.is_empty());
        assert!(read(json!({ "words": { "a": 1 } })).is_err());
    }
}
