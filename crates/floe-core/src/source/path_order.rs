//! The canonical order of a tree.

use std::cmp::Ordering;

/// Compares two names in one directory: bytewise.
pub fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    a.cmp(b)
}

/// Compares the paths of two directories: component by component, each bytewise, a directory before what is in it.
///
/// All children of a directory stand together, so this and [`compare_names`] order every entry of a tree. Names hold
/// no NUL, hence `/` may stand below every other byte.
pub fn compare_directories(a: &[u8], b: &[u8]) -> Ordering {
    match a.iter().zip(b).find(|(x, y)| x != y) {
        None => a.len().cmp(&b.len()),
        Some((b'/', _)) => Ordering::Less,
        Some((_, b'/')) => Ordering::Greater,
        Some((x, y)) => x.cmp(y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn directories_compare_like_their_components(
            a in proptest::collection::vec("[a.\\-0]{1,3}", 0..4),
            b in proptest::collection::vec("[a.\\-0]{1,3}", 0..4),
        ) {
            prop_assert_eq!(compare_directories(a.join("/").as_bytes(), b.join("/").as_bytes()), a.cmp(&b));
        }
    }
}
