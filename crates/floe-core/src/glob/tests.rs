use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn try_set(globs: &[&[u8]], scope: Scope, dialect: Dialect) -> Result<Globs<usize>, &'static str> {
    let mut builder = GlobsBuilder::new(dialect);
    for (number, glob) in globs.iter().enumerate() {
        builder.add(glob, scope, number)?;
    }
    Ok(builder.build())
}

fn set(globs: &[&[u8]], scope: Scope) -> Globs<usize> {
    try_set(globs, scope, Dialect::Tree).unwrap()
}

fn matches(glob: &[u8], scope: Scope, path: &[u8]) -> bool {
    set(&[glob], scope).last_match(Subject::new(path), |_| true).is_some()
}

fn malformed(glob: &str, dialect: Dialect) -> &'static str {
    try_set(&[glob.as_bytes()], Scope::Path, dialect).unwrap_err()
}

#[test]
fn classes_are_those_of_git() {
    for (glob, has, has_not) in [
        ("a[bc]d", "abd acd", "aad ad"),
        ("[[:digit:]]", "0 9", "a :"),
        ("[![:digit:]x]", "a :", "0 x"),
        ("[^a]", "b ^", "a"),
        ("[]-]", "] -", "a"),
        ("[\\]a]", "] a", "\\"),
        ("[[:digit]", ": [ d g", "0"),
        ("[[:]x]", ":x] [x]", "x"),
        ("[[:alpha:][:digit:]_-]", "a 7 _ -", ":"),
        ("[\\!^]", "! ^", "\\"),
        ("[!-a]", "b !", "- a"),
        ("[-a]", "- a", "b"),
        ("[a-]", "a -", "b"),
        ("[a-c-e]", "b - e", "d"),
        ("[--0]", "- . 0", "a"),
        ("[\\a-\\c]", "b", "d \\"),
        ("[az-b]", "a z", "b -"),
        ("[[:upper:]-z]", "A - z", "y"),
        ("[[-]", "[ -", "x"),
    ] {
        for (texts, expected) in [(has, true), (has_not, false)] {
            for text in texts.split(' ') {
                assert_eq!(matches(glob.as_bytes(), Scope::Name, text.as_bytes()), expected, "{glob} {text}");
            }
        }
    }
    assert!(matches(b"[!\x80-\xfe]", Scope::Name, b"\xff"));
    assert!(!matches(b"[\x80-\xfe]", Scope::Name, b"\xff"));
    assert!(!matches(b"a[!b]c", Scope::Path, b"a/c"));
}

#[test]
fn what_is_malformed_says_why() {
    for (glob, reason) in [
        ("a\\", "nothing follows"),
        ("[", "unclosed"),
        ("[!]", "unclosed"),
        ("[a", "unclosed"),
        ("[a-", "unclosed"),
        ("[a\\", "unclosed"),
        ("[[:digit:]", "unclosed"),
        ("[[:nothing:]]", "unknown"),
        ("[/]", "a class that nothing"),
    ] {
        for dialect in [Dialect::Tree, Dialect::Caller] {
            let found = malformed(glob, dialect);
            assert!(found.starts_with(reason), "{glob}: {found}");
        }
    }
    for (glob, reason) in [
        ("[z-a]", "invalid range"),
        ("{a", "unclosed"),
        ("a}", "unopened"),
        ("{[,a}", "unclosed"),
        ("{a,b\\}", "unclosed"),
        ("{a,[}]", "unclosed"),
        (&"{,}".repeat(40), "too many"),
        (&"{".repeat(100_000), "unclosed"),
        (&["{".repeat(100_000), "}".repeat(100_000)].concat(), "too many"),
    ] {
        let found = malformed(glob, Dialect::Caller);
        assert!(found.starts_with(reason), "{glob}: {found}");
    }
}

#[test]
fn what_is_malformed_leaves_no_trace() {
    let mut builder = GlobsBuilder::new(Dialect::Caller);
    builder.add(b"a", Scope::Name, 0).unwrap();
    for bad in ["x[", "{x,y[a-}", "{[/],x}"] {
        builder.add(bad.as_bytes(), Scope::Path, 1).unwrap_err();
    }
    builder.add(b"b*c", Scope::Path, 2).unwrap();
    let globs = builder.build();
    for (path, found) in [("a", Some(&0)), ("bxc", Some(&2)), ("x", None), ("y", None)] {
        assert_eq!(globs.last_match(Subject::new(path.as_bytes()), |_| true), found);
    }
}

#[test]
fn braces_are_alternatives_of_a_caller() {
    for (glob, has, has_not) in [
        ("{a,b}", "a b", "c {a,b}"),
        ("x{a,b{c,d}}y", "xay xbcy xbdy", "xby"),
        ("{a,b}{c,d}", "ac bd", "ab"),
        ("x{,.y}", "x x.y", "xy"),
        ("{**/,}a", "a b/a", "b"),
        ("\\{a,b\\}", "{a,b}", "a"),
        ("[{,}]", "{ , }", "a"),
        ("{a\\,b,c}", "a,b c", "a b"),
        ("{a}", "a", "{a}"),
        ("a,b", "a,b", "a"),
    ] {
        let globs = try_set(&[glob.as_bytes()], Scope::Path, Dialect::Caller).unwrap();
        for (texts, expected) in [(has, true), (has_not, false)] {
            for text in texts.split(' ') {
                let found = globs.last_match(Subject::new(text.as_bytes()), |_| true);
                assert_eq!(found.is_some(), expected, "{glob} {text}");
            }
        }
    }
    assert!(matches(b"{a,b}", Scope::Path, b"{a,b}"));
}

