use rustix::fs::{CWD, Mode, OFlags, openat};

use super::*;

#[test]
fn two_names_of_one_file_are_two_names() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("A"), b"x").unwrap();
    std::fs::hard_link(dir.path().join("A"), dir.path().join("a")).unwrap();
    let directory = openat(CWD, dir.path(), OFlags::RDONLY, Mode::empty()).unwrap();
    let listing = Listing::read(directory.as_fd()).unwrap();
    let there = (directory.as_fd(), &listing);
    let mut spellings = OtherSpellings::of(directory.as_fd(), &listing, std::iter::empty());
    let shown = |name: &[u8]| names::shown(name);
    spellings.note(Some(there), b"a", None, &shown).unwrap();
    assert!(!spellings.has(directory.as_fd(), b"A"));
    spellings = OtherSpellings::of_missing();
    let stat = |name: &[u8]| FileStat::of_name(directory.as_fd(), name).unwrap();
    for name in [b"A", b"a"] {
        spellings.note(Some(there), name, Some(stat(name)), &shown).unwrap();
    }
    // A third name of it that is not listed is another spelling of one of them.
    std::fs::hard_link(dir.path().join("A"), dir.path().join("b")).unwrap();
    let clash = spellings.note(Some(there), b"b", None, &shown).unwrap_err();
    assert_eq!(clash.kind(), ErrorKind::Invalid);
    // What is found under a name that is not listed is not too much under the one that is.
    spellings = OtherSpellings::of_missing();
    spellings.note(Some(there), b"a", None, &shown).unwrap();
    assert!(spellings.has(directory.as_fd(), b"A"));
}

/// But what came after all were listed.
#[test]
fn what_is_found_and_not_listed_is_another_spelling() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (put_together, in_parts) = ("caf\u{e9}", "cafe\u{301}");
    for name in ["a", in_parts] {
        std::fs::write(at(name), b"x").unwrap();
    }
    let directory = openat(CWD, dir.path(), OFlags::RDONLY, Mode::empty()).unwrap();
    let listing = Listing::read(directory.as_fd()).unwrap();
    let of = |names: &[&'static str]| {
        OtherSpellings::of(directory.as_fd(), &listing, names.iter().map(|name| name.as_bytes()))
    };
    assert!(!of(&["A", "a", put_together, "new"]).is_looked_for);
    std::fs::hard_link(at(in_parts), at(put_together)).unwrap();
    std::fs::write(at("new"), b"x").unwrap();
    // Somebody else's, which nothing was listed as.
    assert!(!of(&["A", "a", "new"]).is_looked_for);
    let mut spellings = of(&["A", "a", put_together]);
    assert!(spellings.is_looked_for && spellings.ignore_case() == Some(false));
    let shown = |name: &[u8]| names::shown(name);
    let mut note = |name: &str, listed| {
        let found = spellings.note(Some((directory.as_fd(), &listing)), name.as_bytes(), listed, &shown);
        found.map(|found| found.map(|found| found.id())).map_err(|error| error.kind())
    };
    let stat = |name: &str| FileStat::of_name(directory.as_fd(), name.as_bytes()).unwrap();
    // Case counts there.
    for missing in ["B", "b"] {
        assert_eq!(note(missing, None), Ok(None));
    }
    assert_eq!(note(put_together, None), Ok(Some(stat(in_parts).id())));
    assert_eq!(note(in_parts, Some(stat(in_parts))), Err(ErrorKind::Invalid));
    let has = ["a", in_parts].map(|name| spellings.has(directory.as_fd(), name.as_bytes()));
    assert_eq!(has, [false, true]);
    // Where nothing is listed, nothing is looked for.
    let empty = tempfile::tempdir().unwrap();
    let empty = openat(CWD, empty.path(), OFlags::RDONLY, Mode::empty()).unwrap();
    assert!(!finds_unlisted(
        directory.as_fd(),
        &Listing::read(empty.as_fd()).unwrap(),
        [&b"a"[..]].into_iter()
    ));
}

