//! Which globs of a set may match a text.
//!
//! Four lists, each with what is looked for in it: globs that are plain texts, those with a plain beginning, of the others
//! those with a plain end, and the rest. Texts are sorted by their hashes, the next two by what is plain, and all are
//! searched by halves: whoever chooses them can make a search as slow as one through all, and the building no slower.

use std::cmp::Ordering;

use super::Store;

/// So few are tried without further search.
const FEW: usize = 4;

/// The numbers of the globs of one scope.
#[derive(Clone, Debug)]
pub(super) struct Index {
    numbers: Box<[u32]>,
    /// Those of the texts, which come first, and which bytes these begin with.
    texts: (Box<[u32]>, Bytes),
    /// Where those with a plain beginning begin, and which bytes these begin with.
    heads: (usize, Bytes),
    /// The same of those with a plain end.
    tails: (usize, Bytes),
    /// Where the rest begins.
    rest: usize,
}

/// A set of bytes.
type Bytes = [u64; 4];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum List {
    Texts,
    Heads,
    Tails,
    Rest,
}

impl List {
    fn of<M>(store: &Store<M>, number: u32) -> Self {
        match (store.program(number), store.head(number), store.tail(number)) {
            ([], ..) => Self::Texts,
            (_, [_, ..], _) => Self::Heads,
            (_, _, [_, ..]) => Self::Tails,
            _ => Self::Rest,
        }
    }
}

impl Index {
    pub(super) fn new<M>(mut numbers: Vec<u32>, store: &Store<M>) -> Self {
        numbers.sort_unstable_by(|&a, &b| {
            let list = List::of(store, a);
            let by_key = list.cmp(&List::of(store, b)).then_with(|| match list {
                List::Texts => hash(store.head(a)).cmp(&hash(store.head(b))),
                List::Heads => store.head(a).cmp(store.head(b)),
                List::Tails => store.tail(a).iter().rev().cmp(store.tail(b).iter().rev()),
                List::Rest => Ordering::Equal,
            });
            by_key.then(a.cmp(&b))
        });
        let [heads, tails, rest] = [List::Heads, List::Tails, List::Rest]
            .map(|list| numbers.partition_point(|&number| List::of(store, number) < list));
        let texts = numbers[..heads].iter().filter_map(|&number| store.head(number).first());
        let hashes = numbers[..heads].iter().map(|&number| hash(store.head(number))).collect();
        let begin_with = numbers[heads..tails].iter().filter_map(|&number| store.head(number).first());
        let end_with = numbers[tails..rest].iter().filter_map(|&number| store.tail(number).last());
        Self {
            texts: (hashes, set_of(texts)),
            heads: (heads, set_of(begin_with)),
            tails: (tails, set_of(end_with)),
            rest,
            numbers: numbers.into_boxed_slice(),
        }
    }

    /// Hands out the numbers of those that may match. Where `try_one` says no, lower numbers that are as likely are not
    /// tried, while others may be.
    pub(super) fn find<M>(&self, store: &Store<M>, text: &[u8], mut try_one: impl FnMut(u32) -> bool) {
        let (&[first, ..], &[.., last]) = (text, text) else { return };
        if has(&self.texts.1, first) {
            self.find_text(store, text, &mut try_one);
        }
        let ((heads, begin_with), (tails, end_with)) = (&self.heads, &self.tails);
        if has(begin_with, first) {
            let byte = |number, at: usize| store.head(number).get(at).map_or(NONE, |byte| u16::from(*byte));
            narrow(&self.numbers[*heads..*tails], byte, |at| text.get(at).copied(), &mut try_one);
        }
        if has(end_with, last) {
            let byte = |number, at: usize| {
                let tail = store.tail(number);
                if at < tail.len() { u16::from(tail[tail.len() - 1 - at]) } else { NONE }
            };
            let of_text = |at: usize| (at < text.len()).then(|| text[text.len() - 1 - at]);
            narrow(&self.numbers[*tails..self.rest], byte, of_text, &mut try_one);
        }
        if self.rest < self.numbers.len() {
            downwards(&self.numbers[self.rest..], &mut try_one);
        }
    }

    fn find_text<M>(&self, store: &Store<M>, text: &[u8], try_one: &mut impl FnMut(u32) -> bool) {
        let (hash, hashes) = (hash(text), &self.texts.0);
        let mut end = lower_bound(hashes.len(), |at| hashes[at] <= hash);
        while end > 0 && hashes[end - 1] == hash {
            end -= 1;
            let number = self.numbers[end];
            if store.head(number) == text && !try_one(number) {
                return;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn size_bytes(&self) -> usize {
        size_of_val(&*self.numbers) + size_of_val(&*self.texts.0)
    }
}

/// What there is where a text has ended: less than any byte, for no glob has a NUL.
const NONE: u16 = 0;

fn downwards(numbers: &[u32], try_one: &mut impl FnMut(u32) -> bool) {
    for &number in numbers.iter().rev() {
        if !try_one(number) {
            break;
        }
    }
}

/// Tries those of which all bytes, as `byte` has them, are the first ones of the text; and a few others.
fn narrow(
    mut numbers: &[u32],
    byte: impl Fn(u32, usize) -> u16,
    text: impl Fn(usize) -> Option<u8>,
    try_one: &mut impl FnMut(u32) -> bool,
) {
    for at in 0.. {
        if numbers.len() <= FEW {
            for &number in numbers {
                try_one(number);
            }
            return;
        }
        // The shortest come first.
        if byte(numbers[0], at) == NONE {
            let (whole, longer) =
                numbers.split_at(lower_bound(numbers.len(), |index| byte(numbers[index], at) == NONE));
            downwards(whole, try_one);
            numbers = longer;
        }
        let Some(wanted) = text(at).map(u16::from) else { return };
        numbers = &numbers[lower_bound(numbers.len(), |index| byte(numbers[index], at) < wanted)..];
        numbers = &numbers[..lower_bound(numbers.len(), |index| byte(numbers[index], at) == wanted)];
    }
}

/// The first of so many that is not before what is sought.
fn lower_bound(count: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut from, mut to) = (0, count);
    while from < to {
        let middle = from.midpoint(to);
        if is_before(middle) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

/// FNV-1a.
fn hash(text: &[u8]) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    for byte in text {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    hash
}

fn set_of<'a>(bytes: impl Iterator<Item = &'a u8>) -> Bytes {
    let mut set = [0; 4];
    for byte in bytes {
        set[usize::from(byte / 64)] |= 1_u64 << (byte % 64);
    }
    set
}

fn has(set: &Bytes, byte: u8) -> bool {
    set[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
}
