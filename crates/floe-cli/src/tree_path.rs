//! `REF[:PATH]`, as commands take it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use clap::builder::{TypedValueParser, ValueParserFactory};
use clap::error::ErrorKind;
use floe_core::Reference;

/// A reference, and perhaps a path in its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreePath {
    /// Which snapshot.
    pub(crate) reference: Reference,
    /// Which entry of it: raw bytes without a slash at either end, empty for the whole tree.
    pub(crate) path: Vec<u8>,
}

impl TreePath {
    /// What stands before the first colon is the reference, what follows is the path; `.` and repeated slashes mean
    /// nothing in it.
    fn parse(text: &OsStr) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let (reference, path) = match bytes.iter().position(|byte| *byte == b':') {
            Some(colon) => (&bytes[..colon], &bytes[colon + 1..]),
            None => (bytes, &[][..]),
        };
        let reference = std::str::from_utf8(reference).map_err(|_| "a reference is ASCII".to_owned())?;
        let reference = reference.parse::<Reference>().map_err(|e| {
            // As a shell completes the name of a directory.
            match reference.trim_end_matches('/').parse::<Reference>() {
                Ok(whole) => format!(
                    "a reference does not end in `/`; `{whole}` has the whole tree, `{whole}:PATH` a part"
                ),
                Err(_) => e.to_string(),
            }
        })?;
        let mut parts = Vec::new();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err("`..` is not followed in a snapshot; write the path without it".into()),
                part => parts.push(part),
            }
        }
        Ok(Self { reference, path: parts.join(&b'/') })
    }
}

impl ValueParserFactory for TreePath {
    type Parser = TreePathParser;

    fn value_parser() -> TreePathParser {
        TreePathParser
    }
}

/// Reads a [`TreePath`] whose path need not be UTF-8.
#[derive(Clone, Debug)]
pub(crate) struct TreePathParser;

impl TypedValueParser for TreePathParser {
    type Value = TreePath;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<TreePath, clap::Error> {
        TreePath::parse(value).map_err(|reason| {
            let name = argument.map(ToString::to_string).unwrap_or_default();
            let message = format!(
                "invalid value '{}' for '{name}': {reason}\n\nFor more information, try '--help'.\n",
                value.display()
            );
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_colon_ends_the_reference() {
        for (text, reference, path) in [
            ("main", "main", ""),
            ("main:", "main", ""),
            ("main@3:/src//lib.rs/", "main@3", "src/lib.rs"),
            ("release/1:./a:b", "release/1", "a:b"),
            ("0123456789ab:x", "0123456789ab", "x"),
        ] {
            let parsed = TreePath::parse(OsStr::new(text)).unwrap();
            assert_eq!(parsed.reference.to_string(), reference);
            assert_eq!(parsed.path, path.as_bytes());
        }
        let raw = TreePath::parse(OsStr::from_bytes(b"main:\xff/x")).unwrap();
        assert_eq!(raw.path, b"\xff/x");
        for bad in ["", ":x", "main:../x", "a b:x", "main@x", "main/", "main/:x"] {
            assert!(TreePath::parse(OsStr::new(bad)).is_err(), "{bad}");
        }
        let slash = TreePath::parse(OsStr::new("main@3/")).unwrap_err();
        assert_eq!(
            slash,
            "a reference does not end in `/`; `main@3` has the whole tree, `main@3:PATH` a part"
        );
    }
}
