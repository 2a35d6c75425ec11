//! What of a glob does not stand for itself, as a program of bytes, and how that is run.
//!
//! A byte is an instruction if it is below [`PLAIN_FROM`], else it stands for itself.

use super::class::Class;
use super::{Dialect, Scope};

/// The byte that follows, which is below [`PLAIN_FROM`].
const PLAIN: u8 = 0;
/// Any byte but a slash.
const ONE: u8 = 1;
/// Any number of bytes but slashes.
const RUN: u8 = 2;
/// Nothing, or all up to a slash and with it: `**/`.
const DIRECTORIES: u8 = 3;
/// Any number of bytes: `**` at the end, or before a slash that is escaped, which is not git's `**/`.
const ALL: u8 = 4;
/// A byte, but no slash, in one of so many ranges as the next byte says; each is two bytes.
const ONE_IN: u8 = 5;
/// The same, in none of them.
const ONE_NOT_IN: u8 = 6;
const PLAIN_FROM: u8 = 7;

/// Writes a glob: a plain beginning, a program, a plain end. Returns the lengths of both plain parts, or an error that says
/// what is malformed; then what was written is of no use.
pub(super) fn compile(
    glob: &[u8],
    scope: Scope,
    dialect: Dialect,
    to: &mut Vec<u8>,
) -> Result<(usize, usize), &'static str> {
    let mut writer = Writer { start: to.len(), to, head: None, plain: 0 };
    let mut rest = glob.iter();
    // To git the first thing special in a glob has no byte before it, for what is plain was compared by then.
    let mut is_first_special = true;
    let mut before = None;
    while let Some(&byte) = rest.next() {
        let mut last = byte;
        match byte {
            b'\\' => {
                last = *rest.next().ok_or("nothing follows the last \\")?;
                writer.plain(last);
            }
            b'?' => writer.instruction(&[ONE]),
            b'[' => {
                let class = Class::read(&mut rest, dialect)?;
                let ranges = class.ranges();
                if ranges.is_empty() && !class.is_negated {
                    return Err("a class that nothing is in");
                }
                // At most every other of 256.
                let count = u8::try_from(ranges.len()).map_err(|_| "a class of too many ranges")?;
                writer.instruction(&[if class.is_negated { ONE_NOT_IN } else { ONE_IN }, count]);
                writer.to.extend(ranges.iter().flat_map(|(low, high)| [*low, *high]));
                last = b']';
            }
            b'*' => {
                let more = rest.as_slice().iter().take_while(|byte| **byte == b'*').count();
                if more > 0 {
                    rest.nth(more - 1);
                }
                let begins = is_first_special || matches!(before, None | Some(b'/'));
                let is_deep = scope == Scope::Path && more > 0 && begins;
                match rest.as_slice() {
                    [] | [b'\\', b'/', ..] if is_deep => writer.instruction(&[ALL]),
                    [b'/', ..] if is_deep => {
                        writer.directories();
                        rest.next();
                        last = b'/';
                    }
                    _ => writer.instruction(&[RUN]),
                }
            }
            _ => writer.plain(byte),
        }
        is_first_special &= !matches!(byte, b'\\' | b'?' | b'[' | b'*');
        before = Some(last);
    }
    Ok(writer.finish())
}

struct Writer<'a> {
    to: &'a mut Vec<u8>,
    start: usize,
    /// The length of the plain beginning, once something else was written.
    head: Option<usize>,
    /// How many plain bytes were written last. They are written as such, until an instruction follows.
    plain: usize,
}

impl Writer<'_> {
    fn plain(&mut self, byte: u8) {
        self.to.push(byte);
        self.plain += 1;
    }

    fn instruction(&mut self, instruction: &[u8]) {
        if self.head.is_none() {
            self.head = Some(self.to.len() - self.start);
        } else {
            self.escape();
        }
        self.plain = 0;
        self.to.extend_from_slice(instruction);
    }

    /// One after the other says no more than one, and could be many.
    fn directories(&mut self) {
        let is_again = self.plain == 0 && self.head.is_some() && self.to.last() == Some(&DIRECTORIES);
        if !is_again {
            self.instruction(&[DIRECTORIES]);
        }
    }

    /// Of the plain bytes written last, those that would be instructions are escaped.
    fn escape(&mut self) {
        let from = self.to.len() - self.plain;
        if self.to[from..].iter().any(|byte| *byte < PLAIN_FROM) {
            let plain = self.to.split_off(from);
            for byte in plain {
                if byte < PLAIN_FROM {
                    self.to.push(PLAIN);
                }
                self.to.push(byte);
            }
        }
    }

    fn finish(self) -> (usize, usize) {
        match self.head {
            Some(head) => (head, self.plain),
            None => (self.to.len() - self.start, 0),
        }
    }
}

