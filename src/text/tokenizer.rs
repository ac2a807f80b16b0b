use alloc::string::String;
use core::fmt::Debug;

/// Takes texts apart into tokens, by which they are found. What a query says is taken apart in the same way.
///
/// ```
/// use sapwood::Tokenizer;
///
/// /// Each line as it is.
/// #[derive(Debug)]
/// struct Lines;
///
/// impl Tokenizer for Lines {
///     fn name(&self) -> &str {
///         "my_crate.lines"
///     }
///
///     fn tokens(&self, text: &str, take: &mut dyn FnMut(&str)) {
///         text.lines().for_each(take);
///     }
/// }
/// ```
pub trait Tokenizer: Debug + Sync {
    /// Its name, which an index keeps: see to it that it always stands for the same tokens.
    fn name(&self) -> &str;

    /// Gives the tokens of a text one after the other.
    fn tokens(&self, text: &str, take: &mut dyn FnMut(&str));
}

/// Words in lower case: letters and digits of any script that stand together. Each Chinese character and each Japanese kana is a
/// word of its own, as these scripts have no spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words;

impl Tokenizer for Words {
    fn name(&self) -> &str {
        "words"
    }

    fn tokens(&self, text: &str, take: &mut dyn FnMut(&str)) {
        let mut word = String::new();
        for letter in text.chars() {
            let alone = stands_alone(letter);
            if !word.is_empty() && (alone || !letter.is_alphanumeric()) {
                take(&word);
                word.clear();
            }
            if letter.is_alphanumeric() {
                word.extend(letter.to_lowercase());
            }
            if alone {
                take(&word);
                word.clear();
            }
        }
        if !word.is_empty() {
            take(&word);
        }
    }
}

/// Whether a character is a word: an ideograph or a kana.
fn stands_alone(letter: char) -> bool {
    matches!(letter, '\u{3041}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}')
        && letter.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        Words.tokens(text, &mut |word| words.push(word.to_string()));
        words
    }

    #[test]
    fn words_are_letters_and_digits_in_lower_case() {
        assert_eq!(
            words("The Oak's 3 rings: GRÖẞE, straße — Ω."),
            ["the", "oak", "s", "3", "rings", "größe", "straße", "ω"]
        );
        assert_eq!(words("İstanbul"), ["i\u{307}stanbul"]);
        assert_eq!(words("年輪 2024年 ひらがな"), ["年", "輪", "2024", "年", "ひ", "ら", "が", "な"]);
        assert_eq!(words(" .,・ "), [""; 0]);
    }
}
