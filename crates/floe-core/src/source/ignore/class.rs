//! Classes of characters, which git knows as `wildmatch.c` has them: `[:digit:]` and the like, escapes, ranges that are
//! empty. The matcher knows none of these, so that classes are written anew from what is in them.

use std::iter::Peekable;
use std::str::Chars;

use super::pattern::Dialect;

/// The characters of a class.
pub(super) struct Class {
    negated: bool,
    ascii: [bool; 128],
    /// Ranges of other characters.
    wide: Vec<(char, char)>,
}

impl Class {
    /// Reads what follows a `[`, as git's `wildmatch.c` does.
    pub(super) fn read(rest: &mut Peekable<Chars<'_>>, dialect: Dialect) -> Result<Self, &'static str> {
        const UNCLOSED: &str = "unclosed character class; missing ']'";
        let negated = rest.next_if(|next| matches!(next, '!' | '^')).is_some();
        let mut class = Self { negated, ascii: [false; 128], wide: Vec::new() };
        let mut before: Option<char> = None;
        let mut next = rest.next().ok_or(UNCLOSED)?;
        loop {
            let follows = rest.peek().copied();
            before = match (next, before) {
                ('\\', _) => {
                    let escaped = rest.next().ok_or(UNCLOSED)?;
                    class.add(escaped, escaped);
                    Some(escaped)
                }
                ('-', Some(low)) if follows.is_some_and(|follows| follows != ']') => {
                    let mut high = rest.next().ok_or(UNCLOSED)?;
                    if high == '\\' {
                        high = rest.next().ok_or(UNCLOSED)?;
                    }
                    if low > high && dialect != Dialect::GitIgnore {
                        return Err("invalid range; its end comes before its begin");
                    }
                    class.add(low, high);
                    None
                }
                ('[', _) if follows == Some(':') => match named(rest)? {
                    Some(name) => {
                        class.add_named(&name)?;
                        None
                    }
                    None => {
                        class.add('[', '[');
                        Some('[')
                    }
                },
                (plain, _) => {
                    class.add(plain, plain);
                    Some(plain)
                }
            };
            next = rest.next().ok_or(UNCLOSED)?;
            if next == ']' {
                return Ok(class);
            }
        }
    }

    fn add(&mut self, low: char, high: char) {
        for (code, is_in) in (0_u8..).zip(&mut self.ascii) {
            *is_in |= (low..=high).contains(&char::from(code));
        }
        if high > '\x7f' && low <= high {
            self.wide.push((low.max('\u{80}'), high));
        }
    }

    fn add_named(&mut self, name: &str) -> Result<(), &'static str> {
        let holds: fn(u8) -> bool = match name {
            "alnum" => |code| code.is_ascii_alphanumeric(),
            "alpha" => |code| code.is_ascii_alphabetic(),
            "blank" => |code| matches!(code, b' ' | b'\t'),
            "cntrl" => |code| code.is_ascii_control(),
            "digit" => |code| code.is_ascii_digit(),
            "graph" => |code| code.is_ascii_graphic(),
            "lower" => |code| code.is_ascii_lowercase(),
            "print" => |code| matches!(code, b' '..=b'~'),
            "punct" => |code| code.is_ascii_punctuation(),
            "space" => |code| matches!(code, b' ' | b'\t'..=b'\r'),
            "upper" => |code| code.is_ascii_uppercase(),
            "xdigit" => |code| code.is_ascii_hexdigit(),
            _ => {
                return Err(
                    "unknown class of characters; there are [:alnum:], [:alpha:], [:digit:] and so on",
                );
            }
        };
        for (code, is_in) in (0_u8..).zip(&mut self.ascii) {
            *is_in |= holds(code);
        }
        Ok(())
    }

    fn has(&self, character: char) -> bool {
        self.ascii.get(character as usize).copied().unwrap_or_default()
    }

    /// Writes it for the matcher, in which `]` stands for itself first, `-` last, and `!` and `^` anywhere but first.
    pub(super) fn write(mut self, to: &mut String) -> Result<(), &'static str> {
        // No class matches what separates names.
        self.ascii[usize::from(b'/')] = self.negated;
        let mut inner = String::new();
        if self.has(']') {
            inner.push(']');
        }
        let is_plain = |code: u8| self.has(code.into()) && !matches!(code, b']' | b'-' | b'!' | b'^');
        let mut code = 0;
        while code < 128 {
            if is_plain(code) {
                let end = (code..128).find(|end| !is_plain(*end)).unwrap_or(128);
                push_range(&mut inner, code.into(), (end - 1).into());
                code = end;
            } else {
                code += 1;
            }
        }
        for (low, high) in &self.wide {
            push_range(&mut inner, *low, *high);
        }
        let specials: String = ['!', '^'].into_iter().filter(|special| self.has(*special)).collect();
        let (negation, dash) = (if self.negated { "!" } else { "" }, if self.has('-') { "-" } else { "" });
        match (inner.is_empty() && !self.negated, specials.as_str()) {
            (true, "") if dash.is_empty() => return Err("a class that nothing is in"),
            (true, "") => to.push('-'),
            (true, _) if dash.is_empty() => {
                // Nothing to put in front of them.
                let escaped: Vec<String> = specials.chars().map(|special| format!("\\{special}")).collect();
                to.push_str(&format!("{{{}}}", escaped.join(",")));
            }
            (true, _) => to.push_str(&format!("[-{specials}]")),
            (false, _) => to.push_str(&format!("[{negation}{inner}{specials}{dash}]")),
        }
        Ok(())
    }
}

/// The name in a `[:name:]` of which the `[` was read; nothing where this is none, and nothing more is read then.
fn named(rest: &mut Peekable<Chars<'_>>) -> Result<Option<String>, &'static str> {
    let mut ahead = rest.clone();
    ahead.next();
    let mut name = String::new();
    loop {
        match ahead.next() {
            None => return Err("unclosed character class; missing ']'"),
            Some(']') => break,
            Some(character) => name.push(character),
        }
    }
    if name.pop() != Some(':') {
        return Ok(None);
    }
    *rest = ahead;
    Ok(Some(name))
}

fn push_range(to: &mut String, low: char, high: char) {
    to.push(low);
    if low < high {
        to.extend(['-', high]);
    }
}
