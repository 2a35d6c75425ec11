use proptest::prelude::*;

use super::*;

/// The order as `docs/format.md` words it.
fn by_the_book(a: &[u8], b: &[u8]) -> Ordering {
    let split = |path: &[u8]| {
        let mut parts: Vec<Vec<u8>> = path.split(|&b| b == b'/').map(<[u8]>::to_vec).collect();
        let name = parts.pop().unwrap();
        (parts, name)
    };
    split(a).cmp(&split(b))
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    let name = proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'!'), Just(b'b'), Just(0xff)], 1..4);
    proptest::collection::vec(name, 1..5).prop_map(|names| names.join(&b'/'))
}

proptest! {
    #[test]
    fn order_is_by_the_book(a in path(), b in path()) {
        prop_assert_eq!(compare_paths(&a, &b), by_the_book(&a, &b));
    }

    #[test]
    fn the_cursor_takes_exactly_what_ascends(a in path(), b in path()) {
        for repeats in [false, true] {
            let mut cursor = PathCursor::default();
            cursor.advance(0, &a, repeats).unwrap();
            let shared = cursor.shared_with(&b);
            let taken = cursor.clone().advance(shared, &b[shared..], repeats).is_ok();
            let order = by_the_book(&a, &b);
            prop_assert_eq!(taken, order == Ordering::Less || repeats && order == Ordering::Equal);
            if taken {
                cursor.advance(shared, &b[shared..], repeats).unwrap();
                prop_assert_eq!(cursor.path(), &b[..]);
                prop_assert_eq!(cursor.parent, parent_len(&b));
            }
            if shared > 0 {
                cursor = PathCursor::default();
                cursor.advance(0, &a, repeats).unwrap();
                prop_assert!(cursor.advance(shared - 1, &b[shared - 1..], repeats).is_err());
            }
        }
    }

    #[test]
    fn the_cursor_survives_anything(
        steps in proptest::collection::vec((0usize..8, proptest::collection::vec(
            prop_oneof![Just(b'a'), Just(b'/'), Just(b'.'), Just(0), any::<u8>()], 0..6)), 0..6)
    ) {
        let mut cursor = PathCursor::default();
        let mut before = Vec::new();
        for (shared, suffix) in steps {
            if cursor.advance(shared, &suffix, false).is_err() {
                break;
            }
            prop_assert!(validate_path(cursor.path()).is_ok());
            prop_assert!(before.is_empty() || by_the_book(&before, cursor.path()) == Ordering::Less);
            before = cursor.path().to_vec();
        }
    }
}

#[test]
fn forms() {
    let longest = vec![vec![b'x'; 255]; 256].join(&b'/');
    assert_eq!(longest.len(), MAX_PATH_BYTES);
    for good in [&b"a"[..], b"a/b", b"...", b".a", b"a./..b", b"\xff\n", &[b'x'; 255], &longest] {
        validate_path(good).unwrap();
    }
    let too_long = [&longest[..], b"x"].concat();
    for bad in [
        &b""[..],
        b"/",
        b"/a",
        b"a/",
        b"a//b",
        b".",
        b"..",
        b"a/.",
        b"../a",
        b"a/../b",
        b"a\0b",
        &[b'x'; 256],
        &too_long,
    ] {
        assert!(validate_path(bad).is_err(), "{}", bad.escape_ascii());
        assert!(PathCursor::default().advance(0, bad, true).is_err());
    }
}

#[test]
fn children_stand_together() {
    let mut paths = ["b", "a/z/y", "a", "a!", "a/z", "a/b", "a!/c", "a/b/c", "c"];
    paths.sort_by(|a, b| compare_paths(a.as_bytes(), b.as_bytes()));
    assert_eq!(paths, ["a", "a!", "b", "c", "a/b", "a/z", "a/b/c", "a/z/y", "a!/c"]);
    assert_eq!(parent_and_name(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
    assert_eq!(parent_and_name(b"c"), (&b""[..], &b"c"[..]));
}