#[test]
fn two_asterisks_are_of_directories_between_slashes() {
    for (glob, has, has_not) in [
        ("**/x", "x a/x a/b/x", "ax a/xb x/a"),
        ("**\\/x", "a/x a/b/x", "x"),
        ("a/**", "a/b a/b/c", "a b/a"),
        ("a/**/b", "a/b a/x/b a/x/y/b", "ab a/xb"),
        ("a/***/b", "a/b a/x/b", "ab"),
        ("a/b**/c", "a/b/c a/bx/c a/bx/y/c a/bc", "a/c"),
        ("a/?b**/c", "a/bb/c a/bbx/c", "a/bb/x/c"),
        ("*/**/x*", "a/x a/b/xy", "x"),
        ("**/a/**/b", "a/b x/a/y/b a/a/b", "b/a"),
        ("**", "a a/b", ""),
        ("*/b", "a/b", "b a/a/b"),
        ("\\/x", "", "x a/x"),
    ] {
        for (texts, expected) in [(has, true), (has_not, false)] {
            for text in texts.split_terminator(' ') {
                assert_eq!(matches(glob.as_bytes(), Scope::Path, text.as_bytes()), expected, "{glob} {text}");
            }
        }
    }
    assert!(matches(b"a**b", Scope::Name, b"x/axb"));
}

/// Every way in which a glob may match, tried one after the other.
fn reference(glob: &[u8], text: &[u8], is_plain_before: bool, before: Option<u8>) -> bool {
    let one = |is_match: fn(u8, u8) -> bool, byte: u8, rest: &[u8], is_plain: bool, last: u8| {
        text.first().is_some_and(|first| is_match(*first, byte))
            && reference(rest, &text[1..], is_plain, Some(last))
    };
    match glob {
        [] => text.is_empty(),
        [b'\\', byte, rest @ ..] => one(|a, b| a == b, *byte, rest, false, *byte),
        [b'?', rest @ ..] => one(|a, _| a != b'/', 0, rest, false, b'?'),
        [b'[', b'!', byte, b']', rest @ ..] => one(|a, b| a != b && a != b'/', *byte, rest, false, b']'),
        [b'[', byte, b']', rest @ ..] => one(|a, b| a == b && a != b'/', *byte, rest, false, b']'),
        [b'*', ..] => {
            let count = glob.iter().take_while(|byte| **byte == b'*').count();
            let rest = &glob[count..];
            let is_deep = count > 1 && (is_plain_before || before == Some(b'/'));
            let ends = rest.is_empty() || rest[0] == b'/' || rest.starts_with(b"\\/");
            if is_deep && ends {
                let is_none = rest.first() == Some(&b'/') && reference(&rest[1..], text, false, Some(b'/'));
                is_none || (0..=text.len()).any(|taken| reference(rest, &text[taken..], false, Some(b'*')))
            } else {
                let end = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
                (0..=end).any(|taken| reference(rest, &text[taken..], false, Some(b'*')))
            }
        }
        [byte, rest @ ..] => one(|a, b| a == b, *byte, rest, is_plain_before, *byte),
    }
}

fn globs() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] =
        &["a", "b", "ab", "/", "*", "**", "?", "[a]", "[!a]", "\\b", "\\/", "/**/", "**/", "/*/", "\x01"];
    prop::collection::vec(select(PIECES), 1..8).prop_map(|pieces| pieces.concat().into_bytes())
}

