//! Which entries are pulled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::destination::{in_one_spelling, without_case};
use crate::glob::{Dialect, Globs, GlobsBuilder, Scope, Subject};
use crate::{Error, ErrorKind, Remedy, Result};

/// Globs of what is pulled and of what is not; clones note the same.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    include: Globs<Mark>,
    /// The globs of `include` as they were given, and which of them matched anything.
    included: Arc<[Included]>,
    exclude: Globs<Mark>,
    /// The same without case, and in one spelling as well: where case is ignored, each may match.
    exclude_folded: [Globs<Mark>; 2],
    includes_all: bool,
    excludes: bool,
    trivial: bool,
}

/// What is known of a glob.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Its number among those that were given.
    number: usize,
    directories_only: bool,
}

/// A glob of what is pulled.
#[derive(Debug)]
struct Included {
    glob: String,
    matched: AtomicBool,
}

/// What is said of an entry: of a directory, it holds for all below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Picked {
    included: bool,
    excluded: bool,
}

impl Picked {
    /// Whether the entry itself is pulled.
    pub(super) fn is_selected(self) -> bool {
        self.included && !self.excluded
    }

    /// Whether a glob says that it is not.
    pub(super) fn is_left_out(self) -> bool {
        self.excluded
    }
}

impl Selection {
    pub(super) fn new(include: &[String], exclude: &[String]) -> Result<Self> {
        Ok(Self {
            include: compile(include)?,
            included: include
                .iter()
                .map(|glob| Included { glob: glob.clone(), matched: AtomicBool::new(false) })
                .collect(),
            exclude: compile(exclude)?,
            exclude_folded: [compile_folded(exclude, FOLDINGS[0])?, compile_folded(exclude, FOLDINGS[1])?],
            includes_all: include.is_empty(),
            excludes: !exclude.is_empty(),
            trivial: include.is_empty() && exclude.is_empty(),
        })
    }

    /// Whether everything is pulled.
    pub(super) fn is_all(&self) -> bool {
        self.trivial
    }

    /// Whether there are globs of what is not pulled.
    pub(super) fn leaves_out(&self) -> bool {
        self.excludes
    }

    /// What is said of the directory that everything is below.
    pub(super) fn top(&self) -> Picked {
        Picked { included: self.includes_all, excluded: false }
    }

    /// What is said of an entry of a directory, by its path below what is pulled.
    #[inline]
    pub(super) fn pick(&self, parent: Picked, path: &[u8], is_directory: bool) -> Picked {
        if self.trivial {
            return parent;
        }
        let path = Subject::new(path);
        Picked {
            included: self.includes(path, is_directory) || parent.included,
            excluded: parent.excluded || is_match(&self.exclude, path, is_directory),
        }
    }

    /// The same for what is there and the snapshot does not have; it is no find. Where case is ignored, what is left out is
    /// so by whatever spelling. Whether it is a directory is asked where that matters.
    pub(super) fn pick_extra(
        &self,
        parent: Picked,
        path: &[u8],
        ignores_case: bool,
        is_directory: impl FnOnce() -> Result<bool>,
    ) -> Result<Picked> {
        let folded = (ignores_case && self.excludes).then(|| FOLDINGS.map(|fold| folded_path(path, fold)));
        let is_match_folded = |is_directory| {
            let mut folded = self.exclude_folded.iter().zip(folded.iter().flatten());
            folded.any(|(globs, path)| is_match(globs, Subject::new(path), is_directory))
        };
        let path = Subject::new(path);
        let [other, directory] = [false, true].map(|is_directory| Picked {
            included: parent.included || is_match(&self.include, path, is_directory),
            excluded: parent.excluded
                || is_match(&self.exclude, path, is_directory)
                || is_match_folded(is_directory),
        });
        Ok(if other != directory && is_directory()? { directory } else { other })
    }

