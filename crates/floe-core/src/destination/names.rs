//! Names: which are refused, which are ours, and how they are shown.

use std::fmt::Write as _;

use crate::{Error, ErrorKind, Result};

/// The longest path shown in a message, in bytes; longer ones lose their middle.
const SHOWN_PATH_BYTES: usize = 600;

/// Before the token in each name of ours: what temporary names inside a destination begin with, and what follows the
/// destination's name in that of a staging directory.
pub(super) const MARK: &[u8] = b".floe-";
/// What temporary names end with.
const TEMPORARY_SUFFIX: &[u8] = b".tmp";
/// Hexadecimal digits of a token in a name.
pub(super) const TOKEN_DIGITS: usize = 16;

/// Refuses what is not one plain component of a path.
pub(super) fn check(name: &[u8]) -> Result<()> {
    let wrong = if name.is_empty() {
        "is empty"
    } else if name == b"." || name == b".." {
        "leads to another directory"
    } else if name.contains(&b'/') {
        "has a slash"
    } else if name.contains(&0) {
        "has a NUL byte"
    } else if name.len() > 255 {
        "is longer than 255 bytes"
    } else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::Corrupt,
        format!("the name `{}` {wrong}; nothing is written for it", shown(name)),
    ))
}

/// The name of temporary number `number` of the pull with this token.
pub(super) fn temporary(token: u64, number: u64) -> Vec<u8> {
    format!(".floe-{token:016x}-{number:x}.tmp").into_bytes()
}

/// Whether a name is of the form that [`temporary`] makes.
pub(super) fn is_temporary(name: &[u8]) -> bool {
    let Some(middle) = name.strip_prefix(MARK).and_then(|rest| rest.strip_suffix(TEMPORARY_SUFFIX)) else {
        return false;
    };
    let Some((token, rest)) = middle.split_at_checked(TOKEN_DIGITS) else {
        return false;
    };
    let Some(number) = rest.strip_prefix(b"-") else {
        return false;
    };
    is_hexadecimal(token) && !number.is_empty() && number.len() <= 16 && is_hexadecimal(number)
}

/// Whether a name is of the form that staging directories have, beside their destination.
pub(super) fn is_staging(name: &[u8]) -> bool {
    name.split_last_chunk::<TOKEN_DIGITS>().is_some_and(|(head, token)| {
        let destination = head.strip_prefix(b".").and_then(|rest| rest.strip_suffix(MARK));
        is_hexadecimal(token) && destination.is_some_and(|name| !name.is_empty())
    })
}

/// Whether all bytes are lowercase hexadecimal digits.
pub(super) fn is_hexadecimal(digits: &[u8]) -> bool {
    digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'))
}

/// A path or name as a message shows it: control characters and broken UTF-8 escaped, the middle of long ones left out.
pub(super) fn shown(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len().min(2 * SHOWN_PATH_BYTES));
    if path.len() > SHOWN_PATH_BYTES {
        let half = SHOWN_PATH_BYTES / 2;
        escape(&path[..half], &mut text);
        text.push('…');
        escape(&path[path.len() - half..], &mut text);
    } else {
        escape(path, &mut text);
    }
    text
}

fn escape(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
}