fn paths() -> impl Strategy<Value = Vec<u8>> {
    const NAMES: &[&str] = &["a", "b", "ab", "ba", "aab", "abab", "\x01", "b\x01a"];
    let names = prop::collection::vec(select(NAMES), 1..5);
    names.prop_map(|names| names.join("/").into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_glob_matches_what_any_way_to_match_it_does(glob in globs(), paths in prop::collection::vec(paths(), 8)) {
        for path in paths {
            let found = matches(&glob, Scope::Path, &path);
            prop_assert_eq!(found, reference(&glob, &path, true, None), "{} {}", glob.escape_ascii(), path.escape_ascii());
        }
    }

    #[test]
    fn of_a_set_those_are_found_that_match(
        globs in prop::collection::vec((globs(), any::<bool>()), 1..40),
        paths in prop::collection::vec(paths(), 8),
    ) {
        let scopes = globs.iter().map(|(_, is_path)| if *is_path { Scope::Path } else { Scope::Name });
        let globs: Vec<_> = globs.iter().map(|(glob, _)| &**glob).zip(scopes).collect();
        let mut builder = GlobsBuilder::new(Dialect::Tree);
        for (number, (glob, scope)) in globs.iter().enumerate() {
            builder.add(glob, *scope, number).unwrap();
        }
        let set = builder.build();
        for path in paths {
            let each = globs.iter().map(|(glob, scope)| matches(glob, *scope, &path));
            let expected: Vec<_> = each.enumerate().filter(|(_, is_match)| *is_match).map(|(number, _)| number).collect();
            let mut found = Vec::new();
            set.for_each_match(Subject::new(&path), |number| found.push(*number));
            found.sort_unstable();
            prop_assert_eq!(&found, &expected);
            for is_asked in [|_: &usize| true, |number: &usize| !number.is_multiple_of(3)] {
                let last = expected.iter().rfind(|number| is_asked(number));
                prop_assert_eq!(set.last_match(Subject::new(&path), is_asked), last);
            }
        }
    }
}

/// What would take longer than anybody waits, were each way to match tried.
#[test]
fn hostile_globs_are_matched_in_bounded_steps() {
    let long = "a".repeat(4_000);
    let deep = vec!["a"; 2_000].join("/");
    let both = vec!["aaaaaaaa"; 500].join("/");
    for glob in [
        "*a".repeat(1_000) + "[b]",
        "a*".repeat(100_000),
        "?*".repeat(2_000) + "[!a]",
        "**/a/".repeat(500) + "[b]",
        "**/*a*a*a*a/".repeat(500) + "[b]",
        "**/".repeat(100_000) + "*a*[b]",
        "**\\/".repeat(200) + "*[b]",
        "*a[a-b]".repeat(300) + "?[b]",
    ] {
        for path in [&long, &deep, &both] {
            assert!(!matches(glob.as_bytes(), Scope::Path, path.as_bytes()), "{}", &glob[..20]);
        }
    }
    let unclosed = "[".to_owned() + &"[:".repeat(500_000);
    assert!(malformed(&(unclosed.clone() + "["), Dialect::Tree).starts_with("unclosed"));
    assert!(matches((unclosed + "x]").as_bytes(), Scope::Path, b":"));
}

#[test]
fn what_is_too_short_for_a_glob_costs_no_step() {
    for glob in ["?*".repeat(300) + "[!a]*", "**/*a".repeat(300) + "[b]", "*\\\x01?".repeat(150) + "*"] {
        let set = set(&[glob.as_bytes()], Scope::Path);
        for (length, is_tried) in [(299, false), (1_000, true)] {
            let mut steps_left = 1_000_000_000;
            set.last_match_within(Subject::new(&vec![b'a'; length]), |_| true, &mut steps_left);
            assert_eq!(steps_left < 1_000_000_000, is_tried, "{} {length}", &glob[..9]);
        }
    }
}

/// Lines that take much room for what they say.
#[test]
fn sets_take_memory_in_proportion_to_what_was_written() {
    let numbered = |text: fn(usize) -> String| (0..20_000).map(text).collect::<Vec<_>>();
    for globs in [
        numbered(|_| "a".into()),
        numbered(|_| "[a]".into()),
        numbered(|_| "[!acegikmoqsuwy]*".into()),
        numbered(|number| format!("{number}*")),
        numbered(|number| format!("*{number}")),
        numbered(|_| "[a-h*?]".into()),
        vec!["a*".repeat(100_000)],
        vec!["\x01*".repeat(100_000)],
        vec!["?[![:punct:]]".repeat(100_000)],
    ] {
        // As lines they end, too.
        let written: usize = globs.iter().map(|glob| glob.len() + 1).sum();
        let globs: Vec<_> = globs.iter().map(|glob| glob.as_bytes()).collect();
        let mut builder = GlobsBuilder::new(Dialect::Tree);
        for glob in globs {
            builder.add(glob, Scope::Name, (false, false)).unwrap();
        }
        let size = builder.build().size_bytes();
        assert!(size <= 13 * written, "{size} bytes for {written}");
    }
}

#[test]
fn few_of_a_set_are_tried() {
    let mut globs: Vec<_> = (0..3_000).map(|number| format!("file{number:04}").into_bytes()).collect();
    globs.extend((0..3_000).map(|number| format!("*.e{number:04}").into_bytes()));
    globs.extend((0..3_000).map(|number| format!("x{number:04}*").into_bytes()));
    let globs: Vec<_> = globs.iter().map(|glob| &**glob).collect();
    for scope in [Scope::Name, Scope::Path] {
        let set = set(&globs, scope);
        for (path, found) in [
            ("file0007", Some(&7)),
            ("file000", None),
            ("file00070", None),
            ("a.e2999", Some(&5999)),
            ("a.e299", None),
            ("x1234", Some(&7234)),
            ("x1234b.e0000", Some(&7234)),
            ("y", None),
        ] {
            let mut tried = 0;
            set.try_likely(Subject::new(path.as_bytes()), |_, _| {
                tried += 1;
                true
            });
            assert!(tried <= 8, "{path}: {tried}");
            assert_eq!(set.last_match(Subject::new(path.as_bytes()), |_| true), found, "{path}");
        }
    }
}
