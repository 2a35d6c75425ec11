//! Letters as file systems compare them: in either case, and put together in one way or another.

use icu_normalizer::ComposingNormalizerBorrowed;

/// Text without what tells ways to put letters together apart, and where case is ignored without what tells cases apart, as
/// far as letters stand for themselves.
pub(crate) fn in_one_spelling(text: &str, ignores_case: bool) -> String {
    let normal = |text: &str| ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned();
    if ignores_case { normal(&without_case(text)) } else { normal(text) }
}

/// Text without what tells cases apart, each letter for itself: a sigma at the end of a word, too.
pub(crate) fn without_case(text: &str) -> String {
    // A letter that is small only by itself is made of others in capitals.
    let letters = text.chars().flat_map(char::to_lowercase).flat_map(char::to_uppercase);
    letters.flat_map(char::to_lowercase).collect()
}

/// A name in other letters, if it has some: in those that every file system that ignores case ignores it of, where it has
/// such.
pub(super) fn other_case(name: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(name).ok()?;
    let swapped = if name.iter().any(u8::is_ascii_alphabetic) {
        text.chars().map(swapped_ascii).collect()
    } else {
        text.chars().map(swapped).collect::<String>()
    };
    Some(swapped.into_bytes()).filter(|other| other != name)
}

fn swapped_ascii(letter: char) -> char {
    if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
}

/// The same letter in the other case, where that is one and leads back.
fn swapped(letter: char) -> char {
    let cases = |letter: char| [single(letter.to_uppercase()), single(letter.to_lowercase())];
    let other = cases(letter).into_iter().flatten().find(|other| *other != letter);
    other.filter(|&other| cases(other).contains(&Some(letter))).unwrap_or(letter)
}

fn single(mut letters: impl Iterator<Item = char>) -> Option<char> {
    letters.next().filter(|_| letters.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_another_case() {
        let other = |name: &str| other_case(name.as_bytes()).map(|other| String::from_utf8(other).unwrap());
        assert_eq!(other("Makefile.1").as_deref(), Some("mAKEFILE.1"));
        assert_eq!(other("README").as_deref(), Some("readme"));
        // What becomes of other letters file systems do not agree on: they stand beside those of ASCII as they are.
        assert_eq!(other("B\u{fc}ro \u{df}\u{131}").as_deref(), Some("b\u{fc}RO \u{df}\u{131}"));
        assert_eq!(other("\u{e4}\u{df}\u{416}").as_deref(), Some("\u{c4}\u{df}\u{436}"));
        assert_eq!((other("1.2"), other("\u{df}"), other_case(b"a\xff")), (None, None, None));
    }

    #[test]
    fn spellings_are_compared_as_file_systems_do() {
        for (one, other) in
            [("\u{df}", "\u{1e9e}"), ("SS", "\u{df}"), ("\u{3c3}", "\u{3c2}"), ("\u{212a}", "k")]
        {
            assert_eq!(in_one_spelling(one, true), in_one_spelling(other, true));
            assert_ne!(in_one_spelling(one, false), in_one_spelling(other, false));
        }
        assert_eq!(in_one_spelling("E\u{301}", true), in_one_spelling("\u{e9}", true));
        assert_eq!(in_one_spelling("E\u{301}", false), in_one_spelling("\u{c9}", false));
        assert_ne!(in_one_spelling("E\u{301}", false), in_one_spelling("\u{e9}", false));
    }
}
