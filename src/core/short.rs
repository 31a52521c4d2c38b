//! Texts that have an end.

/// The text, or its beginning up to so many characters, cut at a word.
pub fn shortened(text: &str, most: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(most) else { return text.into() };
    let begin = text.get(..end).unwrap_or_default();
    // A word that takes half of it is cut all the same.
    let whole = text.get(end..).is_some_and(|rest| rest.starts_with(' '));
    let word = begin.rfind(' ').filter(|at| !whole && *at > end / 2).unwrap_or(end);
    format!("{}...", begin.get(..word).unwrap_or_default().trim_end_matches([' ', ',', ';', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_ends_at_a_word() {
        assert_eq!(shortened("it hangs", 8), "it hangs");
        assert_eq!(shortened("it hangs; close the vendor's app", 15), "it hangs; close...");
        assert_eq!(shortened("it hangs; close", 12), "it hangs...");
        assert_eq!(shortened(&"ü".repeat(20), 10), format!("{}...", "ü".repeat(10)));
    }
}
