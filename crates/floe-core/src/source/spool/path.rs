//! Names in a tar.

use floe_format::validate_path;

use crate::error::{Error, ErrorKind, Result};

/// The path that a tar's name stands for: without `./` in front and `/` behind; empty for the root.
///
/// # Errors
/// It leaves the tree, or is no path of a tree.
pub(super) fn normal_path(name: &[u8]) -> Result<Vec<u8>> {
    let refuse =
        |what: &str| Err(Error::new(ErrorKind::Invalid, format!("{} in the tar {what}", shown(name))));
    if name.is_empty() {
        return refuse("has no name");
    }
    if name.starts_with(b"/") {
        return refuse("is an absolute path; make the tar with paths below a directory");
    }
    let mut path = Vec::with_capacity(name.len());
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return refuse("goes up with `..`; make the tar with plain paths below a directory"),
            component => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(component);
            }
        }
    }
    if !path.is_empty() {
        validate_path(&path).map_err(|e| Error::from(e).in_object("the tar"))?;
    }
    Ok(path)
}

/// A name as messages show it.
pub(super) fn shown(name: &[u8]) -> String {
    const SHOWN_BYTES: usize = 200;
    match name.split_at_checked(SHOWN_BYTES) {
        Some((start, rest)) if !rest.is_empty() => format!("`{}…`", start.escape_ascii()),
        _ => format!("`{}`", String::from_utf8_lossy(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths_below_the_root() {
        for (name, path) in [
            ("a", "a"),
            ("./a", "a"),
            ("././/a//b/./c/", "a/b/c"),
            (".", ""),
            ("./", ""),
            ("...", "..."),
            ("a/..b", "a/..b"),
        ] {
            assert_eq!(normal_path(name.as_bytes()).unwrap(), path.as_bytes(), "{name}");
        }
        let (long_name, long_path) = ("n".repeat(256), "a/".repeat(32_768) + "b");
        for name in
            ["", "/", "/a", "//a", "..", "../a", "a/..", "a/../b", "./../a", "a\0b", &long_name, &long_path]
        {
            let error = normal_path(name.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name:?}");
        }
        assert!(normal_path(("n".repeat(255) + "/").as_bytes()).is_ok());
        assert!(normal_path("a/".repeat(32_768).as_bytes()).is_ok());
    }

    #[test]
    fn long_names_are_shown_in_part() {
        assert_eq!(shown(b"a\xff"), "`a\u{fffd}`");
        assert!(shown(&[b'x'; 70_000]).len() < 300);
    }
}
