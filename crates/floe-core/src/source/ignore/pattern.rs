//! From a line as git reads it to a glob that the matcher reads alike.
//!
//! What a line is anchored to, and whether it is for directories alone, is told by its own slashes, before anything is
//! written anew. To git a run of asterisks is `**` only between slashes, and one asterisk elsewhere. And braces are
//! alternatives to the matcher, while in ignore files they stand for themselves.

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

use super::class::Class;

/// Who wrote a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The caller of this command: `{a,b}` means either, and what is malformed is an error.
    Globs,
    /// Somebody who wrote a `.floeignore`: what is malformed is an error.
    FloeIgnore,
    /// Somebody who wrote for git, to which a malformed pattern is one that matches nothing.
    GitIgnore,
}

/// Patterns in their order, the last that matches decides.
#[derive(Debug)]
pub(super) struct Patterns {
    globs: GlobSet,
    effects: Vec<Effect>,
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
        self.effects.is_empty()
    }

    /// Whether that path is left out, none if no pattern matches it; `matching` is room that is used again.
    pub(super) fn opinion(
        &self,
        path: &Candidate<'_>,
        is_directory: bool,
        matching: &mut Vec<usize>,
    ) -> Option<bool> {
        self.globs.matches_candidate_into(path, matching);
        let effects = matching.iter().rev().filter_map(|index| self.effects.get(*index));
        effects.filter(|effect| is_directory || !effect.directories_only).map(|effect| !effect.negated).next()
    }
}

/// Collects patterns.
#[derive(Debug)]
pub(super) struct PatternsBuilder {
    globs: GlobSetBuilder,
    effects: Vec<Effect>,
}

impl PatternsBuilder {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { globs: GlobSetBuilder::new(), effects: Vec::new() }
    }

    /// Adds a line, which may say nothing; an error says what is malformed.
    pub(super) fn add(&mut self, line: &[u8], dialect: Dialect) -> Result<(), String> {
        let Some(Pattern { glob, negated, directories_only }) = Pattern::read(line, dialect)? else {
            return Ok(());
        };
        let glob = GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).build();
        self.globs.add(glob.map_err(|error| error.kind().to_string())?);
        self.effects.push(Effect { negated, directories_only });
        Ok(())
    }

    /// All that were added; an error says what the matcher cannot do.
    pub(super) fn build(self) -> Result<Patterns, String> {
        let globs = self.globs.build().map_err(|error| error.kind().to_string())?;
        Ok(Patterns { globs, effects: self.effects })
    }
}

/// A line that says something.
#[derive(Debug)]
struct Pattern {
    /// For whole paths.
    glob: String,
    negated: bool,
    directories_only: bool,
}

