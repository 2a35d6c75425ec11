//! Classes of bytes, as git's `wildmatch.c` reads them: `[:digit:]` and the like, escapes, ranges that are empty.

use std::slice::Iter;

use super::Dialect;

const UNCLOSED: &str = "unclosed character class; missing ']'";

/// What is in a class.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) is_negated: bool,
    has: [bool; 256],
}

impl Class {
    /// Reads what follows a `[`; an error says what is malformed.
    pub(super) fn read(rest: &mut Iter<'_, u8>, dialect: Dialect) -> Result<Self, &'static str> {
        let is_negated = matches!(rest.as_slice(), [b'!' | b'^', ..]);
        if is_negated {
            rest.next();
        }
        let mut class = Self { is_negated, has: [false; 256] };
        let mut before: Option<u8> = None;
        let mut closed = Closed(None);
        let mut byte = next(rest)?;
        loop {
            before = match (byte, before, rest.as_slice().first()) {
                (b'\\', ..) => Some(class.add(next(rest)?)),
                (b'-', Some(low), Some(follows)) if *follows != b']' => {
                    let high = match next(rest)? {
                        b'\\' => next(rest)?,
                        high => high,
                    };
                    if low > high && dialect == Dialect::Caller {
                        return Err("invalid range; its end comes before its begin");
                    }
                    (low..=high).for_each(|byte| class.has[usize::from(byte)] = true);
                    None
                }
                (b'[', _, Some(b':')) => match closed.name(rest.as_slice())? {
                    Some(name) => {
                        class.add_named(name)?;
                        // With both colons and the `]`.
                        rest.nth(name.len() + 2);
                        None
                    }
                    None => Some(class.add(b'[')),
                },
                _ => Some(class.add(byte)),
            };
            byte = next(rest)?;
            if byte == b']' {
                // No class matches what separates names.
                class.has[usize::from(b'/')] = false;
                return Ok(class);
            }
        }
    }

    fn add(&mut self, byte: u8) -> u8 {
        self.has[usize::from(byte)] = true;
        byte
    }

    fn add_named(&mut self, name: &[u8]) -> Result<(), &'static str> {
        let holds: fn(&u8) -> bool = match name {
            b"alnum" => u8::is_ascii_alphanumeric,
            b"alpha" => u8::is_ascii_alphabetic,
            b"blank" => |byte| matches!(byte, b' ' | b'\t'),
            b"cntrl" => u8::is_ascii_control,
            b"digit" => u8::is_ascii_digit,
            b"graph" => u8::is_ascii_graphic,
            b"lower" => u8::is_ascii_lowercase,
            b"print" => |byte| matches!(byte, b' '..=b'~'),
            b"punct" => u8::is_ascii_punctuation,
            b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
            b"upper" => u8::is_ascii_uppercase,
            b"xdigit" => u8::is_ascii_hexdigit,
            _ => {
                return Err(
                    "unknown class of characters; there are [:alnum:], [:alpha:], [:digit:] and so on",
                );
            }
        };
        for (byte, is_in) in (0..=u8::MAX).zip(&mut self.has) {
            *is_in |= holds(&byte);
        }
        Ok(())
    }

    /// What is in it, without regard to the negation, as the fewest ranges, each with its end.
    pub(super) fn ranges(&self) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for byte in (0..=u8::MAX).filter(|byte| self.has[usize::from(*byte)]) {
            match ranges.last_mut() {
                Some((_, end)) if end.checked_add(1) == Some(byte) => *end = byte,
                _ => ranges.push((byte, byte)),
            }
        }
        ranges
    }
}

/// How many bytes are left at the first `]` from where one was last looked for: looked for anew each time, `[[:[:[:` would
/// take the square of its length.
struct Closed(Option<usize>);

impl Closed {
    /// The name in a `[:name:]` of which the `[` was read; none where this is something else.
    fn name<'a>(&mut self, rest: &'a [u8]) -> Result<Option<&'a [u8]>, &'static str> {
        let left = match self.0.filter(|left| *left <= rest.len()) {
            Some(left) => left,
            None => rest.len() - rest.iter().position(|byte| *byte == b']').ok_or(UNCLOSED)?,
        };
        self.0 = Some(left);
        let inner = &rest[1..rest.len() - left];
        Ok(inner.strip_suffix(b":"))
    }
}

fn next(rest: &mut Iter<'_, u8>) -> Result<u8, &'static str> {
    rest.next().copied().ok_or(UNCLOSED)
}
