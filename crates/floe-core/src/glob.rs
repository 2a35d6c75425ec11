//! Globs as git's `wildmatch.c` reads them, many of them at once, over bytes.
//!
//! `?`, `*` and `[a-z]` are of one name, `**` between slashes of any number of directories, `\` takes from what follows
//! its meaning. Names and globs need not be UTF-8: one `?` is one byte.
//!
//! Who writes globs is not trusted: they come with the tree. A set of them takes memory in proportion to the bytes that they
//! were written in; a glob is interpreted, in steps bounded by the glob and the square of a path, which are counted; and of a
//! set only those are tried whose plain beginning, or else whose plain end, the path has, or that have neither. Why no library
//! does this is told in `docs/adr/0008-globs-are-our-own.md`.

mod braces;
mod class;
mod index;
mod program;
#[cfg(test)]
mod tests;

use self::index::Index;

/// Who wrote a glob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The caller of this command: `{a,b}` means either, and a range that ends before it begins is an error.
    Caller,
    /// Whoever made the tree: braces stand for themselves, and there is nothing in such a range, as in git.
    Tree,
}

/// What of a path a glob is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The last name.
    Name,
    /// All of it.
    Path,
}

/// What is matched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    path: &'a [u8],
    name: &'a [u8],
}

impl<'a> Subject<'a> {
    /// A path without a slash at either end.
    pub(crate) fn new(path: &'a [u8]) -> Self {
        let name = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        Self::with_name_at(path, name)
    }

    /// The same where it is known at which byte the last name begins.
    pub(crate) fn with_name_at(path: &'a [u8], name: usize) -> Self {
        Self { path, name: &path[name..] }
    }
}

/// Globs in the order in which they were added, each with something that its owner knows of it.
#[derive(Clone, Debug)]
pub(crate) struct Globs<M> {
    store: Store<M>,
    names: Index,
    paths: Index,
}

#[derive(Clone, Debug)]
struct Store<M> {
    /// One glob after the other: a plain beginning, a program, a plain end.
    bytes: Vec<u8>,
    globs: Vec<Glob<M>>,
}

#[derive(Clone, Copy, Debug)]
struct Glob<M> {
    /// Where it begins among the bytes; it ends where the next one begins.
    start: u32,
    /// Bytes at its beginning that stand for themselves.
    head: u32,
    /// The same at its end; none if all do.
    tail: u32,
    /// How many bytes of what it matches are between these two, at least.
    least: u16,
    mark: M,
}

impl<M> Store<M> {
    fn glob(&self, number: u32) -> &Glob<M> {
        &self.globs[number as usize]
    }

    fn head(&self, number: u32) -> &[u8] {
        let glob = self.glob(number);
        let start = glob.start as usize;
        &self.bytes[start..start + glob.head as usize]
    }

    fn tail(&self, number: u32) -> &[u8] {
        let end = self.end(number);
        &self.bytes[end - self.glob(number).tail as usize..end]
    }

    fn program(&self, number: u32) -> &[u8] {
        let glob = self.glob(number);
        &self.bytes[(glob.start + glob.head) as usize..self.end(number) - glob.tail as usize]
    }

    fn end(&self, number: u32) -> usize {
        self.globs.get(number as usize + 1).map_or(self.bytes.len(), |next| next.start as usize)
    }

    /// Whether it matches; takes what steps it needs of those that are left, and says no where these are not enough.
    fn is_match(&self, number: u32, text: &[u8], steps_left: &mut u64) -> bool {
        let middle =
            text.strip_prefix(self.head(number)).and_then(|rest| rest.strip_suffix(self.tail(number)));
        middle.is_some_and(|middle| {
            middle.len() >= usize::from(self.glob(number).least)
                && program::matches(self.program(number), middle, steps_left)
        })
    }
}

/// Collects globs.
#[derive(Debug)]
pub(crate) struct GlobsBuilder<M> {
    dialect: Dialect,
    store: Store<M>,
    names: Vec<u32>,
    paths: Vec<u32>,
}

impl<M: Copy> GlobsBuilder<M> {
    /// None yet.
    pub(crate) fn new(dialect: Dialect) -> Self {
        let store = Store { bytes: Vec::new(), globs: Vec::new() };
        Self { dialect, store, names: Vec::new(), paths: Vec::new() }
    }