impl Pattern {
    /// Reads a line without its end, as git's `dir.c` does; an error says what is malformed.
    fn read(line: &[u8], dialect: Dialect) -> Result<Option<Self>, &'static str> {
        if line.starts_with(b"#") {
            return Ok(None);
        }
        let line = match line.iter().position(|byte| *byte == 0) {
            Some(_) if dialect != Dialect::GitIgnore => return Err("a NUL byte"),
            Some(end) => &line[..end],
            None => line,
        };
        let line = std::str::from_utf8(without_trailing_spaces(line)).map_err(|_| "not UTF-8")?;
        let (negated, line) = line.strip_prefix('!').map_or((false, line), |line| (true, line));
        let (directories_only, line) = line.strip_suffix('/').map_or((false, line), |line| (true, line));
        let is_path = line.contains('/');
        let line = line.strip_prefix('/').unwrap_or(line);
        // No path ends in a slash.
        if line.is_empty() || line.ends_with('/') {
            return Ok(None);
        }
        let mut glob = translate(line, dialect, is_path)?;
        if !is_path {
            glob.insert_str(0, "**/");
        } else if glob.ends_with("/**") {
            // All below a directory, and not itself.
            glob.push_str("/*");
        }
        Ok(Some(Self { glob, negated, directories_only }))
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

/// The pattern for the matcher, of a path or of a name; an error says what is malformed.
fn translate(pattern: &str, dialect: Dialect, is_path: bool) -> Result<String, &'static str> {
    let mut translated = String::with_capacity(pattern.len());
    let mut rest = pattern.chars().peekable();
    let mut braces = 0_usize;
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next().ok_or("nothing follows the last \\")? {
                '/' => translated.push('/'),
                escaped => translated.extend(['\\', escaped]),
            },
            '{' | '}' if dialect != Dialect::Globs => translated.extend(['\\', character]),
            '[' => Class::read(&mut rest, dialect)?.write(&mut translated)?,
            // Alternatives begin and end in the midst of a path.
            '*' if braces == 0 => {
                let begins = translated.is_empty() || translated.ends_with('/');
                let mut count = 1;
                while rest.next_if_eq(&'*').is_some() {
                    count += 1;
                }
                let mut ahead = rest.clone();
                let ends = match ahead.next() {
                    None | Some('/') => true,
                    Some('\\') => ahead.next() == Some('/'),
                    Some(_) => false,
                };
                translated.push_str(if is_path && count > 1 && begins && ends { "**" } else { "*" });
            }
            _ => {
                match character {
                    '{' => braces += 1,
                    '}' => braces = braces.saturating_sub(1),
                    _ => {}
                }
                translated.push(character);
            }
        }
    }
    Ok(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_written_anew() {
        for (pattern, translated) in [
            ("a[bc]d", "a[b-c]d"),
            ("[[:digit:]]", "[0-9]"),
            ("[![:digit:]x]", "[!/-9x]"),
            ("[^a]", "[!/a]"),
            ("[]-]", "[]-]"),
            ("[\\]a]", "[]a]"),
            ("[!]", "unclosed"),
            ("[a", "unclosed"),
            ("[[:digit]", "[:[dgit]"),
            ("[[:digit:]", "unclosed"),
            ("[[:nothing:]]", "unknown"),
            ("[z-a]", "invalid range"),
            ("[\\!]", "{\\!}"),
            ("[\\^!]", "{\\!,\\^}"),
            ("[\\!-]", "[-!]"),
            ("[-]", "-"),
            ("[/]", "a class that nothing"),
            ("[ä-ü]", "[ää-ü]"),
            ("\\[a]", "\\[a]"),
            ("{a,[}]}", "\\{a,[}]\\}"),
        ] {
            match translate(pattern, Dialect::FloeIgnore, false) {
                Ok(found) => assert_eq!(found, translated, "{pattern}"),
                Err(reason) => assert!(reason.starts_with(translated), "{pattern}: {reason}"),
            }
        }
        assert_eq!(translate("{a,b}", Dialect::Globs, false).unwrap(), "{a,b}");
        assert_eq!(translate("[az-b]", Dialect::GitIgnore, false).unwrap(), "[az]");
    }

    #[test]
    fn lines_are_read_as_git_does() {
        let read = |line: &str| {
            let read = Pattern::read(line.as_bytes(), Dialect::GitIgnore).unwrap();
            read.map(|found| {
                let marks = [(found.negated, "not "), (found.directories_only, "directories ")];
                let marks = marks.iter().filter(|(is_marked, _)| *is_marked).map(|(_, mark)| *mark);
                marks.chain([found.glob.as_str()]).collect::<String>()
            })
        };
        for says_nothing in ["", " ", "#a", "!", "! ", "/", "!/", "//", "**//", "a//", "\0a"] {
            assert_eq!(read(says_nothing), None, "{says_nothing:?}");
        }
        for (line, found) in [
            ("a", "**/a"),
            ("/a", "a"),
            ("a/b", "a/b"),
            ("!a/", "not directories **/a"),
            ("!!a", "not **/!a"),
            ("! a", "not **/ a"),
            ("a  ", "**/a"),
            ("a\\  ", "**/a\\ "),
            ("a\\\\ ", "**/a\\\\"),
            ("a\t", "**/a\t"),
            ("a\u{a0}", "**/a\u{a0}"),
            ("a\r", "**/a\r"),
            ("\\#", "**/\\#"),
            ("a\0b", "**/a"),
            // A slash in a class is one; that of a class written anew is none.
            ("[!e]", "**/[!/e]"),
            ("a[b/]", "a[b]"),
            ("a/**", "a/**/*"),
            ("a/***/b", "a/**/b"),
            ("a/b**/c", "a/b*/c"),
            ("a**", "**/a*"),
            ("/**", "**"),
            ("\\/a", "/a"),
        ] {
            assert_eq!(read(line).as_deref(), Some(found), "{line:?}");
        }
        for malformed in ["a\\", "a\\/", "["] {
            assert!(Pattern::read(malformed.as_bytes(), Dialect::GitIgnore).is_err(), "{malformed}");
        }
        assert!(Pattern::read(b"s\0e\0", Dialect::FloeIgnore).is_err());
    }
}
