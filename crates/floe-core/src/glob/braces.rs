//! `{a,b}` in what a caller says, as a shell has it.

use super::Dialect;
use super::class::Class;

/// The most bytes that are written for one glob.
const MAX_BYTES: usize = 1 << 20;

/// The globs without braces that a glob with some stands for; an error says what is malformed.
pub(super) fn expand(glob: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut expanded = Vec::new();
    let mut left = vec![glob.to_vec()];
    let mut written = 0;
    while let Some(glob) = left.pop() {
        let Some(group) = Group::find(&glob)? else {
            expanded.push(glob);
            continue;
        };
        for alternative in group.alternatives {
            let alternative = [&glob[..group.start], alternative, &glob[group.end..]].concat();
            written += alternative.len() + 1;
            if written > MAX_BYTES {
                return Err("too many alternatives");
            }
            left.push(alternative);
        }
    }
    Ok(expanded)
}

/// The first braces in a glob, and what is between them.
struct Group<'a> {
    start: usize,
    end: usize,
    /// Other braces may be in them.
    alternatives: Vec<&'a [u8]>,
}

impl<'a> Group<'a> {
    fn find(glob: &'a [u8]) -> Result<Option<Self>, &'static str> {
        let mut rest = glob.iter();
        let mut depth = 0_usize;
        let (mut start, mut from) = (0, 0);
        let mut alternatives = Vec::new();
        while let Some(byte) = rest.next() {
            let after = glob.len() - rest.as_slice().len();
            match byte {
                b'\\' => {
                    rest.next();
                }
                b'[' => {
                    Class::read(&mut rest, Dialect::Caller)?;
                }
                b'{' => {
                    if depth == 0 {
                        (start, from) = (after - 1, after);
                    }
                    depth += 1;
                }
                b'}' if depth == 0 => return Err("unopened alternate group; missing '{'"),
                b',' | b'}' if depth == 1 => {
                    alternatives.push(&glob[from..after - 1]);
                    from = after;
                    if *byte == b'}' {
                        return Ok(Some(Self { start, end: after, alternatives }));
                    }
                }
                b'}' => depth -= 1,
                _ => {}
            }
        }
        if depth == 0 { Ok(None) } else { Err("unclosed alternate group; missing '}'") }
    }
}
