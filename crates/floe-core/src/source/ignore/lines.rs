//! From a line as git's `dir.c` reads it to a glob.
//!
//! What a line is anchored to, and whether it is for directories alone, is told by its own slashes, before any braces in
//! it are taken for alternatives.

use crate::glob::{Dialect, Globs, GlobsBuilder, Scope, Subject};

/// Patterns in their order, the last that matches decides.
#[derive(Debug)]
pub(super) struct Patterns {
    globs: Globs<Effect>,
}

/// What a pattern says of what it matches.
#[derive(Clone, Copy, Debug)]
struct Effect {
    negated: bool,
    directories_only: bool,
}

impl Patterns {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// Whether that is left out, none if no pattern matches it, or not in the steps that are left.
    pub(super) fn opinion(
        &self,
        subject: Subject<'_>,
        is_directory: bool,
        steps_left: &mut u64,
    ) -> Option<bool> {
        let is_asked = |effect: &Effect| is_directory || !effect.directories_only;
        let effect = self.globs.last_match_within(subject, is_asked, steps_left);
        effect.map(|effect| !effect.negated)
    }

    /// How much memory they take.
    #[cfg(test)]
    pub(super) fn size_bytes(&self) -> usize {
        self.globs.size_bytes()
    }
}

/// Collects patterns.
#[derive(Debug)]
pub(super) struct PatternsBuilder {
    dialect: Dialect,
    globs: GlobsBuilder<Effect>,
}

impl PatternsBuilder {
    /// None yet.
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, globs: GlobsBuilder::new(dialect) }
    }

    /// Adds a line of a file, which may say nothing; an error says what is malformed.
    pub(super) fn add_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let pattern = Pattern::of_line(line, self.dialect)?;
        self.add(pattern)
    }

    /// Adds what is a pattern in itself: it may begin with `#`, and end with spaces.
    pub(super) fn add_pattern(&mut self, pattern: &[u8]) -> Result<(), &'static str> {
        let pattern = Pattern::read(pattern, self.dialect)?;
        self.add(pattern)
    }

    fn add(&mut self, pattern: Option<Pattern<'_>>) -> Result<(), &'static str> {
        let Some(Pattern { glob, scope, effect }) = pattern else { return Ok(()) };
        self.globs.add(glob, scope, effect)
    }

    /// All that were added.
    pub(super) fn build(self) -> Patterns {
        Patterns { globs: self.globs.build() }
    }
}

/// A pattern that says something.
#[derive(Debug)]
struct Pattern<'a> {
    glob: &'a [u8],
    scope: Scope,
    effect: Effect,
}

impl<'a> Pattern<'a> {
    /// Reads a line without its end; an error says what is malformed.
    fn of_line(line: &'a [u8], dialect: Dialect) -> Result<Option<Self>, &'static str> {
        if line.starts_with(b"#") {
            return Ok(None);
        }
        let end = line.iter().position(|byte| *byte == 0).filter(|_| dialect == Dialect::Tree);
        Self::read(without_trailing_spaces(&line[..end.unwrap_or(line.len())]), dialect)
    }

    /// Reads a pattern; an error says what is malformed.
    fn read(pattern: &'a [u8], dialect: Dialect) -> Result<Option<Self>, &'static str> {
        if pattern.contains(&0) {
            return Err("a NUL byte");
        }
        let (negated, mut rest) = pattern.strip_prefix(b"!").map_or((false, pattern), |rest| (true, rest));
        let mut is_path = false;
        // To git this is no path; whoever writes a command means one.
        while let Some(below) = rest.strip_prefix(b"./").filter(|_| dialect == Dialect::Caller) {
            (rest, is_path) = (below, true);
        }
        let (directories_only, glob) = rest.strip_suffix(b"/").map_or((false, rest), |glob| (true, glob));
        let scope = if is_path || glob.contains(&b'/') { Scope::Path } else { Scope::Name };
        let glob = glob.strip_prefix(b"/").unwrap_or(glob);
        // No path ends in a slash.
        if glob.is_empty() || glob.ends_with(b"/") {
            return Ok(None);
        }
        Ok(Some(Self { glob, scope, effect: Effect { negated, directories_only } }))
    }
}

/// A line without the spaces at its end, up to one that is escaped. No other white space goes.
fn without_trailing_spaces(line: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut is_escaped = false;
    for (index, byte) in line.iter().enumerate() {
        if *byte != b' ' || is_escaped {
            end = index + 1;
        }
        is_escaped = *byte == b'\\' && !is_escaped;
    }
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_git_does() {
        let read = |line: &[u8]| {
            let read = Pattern::of_line(line, Dialect::Tree).unwrap();
            read.map(|found| {
                let Effect { negated, directories_only } = found.effect;
                let marks = [(negated, "not "), (directories_only, "directories ")];
                let marks = marks.iter().filter(|(is_marked, _)| *is_marked).map(|(_, mark)| *mark);
                let scope = if found.scope == Scope::Path { "/" } else { "" };
                let glob = found.glob.escape_ascii().to_string();
                marks.chain([scope, &glob]).collect::<String>()
            })
        };
        for says_nothing in ["", " ", "#a", "!", "! ", "/", "!/", "//", "**//", "a//", "\0a"] {
            assert_eq!(read(says_nothing.as_bytes()), None, "{says_nothing:?}");
        }
        for (line, found) in [
            (&b"a"[..], "a"),
            (b"/a", "/a"),
            (b"a/b", "/a/b"),
            (b"!a/", "not directories a"),
            (b"!!a", "not !a"),
            (b"! a", "not  a"),
            (b"a  ", "a"),
            (b"a\\  ", r"a\\ "),
            (b"a\\\\ ", r"a\\\\"),
            (b"a\t", r"a\t"),
            (b"a\xc2\xa0", r"a\xc2\xa0"),
            (b"\xff ", r"\xff"),
            (b"a\r", r"a\r"),
            (b"\\#", r"\\#"),
            (b"a\0b", "a"),
            // A slash in a class is one.
            (b"a[b/]", "/a[b/]"),
            (b"\\/a", r"/\\/a"),
        ] {
            assert_eq!(read(line).as_deref(), Some(found), "{}", line.escape_ascii());
        }
        assert!(Pattern::of_line(b"s\0e\0", Dialect::Caller).is_err());
    }

    #[test]
    fn what_is_given_is_a_pattern_as_it_is() {
        let read = |pattern: &'static [u8]| {
            let read = Pattern::read(pattern, Dialect::Caller).unwrap();
            read.map(|found| (found.glob, found.scope == Scope::Path))
        };
        assert_eq!(read(b"#*#"), Some((&b"#*#"[..], false)));
        assert_eq!(read(b"a "), Some((&b"a "[..], false)));
        assert_eq!(read(b"./a"), Some((&b"a"[..], true)));
        assert_eq!(read(b"!././a/"), Some((&b"a"[..], true)));
        assert_eq!(read(b"./"), None);
        assert!(Pattern::read(b"a\0", Dialect::Caller).is_err());
        let of_a_tree = Pattern::of_line(b"./a", Dialect::Tree).unwrap().unwrap();
        assert_eq!(of_a_tree.glob, b"./a");
    }
}