    fn includes(&self, path: Subject<'_>, is_directory: bool) -> bool {
        let mut is_included = false;
        self.include.for_each_match(path, |mark| {
            if mark.directories_only && !is_directory {
                return;
            }
            is_included = true;
            let matched = &self.included[mark.number].matched;
            // Most often it matched before, and other threads read it.
            if !matched.load(Ordering::Relaxed) {
                matched.store(true, Ordering::Relaxed);
            }
        });
        is_included
    }

    /// The globs of what is pulled that have matched nothing so far.
    pub(super) fn unmatched(&self) -> Vec<String> {
        let unmatched = self.included.iter().filter(|included| !included.matched.load(Ordering::Relaxed));
        unmatched.map(|included| included.glob.clone()).collect()
    }

    /// What is said of an entry that is no directory when nothing is known of the directories above it.
    pub(super) fn pick_path(&self, path: &[u8]) -> Picked {
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        let above = ends.fold(self.top(), |picked, end| self.pick(picked, &path[..end], true));
        self.pick(above, path, false)
    }
}

/// Globs, of which those that end in `/` match directories only.
fn compile(globs: &[String]) -> Result<Globs<Mark>> {
    let mut builder = GlobsBuilder::new(Dialect::Caller);
    for (number, glob) in globs.iter().enumerate() {
        // As a shell completes it: from the top.
        let from_top = glob.strip_prefix("./").map(|rest| format!("/{}", rest.trim_start_matches('/')));
        let glob = from_top.as_ref().unwrap_or(glob);
        let (plain, directories_only) =
            glob.strip_suffix('/').map_or((&**glob, false), |plain| (plain, true));
        if plain.is_empty() {
            let message = "a glob that is empty names nothing; name an entry, or pull all without one";
            return Err(Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::Pattern));
        }
        let scope = if plain.contains('/') { Scope::Path } else { Scope::Name };
        let plain = plain.strip_prefix('/').unwrap_or(plain);
        builder.add(plain.as_bytes(), scope, Mark { number, directories_only }).map_err(|reason| {
            let message = format!("{glob:?} is not a glob: {reason}");
            Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::Pattern)
        })?;
    }
    Ok(builder.build())
}

/// What makes one text of those that are one name where case is ignored: letter by letter, for a glob may end between a letter
/// and its accent; and with letters and accents put together.
const FOLDINGS: [fn(&str) -> String; 2] = [without_case, |text| in_one_spelling(text, true)];

/// Folded globs; one in which a range is none then, as it is.
fn compile_folded(globs: &[String], fold: fn(&str) -> String) -> Result<Globs<Mark>> {
    let folded = |glob: &String| {
        let folded = fold(glob);
        if compile(std::slice::from_ref(&folded)).is_ok() { folded } else { glob.clone() }
    };
    compile(&globs.iter().map(folded).collect::<Vec<_>>())
}

fn folded_path(path: &[u8], fold: fn(&str) -> String) -> Vec<u8> {
    str::from_utf8(path).map_or_else(|_| path.to_ascii_lowercase(), |path| fold(path).into_bytes())
}