/// Whether a program matches all of a text.
///
/// What may be of several lengths is tried as short as possible, and longer where what follows does not match. Of two such
/// only the later one is: what the earlier one could yield, it can take. But a run ends at a slash, so that before it the last
/// instruction that takes slashes is kept, too. Thus the steps are at most the program times the square of the text.
///
/// Each is counted down; where none is left, it does not.
pub(super) fn matches(program: &[u8], text: &[u8], steps_left: &mut u64) -> bool {
    /// Where to go on in the program, and what of the text it has taken up to.
    type Retry = (usize, usize);
    let (mut at, mut taken) = (0, 0);
    let mut run: Option<Retry> = None;
    let mut deep: Option<(Retry, u8)> = None;
    loop {
        if *steps_left == 0 {
            return false;
        }
        *steps_left -= 1;
        match (program.get(at), text.get(taken)) {
            (None, None) => return true,
            (Some(&RUN), _) => {
                at += 1;
                taken = skip(&program[at..], text, taken, steps_left);
                run = Some((at, taken));
                continue;
            }
            (Some(instruction @ &(DIRECTORIES | ALL)), _) => {
                at += 1;
                if *instruction == ALL && at == program.len() {
                    return true;
                }
                (run, deep) = (None, Some(((at, taken), *instruction)));
                continue;
            }
            // Whatever took more of it, there would be less for the rest.
            (Some(_), None) => return false,
            (Some(_), Some(&byte)) => {
                if let Some(length) = one(&program[at..], byte) {
                    if byte == b'/' {
                        run = None;
                    }
                    at += length;
                    taken += 1;
                    continue;
                }
            }
            (None, Some(_)) => {}
        }
        if let Some((after, end)) = &mut run
            && text.get(*end).is_some_and(|byte| *byte != b'/')
        {
            *end = skip(&program[*after..], text, *end + 1, steps_left);
            (at, taken) = (*after, *end);
            continue;
        }
        let Some(((after, end), instruction)) = &mut deep else { return false };
        let step = match *instruction {
            DIRECTORIES => text[*end..].iter().position(|byte| *byte == b'/'),
            _ => (*end < text.len()).then_some(0),
        };
        let Some(step) = step else { return false };
        *end += step + 1;
        (at, taken, run) = (*after, *end, None);
    }
}

/// To where a run that begins there may end at the earliest: where the plain byte that follows is, a slash, or nothing.
fn skip(program: &[u8], text: &[u8], from: usize, steps_left: &mut u64) -> usize {
    let Some(&plain) = program.first().filter(|byte| **byte >= PLAIN_FROM) else { return from };
    let mut at = from;
    while at < text.len() && text[at] != plain && text[at] != b'/' {
        at += 1;
    }
    *steps_left = steps_left.saturating_sub((at - from) as u64);
    at
}

/// The fewest bytes that a program matches.
pub(super) fn least_len(program: &[u8]) -> usize {
    let (mut at, mut least) = (0, 0);
    while let Some(instruction) = program.get(at) {
        let length = match *instruction {
            PLAIN => 2,
            ONE_IN | ONE_NOT_IN => 2 + 2 * usize::from(program[at + 1]),
            _ => 1,
        };
        least += usize::from(!matches!(*instruction, RUN | DIRECTORIES | ALL));
        at += length;
    }
    least
}

/// The length of the instruction at the beginning of the program, if it matches that byte.
fn one(program: &[u8], byte: u8) -> Option<usize> {
    let (is_match, length) = match *program {
        [PLAIN, plain, ..] => (plain == byte, 2),
        [ONE, ..] => (byte != b'/', 1),
        [instruction @ (ONE_IN | ONE_NOT_IN), count, ref rest @ ..] => {
            let ranges = &rest[..2 * usize::from(count)];
            // They are sorted, and there may be 128.
            let (ranges, _) = ranges.as_chunks::<2>();
            let behind = ranges.partition_point(|[low, _]| *low <= byte);
            let is_in = behind > 0 && byte <= ranges[behind - 1][1];
            (byte != b'/' && is_in == (instruction == ONE_IN), 2 + 2 * ranges.len())
        }
        [plain, ..] => (plain == byte, 1),
        [] => (false, 0),
    };
    is_match.then_some(length)
}
