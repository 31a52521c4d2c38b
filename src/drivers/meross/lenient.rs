//! Values as firmware writes them: numbers as text and the reverse, one object where a list is expected.

use serde_json::Value;

/// Entries of a list that are looked at; a plug has fewer of everything.
pub const MOST: usize = 64;

/// A number, which may be written as text; finite.
pub fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    number.is_finite().then_some(number)
}

/// A whole number, which may be written as text or with a fraction of zero.
pub fn whole(value: &Value) -> Option<i64> {
    if let Some(whole) = value.as_i64() {
        return Some(whole);
    }
    if let Some(text) = value.as_str() {
        return text.trim().parse().ok();
    }
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e15)?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
    let number = number as i64;
    Some(number)
}

/// A whole number that is not negative.
pub fn count(value: &Value) -> Option<u64> {
    whole(value).and_then(|whole| u64::try_from(whole).ok())
}

/// The word of an object, cut off where no word goes on.
pub fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str().filter(|text| text.len() <= 256)
}

/// On or off: 0 and 1 in any spelling, true and false.
pub fn switch(value: &Value) -> Option<bool> {
    if let Some(on) = value.as_bool() {
        return Some(on);
    }
    match whole(value)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// The objects of a list, or the one object that stands in its place; at most [`MOST`].
pub fn each(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let list = match value {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => &[],
    };
    list.iter().take(MOST).filter(|one| one.is_object())
}