#[test]
fn names_that_are_put_together_in_other_ways_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let listed = ["e\u{301}", "u\u{308}", "E\u{301}", "Q"];
    std::fs::write(at(listed[0]), b"x").unwrap();
    for other in &listed[1..] {
        std::fs::hard_link(at(listed[0]), at(other)).unwrap();
    }
    let directory = openat(CWD, dir.path(), OFlags::RDONLY, Mode::empty()).unwrap();
    let listing = Listing::read(directory.as_fd()).unwrap();
    for other in ["\u{e9}", "\u{fc}", "1st"] {
        std::fs::hard_link(at(listed[0]), at(other)).unwrap();
    }
    let (there, shown) = (Some((directory.as_fd(), &listing)), |name: &[u8]| names::shown(name));
    let noted = |ignores_case: bool, names: &[&str]| {
        let ignores_case = Some(ignores_case);
        let mut spellings = OtherSpellings { is_looked_for: true, ignores_case, ..OtherSpellings::default() };
        let refused = names.iter().position(|name| {
            let stat =
                listed.contains(name).then(|| FileStat::of_name(directory.as_fd(), name.as_bytes()).unwrap());
            spellings.note(there, name.as_bytes(), stat, &shown).is_err()
        });
        let has = listed.map(|name| spellings.has(directory.as_fd(), name.as_bytes()));
        refused.map_or(Ok(has), Err)
    };
    assert_eq!(noted(false, &["Q", "\u{e9}", "\u{fc}"]), Ok([true, true, false, true]));
    // One of two is the same, and nobody can tell which.
    assert_eq!(noted(true, &["\u{e9}"]), Ok([true; 4]));
    assert_eq!(noted(true, &["\u{fc}", "\u{e9}"]), Err(1));
    // What is of no spelling that is listed may be any.
    assert_eq!(noted(false, &["1st"]), Ok([true; 4]));
    assert_eq!(noted(false, &["1st", "\u{e9}"]), Err(1));
    assert_eq!(noted(false, &["e\u{301}", "\u{e9}"]), Err(1));
}

/// As another spelling is found, so is a name that came after all were listed.
#[test]
fn names_of_one_file_are_told_apart_by_what_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("FOO"), b"x").unwrap();
    for name in ["B", "\u{c4}"] {
        std::fs::hard_link(at("FOO"), at(name)).unwrap();
    }
    let directory = openat(CWD, dir.path(), OFlags::RDONLY, Mode::empty()).unwrap();
    let listing = Listing::read(directory.as_fd()).unwrap();
    for name in ["foo", "Foo", "b", "\u{e4}", "other"] {
        std::fs::hard_link(at("FOO"), at(name)).unwrap();
    }
    let there = Some((directory.as_fd(), &listing));
    let shown = |name: &[u8]| names::shown(name);
    let stat = |name: &str| FileStat::of_name(directory.as_fd(), name.as_bytes()).unwrap();
    let mut spellings = OtherSpellings::of_missing();
    for name in ["b", "foo"] {
        let found = spellings.note(there, name.as_bytes(), None, &shown).unwrap();
        assert_eq!(found.map(|found| found.id()), Some(stat("FOO").id()));
    }
    // A name that the snapshot does not have is too much, whatever file it is of.
    let has = ["B", "FOO", "\u{c4}"].map(|name| spellings.has(directory.as_fd(), name.as_bytes()));
    assert_eq!(has, [true, true, false]);
    spellings.note(there, "\u{e4}".as_bytes(), None, &shown).unwrap();
    for (name, listed) in [("FOO", Some(stat("FOO"))), ("Foo", None), ("other", None)] {
        let clash = spellings.note(there, name.as_bytes(), listed, &shown).unwrap_err();
        assert_eq!(clash.kind(), ErrorKind::Invalid, "{name}");
    }
}