    /// Adds a glob; an error says what is malformed, and then nothing was added.
    pub(crate) fn add(&mut self, glob: &[u8], scope: Scope, mark: M) -> Result<(), &'static str> {
        if self.dialect == Dialect::Tree || !glob.iter().any(|byte| matches!(byte, b'{' | b'}')) {
            return self.add_one(glob, scope, mark);
        }
        let alternatives = braces::expand(glob)?;
        let Store { bytes, globs } = &self.store;
        let before = (bytes.len(), globs.len(), self.names.len(), self.paths.len());
        let added = alternatives.iter().try_for_each(|glob| self.add_one(glob, scope, mark));
        if added.is_err() {
            self.store.bytes.truncate(before.0);
            self.store.globs.truncate(before.1);
            self.names.truncate(before.2);
            self.paths.truncate(before.3);
        }
        added
    }

    fn add_one(&mut self, glob: &[u8], scope: Scope, mark: M) -> Result<(), &'static str> {
        const TOO_MANY: &str = "more than 4 GiB of patterns";
        let Store { bytes, globs } = &mut self.store;
        let start = bytes.len();
        let compiled = program::compile(glob, scope, self.dialect, bytes);
        let numbers = compiled.and_then(|(head, tail)| {
            // What is within the bytes fits where their number does.
            u32::try_from(bytes.len()).map_err(|_| TOO_MANY)?;
            let number = u32::try_from(globs.len()).map_err(|_| TOO_MANY)?;
            let to_u32 = |count: usize| u32::try_from(count).map_err(|_| TOO_MANY);
            let least = program::least_len(&bytes[start + head..bytes.len() - tail]);
            let least = u16::try_from(least).unwrap_or(u16::MAX);
            Ok((
                number,
                Glob { start: to_u32(start)?, head: to_u32(head)?, tail: to_u32(tail)?, least, mark },
            ))
        });
        let (number, glob) = numbers.inspect_err(|_| bytes.truncate(start))?;
        globs.push(glob);
        match scope {
            Scope::Name => self.names.push(number),
            Scope::Path => self.paths.push(number),
        }
        Ok(())
    }

    /// All that were added, ready to be asked.
    pub(crate) fn build(self) -> Globs<M> {
        let Self { mut store, names, paths, .. } = self;
        store.bytes.shrink_to_fit();
        store.globs.shrink_to_fit();
        let (names, paths) = (Index::new(names, &store), Index::new(paths, &store));
        Globs { store, names, paths }
    }
}

impl<M> Globs<M> {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.store.globs.is_empty()
    }

    /// What is known of the last one, of those that are asked for, that matches.
    pub(crate) fn last_match(&self, subject: Subject<'_>, is_asked: impl Fn(&M) -> bool) -> Option<&M> {
        self.last_match_within(subject, is_asked, &mut { u64::MAX })
    }

    /// The same in so many steps, which are counted down; where none are left, what is known says nothing.
    pub(crate) fn last_match_within(
        &self,
        subject: Subject<'_>,
        is_asked: impl Fn(&M) -> bool,
        steps_left: &mut u64,
    ) -> Option<&M> {
        let mut last = None;
        self.try_likely(subject, |number, text| {
            // Those that come after it here came before it in the set.
            if last.is_some_and(|last| last >= number) {
                return false;
            }
            let is_match =
                is_asked(&self.store.glob(number).mark) && self.store.is_match(number, text, steps_left);
            if is_match {
                last = Some(number);
            }
            !is_match
        });
        last.map(|number| &self.store.glob(number).mark)
    }

    /// Hands out what is known of each that matches, in no order.
    pub(crate) fn for_each_match(&self, subject: Subject<'_>, mut found: impl FnMut(&M)) {
        self.try_likely(subject, |number, text| {
            if self.store.is_match(number, text, &mut { u64::MAX }) {
                found(&self.store.glob(number).mark);
            }
            true
        });
    }

    fn try_likely(&self, subject: Subject<'_>, mut try_one: impl FnMut(u32, &[u8]) -> bool) {
        self.names.find(&self.store, subject.name, |number| try_one(number, subject.name));
        self.paths.find(&self.store, subject.path, |number| try_one(number, subject.path));
    }

    /// How much memory it takes.
    #[cfg(test)]
    pub(crate) fn size_bytes(&self) -> usize {
        let globs = self.store.globs.capacity() * size_of::<Glob<M>>();
        self.store.bytes.capacity() + globs + self.names.size_bytes() + self.paths.size_bytes()
    }
}