fn is_match(globs: &Globs<Mark>, path: Subject<'_>, is_directory: bool) -> bool {
    globs.last_match(path, |mark| is_directory || !mark.directories_only).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(include: &[&str], exclude: &[&str], path: &str) -> bool {
        let own = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect::<Vec<_>>();
        Selection::new(&own(include), &own(exclude)).unwrap().pick_path(path.as_bytes()).is_selected()
    }

    #[test]
    fn names_match_anywhere_and_paths_where_they_are() {
        assert!(selected(&[], &[], "a/b"));
        assert!(!selected(&[], &["*.o"], "a/b.o"));
        assert!(!selected(&[], &["target"], "x/target/b"));
        assert!(selected(&[], &["/target"], "x/target/b"));
        assert!(!selected(&[], &["x/*/"], "x/target/b"));
        assert!(selected(&["src"], &[], "src/a/b"));
        assert!(!selected(&["src"], &[], "a/b"));
        assert!(!selected(&["src"], &["b"], "src/a/b"));
        for from_top in ["./target", ".//target/", "/target"] {
            assert!(selected(&[from_top], &[], "target/b"), "{from_top}");
            assert!(!selected(&[from_top], &[], "x/target/b"), "{from_top}");
        }
        for bad in ["[", "", "/", "./"] {
            assert!(Selection::new(&[bad.to_owned()], &[]).is_err(), "{bad}");
            assert!(Selection::new(&[], &[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slash_at_the_end_says_directories_only() {
        for glob in ["a/", "/a/", "./a/", "{a,b}/"] {
            assert!(selected(&[], &[glob], "a"), "{glob}");
            assert!(!selected(&[], &[glob], "a/x"), "{glob}");
            assert!(!selected(&[glob], &[], "a"), "{glob}");
            assert!(selected(&[glob], &[], "a/x"), "{glob}");
        }
        assert!(!selected(&[], &["a/", "a"], "a"));
        let globs = ["a/".to_owned()];
        let selection = Selection::new(&[], &globs).unwrap();
        for is_directory in [false, true] {
            let picked = selection.pick_extra(selection.top(), b"a", false, || Ok(is_directory)).unwrap();
            assert_eq!(picked.is_selected(), !is_directory);
        }
        let asked =
            selection.pick_extra(selection.top(), b"b", true, || unreachable!("it is left alone either way"));
        assert!(asked.unwrap().is_selected());
        let including = Selection::new(&globs, &[]).unwrap();
        including.pick_path(b"a");
        assert_eq!(including.unmatched(), globs);
        including.pick_path(b"a/x");
        assert!(including.unmatched().is_empty());
    }

    #[test]
    fn where_case_is_ignored_it_is_by_globs_of_what_stays() {
        let globs = ["Foo/x", "*.LOG", "\u{c4}", "[Z-a]", "d/"].map(str::to_owned);
        let selection = Selection::new(&[], &globs).unwrap();
        let is_left_out = |path: &str, ignores_case| {
            let picked = selection.pick_extra(selection.top(), path.as_bytes(), ignores_case, || Ok(true));
            picked.unwrap().is_left_out()
        };
        for path in ["FOO/X", "y/a.Log", "\u{e4}", "D"] {
            assert!(is_left_out(path, true) && !is_left_out(path, false), "{path}");
        }
        for path in ["Foo/x", "a.LOG", "Z", "d"] {
            assert!(is_left_out(path, true) && is_left_out(path, false), "{path}");
        }
        // As file systems fold names, and whatever an accent is put together of.
        for (glob, path) in [
            ("STRASSE", "stra\u{df}e"),
            ("a\u{3c3}", "a\u{3c2}"),
            ("\u{fb01}n", "FIN"),
            ("\u{e9}", "E\u{301}"),
            ("CAFE*", "cafe\u{301}.txt"),
            ("\u{39f}\u{394}\u{39f}\u{3a3}*", "\u{3bf}\u{3b4}\u{3bf}\u{3c2}.txt"),
            ("*\u{3a3}", "a\u{3c3}"),
            ("*\u{3c3}", "A\u{3a3}"),
        ] {
            let selection = Selection::new(&[], &[glob.to_owned()]).unwrap();
            for (ignores_case, expected) in [(true, true), (false, false)] {
                let picked =
                    selection.pick_extra(selection.top(), path.as_bytes(), ignores_case, || Ok(true));
                assert_eq!(picked.unwrap().is_left_out(), expected, "{glob}");
            }
        }
        assert!(!is_left_out("x", true) && !is_left_out("foo", true));
        assert!(selection.pick(selection.top(), b"foo/x", false).is_selected());
    }

    #[test]
    fn globs_that_match_nothing_are_known() {
        let globs = ["a*", "/b", "c", "ab"].map(str::to_owned);
        let selection = Selection::new(&globs, &[]).unwrap();
        assert_eq!(selection.unmatched(), globs);
        for path in ["x/b", "ab", "ab/c"] {
            selection.pick_path(path.as_bytes());
        }
        // What is below a directory that is included matches too.
        assert_eq!(selection.unmatched(), ["/b"]);
    }
}
